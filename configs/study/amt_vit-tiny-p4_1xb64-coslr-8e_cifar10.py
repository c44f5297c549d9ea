"""AMT 45/40, maps cropped like the views.

Command:  CONFIG=configs/study/amt_vit-tiny-p4_1xb64-coslr-8e_cifar10.py
          mmattmask train $CONFIG
Hardware: CPU, 1 core.
"""

_base_ = './am_vit-tiny-p4_1xb64-coslr-8e_cifar10.py'

model = dict(mask_generator=dict(mask_ratio=0.45, throw_ratio=0.40))
