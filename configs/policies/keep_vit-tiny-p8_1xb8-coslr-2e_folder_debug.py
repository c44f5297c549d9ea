"""First drawn stay visible, on a small MAE on the CPU: does everything run?

Command:
    CONFIG=configs/policies/keep_vit-tiny-p8_1xb8-coslr-2e_folder_debug.py
    OPTIONS=train_dataloader.dataset.data_root=FOLDER
    mmattmask train $CONFIG --cfg-options $OPTIONS
Hardware: CPU, 2 cores.
Hours:    none; about a minute for 100 images, start included.
Metric:   none; nothing is learned in two epochs.
"""

_base_ = '../amt/amt_vit-tiny-p8_1xb8-coslr-2e_folder_debug.py'

model = dict(
    mask_generator=dict(
        mask_ratio=0.75, throw_ratio=0.0, rounding='up', first='visible'
    )
)
