"""Fine-tuning of ViT-B/16 on ImageNet-1k: MAE's protocol (mean of the patches).

Command:
    CONFIG=configs/transfer/classification/
    CONFIG+=mae-ft_vit-base-p16_8xb128-amp-coslr-100e_in1k.py
    torchrun --nproc-per-node 8 -m mmattmask train $CONFIG --launcher pytorch \
        --cfg-options model.backbone.init_cfg.checkpoint=FILE
Hardware: 8 GPUs, batch 1024.
Hours:    not measured.
Metric:   top-1 83.6 after 1600 epochs, 82.2 after 200 (MAE's and GPA's papers; not run
    by us).
"""

_base_ = 'mmpretrain::mae/benchmarks/vit-base-p16_8xb128-coslr-100e_in1k.py'

model = dict(
    backbone=dict(
        init_cfg=dict(
            _delete_=True, type='Pretrained', _scope_='mmattmask', checkpoint=''
        )
    )
)
# Differs from MMPretrain: AMP, as MAE.
optim_wrapper = dict(type='AmpOptimWrapper', loss_scale='dynamic')
warmup, cosine = _base_.param_scheduler
# Differs from MMPretrain: the lowest learning rate decays with the layer, as MAE's.
cosine = {**cosine, 'eta_min': None, 'eta_min_ratio': 1e-6 / 2e-3}
param_scheduler = [warmup, cosine]
