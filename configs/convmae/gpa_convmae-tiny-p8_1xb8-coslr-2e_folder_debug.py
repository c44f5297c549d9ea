"""GPA on a small ConvMAE on the CPU: does everything run?

The teacher is random: this shows that the parts work together, nothing more.

Command:
    CONFIG=configs/convmae/gpa_convmae-tiny-p8_1xb8-coslr-2e_folder_debug.py
    OPTIONS=train_dataloader.dataset.data_root=FOLDER
    mmattmask train $CONFIG --cfg-options $OPTIONS
Hardware: CPU, 2 cores.
Hours:    none; about a minute for 100 images, start included.
Metric:   none; nothing is learned in two epochs.
"""

_base_ = '../gpa/gpa_vit-tiny-p8_1xb8-coslr-2e_folder_debug.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmattmask.ConvMAEViT',
        arch=dict(
            embed_dims=(48, 96, 192), depths=(1, 1, 4), num_heads=3, strides=(2, 2, 2)
        ),
        img_size=64,
    )
)
