"""Linear probe of ViT-B/16 on ImageNet-1k: MAE's protocol, which AMT uses too.

The CLS token, batch normalisation without parameters, one linear layer, LARS.

Command:
    CONFIG=configs/transfer/classification/
    CONFIG+=mae-linear_vit-base-p16_8xb2048-amp-coslr-90e_in1k.py
    torchrun --nproc-per-node 8 -m mmattmask train $CONFIG --launcher pytorch \
        --cfg-options model.backbone.init_cfg.checkpoint=FILE
Hardware: 8 GPUs, batch 16384; smaller ones need --auto-scale-lr and a smaller
    batch_size.
Hours:    not measured.
Metric:   top-1 56.6 of MAE and 61.7 of AMT 45/40, 400 epochs (AMT's paper; not run by
    us).
"""

_base_ = 'mmpretrain::mae/benchmarks/vit-base-p16_8xb2048-linear-coslr-90e_in1k.py'

model = dict(
    backbone=dict(
        init_cfg=dict(
            _delete_=True, type='Pretrained', _scope_='mmattmask', checkpoint=''
        )
    )
)
# Differs from MMPretrain: bicubic as MAE, for training and validation.
load, crop, *rest = _base_.train_pipeline
train_pipeline = [load, {**crop, 'interpolation': 'bicubic'}, *rest]
load, resize, *rest = _base_.test_pipeline
test_pipeline = [load, {**resize, 'interpolation': 'bicubic'}, *rest]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
optim_wrapper = dict(
    # Differs from MMPretrain: MAE's LARS has no trust ratio for a bias.
    paramwise_cfg=dict(custom_keys={'.bias': dict(lars_exclude=True)})
)
# Differs from MMPretrain: lr 6.4 belongs to this batch, not to 1024.
auto_scale_lr = dict(base_batch_size=16384)
