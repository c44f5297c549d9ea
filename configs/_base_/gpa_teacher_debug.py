"""A small random teacher for 64 px: it needs no checkpoint and knows nothing.

A config takes it as ``scorer=_base_.teacher``.
"""

teacher = dict(
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
)
