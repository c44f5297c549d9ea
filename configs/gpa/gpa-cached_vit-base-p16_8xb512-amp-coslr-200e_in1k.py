"""GPA with the teacher run once: whole-image maps, cropped like the views.

Nearly the cost of MAE. The difference from running the teacher on every view is
measured in README.md.

Command:
    CONFIG=configs/gpa/gpa-cached_vit-base-p16_8xb512-amp-coslr-200e_in1k.py
    torchrun --nproc-per-node 8 tools/train.py $CONFIG --launcher pytorch
Hardware: 8 A100 80 GB, batch 4096.
Hours:    6, estimated from FLOPs (README.md), if the loader keeps up.
Metric:   none published.
"""

_base_ = '../amt/amt_vit-base-p16_8xb512-amp-coslr-200e_in1k.py'

model = dict(
    scorer=dict(
        _delete_=True,
        type='mmattmask.FrozenTeacher',
        backbone=dict(type='VisionTransformer', arch='b', patch_size=16),
        checkpoint='checkpoints/mae_pretrain_vit_base.pth',
        block=9,
        head=11,
        attention='received_paper',
        cached=True,
    ),
    mask_generator=dict(
        _delete_=True, type='mmattmask.SoftToHardMaskGenerator', exclusive=True
    ),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-4, end=20, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        T_max=180,
        begin=20,
        end=200,
        convert_to_iter_based=True,
    ),
]
custom_hooks = [dict(type='mmattmask.AttentionRefreshHook', begin=0, interval=None)]
