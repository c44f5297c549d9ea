"""Fine-tuning of ViT-S/16 on ImageNet-1k: iBOT's protocol (BEiT's, with CLS).

iBOT sweeps the learning rate; 4e-3 is its code's default.

Command:
    CONFIG=configs/transfer/classification/
    CONFIG+=ibot-ft_vit-small-p16_8xb128-amp-coslr-200e_in1k.py
    torchrun --nproc-per-node 8 -m mmattmask train $CONFIG --launcher pytorch \
        --cfg-options model.backbone.init_cfg.checkpoint=FILE
Hardware: 8 GPUs, batch 1024.
Hours:    not measured.
Metric:   top-1 82.3 after 800 epochs (iBOT's; not run by us).
"""

_base_ = './amt-ft_vit-base-p16_8xb128-amp-coslr-100e_in1k.py'

model = dict(backbone=dict(arch='deit-small'), head=dict(in_channels=384))
optim_wrapper = dict(optimizer=dict(lr=4e-3), paramwise_cfg=dict(layer_decay_rate=0.75))
train_cfg = dict(max_epochs=200)
warmup, cosine = _base_.param_scheduler
param_scheduler = [
    {**warmup, 'start_factor': 1e-6 / 4e-3, 'end': 20},
    {**cosine, 'eta_min_ratio': 1e-6 / 4e-3, 'T_max': 180, 'begin': 20, 'end': 200},
]
