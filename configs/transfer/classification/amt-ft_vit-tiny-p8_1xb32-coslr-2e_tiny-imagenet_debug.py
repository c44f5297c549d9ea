"""AMT's fine-tuning of a small ViT on the CPU: does everything run?

From a debug pre-training, on a folder laid out as Tiny-ImageNet; a few images will do.

Command:
    CONFIG=configs/transfer/classification/
    CONFIG+=amt-ft_vit-tiny-p8_1xb32-coslr-2e_tiny-imagenet_debug.py
    mmattmask train $CONFIG --cfg-options model.backbone.init_cfg.checkpoint=FILE \
        train_dataloader.dataset.data_root=FOLDER \
        val_dataloader.dataset.data_root=FOLDER
Hardware: CPU, 1 core.
Hours:    none; less than a minute for 1,600 images (measured).
Metric:   none; little is learned in two epochs.
"""

_base_ = './amt-ft_vit-base-p16_1xb512-amp-coslr-100e_tiny-imagenet.py'

model = dict(
    backbone=dict(arch='deit-tiny', img_size=64, patch_size=8),
    head=dict(in_channels=192),
)
load, crop, *rest = _base_.train_pipeline
train_pipeline = [load, {**crop, 'scale': 64}, *rest]
load, resize, crop, pack = _base_.test_pipeline
test_pipeline = [load, {**resize, 'scale': 64}, {**crop, 'crop_size': 64}, pack]
loader = dict(batch_size=32, num_workers=0, persistent_workers=False)
train_dataloader = dict(**loader, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(**loader, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    constructor=_base_.optim_wrapper.constructor,
    optimizer=dict(type='AdamW', lr=5e-4 * 32 / 256, weight_decay=0.05),
    paramwise_cfg=_base_.optim_wrapper.paramwise_cfg,
)
auto_scale_lr = dict(base_batch_size=32)
train_cfg = dict(max_epochs=2)
param_scheduler = [
    dict(type='CosineAnnealingLR', T_max=2, eta_min=0.0, convert_to_iter_based=True)
]
