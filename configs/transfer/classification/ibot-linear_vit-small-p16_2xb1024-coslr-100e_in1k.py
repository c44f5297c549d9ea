"""Linear probe of ViT-S/16 on ImageNet-1k: iBOT's protocol with one learning rate.

CLS of the last four blocks, in float32, AttMask's learning rate. iBOT reports the best
of 45 rates: mmattmask linear trains them all at once.

Command:
    CONFIG=configs/transfer/classification/
    CONFIG+=ibot-linear_vit-small-p16_2xb1024-coslr-100e_in1k.py
    torchrun --nproc-per-node 2 -m mmattmask train $CONFIG --launcher pytorch \
        --cfg-options model.backbone.init_cfg.checkpoint=FILE
Hardware: 2 GPUs, batch 2048.
Hours:    not measured.
Metric:   top-1 75.7 of AttMask-High, 76.1 of -Hint, 100 epochs (AttMask's; not run by
    us).
"""

_base_ = './mae-linear_vit-base-p16_8xb2048-amp-coslr-90e_in1k.py'

model = dict(
    backbone=dict(
        type='mmattmask.NormedViT', arch='deit-small', out_indices=[8, 9, 10, 11]
    ),
    neck=dict(_delete_=True, type='mmattmask.JoinTokens'),
    head=dict(
        _delete_=True,
        type='LinearClsHead',
        num_classes=1000,
        in_channels=4 * 384,
        loss=dict(type='CrossEntropyLoss'),
    ),
)
load, crop, *rest = _base_.train_pipeline
train_pipeline = [load, {**crop, 'interpolation': 'bilinear'}, *rest]
train_dataloader = dict(batch_size=1024, dataset=dict(pipeline=train_pipeline))
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.005 * 2048 / 256, momentum=0.9, weight_decay=0.0),
)
train_cfg = dict(max_epochs=100)
param_scheduler = [dict(type='CosineAnnealingLR', T_max=100, eta_min=0.0, end=100)]
auto_scale_lr = dict(base_batch_size=2048)
