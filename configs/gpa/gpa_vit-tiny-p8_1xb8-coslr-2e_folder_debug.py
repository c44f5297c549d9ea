"""GPA on a small MAE on the CPU: does everything run?

The teacher is random: this shows that the parts work together, nothing more.

Command:
    CONFIG=configs/gpa/gpa_vit-tiny-p8_1xb8-coslr-2e_folder_debug.py
    OPTIONS=train_dataloader.dataset.data_root=FOLDER
    python tools/train.py $CONFIG --cfg-options $OPTIONS
Hardware: CPU, 2 cores.
Hours:    none; about a minute for 100 images, start included.
Metric:   none; nothing is learned in two epochs.
"""

_base_ = '../amt/random_vit-tiny-p8_1xb8-coslr-2e_folder_debug.py'

model = dict(
    scorer=dict(
        _delete_=True,
        type='mmattmask.FrozenTeacher',
        backbone=dict(
            type='VisionTransformer',
            arch='deit-tiny',
            img_size=64,
            patch_size=8,
            init_cfg=dict(type='TruncNormal', layer='Linear', std=0.1),
        ),
        block=9,
        head=2,
    ),
    mask_generator=dict(_delete_=True, type='mmattmask.SoftToHardMaskGenerator'),
)
