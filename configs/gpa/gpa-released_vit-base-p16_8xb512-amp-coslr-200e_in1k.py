"""GPA teacher as the released code runs it, 200 epochs.

Reproduces: CLS query and self term in the score, soft share 0.3 -> 0 (its default,
which the README's command leaves), soft draws that fall on hard patches refilled at
random. Does not: batch 2 x 128 x 16 accumulated steps (the same 4096 images), weight
decay on the CLS and mask tokens.

Command:
    CONFIG=configs/gpa/gpa-released_vit-base-p16_8xb512-amp-coslr-200e_in1k.py
    torchrun --nproc-per-node 8 -m mmattmask train $CONFIG --launcher pytorch
Hardware: 8 A100 80 GB, batch 4096.
Hours:    8, estimated from FLOPs (README.md), if the loader keeps up.
Metric:   none of this config; the paper does not say which settings made its numbers.
"""

_base_ = './gpa_vit-base-p16_8xb512-amp-coslr-200e_in1k.py'

model = dict(
    scorer=dict(attention='received'),
    mask_generator=dict(soft=(0.3, 0.0), exclusive=False),
)
