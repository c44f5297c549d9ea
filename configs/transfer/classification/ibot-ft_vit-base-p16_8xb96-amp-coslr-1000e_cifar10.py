"""Fine-tuning of ViT-B/16 on CIFAR-10, 224 px: iBOT's protocol.

DeiT's recipe: no layer decay; an epoch is three views of a third of the images.

Command:
    CONFIG=configs/transfer/classification/
    CONFIG+=ibot-ft_vit-base-p16_8xb96-amp-coslr-1000e_cifar10.py
    torchrun --nproc-per-node 8 tools/train.py $CONFIG --launcher pytorch \
        --cfg-options model.backbone.init_cfg.checkpoint=FILE
Hardware: 8 GPUs, batch 768. MMPretrain downloads the data.
Hours:    not measured.
Metric:   not in the sources that we have; not run by us.
"""

_base_ = ['./amt-ft_vit-base-p16_8xb128-amp-coslr-100e_in1k.py', './_base_/cifar10.py']

data_preprocessor = dict(num_classes=_base_.num_classes)
model = dict(
    head=dict(
        num_classes=_base_.num_classes,
        init_cfg=dict(type='TruncNormal', layer='Linear', std=0.02, _delete_=True),
    )
)
train_pipeline = [*_base_.decode, *_base_.train_pipeline[1:]]
test_pipeline = [*_base_.decode, *_base_.test_pipeline[1:]]
train_dataloader = dict(
    batch_size=96,
    drop_last=True,
    sampler=dict(type='RepeatAugSampler'),
    dataset=dict(_delete_=True, **_base_.train_data, pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=96,
    dataset=dict(_delete_=True, **_base_.test_data, pipeline=test_pipeline),
)
test_dataloader = val_dataloader
optim_wrapper = dict(
    optimizer=dict(lr=7.5e-6 * 768 / 512), paramwise_cfg=dict(layer_decay_rate=1.0)
)
train_cfg = dict(max_epochs=1000)
warmup, cosine = _base_.param_scheduler
param_scheduler = [
    {**warmup, 'start_factor': 1e-6 / (7.5e-6 * 768 / 512)},
    dict(
        type='CosineAnnealingLR',
        T_max=995,
        eta_min=1e-5,
        begin=5,
        end=1000,
        convert_to_iter_based=True,
    ),
]
auto_scale_lr = dict(base_batch_size=768)
