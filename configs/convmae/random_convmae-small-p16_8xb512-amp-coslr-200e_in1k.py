"""ConvMAE-S with random masks, 200 epochs: the baseline of Table 10 of the GPA paper.

Command:
    CONFIG=configs/convmae/random_convmae-small-p16_8xb512-amp-coslr-200e_in1k.py
    torchrun --nproc-per-node 8 -m mmattmask train $CONFIG --launcher pytorch
Hardware: 8 A100 80 GB, batch 4096.
Hours:    4, estimated from FLOPs (README.md), if the loader keeps up.
Metric:   ImageNet-1k fine-tuned top-1 80.0 (the paper's; not run by us).
"""

_base_ = './gpa_convmae-small-p16_8xb512-amp-coslr-200e_in1k.py'

model = dict(
    scorer=None,
    mask_generator=dict(
        _delete_=True, type='mmattmask.RandomMaskGenerator', mask_ratio=0.75
    ),
)
