"""GPA on a small MAE on the CPU, maps cached: does everything run?

The teacher is random: this shows that the parts work together, nothing more.

Command:
    CONFIG=configs/gpa/gpa-cached_vit-tiny-p8_1xb8-coslr-2e_folder_debug.py
    OPTIONS=train_dataloader.dataset.data_root=FOLDER
    mmattmask train $CONFIG --cfg-options $OPTIONS
Hardware: CPU, 2 cores.
Hours:    none; about a minute for 100 images, start included.
Metric:   none; nothing is learned in two epochs.
"""

_base_ = './gpa_vit-tiny-p8_1xb8-coslr-2e_folder_debug.py'

model = dict(scorer=dict(cached=True))
custom_hooks = [dict(type='mmattmask.AttentionRefreshHook', begin=0, interval=None)]
