"""MAE with random masks of 75 % on a part of CIFAR-10: the study's baseline.

All other files here differ from this one by their policy alone.

Command:  CONFIG=configs/study/random_vit-tiny-p4_1xb64-coslr-8e_cifar10.py
          mmattmask train $CONFIG
Hardware: CPU, 1 core; the images are $MMATTMASK_DATA/cifar10_full/train.npz.
"""

_base_ = '../_base_/mae_vit-tiny-p4_cifar10.py'

model = dict(mask_generator=dict(type='mmattmask.RandomMaskGenerator', mask_ratio=0.75))
