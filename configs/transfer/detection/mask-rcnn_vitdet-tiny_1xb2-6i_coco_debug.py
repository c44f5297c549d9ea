"""A small Mask R-CNN on the CPU for 6 iterations: does everything run, on my data too?

data/coco, or a link of that name, has annotations/instances_{train,val}2017.json,
train2017/ and val2017/. FILE is any debug pre-training.

Command:
    CONFIG=configs/transfer/detection/mask-rcnn_vitdet-tiny_1xb2-6i_coco_debug.py
    mmattmask train $CONFIG --cfg-options model.backbone.init_cfg.checkpoint=FILE
Hardware: CPU, 1 core.
Hours:    none; half a minute for 32 validation images, start included (measured).
Metric:   none; nothing is learned in 6 iterations.
"""

_base_ = './_base_/mask-rcnn_vitdet-tiny_coco.py'
