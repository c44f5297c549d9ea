"""A SimMIM of small blocks: cells of 16 px, patches of 8 px."""

import torch
from mmengine.registry import MODELS

AMT = dict(
    type='mmattmask.AMTMaskGenerator',
    mask_ratio=0.44,
    throw_ratio=0.26,
    rounding='up',
)
ABSOLUTE = dict(use_abs_pos_emb=True, use_shared_rel_pos_bias=False)


def backbone_config(
    img_size=48, patch_size=8, dims=24, depth=2, heads=3, **changes
) -> dict:
    return dict(
        type='mmattmask.SimMIMViT',
        arch=dict(
            embed_dims=dims,
            num_layers=depth,
            num_heads=heads,
            feedforward_channels=4 * dims,
        ),
        img_size=img_size,
        patch_size=patch_size,
        **changes,
    )


def simmim_config(backbone=None, **changes) -> dict:
    config = dict(
        type='mmattmask.GuidedSimMIM',
        backbone=backbone or backbone_config(drop_path_rate=0.0),
        neck=dict(type='mmpretrain.SimMIMLinearDecoder'),
        head=dict(
            type='mmpretrain.SimMIMHead',
            loss=dict(
                type='mmpretrain.PixelReconstructionLoss', criterion='L1', channel=3
            ),
        ),
        mask_generator=AMT,
        cell_size=16,
        data_preprocessor=dict(type='mmpretrain.SelfSupDataPreprocessor'),
    )
    return {**config, **changes}


def build(config, seed=0):
    """An initialised module; relative position biases are not the zeros of the start,
    and LayerScale lets every branch count."""
    torch.manual_seed(seed)
    module = MODELS.build(config)
    module.init_weights()
    for name, parameter in module.named_parameters():
        if 'relative_position_bias_table' in name:
            torch.nn.init.normal_(parameter)
        elif 'gamma' in name:
            torch.nn.init.constant_(parameter, 0.8)
    return module
