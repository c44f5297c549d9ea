"""AttMask-High: the 75 % most attended patches are masked.

Command:  CONFIG=configs/study/attmask-high_vit-tiny-p4_1xb64-coslr-8e_cifar10.py
          mmattmask train $CONFIG
Hardware: CPU, 1 core.
"""

_base_ = './am_vit-tiny-p4_1xb64-coslr-8e_cifar10.py'

model = dict(
    mask_generator=dict(
        _delete_=True, type='mmattmask.AttMaskGenerator', mode='high', mask_ratio=0.75
    ),
)
