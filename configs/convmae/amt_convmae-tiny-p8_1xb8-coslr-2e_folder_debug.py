"""AMT 45/40 on a small ConvMAE on the CPU, the teacher's maps cached.

The teacher is random: this shows that the parts work together, nothing more.

Command:
    CONFIG=configs/convmae/amt_convmae-tiny-p8_1xb8-coslr-2e_folder_debug.py
    OPTIONS=train_dataloader.dataset.data_root=FOLDER
    mmattmask train $CONFIG --cfg-options $OPTIONS
Hardware: CPU, 2 cores.
Hours:    none; about a minute for 100 images, start included.
Metric:   none; nothing is learned in two epochs.
"""

_base_ = './gpa_convmae-tiny-p8_1xb8-coslr-2e_folder_debug.py'

model = dict(
    scorer=dict(block=11, head=None, attention='cls', cached=True),
    mask_generator=dict(
        _delete_=True,
        type='mmattmask.AMTMaskGenerator',
        mask_ratio=0.45,
        throw_ratio=0.40,
    ),
)
custom_hooks = [dict(type='mmattmask.AttentionRefreshHook', begin=0, interval=None)]
