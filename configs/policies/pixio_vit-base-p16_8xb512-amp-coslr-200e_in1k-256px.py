"""Pixio's masks on MAE ViT-B/16 at 256 px, 200 epochs: cells of 4 x 4 patches.

Only the masks: Pixio also has 8 CLS tokens and 32 blocks in its decoder.

Command:
    CONFIG=configs/policies/pixio_vit-base-p16_8xb512-amp-coslr-200e_in1k-256px.py
    torchrun --nproc-per-node 8 -m mmattmask train $CONFIG --launcher pytorch
Hardware: 8 A100 80 GB, batch 4096.
Hours:    8, estimated from FLOPs (../amt/README.md), if the loader keeps up.
Metric:   none yet.
"""

_base_ = '../amt/random_vit-base-p16_8xb512-amp-coslr-200e_in1k.py'

model = dict(cell_size=64, backbone=dict(img_size=256))
load, crop, flip, pack = _base_.train_pipeline
train_pipeline = [load, {**crop, 'scale': 256}, flip, pack]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
