"""AMT 45/40 by the contrast of a patch's pixels on the CPU: does everything run?

Command:
    CONFIG=configs/policies/amt-contrast_vit-tiny-p8_1xb8-coslr-2e_folder_debug.py
    OPTIONS=train_dataloader.dataset.data_root=FOLDER
    mmattmask train $CONFIG --cfg-options $OPTIONS
Hardware: CPU, 2 cores.
Hours:    none; about a minute for 100 images, start included.
Metric:   none; nothing is learned in two epochs.
"""

_base_ = '../amt/amt_vit-tiny-p8_1xb8-coslr-2e_folder_debug.py'

model = dict(scorer=dict(_delete_=True, type='mmattmask.PatchContrast'))
custom_hooks = []  # no maps, no refresh
