"""AutoMAE's masks on MAE ViT-B/16, 200 epochs, without its generator.

A third of the masked patches is drawn by a frozen MAE's CLS attention, the rest at
random: exactly AutoMAE's law, given the score. Its generator (two convolutions on the
heads, trained against a discriminator) is not here; the mean of the heads is in place.

Command:
    CONFIG=configs/policies/automae_vit-base-p16_8xb512-amp-coslr-200e_in1k.py
    torchrun --nproc-per-node 8 -m mmattmask train $CONFIG --launcher pytorch
Hardware: 8 A100 80 GB, batch 4096.
Hours:    9, estimated from FLOPs (../amt/README.md), if the loader keeps up.
Metric:   linear 66.7, fine-tuned 83.3 at 800 epochs (AutoMAE's README; not run by us).
"""

_base_ = [
    '../amt/random_vit-base-p16_8xb512-amp-coslr-200e_in1k.py',
    '../_base_/gpa_teacher.py',
]

model = dict(
    scorer={**_base_.teacher, 'block': 11, 'head': None, 'attention': 'cls'},
    mask_generator=dict(
        _delete_=True,
        type='mmattmask.SoftToHardMaskGenerator',
        soft=(1 / 3, 1 / 3),
        hard=(0, 0),
    ),
)
