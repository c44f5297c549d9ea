"""AMT 45/40 on a small MFF on the CPU: does everything run, on my images too?

Command:
    CONFIG=configs/hosts/mff-amt_vit-tiny-p8_1xb8-coslr-2e_folder_debug.py
    OPTIONS=train_dataloader.dataset.data_root=FOLDER
    mmattmask train $CONFIG --cfg-options $OPTIONS
Hardware: CPU, 2 cores.
Hours:    none; less than a minute for 100 images, start included (measured).
Metric:   none; nothing is learned in two epochs.
"""

_base_ = '../amt/amt_vit-tiny-p8_1xb8-coslr-2e_folder_debug.py'

model = dict(
    type='mmattmask.GuidedMFF',
    backbone=dict(type='MFFViT', out_indices=[0, 2, 4, 6, 8, 11]),
)
