"""Random masking 75 on a small MAE on the CPU: the debug baseline.

Command:
    CONFIG=configs/amt/random_vit-tiny-p8_1xb8-coslr-2e_folder_debug.py
    OPTIONS=train_dataloader.dataset.data_root=FOLDER
    mmattmask train $CONFIG --cfg-options $OPTIONS
Hardware: CPU, 2 cores.
Hours:    none; about a minute for 100 images, start included (measured).
Metric:   none; nothing is learned in two epochs.
"""

_base_ = '../_base_/mae_vit-tiny-p8_folder_debug.py'

model = dict(
    type='mmattmask.GuidedMAE',
    mask_generator=dict(type='mmattmask.RandomMaskGenerator', mask_ratio=0.75),
)
