"""SimMIM on ViT-B/16, 224 px, batch 2048: model, data and optimizer; no schedule.

The relative position bias is decayed and all else that is not a matrix is not, as in
the official code.

Source: microsoft/SimMIM configs/vit_base__800ep, optimizer.py, data/data_simmim.py.
"""

_base_ = 'mmpretrain::simmim/simmim_swin-base-w6_8xb256-amp-coslr-100e_in1k-192px.py'

model = dict(
    type='mmattmask.GuidedSimMIM',
    backbone=dict(
        _delete_=True,
        type='mmattmask.SimMIMViT',
        arch='base',
        img_size=224,
        patch_size=16,
        drop_path_rate=0.1,
        layer_scale_init_value=0.1,
    ),
    neck=dict(_delete_=True, type='SimMIMLinearDecoder'),
    head=dict(patch_size=16),
    mask_generator=dict(
        type='mmattmask.RandomMaskGenerator', mask_ratio=0.6, rounding='up'
    ),
    cell_size=32,
)
load = dict(type='LoadImageFromFile')
crop = dict(
    type='RandomResizedCrop',
    scale=224,
    crop_ratio_range=(0.67, 1.0),
    backend='pillow',
    interpolation='bilinear',
)
flip = dict(type='RandomFlip', prob=0.5)
mask = dict(  # the masks while there is no score
    type='SimMIMMaskGenerator',
    input_size=224,
    mask_patch_size=32,
    model_patch_size=16,
    mask_ratio=0.6,
)
pack = dict(type='PackInputs')
train_dataloader = dict(dataset=dict(pipeline=[load, crop, flip, mask, pack]))
optim_wrapper = dict(
    optimizer=dict(lr=1e-4 * 2048 / 512),
    paramwise_cfg=dict(
        _delete_=True,
        norm_decay_mult=0.0,
        bias_decay_mult=0.0,
        flat_decay_mult=0.0,
        custom_keys=dict(
            pos_embed=dict(decay_mult=0.0),
            cls_token=dict(decay_mult=0.0),
            mask_token=dict(decay_mult=0.0),
        ),
    ),
)
