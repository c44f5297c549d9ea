"""AMT 45/40 on MFF ViT-B/16, 300 epochs: stock MFF, guided by its own attention.

Command:
    CONFIG=configs/hosts/mff-amt_vit-base-p16_8xb512-amp-coslr-300e_in1k.py
    torchrun --nproc-per-node 8 -m mmattmask train $CONFIG --launcher pytorch
Hardware: 8 A100 80 GB, batch 4096.
Hours:    not measured.
Metric:   none published.
"""

_base_ = 'mmpretrain::mff/mff_vit-base-p16_8xb512-amp-coslr-300e_in1k.py'

model = dict(
    type='mmattmask.GuidedMFF',
    scorer=dict(type='mmattmask.CachedAttention'),
    mask_generator=dict(type='mmattmask.AMTMaskGenerator'),
)
# stock MFF's crops are torchvision's: these can record where a view lies
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=224, backend='pillow'),
    dict(type='mmattmask.RandomCrop', crop_size=224, padding=4, padding_mode='reflect'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
custom_hooks = [dict(type='mmattmask.AttentionRefreshHook', begin=40, interval=40)]
