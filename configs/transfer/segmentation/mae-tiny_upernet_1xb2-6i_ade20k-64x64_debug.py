"""UperNet on a small MAE backbone on the CPU: does everything run, on my images too?

Six iterations from any debug pre-training, then mIoU. FOLDER is laid out as ADE20K.

Command:
    CONFIG=configs/transfer/segmentation/
    CONFIG+=mae-tiny_upernet_1xb2-6i_ade20k-64x64_debug.py
    mmattmask train $CONFIG --cfg-options model.backbone.init_cfg.checkpoint=FILE \
        train_dataloader.dataset.data_root=FOLDER \
        val_dataloader.dataset.data_root=FOLDER
Hardware: CPU, 1 core.
Hours:    none; less than a minute (measured).
Metric:   none; nothing is learned in six iterations.
"""

_base_ = './mae-base_upernet_8xb2-amp-160k_ade20k-512x512.py'

model = dict(
    data_preprocessor=dict(size=(64, 64)),
    backbone=dict(img_size=(64, 64), patch_size=8, embed_dims=192, num_heads=3),
    neck=dict(embed_dim=192),
    decode_head=dict(in_channels=[192] * 4, channels=16),
    auxiliary_head=dict(in_channels=192, channels=16),
    test_cfg=dict(crop_size=(64, 64), stride=(48, 48)),
)
load, label, resize, crop, *rest = _base_.train_pipeline
resize, crop = {**resize, 'scale': (128, 64)}, {**crop, 'crop_size': (64, 64)}
train_pipeline = [load, label, resize, crop, *rest]
load, resize, *rest = _base_.test_pipeline
test_pipeline = [load, {**resize, 'scale': (128, 64)}, *rest]
train_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(data_root='data/ade_mini', pipeline=train_pipeline),
)
val_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(data_root='data/ade_mini', pipeline=test_pipeline),
)
test_dataloader = val_dataloader
train_cfg = dict(max_iters=6, val_interval=6)
param_scheduler = [dict(type='PolyLR', eta_min=0.0, power=1.0, end=6, by_epoch=False)]
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=_base_.optim_wrapper.optimizer,
    paramwise_cfg=dict(num_layers=12, layer_decay_rate=0.65),
    constructor='LayerDecayOptimizerConstructor',
)
auto_scale_lr = dict(base_batch_size=2)
default_hooks = dict(logger=dict(interval=1), checkpoint=dict(interval=6))
