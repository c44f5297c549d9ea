"""Fine-tuning of ViT-B/16 on ImageNet-1k as AMT's README says, and LUT's.

The mean of the patches, lr 4e-3, layer decay 0.75.

Command:
    CONFIG=configs/transfer/classification/
    CONFIG+=amt-released-ft_vit-base-p16_8xb128-amp-coslr-100e_in1k.py
    torchrun --nproc-per-node 8 -m mmattmask train $CONFIG --launcher pytorch \
        --cfg-options model.backbone.init_cfg.checkpoint=FILE
Hardware: 8 GPUs, batch 1024.
Hours:    not measured.
Metric:   top-1 84.2 of LUT, 1600 epochs (its authors'; not run by us); AMT's paper says
    CLS.
"""

_base_ = './mae-ft_vit-base-p16_8xb128-amp-coslr-100e_in1k.py'

optim_wrapper = dict(optimizer=dict(lr=4e-3), paramwise_cfg=dict(layer_decay_rate=0.75))
warmup, cosine = _base_.param_scheduler
param_scheduler = [warmup, {**cosine, 'eta_min_ratio': 1e-6 / 4e-3}]
