"""GPA on MAE ViT-Ti/4 on CIFAR-10, the teacher pre-trained on it too, 400 epochs.

First pre-train the teacher (the random baseline of configs/amt), then choose its block
and head (mmattmask select); 9 and 2 here are only a default.

Command:
    CONFIG=configs/gpa/gpa_vit-tiny-p4_1xb512-amp-coslr-400e_cifar10.py
    mmattmask train $CONFIG
Hardware: 1 GPU of any size. MMPretrain downloads the data.
Hours:    under 1 on an A100, estimated from FLOPs (README.md), if the loader keeps up.
Metric:   no published number; not run by us.
"""

_base_ = '../_base_/mae_vit-tiny-p4_1xb512-amp-coslr-400e_cifar10.py'

model = dict(
    type='mmattmask.GuidedMAE',
    scorer=dict(
        type='mmattmask.FrozenTeacher',
        backbone=dict(
            type='VisionTransformer', arch='deit-tiny', img_size=32, patch_size=4
        ),
        checkpoint='work_dirs/random_vit-tiny-p4_1xb512-amp-coslr-400e_cifar10/'
        'epoch_400.pth',
        block=9,
        head=2,
    ),
    mask_generator=dict(type='mmattmask.SoftToHardMaskGenerator'),
)
