"""AttMask-High on iBOT ViT-Ti/4 on CIFAR-10, 32 px, 400 epochs.

Command:
    CONFIG=configs/attmask/attmask-high_vit-tiny-p4_1xb256-amp-coslr-400e_cifar10.py
    mmattmask train $CONFIG
Hardware: 1 GPU of any size. MMPretrain downloads the data.
Hours:    not measured.
Metric:   no published number; not run by us at this length (README.md).
"""

_base_ = '../ibot/ibot_vit-tiny-p4_1xb256-amp-coslr-400e_cifar10.py'

model = dict(
    mask_generator=dict(
        _delete_=True,
        type='mmattmask.AttMaskGenerator',
        mode='high',
        mask_ratio=(0.1, 0.5),
        mask_prob=0.5,
    )
)
