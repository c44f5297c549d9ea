"""Mask R-CNN with a ViT-B on COCO, 12 epochs at 1024 px: GPA's comparison ("1x").

The paper gives epochs and size. Batch and learning rate are those of the 90k config;
the rate drops after 8 and 11 epochs as in MMDetection's 1x.

Command:
    CONFIG=configs/transfer/detection/mask-rcnn_vitdet-base_8xb2-amp-12e_coco.py
    torchrun --nproc-per-node 8 -m mmattmask train $CONFIG --launcher pytorch \
        --cfg-options model.backbone.init_cfg.checkpoint=FILE
Hardware: 8 GPUs, 2 images each.
Hours:    15 for A100, estimated from the 0.314 s per image of detectron2; not measured.
Metric:   box AP 34.5, mask AP 31.1 with GPA of 200 epochs; 33.0 and 29.8 with MAE
          (the paper's Table 2; not run by us).
"""

_base_ = './_base_/mask-rcnn_vitdet-base_coco.py'

max_epochs = 12
train_dataloader = dict(
    sampler=dict(_delete_=True, type='DefaultSampler', shuffle=True)
)
train_cfg = dict(
    _delete_=True, type='EpochBasedTrainLoop', max_epochs=max_epochs, val_interval=1
)
warmup, steps = _base_.param_scheduler
steps = {**steps, 'by_epoch': True, 'end': max_epochs, 'milestones': [8, 11]}
param_scheduler = [warmup, steps]
default_hooks = dict(checkpoint=dict(by_epoch=True, interval=1))
log_processor = dict(by_epoch=True)
