"""Mask R-CNN with a ViT-B on LVIS v1, 100 epochs in batches of 64: ViTDet itself.

Command:
    CONFIG=configs/transfer/detection/mask-rcnn_vitdet-base_64xb1-amp-156k_lvis.py
    torchrun --nnodes 8 --nproc-per-node 8 \
        -m mmattmask train $CONFIG --launcher pytorch \
        --cfg-options model.backbone.init_cfg.checkpoint=FILE
Hardware: 64 A100, 1 image each.
Hours:    14 with detectron2 (0.317 s per iteration, its table); not measured here.
Metric:   box AP 40.2, mask AP 38.2 with MAE of 1600 epochs (detectron2's; not run by
          us).
"""

_base_ = './_base_/mask-rcnn_vitdet-base_lvis.py'

train_dataloader = dict(batch_size=1)
max_iters = 156250
train_cfg = dict(max_iters=max_iters, val_interval=30000)
warmup, steps = _base_.param_scheduler
param_scheduler = [warmup, {**steps, 'end': max_iters, 'milestones': [138889, 150463]}]
auto_scale_lr = dict(base_batch_size=64)
