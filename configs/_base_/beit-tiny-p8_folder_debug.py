"""A small stock BEiT for two epochs on a folder of images at 64 px, on the CPU."""

_base_ = './folder_debug.py'

data_preprocessor = dict(
    type='TwoNormDataPreprocessor',
    second_mean=[-31.875] * 3,
    second_std=[318.75] * 3,
)
model = dict(
    type='BEiT',
    backbone=dict(
        type='BEiTPretrainViT',
        arch=dict(embed_dims=96, num_layers=4, num_heads=3, feedforward_channels=384),
        img_size=64,
        patch_size=8,
        init_cfg=dict(type='TruncNormal', std=0.02, layer=['Linear', 'Conv2d']),
    ),
    head=dict(
        type='BEiTV1Head',
        embed_dims=96,
        num_embed=64,
        loss=dict(type='CrossEntropyLoss'),
    ),
    target_generator=dict(type='DALL-E', n_hid=8, n_blk_per_group=1, vocab_size=64),
)
two_pictures = dict(
    type='RandomResizedCropAndInterpolationWithTwoPic', size=64, second_size=64
)
mask = dict(
    type='BEiTMaskGenerator', input_size=8, num_masking_patches=24, min_num_patches=4
)
train_pipeline = [_base_.load, _base_.flip, two_pictures, mask, _base_.pack]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
optim_wrapper = dict(optimizer=dict(lr=1.5e-3 * 8 / 2048, betas=(0.9, 0.999)))
find_unused_parameters = True  # those of the tokenizer
