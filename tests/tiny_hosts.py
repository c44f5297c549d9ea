"""Every host at a tiny size: a stock config, and what makes it a guided one.

Each host has a 4 x 4 grid of cells (MaskFeat's HOG knows 14 x 14 only), so that
policies and scorers can be tried on all of them in a moment.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from mmengine.model import BaseModule
from mmengine.registry import MODELS, DefaultScope
from mmpretrain.structures import DataSample
from torch import Tensor, nn

Config = dict[str, Any]
ONE_NORM = dict(
    type='mmpretrain.SelfSupDataPreprocessor', mean=[120.0] * 3, std=[60.0] * 3
)
VIT = dict(embed_dims=24, num_layers=2, num_heads=2, feedforward_channels=48)


class StandInClip(BaseModule):
    """Stands in for CLIP: features and attention of a teacher, CLS first."""

    def __init__(self, patch_size: int = 8, dims: int = 12) -> None:
        super().__init__()
        self.projection = nn.Conv2d(3, dims, patch_size, patch_size)
        self.requires_grad_(False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.projection(x).flatten(2).transpose(1, 2).detach()
        features = nn.functional.pad(features, (0, 0, 1, 0))
        return features, (features @ features.transpose(1, 2)).softmax(dim=-1)


def mae(backbone: str = 'MAEViT', algorithm: str = 'MAE', **changes: Any) -> Config:
    return dict(
        type=f'mmpretrain.{algorithm}',
        backbone=dict(
            type=f'mmpretrain.{backbone}',
            arch=VIT,
            img_size=32,
            patch_size=8,
            mask_ratio=0.5,
        ),
        neck=dict(
            type='mmpretrain.MAEPretrainDecoder',
            num_patches=16,
            patch_size=8,
            embed_dim=24,
            decoder_embed_dim=16,
            decoder_depth=1,
            decoder_num_heads=2,
        ),
        head=dict(
            type='mmpretrain.MAEPretrainHead',
            norm_pix=True,
            patch_size=8,
            loss=dict(type='mmpretrain.PixelReconstructionLoss', criterion='L2'),
        ),
        data_preprocessor=ONE_NORM,
        **changes,
    )


def mff() -> Config:
    config = mae('MFFViT', 'MFF')
    config['backbone']['out_indices'] = [0, 1]
    return config


CLIP_HEAD = dict(
    type='mmpretrain.MIMHead',
    loss=dict(
        type='mmpretrain.CosineSimilarityLoss', shift_factor=2.0, scale_factor=2.0
    ),
)


def eva() -> Config:
    config = mae(algorithm='EVA', target_generator=StandInClip())
    config['neck']['predict_feature_dim'] = 12
    config['head'] = CLIP_HEAD
    return config


def milan() -> Config:
    config = mae('MILANViT', 'MILAN', target_generator=StandInClip(dims=12))
    config['neck'] = dict(
        type='mmpretrain.MILANPretrainDecoder',
        num_patches=16,
        patch_size=8,
        embed_dim=24,
        decoder_embed_dim=16,
        decoder_depth=1,
        decoder_num_heads=2,
        predict_feature_dim=12,
    )
    # visible and masked patches count, and MILAN predicts the CLS token too
    config['head'] = CLIP_HEAD
    return config


def hivit() -> Config:
    config = mae('MAEHiViT')
    config['backbone'].update(
        arch=dict(embed_dims=16, depths=[1, 1, 1], num_heads=2),
        img_size=64,
        patch_size=16,
        out_indices=[0],
    )
    config['neck'].update(patch_size=16, embed_dim=16)
    config['head'].update(patch_size=16)
    return config


def convmae() -> Config:
    config = mae()
    config['backbone'] = dict(
        type='mmattmask.ConvMAEViT',
        arch=dict(embed_dims=(8, 12, 24), depths=(1, 1, 1), num_heads=2),
        img_size=64,
        mask_ratio=0.5,
    )
    config['neck'].update(patch_size=16)
    config['head'].update(patch_size=16)
    return config


PIXELS = dict(type='mmpretrain.PixelReconstructionLoss', criterion='L1', channel=3)


def simmim_vit() -> Config:
    return dict(
        type='mmpretrain.SimMIM',
        backbone=dict(
            type='mmattmask.SimMIMViT',
            arch=VIT,
            img_size=64,
            patch_size=8,
            use_abs_pos_emb=True,
            use_shared_rel_pos_bias=False,
        ),
        neck=dict(
            type='mmpretrain.SimMIMLinearDecoder', in_channels=24, encoder_stride=8
        ),
        head=dict(type='mmpretrain.SimMIMHead', patch_size=8, loss=PIXELS),
        data_preprocessor=ONE_NORM,
    )


def simmim_swin() -> Config:
    config = simmim_vit()
    config['backbone'] = dict(
        type='mmpretrain.SimMIMSwinTransformer',
        arch=dict(embed_dims=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2]),
        img_size=128,
        drop_path_rate=0.0,
        stage_cfgs=dict(block_cfgs=dict(window_size=4)),
    )
    config['neck'].update(in_channels=64, encoder_stride=32)
    config['head'].update(patch_size=4)
    return config


def maskfeat() -> Config:
    return dict(
        type='mmpretrain.MaskFeat',
        backbone=dict(
            type='mmpretrain.MaskFeatViT', arch=VIT, img_size=112, patch_size=8
        ),
        neck=dict(
            type='mmpretrain.LinearNeck', in_channels=24, out_channels=27, norm_cfg=None
        ),
        head=dict(
            type='mmpretrain.MIMHead',
            loss=dict(type='mmpretrain.PixelReconstructionLoss', criterion='L2'),
        ),
        target_generator=dict(
            type='mmpretrain.HOGGenerator', nbins=9, pool=8, gaussian_window=16
        ),
        data_preprocessor=ONE_NORM,
    )


def tokenizer() -> Config:
    return dict(
        type='mmpretrain.DALL-E', group_count=4, n_hid=4, n_blk_per_group=1,
        vocab_size=32,
    )  # fmt: skip


TWO_NORM = dict(
    type='mmpretrain.TwoNormDataPreprocessor',
    mean=[120.0] * 3,
    std=[60.0] * 3,
    second_mean=[-32.0] * 3,
    second_std=[319.0] * 3,
)


def beit() -> Config:
    return dict(
        type='mmpretrain.BEiT',
        backbone=dict(
            type='mmpretrain.BEiTPretrainViT', arch=VIT, img_size=32, patch_size=8
        ),
        head=dict(
            type='mmpretrain.BEiTV1Head',
            embed_dims=24,
            num_embed=32,
            loss=dict(type='mmpretrain.CrossEntropyLoss'),
        ),
        target_generator=tokenizer(),
        data_preprocessor=TWO_NORM,
    )


def cae() -> Config:
    return dict(
        type='mmpretrain.CAE',
        backbone=dict(
            type='mmpretrain.CAEPretrainViT',
            arch=VIT,
            img_size=32,
            patch_size=8,
            layer_scale_init_value=0.1,
        ),
        neck=dict(
            type='mmpretrain.CAENeck',
            num_classes=32,
            embed_dims=24,
            num_heads=2,
            regressor_depth=1,
            decoder_depth=1,
            layer_scale_init_value=0.1,
            mask_tokens_num=8,
        ),
        head=dict(
            type='mmpretrain.CAEHead', loss=dict(type='mmpretrain.CAELoss', lambd=2)
        ),
        target_generator=tokenizer(),
        data_preprocessor=TWO_NORM,
    )


def ibot() -> Config:
    return dict(
        type='mmattmask.IBOT',
        backbone=dict(type='mmattmask.IBOTViT', arch=VIT, img_size=32, patch_size=8),
        head=dict(
            type='mmattmask.IBOTHead',
            out_channels=16,
            hid_channels=24,
            bottleneck_channels=8,
        ),
        mask_generator=dict(type='mmattmask.IBOTMaskGenerator'),
        data_preprocessor=ONE_NORM,
    )


def mixmim() -> Config:
    config = mae(algorithm='MixMIM')
    config['backbone'] = dict(
        type='mmpretrain.MixMIMPretrainTransformer',
        arch=dict(embed_dims=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2]),
        img_size=128,
        window_size=[2, 2, 2, 2],
    )
    config['neck'] = dict(
        type='mmpretrain.MixMIMPretrainDecoder',
        num_patches=16,
        encoder_stride=32,
        embed_dim=64,
        decoder_embed_dim=16,
        decoder_depth=1,
        decoder_num_heads=2,
    )
    config['head'] = dict(
        type='mmpretrain.MixMIMPretrainHead',
        norm_pix=True,
        loss=dict(type='mmpretrain.PixelReconstructionLoss', criterion='L2'),
    )
    return config


def spark() -> Config:
    return dict(
        type='mmpretrain.SparK',
        input_size=128,
        downsample_raito=32,
        mask_ratio=0.5,
        backbone=dict(
            type='mmpretrain.SparseResNet',
            depth=50,
            base_channels=4,
            stem_channels=4,
            out_indices=(0, 1, 2, 3),
            drop_path_rate=0.05,
        ),
        neck=dict(
            type='mmpretrain.SparKLightDecoder',
            feature_dim=32,
            upsample_ratio=32,
            mid_channels=0,
            last_act=False,
        ),
        head=dict(
            type='mmpretrain.SparKPretrainHead',
            loss=dict(type='mmpretrain.PixelReconstructionLoss', criterion='L2'),
        ),
        enc_dec_norm_cfg=dict(type='SparseSyncBatchNorm2d'),
        enc_dec_norm_dim=128,
        data_preprocessor=ONE_NORM,
    )


def guided_types(**types: str) -> Callable[[Config, Config, Config | None], Config]:
    """Make a stock config a guided one by other types, policy and scorer."""

    def change(config: Config, policy: Config, scorer: Config | None) -> Config:
        for part, name in types.items():
            target = config if part == 'algorithm' else config[part]
            target['type'] = f'mmattmask.{name}'
        return {**config, 'mask_generator': policy, 'scorer': scorer}

    return change


def guided_simmim(config: Config, policy: Config, scorer: Config | None) -> Config:
    config = {**config, 'type': 'mmattmask.GuidedSimMIM', 'cell_size': 16}
    return {**config, 'mask_generator': policy, 'scorer': scorer}


def rewritten(**options: Any) -> Callable[[Config, Config, Config | None], Config]:
    """Give a stock config a data preprocessor that rewrites the masks."""

    def change(config: Config, policy: Config, scorer: Config | None) -> Config:
        preprocessor = config['data_preprocessor']
        name = preprocessor['type'].rpartition('.')[2]
        name = name.replace('SelfSup', '').replace('Data', 'GuidedData')
        name = name.replace('TwoNormGuided', 'GuidedTwoNorm')
        guided = dict(type=f'mmattmask.{name}', mask_generator=policy, scorer=scorer)
        return {**config, 'data_preprocessor': {**preprocessor, **guided, **options}}

    return change


@dataclasses.dataclass(frozen=True)
class Host:
    """One host at a tiny size.

    Attributes:
        stock: Makes the stock config.
        guided: Makes it a guided one, from a policy and a scorer.
        size: Side of its images in px.
        cell: Side of a cell of its policy in px.
        mask: Side of the stock pipeline's mask in tokens; None where there is none.
        target: Side of the tokenizer's picture in px; None where there is none.
        small: Side of the small crops in px of hosts that take crops; else None.
    """

    stock: Callable[[], Config]
    guided: Callable[[Config, Config, Config | None], Config]
    size: int = 32
    cell: int = 8
    mask: int | None = None
    target: int | None = None
    small: int | None = None

    @property
    def grid(self) -> tuple[int, int]:
        """Cells of an image."""
        return (self.size // self.cell,) * 2

    def build(
        self, policy: Config | None = None, scorer: Config | None = None, seed: int = 0
    ) -> nn.Module:
        """Build and initialise the host, stock without a policy."""
        torch.manual_seed(seed)
        config = self.stock()
        if policy is not None:
            config = self.guided(config, dict(policy), scorer and dict(scorer))
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            model = MODELS.build(config)
        model.init_weights()
        return model

    def batch(self, number: int = 2) -> Config:
        """Make what the loader gives: pictures and samples with geometry and mask."""
        generator = torch.Generator().manual_seed(1)

        def pixels(side: int) -> Tensor:
            return torch.randint(0, 256, (number, 3, side, side), generator=generator)

        inputs: Any = pixels(self.size)
        if self.target is not None:
            inputs = [inputs, pixels(self.target)]
        if self.small is not None:
            sides = [self.size] * 2 + [self.small] * 2
            inputs = [pixels(side) for side in sides]
        samples = []
        for index in range(number):
            meta = dict(
                sample_idx=index,
                img_path=f'images/{index}.png',
                ori_shape=(40, 50),
                crop_box=(4.0, 5.0, 30.0, 40.0),
                flip=bool(index % 2),
                flip_direction='horizontal',
            )
            if self.small is not None:
                for name in ('crop_box', 'flip', 'flip_direction'):
                    meta[name] = [meta[name]] * 4
            sample = DataSample(metainfo=meta)
            if self.mask is not None:
                mask = torch.zeros(self.mask, self.mask, dtype=torch.int64)
                mask[: self.mask // 2] = 1
                sample.set_mask(mask)
            samples.append(sample)
        return dict(inputs=inputs, data_samples=samples)


MAE_TYPES = dict(neck='GuidedMAEDecoder')
HOSTS = {
    'MAE': Host(
        mae, guided_types(algorithm='GuidedMAE', backbone='GuidedMAEViT', **MAE_TYPES)
    ),
    'MFF': Host(
        mff, guided_types(algorithm='GuidedMFF', backbone='GuidedMFFViT', **MAE_TYPES)
    ),
    'EVA (MAE style)': Host(
        eva, guided_types(algorithm='GuidedEVA', backbone='GuidedMAEViT', **MAE_TYPES)
    ),
    'MAE-HiViT': Host(
        hivit,
        guided_types(algorithm='GuidedMAE', backbone='GuidedMAEHiViT', **MAE_TYPES),
        size=64,
        cell=16,
    ),
    'ConvMAE': Host(
        convmae,
        guided_types(algorithm='GuidedMAE', backbone='ConvMAEViT', **MAE_TYPES),
        size=64,
        cell=16,
    ),
    'MILAN': Host(
        milan, guided_types(algorithm='GuidedMILAN', backbone='GuidedMILANViT')
    ),
    'SimMIM (ViT)': Host(simmim_vit, guided_simmim, size=64, cell=16, mask=8),
    'SimMIM (Swin)': Host(
        simmim_swin,
        rewritten(mask_patch_size=32, model_patch_size=4),
        size=128,
        cell=32,
        mask=32,
    ),
    'MaskFeat': Host(maskfeat, rewritten(mask_patch_size=8), size=112, mask=14),
    'BEiT': Host(beit, rewritten(mask_patch_size=8), mask=4, target=32),
    'CAE': Host(cae, rewritten(mask_patch_size=8, num_masked=8), mask=4, target=32),
    'iBOT': Host(ibot, guided_types(), small=16),
    'MixMIM': Host(mixmim, rewritten(mask_patch_size=32), size=128, cell=32),
    'SparK': Host(spark, rewritten(mask_patch_size=32), size=128, cell=32),
}
