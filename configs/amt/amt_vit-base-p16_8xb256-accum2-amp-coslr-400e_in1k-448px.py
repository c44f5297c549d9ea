"""AMT 45/40 on MAE ViT-B/16 at 448 px, 400 epochs.

Command:
    CONFIG=configs/amt/amt_vit-base-p16_8xb256-accum2-amp-coslr-400e_in1k-448px.py
    torchrun --nproc-per-node 8 -m mmattmask train $CONFIG --launcher pytorch
Hardware: 8 A100 80 GB, batch 4096 by accumulation.
Hours:    30, estimated from FLOPs (README.md), if the loader keeps up.
Metric:   no published number; not run by us.
"""

_base_ = './amt_vit-base-p16_8xb512-amp-coslr-400e_in1k.py'

model = dict(backbone=dict(img_size=448))
load, crop, flip, pack = _base_.train_pipeline
train_pipeline = [load, {**crop, 'scale': 448}, flip, pack]
train_dataloader = dict(batch_size=256, dataset=dict(pipeline=train_pipeline))
optim_wrapper = dict(accumulative_counts=2)
# --auto-scale-lr counts images per step, before accumulation
auto_scale_lr = dict(base_batch_size=2048, accumulative_counts=2)
# 14 x 14 maps are enough to guide and four times cheaper than 28 x 28
refresh = dict(type='mmattmask.AttentionRefreshHook', begin=40, interval=40)
custom_hooks = [dict(**refresh, input_size=224)]
