"""Random masks of 45 % and random throwing of 40 %: AMT without attention.

Command:  CONFIG=configs/study/random-throw_vit-tiny-p4_1xb64-coslr-8e_cifar10.py
          mmattmask train $CONFIG
Hardware: CPU, 1 core.
"""

_base_ = './random_vit-tiny-p4_1xb64-coslr-8e_cifar10.py'

model = dict(
    mask_generator=dict(
        _delete_=True,
        type='mmattmask.RandomMaskGenerator',
        mask_ratio=0.45,
        throw_ratio=0.40,
    ),
)
