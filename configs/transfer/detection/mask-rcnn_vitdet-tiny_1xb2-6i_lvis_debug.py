"""A small Mask R-CNN on LVIS, on the CPU for 6 iterations: does everything run?

data/lvis_v1, or a link of that name, has annotations/lvis_v1_{train,val}.json and
val2017/ or train2017/, as the annotations say.

Command:
    CONFIG=configs/transfer/detection/mask-rcnn_vitdet-tiny_1xb2-6i_lvis_debug.py
    mmattmask train $CONFIG --cfg-options model.backbone.init_cfg.checkpoint=FILE
Hardware: CPU, 1 core.
Hours:    none; half a minute for 21 validation images, start included (measured).
Metric:   none; nothing is learned in 6 iterations.
"""

_base_ = './_base_/mask-rcnn_vitdet-tiny_coco.py'

model = dict(
    roi_head=dict(
        bbox_head=dict(
            num_classes=1203, loss_cls=dict(_delete_=True, type='mmattmask.FedLoss')
        ),
        mask_head=dict(num_classes=1203),
    ),
)
data_root = 'data/lvis_v1/'
dataset = dict(
    _delete_=True, type='LVISV1Dataset', data_root=data_root, data_prefix=dict(img='')
)
train_dataloader = dict(
    sampler=dict(_delete_=True, type='mmattmask.RepeatFactorSampler'),
    dataset=dict(
        ann_file='annotations/lvis_v1_train.json',
        filter_cfg=dict(filter_empty_gt=True, min_size=32),
        pipeline={{_base_.train_pipeline}},
        **dataset,
    ),
)
val_dataloader = dict(
    dataset=dict(
        ann_file='annotations/lvis_v1_val.json',
        test_mode=True,
        pipeline={{_base_.test_pipeline}},
        **dataset,
    )
)
test_dataloader = val_dataloader
val_evaluator = dict(
    _delete_=True,
    type='mmattmask.LVISMetric',
    ann_file=data_root + 'annotations/lvis_v1_val.json',
    metric=['bbox', 'segm'],
)
test_evaluator = val_evaluator
