"""AMT's linear probe on a small ViT on the CPU: does everything run, on my images too?

Of any debug pre-training, at 32 px. FOLDER has train/<class>/ and test/<class>/.

Command:
    CONFIG=configs/transfer/classification/
    CONFIG+=amt-linear_vit-tiny-p8_1xb32-coslr-2e_cifar10_debug.py
    mmattmask train $CONFIG --cfg-options model.backbone.init_cfg.checkpoint=FILE \
        train_dataloader.dataset.data_root=FOLDER \
        val_dataloader.dataset.data_root=FOLDER
Hardware: CPU, 1 core.
Hours:    none; less than a minute for 2,500 images (measured).
Metric:   none; little is learned in two epochs.
"""

_base_ = './amt-linear_vit-base-p16_1xb512-amp-coslr-90e_cifar10.py'

model = dict(
    backbone=dict(arch='deit-tiny', img_size=32, patch_size=8),
    neck=dict(input_features=192),
    head=dict(in_channels=192),
)
load = dict(type='LoadImageFromFile')
_, crop, *rest = _base_.train_pipeline
train_pipeline = [load, {**crop, 'scale': 32}, *rest]
_, resize, crop, pack = _base_.test_pipeline
test_pipeline = [load, {**resize, 'scale': 32}, {**crop, 'crop_size': 32}, pack]
data = dict(_delete_=True, type='CustomDataset', data_root='data/folder')
loader = dict(batch_size=32, num_workers=0, persistent_workers=False)
train_dataloader = dict(
    **loader, dataset=dict(**data, data_prefix='train', pipeline=train_pipeline)
)
val_dataloader = dict(
    **loader, dataset=dict(**data, data_prefix='test', pipeline=test_pipeline)
)
test_dataloader = val_dataloader
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='LARS', lr=0.1 * 32 / 256, momentum=0.9),
    paramwise_cfg=_base_.optim_wrapper.paramwise_cfg,
)
auto_scale_lr = dict(base_batch_size=32)
train_cfg = dict(max_epochs=2)
param_scheduler = [
    dict(type='CosineAnnealingLR', T_max=2, eta_min=0.0, convert_to_iter_based=True)
]
