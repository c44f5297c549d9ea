"""AMT 45/40 on a small MAE on the CPU: does everything run, on my images too?

Two epochs with a refresh between them, in float32, 64 px. A few dozen images are
enough.

Command:
    CONFIG=configs/amt/amt_vit-tiny-p8_1xb8-coslr-2e_folder_debug.py
    OPTIONS=train_dataloader.dataset.data_root=FOLDER
    mmattmask train $CONFIG --cfg-options $OPTIONS
Hardware: CPU, 2 cores.
Hours:    none; about a minute for 100 images, start included (measured).
Metric:   none; nothing is learned in two epochs.
"""

_base_ = '../_base_/mae_vit-tiny-p8_folder_debug.py'

model = dict(
    type='mmattmask.GuidedMAE',
    scorer=dict(type='mmattmask.CachedAttention'),
    mask_generator=dict(
        type='mmattmask.AMTMaskGenerator', mask_ratio=0.45, throw_ratio=0.40
    ),
)
custom_hooks = [dict(type='mmattmask.AttentionRefreshHook', begin=1, interval=1)]
