# Mask R-CNN on a plain ViT as ViTDet trains it; the configs beside this folder add a
# schedule. Source: facebookresearch/detectron2 projects/ViTDet/configs.
_base_ = [
    'mmdet::_base_/models/mask-rcnn_r50_fpn.py',
    'mmdet::common/ms-poly-90k_coco-instance.py',
]

norm_cfg = dict(type='mmpretrain.LN2d', eps=1e-6)
model = dict(
    # after normalisation, so with zeros; boxes are clipped to the image, not to this
    data_preprocessor=dict(pad_size_divisor=1024),
    backbone=dict(
        _delete_=True,
        type='mmattmask.ViTDet',
        arch='base',
        img_size=1024,
        drop_path_rate=0.1,
        init_cfg=dict(type='Pretrained', _scope_='mmattmask', checkpoint=''),
    ),
    neck=dict(
        _delete_=True,
        type='mmattmask.SimpleFeaturePyramid',
        in_channels=768,
        out_channels=256,
    ),
    rpn_head=dict(num_convs=2),
    roi_head=dict(
        bbox_head=dict(
            type='Shared4Conv1FCBBoxHead', conv_out_channels=256, norm_cfg=norm_cfg
        ),
        mask_head=dict(norm_cfg=norm_cfg),
    ),
)

# Large-scale jitter. Masks stay polygons: bitmaps of 2048 x 2048 px are slow.
image_size = (1024, 1024)
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
    # images that the crop left without objects are trained on
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
collate_fn = dict(type='pseudo_collate')
train_dataloader = dict(
    num_workers=4,
    batch_sampler=None,
    collate_fn=collate_fn,
    dataset=dict(pipeline=train_pipeline),
)
val_dataloader = dict(collate_fn=collate_fn, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

optim_wrapper = dict(
    _delete_=True,
    type='AmpOptimWrapper',
    constructor='mmattmask.LayerDecayOptimWrapperConstructor',
    optimizer=dict(type='AdamW', lr=1e-4, betas=(0.9, 0.999), weight_decay=0.1),
    paramwise_cfg=dict(
        layer_decay_rate=0.7,
        # ViTDet: no decay for the norms and positions of the ViT, only
        norm_decay_mult=0.0,
        custom_keys={
            'backbone.pos_embed': dict(decay_mult=0.0),
            'neck.': dict(decay_mult=1.0),
            'rpn_head.': dict(decay_mult=1.0),
            'roi_head.': dict(decay_mult=1.0),
        },
    ),
)
# both steps are a config's own
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=250),
    dict(type='MultiStepLR', begin=0, by_epoch=False, gamma=0.1),
]
custom_hooks = [dict(type='mmattmask.Fp16CompressionHook')]
