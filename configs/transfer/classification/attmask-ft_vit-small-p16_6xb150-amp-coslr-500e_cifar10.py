"""Fine-tuning of ViT-S/16 on CIFAR-10, 224 px: AttMask's protocol.

DeiT's recipe: no layer decay; an epoch is three views of a third of the images.

Command:
    CONFIG=configs/transfer/classification/
    CONFIG+=attmask-ft_vit-small-p16_6xb150-amp-coslr-500e_cifar10.py
    torchrun --nproc-per-node 6 -m mmattmask train $CONFIG --launcher pytorch \
        --cfg-options model.backbone.init_cfg.checkpoint=FILE
Hardware: 6 GPUs, batch 900. MMPretrain downloads the data.
Hours:    not measured.
Metric:   top-1 98.0 of iBOT and 98.2 of AttMask-High, 100 epochs on 20 % of ImageNet-1k
    (AttMask's; not run by us).
"""

_base_ = './ibot-ft_vit-base-p16_8xb96-amp-coslr-1000e_cifar10.py'

model = dict(backbone=dict(arch='deit-small'), head=dict(in_channels=384))
train_dataloader = dict(batch_size=150)
val_dataloader = dict(batch_size=150)
test_dataloader = val_dataloader
lr = 7.5e-6 * 900 / 512
optim_wrapper = dict(optimizer=dict(lr=lr))
train_cfg = dict(max_epochs=500)
warmup, cosine = _base_.param_scheduler
warmup = {**warmup, 'start_factor': 1e-6 / lr}
param_scheduler = [warmup, {**cosine, 'T_max': 495, 'end': 500}]
auto_scale_lr = dict(base_batch_size=900)
