"""Fine-tuning of ViT-S/16 on CIFAR-10, 224 px: AttMask's protocol.

DeiT's recipe: no layer decay; an epoch is three views of a third of the images.

Command:
    CONFIG=configs/transfer/classification/
    CONFIG+=attmask-ft_vit-small-p16_6xb150-amp-coslr-500e_cifar10.py
    torchrun --nproc-per-node 6 tools/train.py $CONFIG --launcher pytorch \
        --cfg-options model.backbone.init_cfg.checkpoint=FILE
Hardware: 6 GPUs, batch 900. MMPretrain downloads the data.
Hours:    not measured.
Metric:   top-1 98.0 of iBOT and 98.2 of AttMask-High, 100 epochs on 20 % of ImageNet-1k
    (AttMask's; not run by us).
"""

_base_ = ['./amt-ft_vit-base-p16_8xb128-amp-coslr-100e_in1k.py', './_base_/cifar10.py']

data_preprocessor = dict(num_classes=_base_.num_classes)
model = dict(
    backbone=dict(arch='deit-small'),
    head=dict(
        num_classes=_base_.num_classes,
        in_channels=384,
        init_cfg=dict(type='TruncNormal', layer='Linear', std=0.02, _delete_=True),
    ),
)
train_pipeline = [*_base_.decode, *_base_.train_pipeline[1:]]
test_pipeline = [*_base_.decode, *_base_.test_pipeline[1:]]
train_dataloader = dict(
    batch_size=150,
    drop_last=True,
    sampler=dict(type='RepeatAugSampler'),
    dataset=dict(_delete_=True, **_base_.train_data, pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=150,
    dataset=dict(_delete_=True, **_base_.test_data, pipeline=test_pipeline),
)
test_dataloader = val_dataloader
optim_wrapper = dict(
    optimizer=dict(lr=7.5e-6 * 900 / 512), paramwise_cfg=dict(layer_decay_rate=1.0)
)
train_cfg = dict(max_epochs=500)
warmup, cosine = _base_.param_scheduler
param_scheduler = [
    {**warmup, 'start_factor': 1e-6 / (7.5e-6 * 900 / 512)},
    dict(
        type='CosineAnnealingLR',
        T_max=495,
        eta_min=1e-5,
        begin=5,
        end=500,
        convert_to_iter_based=True,
    ),
]
auto_scale_lr = dict(base_batch_size=900)
