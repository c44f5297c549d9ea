"""A small stock MAE for two epochs on a folder of images at 64 px, on the CPU."""

_base_ = ['mmpretrain::_base_/models/mae_vit-base-p16.py', './folder_debug.py']

model = dict(
    backbone=dict(arch='deit-tiny', img_size=64, patch_size=8),
    neck=dict(
        patch_size=8,
        embed_dim=192,
        decoder_embed_dim=96,
        decoder_depth=2,
        decoder_num_heads=3,
    ),
    head=dict(patch_size=8),
)
