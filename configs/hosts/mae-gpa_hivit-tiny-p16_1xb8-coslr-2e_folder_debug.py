"""GPA on MAE with a small HiViT on the CPU: does everything run?

The teacher is random: this shows that the parts work together, nothing more.

Command:
    CONFIG=configs/hosts/mae-gpa_hivit-tiny-p16_1xb8-coslr-2e_folder_debug.py
    OPTIONS=train_dataloader.dataset.data_root=FOLDER
    mmattmask train $CONFIG --cfg-options $OPTIONS
Hardware: CPU, 2 cores.
Hours:    none; less than a minute for 100 images, start included (measured).
Metric:   none; nothing is learned in two epochs.
"""

_base_ = '../gpa/gpa_vit-tiny-p8_1xb8-coslr-2e_folder_debug.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='MAEHiViT',
        arch=dict(embed_dims=192, depths=[1, 1, 4], num_heads=3),
        img_size=64,
        patch_size=16,
    ),
    neck=dict(patch_size=16),
    head=dict(patch_size=16),
)
