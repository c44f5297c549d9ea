"""AMT 44/26 on SimMIM ViT-B/16 as the released code means to run it.

Reproduces: 44 % random masks before the first refresh, the corner crop of the map, the
min-max per head before the mean, the first refresh one epoch late (after 41, 81, ...).
Does not: the crash at epoch 40, the LayerScale that is left out of the attention
branch, random streams. The number of GPUs is not known.

Command:
    CONFIG=configs/simmim/simmim-amt-as-released_vit-base-p16_8xb256-amp-coslr-200e_in1k.py
    torchrun --nproc-per-node 8 -m mmattmask train $CONFIG --launcher pytorch
Hardware: 8 A100 80 GB, batch 2048.
Hours:    7, estimated from FLOPs (README.md), if the loader keeps up.
Metric:   none: the released code cannot have made the paper's numbers.
"""

_base_ = './simmim-amt_vit-base-p16_8xb256-amp-coslr-200e_in1k.py'

model = dict(scorer=dict(crop_mode='official', reduce_heads='minmax_mean'))
mask = {**_base_.mask, 'mask_ratio': 0.44}
train_pipeline = [_base_.load, _base_.crop, _base_.flip, mask, _base_.pack]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
custom_hooks = [dict(type='mmattmask.AttentionRefreshHook', begin=41, interval=40)]
