"""AMT 45/40 on ConvMAE-S, 200 epochs, guided by a frozen teacher's CLS attention.

ConvMAE has no CLS token to guide itself. The teacher, a MAE ViT-B/16, sees every image
once; its maps are cropped like the views. Put its weights in checkpoints/.

Command:
    CONFIG=configs/convmae/amt_convmae-small-p16_8xb512-amp-coslr-200e_in1k.py
    torchrun --nproc-per-node 8 -m mmattmask train $CONFIG --launcher pytorch
Hardware: 8 A100 80 GB, batch 4096.
Hours:    3, estimated from FLOPs (README.md), if the loader keeps up.
Metric:   none published.
"""

_base_ = '../gpa/gpa-cached_vit-base-p16_8xb512-amp-coslr-200e_in1k.py'

model = dict(
    backbone=dict(_delete_=True, type='mmattmask.ConvMAEViT', arch='small'),
    neck=dict(embed_dim=384),
    scorer=dict(block=11, head=None, attention='cls'),
    mask_generator=dict(
        _delete_=True,
        type='mmattmask.AMTMaskGenerator',
        mask_ratio=0.45,
        throw_ratio=0.40,
    ),
)
