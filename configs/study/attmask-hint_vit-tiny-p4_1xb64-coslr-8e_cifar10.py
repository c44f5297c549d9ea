"""AttMask-Hint: 51 of 64 patches are chosen, the 3 hints among them stay visible: 75 %.

Command:  CONFIG=configs/study/attmask-hint_vit-tiny-p4_1xb64-coslr-8e_cifar10.py
          mmattmask train $CONFIG
Hardware: CPU, 1 core.
"""

_base_ = './am_vit-tiny-p4_1xb64-coslr-8e_cifar10.py'

model = dict(
    mask_generator=dict(
        _delete_=True,
        type='mmattmask.AttMaskGenerator',
        mode='hint',
        mask_ratio=0.8,
        show_max=0.1,
        show_ratio=0.5,
    ),
)
