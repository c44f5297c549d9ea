"""Random masking 75 on a small MAE on the CPU: the debug baseline.

Command:
    CONFIG=configs/amt/random_vit-tiny-p8_1xb8-coslr-2e_folder_debug.py
    OPTIONS=train_dataloader.dataset.data_root=FOLDER
    python tools/train.py $CONFIG --cfg-options $OPTIONS
Hardware: CPU, 2 cores.
Hours:    none; about a minute for 100 images, start included (measured).
Metric:   none; nothing is learned in two epochs.
"""

_base_ = './amt_vit-tiny-p8_1xb8-coslr-2e_folder_debug.py'

model = dict(
    scorer=None,
    mask_generator=dict(
        _delete_=True, type='mmattmask.RandomMaskGenerator', mask_ratio=0.75
    ),
)
custom_hooks = []
