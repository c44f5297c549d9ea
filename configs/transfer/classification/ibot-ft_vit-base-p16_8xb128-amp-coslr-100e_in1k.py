"""Fine-tuning of ViT-B/16 on ImageNet-1k: iBOT's protocol (BEiT's, with CLS).

iBOT sweeps the learning rate; 4e-3 is its code's default.

Command:
    CONFIG=configs/transfer/classification/
    CONFIG+=ibot-ft_vit-base-p16_8xb128-amp-coslr-100e_in1k.py
    torchrun --nproc-per-node 8 -m mmattmask train $CONFIG --launcher pytorch \
        --cfg-options model.backbone.init_cfg.checkpoint=FILE
Hardware: 8 GPUs, batch 1024.
Hours:    not measured.
Metric:   top-1 84.0 with block masks, 84.1 with random ones (iBOT's; not run by us).
"""

_base_ = './amt-ft_vit-base-p16_8xb128-amp-coslr-100e_in1k.py'

model = dict(backbone=dict(drop_path_rate=0.2))
optim_wrapper = dict(optimizer=dict(lr=4e-3))
warmup, cosine = _base_.param_scheduler
param_scheduler = [
    {**warmup, 'start_factor': 1e-6 / 4e-3, 'end': 20},
    {**cosine, 'eta_min_ratio': 1e-6 / 4e-3, 'T_max': 80, 'begin': 20},
]
