"""MST's masks on a small DINO on the CPU: does everything run?

Command:
    CONFIG=configs/policies/mst_vit-tiny-p8_1xb8-coslr-2e_folder_debug.py
    OPTIONS=train_dataloader.dataset.data_root=FOLDER
    mmattmask train $CONFIG --cfg-options $OPTIONS
Hardware: CPU, 2 cores.
Hours:    none; about a minute for 100 images, start included.
Metric:   none; nothing is learned in two epochs.
"""

_base_ = '../ibot/ibot_vit-tiny-p8_1xb8-coslr-2e_folder_debug.py'

model = dict(
    patch_weight=0.0,
    mask_generator=dict(
        _delete_=True,
        type='mmattmask.AttMaskGenerator',
        mode='low',
        mask_ratio=0.5,
        patch_prob=0.5,
    ),
)
