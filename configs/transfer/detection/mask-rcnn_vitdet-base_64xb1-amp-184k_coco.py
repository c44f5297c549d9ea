"""Mask R-CNN with a ViT-B on COCO, 100 epochs in batches of 64: ViTDet itself.

Command:
    CONFIG=configs/transfer/detection/mask-rcnn_vitdet-base_64xb1-amp-184k_coco.py
    torchrun --nnodes 8 --nproc-per-node 8 \
        -m mmattmask train $CONFIG --launcher pytorch \
        --cfg-options model.backbone.init_cfg.checkpoint=FILE
Hardware: 64 A100, 1 image each.
Hours:    16 with detectron2 (0.314 s per iteration, its table); not measured here.
Metric:   box AP 51.6, mask AP 45.9 with MAE of 1600 epochs (detectron2's; not run by
          us).
"""

_base_ = './_base_/mask-rcnn_vitdet-base_coco.py'

train_dataloader = dict(batch_size=1)
max_iters = 184375
train_cfg = dict(max_iters=max_iters, val_interval=30000)
warmup, steps = _base_.param_scheduler
param_scheduler = [warmup, {**steps, 'end': max_iters, 'milestones': [163889, 177546]}]
auto_scale_lr = dict(base_batch_size=64)
