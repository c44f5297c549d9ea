"""UperNet on a plain ViT-B/16, ADE20K, 512 x 512, 80k iterations.

Command:
    CONFIG=configs/transfer/segmentation/
    CONFIG+=vit-base_upernet_8xb2-amp-80k_ade20k-512x512.py
    torchrun --nproc-per-node 8 -m mmattmask train $CONFIG --launcher pytorch \
        --cfg-options model.backbone.init_cfg.checkpoint=FILE
Hardware: 8 GPUs, batch 16.
Hours:    not measured.
Metric:   none published for this backbone; mae-base has GPA's.
"""

_base_ = './vit-base_upernet_8xb2-amp-160k_ade20k-512x512.py'

train_cfg = dict(max_iters=80000, val_interval=8000)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, by_epoch=False, begin=0, end=1500),
    dict(type='PolyLR', eta_min=0.0, power=1.0, begin=1500, end=80000, by_epoch=False),
]
default_hooks = dict(checkpoint=dict(interval=8000))
