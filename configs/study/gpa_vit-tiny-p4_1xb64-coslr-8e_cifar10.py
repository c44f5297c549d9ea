"""GPA: soft-to-hard masks from the maps of a frozen teacher, the run with random masks.

Its attention is read once for whole images (`cached`), in block 2 of 0 to 3, summed
over the heads.

Command:  CONFIG=configs/study/gpa_vit-tiny-p4_1xb64-coslr-8e_cifar10.py
          mmattmask train $CONFIG
Hardware: CPU, 1 core.
"""

_base_ = './random_vit-tiny-p4_1xb64-coslr-8e_cifar10.py'

model = dict(
    scorer=dict(
        type='mmattmask.FrozenTeacher',
        backbone=dict(
            type='VisionTransformer',
            arch=_base_.model.backbone.arch,
            img_size=32,
            patch_size=4,
        ),
        checkpoint='work_dirs/random_vit-tiny-p4_1xb64-coslr-8e_cifar10/epoch_8.pth',
        block=2,
        head=None,
        cached=True,
    ),
    mask_generator=dict(_delete_=True, type='mmattmask.SoftToHardMaskGenerator'),
)
custom_hooks = [
    *_base_.custom_hooks,
    dict(type='mmattmask.AttentionRefreshHook', begin=0, interval=None),
    dict(type='mmattmask.GuidanceScalarsHook', interval=100),
]
