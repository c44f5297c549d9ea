"""Fine-tuning of ViT-B/16 on CIFAR-10, 224 px: iBOT's protocol.

DeiT's recipe: no layer decay; an epoch is three views of a third of the images.

Command:
    CONFIG=configs/transfer/classification/
    CONFIG+=ibot-ft_vit-base-p16_8xb96-amp-coslr-1000e_cifar10.py
    torchrun --nproc-per-node 8 -m mmattmask train $CONFIG --launcher pytorch \
        --cfg-options model.backbone.init_cfg.checkpoint=FILE
Hardware: 8 GPUs, batch 768. MMPretrain downloads the data.
Hours:    not measured.
Metric:   not in the sources that we have; not run by us.
"""

_base_ = './amt-ft_vit-base-p16_1xb512-amp-coslr-100e_cifar10.py'

model = dict(
    head=dict(
        init_cfg=dict(type='TruncNormal', layer='Linear', std=0.02, _delete_=True)
    )
)
sampler = dict(type='RepeatAugSampler')
train_dataloader = dict(batch_size=96, drop_last=True, sampler=sampler)
val_dataloader = dict(batch_size=96)
test_dataloader = val_dataloader
lr = 7.5e-6 * 768 / 512
optim_wrapper = dict(optimizer=dict(lr=lr), paramwise_cfg=dict(layer_decay_rate=1.0))
train_cfg = dict(max_epochs=1000)
warmup, cosine = _base_.param_scheduler
lowest = dict(eta_min=1e-5, eta_min_ratio=None)  # the same in all layers
param_scheduler = [
    {**warmup, 'start_factor': 1e-6 / lr},
    {**cosine, **lowest, 'T_max': 995, 'end': 1000},
]
auto_scale_lr = dict(base_batch_size=768)
