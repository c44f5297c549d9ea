"""Random masks, 75 %, on scenes whose objects are known.

Command:  CONFIG=configs/study/random_vit-tiny-p8_1xb64-coslr-10e_objects-64px.py
          mmattmask train $CONFIG
Hardware: CPU, 1 core.
"""

_base_ = '../_base_/mae_vit-tiny-p8_objects-64px.py'

model = dict(
    mask_generator=dict(type='mmattmask.RandomMaskGenerator', mask_ratio=0.75),
)
