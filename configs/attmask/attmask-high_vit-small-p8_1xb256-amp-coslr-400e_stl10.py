"""AttMask-High on iBOT ViT-S/8 on STL-10's unlabeled images, 96 px, 400 epochs.

For the folder see configs/amt/README.md.

Command:
    CONFIG=configs/attmask/attmask-high_vit-small-p8_1xb256-amp-coslr-400e_stl10.py
    mmattmask train $CONFIG
Hardware: 1 A100; halve batch_size and add --auto-scale-lr for smaller cards.
Hours:    not measured.
Metric:   no published number; not run by us.
"""

_base_ = '../ibot/ibot_vit-small-p8_1xb256-amp-coslr-400e_stl10.py'

model = dict(
    mask_generator=dict(
        _delete_=True,
        type='mmattmask.AttMaskGenerator',
        mode='high',
        mask_ratio=(0.1, 0.5),
        mask_prob=0.5,
    )
)
