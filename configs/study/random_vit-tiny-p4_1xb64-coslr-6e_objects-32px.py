"""Random masks, 75 %, on scenes whose objects are known.

Command:  CONFIG=configs/study/random_vit-tiny-p4_1xb64-coslr-6e_objects-32px.py
          mmattmask train $CONFIG
Hardware: CPU, 1 core.
"""

_base_ = '../_base_/mae_vit-tiny-p4_objects-32px.py'

model = dict(
    mask_generator=dict(type='mmattmask.RandomMaskGenerator', mask_ratio=0.75),
)
