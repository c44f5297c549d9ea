"""GPA's teacher: MAE's ViT-B/16, the head of its block 9 that looks at objects.

A config takes it as ``scorer=_base_.teacher``. Put its weights in checkpoints/.
"""

teacher = dict(
    type='mmattmask.FrozenTeacher',
    backbone=dict(type='VisionTransformer', arch='b', patch_size=16),
    checkpoint='checkpoints/mae_pretrain_vit_base.pth',
    block=9,
    head=11,
    attention='received_paper',
)
