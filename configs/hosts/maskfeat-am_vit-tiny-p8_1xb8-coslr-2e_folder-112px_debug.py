"""AM 40/0 on a small MaskFeat on the CPU: does everything run, on my images too?

112 px, because stock HOG targets are for 14 x 14 patches.

Command:
    CONFIG=configs/hosts/maskfeat-am_vit-tiny-p8_1xb8-coslr-2e_folder-112px_debug.py
    OPTIONS=train_dataloader.dataset.data_root=FOLDER
    mmattmask train $CONFIG --cfg-options $OPTIONS
Hardware: CPU, 2 cores.
Hours:    none; less than a minute for 100 images, start included (measured).
Metric:   none; nothing is learned in two epochs.
"""

_base_ = '../_base_/folder_debug.py'

data_preprocessor = dict(
    type='mmattmask.GuidedDataPreprocessor',
    scorer=dict(type='mmattmask.CachedAttention'),
    mask_generator=dict(
        type='mmattmask.AMTMaskGenerator', mask_ratio=0.4, throw_ratio=0.0
    ),
    mask_patch_size=8,
)
model = dict(
    type='MaskFeat',
    backbone=dict(
        type='MaskFeatViT',
        arch=dict(embed_dims=96, num_layers=2, num_heads=3, feedforward_channels=384),
        img_size=112,
        patch_size=8,
    ),
    neck=dict(type='LinearNeck', in_channels=96, out_channels=27, norm_cfg=None),
    head=dict(
        type='MIMHead', loss=dict(type='PixelReconstructionLoss', criterion='L2')
    ),
    target_generator=dict(type='HOGGenerator', nbins=9, pool=8, gaussian_window=16),
)
crop = {**_base_.crop, 'scale': 112, 'crop_ratio_range': (0.5, 1.0)}
mask = dict(
    type='BEiTMaskGenerator', input_size=14, num_masking_patches=78, min_num_patches=15
)
train_pipeline = [_base_.load, crop, _base_.flip, mask, _base_.pack]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
optim_wrapper = dict(optimizer=dict(lr=1.6e-3 * 8 / 2048, betas=(0.9, 0.999)))
custom_hooks = [dict(type='mmattmask.AttentionRefreshHook', begin=1, interval=1)]
