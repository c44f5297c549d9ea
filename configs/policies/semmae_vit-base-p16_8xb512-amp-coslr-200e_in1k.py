"""SemMAE's second stage on MAE ViT-B/16, 200 epochs: from shares to whole parts.

Bring label maps of parts (superpixels, segmentations; docs of LabelMaps). The paper's
first stage, which finds parts, was never released.

Command:
    CONFIG=configs/policies/semmae_vit-base-p16_8xb512-amp-coslr-200e_in1k.py
    torchrun --nproc-per-node 8 -m mmattmask train $CONFIG --launcher pytorch
Hardware: 8 A100 80 GB, batch 4096.
Hours:    6, estimated from FLOPs (../amt/README.md), if the loader keeps up.
Metric:   fine-tuned top-1 83.3 at 800 epochs, its own parts (SemMAE's; not run by us).
"""

_base_ = '../amt/random_vit-base-p16_8xb512-amp-coslr-200e_in1k.py'

model = dict(
    scorer=dict(type='mmattmask.LabelMaps', path='data/imagenet_parts'),
    mask_generator=dict(_delete_=True, type='mmattmask.PartMaskGenerator'),
)
