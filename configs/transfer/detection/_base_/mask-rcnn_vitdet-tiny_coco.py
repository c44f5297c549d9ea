# A model, images and a schedule for one core of a CPU. The backbone fits checkpoints of
# the ViT-Tiny/8 debug configs of pre-training.
_base_ = './mask-rcnn_vitdet-base_coco.py'

levels = [2, 4, 8, 16]  # whose features a box may have
strides = [*levels, 32]
extractor = dict(out_channels=32, featmap_strides=levels, finest_scale=28)
small = dict(in_channels=32, conv_out_channels=32)
model = dict(
    data_preprocessor=dict(pad_size_divisor=128),
    backbone=dict(
        _delete_=True,
        type='mmattmask.ViTDet',
        arch='tiny',
        img_size=128,
        pretrain_img_size=64,
        patch_size=8,
        window_size=7,
        drop_path_rate=0.1,
        init_cfg=dict(type='Pretrained', _scope_='mmattmask', checkpoint=''),
    ),
    neck=dict(in_channels=192, out_channels=32),
    rpn_head=dict(
        in_channels=32, feat_channels=32, anchor_generator=dict(strides=strides)
    ),
    roi_head=dict(
        bbox_roi_extractor=extractor,
        mask_roi_extractor=extractor,
        bbox_head=dict(fc_out_channels=64, **small),
        mask_head=small,
    ),
    train_cfg=dict(rcnn=dict(sampler=dict(num=32))),
    # no score is high yet
    test_cfg=dict(rpn=dict(max_per_img=50), rcnn=dict(score_thr=0.0, max_per_img=20)),
)

image_size = (128, 128)
load = dict(type='LoadImageFromFile')
objects = dict(type='LoadAnnotations', with_bbox=True, with_mask=True, poly2mask=False)
train_pipeline = [
    load,
    objects,
    dict(type='RandomFlip', prob=0.5),
    dict(
        type='RandomResize', scale=image_size, ratio_range=(0.1, 2.0), keep_ratio=True
    ),
    dict(
        type='RandomCrop',
        crop_type='absolute_range',
        crop_size=image_size,
        recompute_bbox=True,
        allow_negative_crop=True,
    ),
    dict(type='FilterAnnotations', min_gt_bbox_wh=(1e-2, 1e-2), keep_empty=False),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    load,
    dict(type='Resize', scale=image_size, keep_ratio=True),
    objects,
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
    ),
]
loader = dict(num_workers=0, persistent_workers=False)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline), **loader)
val_dataloader = dict(dataset=dict(pipeline=test_pipeline), **loader)
test_dataloader = val_dataloader

optim_wrapper = dict(type='OptimWrapper')
train_cfg = dict(max_iters=6, val_interval=6)
param_scheduler = []
default_hooks = dict(logger=dict(interval=1), checkpoint=dict(interval=6))
auto_scale_lr = dict(base_batch_size=2)
