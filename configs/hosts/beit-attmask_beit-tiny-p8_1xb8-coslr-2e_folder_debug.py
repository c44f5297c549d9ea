"""AttMask-Hint on a small BEiT on the CPU: does everything run, on my images too?

The tokenizer is small and random: this shows that the parts work together, nothing
more.

Command:
    CONFIG=configs/hosts/beit-attmask_beit-tiny-p8_1xb8-coslr-2e_folder_debug.py
    OPTIONS=train_dataloader.dataset.data_root=FOLDER
    python tools/train.py $CONFIG --cfg-options $OPTIONS
Hardware: CPU, 2 cores.
Hours:    none; less than a minute for 100 images, start included (measured).
Metric:   none; nothing is learned in two epochs.
"""

_base_ = '../amt/amt_vit-tiny-p8_1xb8-coslr-2e_folder_debug.py'

data_preprocessor = dict(
    type='mmattmask.GuidedTwoNormDataPreprocessor',
    second_mean=[-31.875] * 3,
    second_std=[318.75] * 3,
    scorer=dict(type='mmattmask.CachedAttention'),
    mask_generator=dict(type='mmattmask.AttMaskGenerator', mode='hint', mask_ratio=0.4),
    mask_patch_size=8,
)
model = dict(
    _delete_=True,
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
load, _, flip, pack = _base_.train_pipeline
crop = dict(
    type='mmattmask.RandomResizedCropAndInterpolationWithTwoPic',
    size=64,
    second_size=64,
)
mask = dict(
    type='BEiTMaskGenerator', input_size=8, num_masking_patches=24, min_num_patches=4
)
train_dataloader = dict(dataset=dict(pipeline=[load, flip, crop, mask, pack]))
optim_wrapper = dict(optimizer=dict(lr=1.5e-3 * 8 / 2048, betas=(0.9, 0.999)))
