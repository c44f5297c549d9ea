"""Learning rate and weight decay of every parameter, against detectron2's rule."""

import math

import pytest
import torch
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.registry import MODELS
from torch import nn

from mmattmask.downstream import SimpleFeaturePyramid, ViTDet

ARCH = dict(
    embed_dims=12,
    num_layers=12,
    num_heads=2,
    feedforward_channels=24,
    global_attn_indexes=[2, 5, 8, 11],
)
# As in configs/transfer/detection; tests/downstream/test_detection_configs.py compares.
WRAPPER = dict(
    type='OptimWrapper',
    constructor='mmattmask.LayerDecayOptimWrapperConstructor',
    optimizer=dict(type='AdamW', lr=1e-4, betas=(0.9, 0.999), weight_decay=0.1),
    paramwise_cfg=dict(
        layer_decay_rate=0.7,
        norm_decay_mult=0.0,
        custom_keys={
            'backbone.pos_embed': dict(decay_mult=0.0),
            'neck.': dict(decay_mult=1.0),
            'rpn_head.': dict(decay_mult=1.0),
            'roi_head.': dict(decay_mult=1.0),
        },
    ),
)


class Detector(nn.Module):
    """What a constructor sees of a detector: a backbone and others."""

    def __init__(self, backbone=None):
        super().__init__()
        self.backbone = backbone or ViTDet(
            ARCH, img_size=48, pretrain_img_size=24, patch_size=8, window_size=4
        )
        self.neck = SimpleFeaturePyramid(12, 8)
        self.rpn_head = nn.Conv2d(8, 8, 3)


def detectron2_rule(name, backbone):
    """Learning rate and weight decay of a parameter, as detectron2 gives them.

    Source: facebookresearch/detectron2 get_vit_lr_decay_rate,
    get_default_optimizer_params (norms of torch have no decay; its own channels-first
    LayerNorm is not one of them); COCO/mask_rcnn_vitdet_b_100ep.py (positions have
    none).
    """
    depth = 13
    if name.startswith('backbone.'):
        name = name.removeprefix('backbone.')
        if name.startswith(('pos_embed', 'patch_embed')):
            depth = 0
        elif name.startswith('layers.'):
            depth = int(name.split('.')[1]) + 1
        owner = backbone.get_submodule(name.rpartition('.')[0])
        if name == 'pos_embed' or isinstance(owner, nn.LayerNorm):
            return 1e-4 * 0.7 ** (13 - depth), 0.0
    return 1e-4 * 0.7 ** (13 - depth), 0.1


def assert_detectron2_rule(model, wrapper):
    """Compare every parameter's group; also used on a whole Mask R-CNN."""
    groups = {
        id(parameter): group
        for group in wrapper.optimizer.param_groups
        for parameter in group['params']
    }
    parameters = dict(model.named_parameters())
    assert len(groups) == len(parameters)
    assert sum(len(g['params']) for g in wrapper.optimizer.param_groups) == len(groups)
    for name, parameter in parameters.items():
        group = groups[id(parameter)]
        rate, decay = detectron2_rule(name, model.backbone)
        assert math.isclose(group['lr'], rate), name
        assert math.isclose(group['weight_decay'], decay), name


def test_rates_and_decays_are_those_of_detectron2():
    model = Detector()
    wrapper = build_optim_wrapper(model, WRAPPER)
    assert_detectron2_rule(model, wrapper)
    # stem, 12 blocks and the rest, with decay and without
    assert len(wrapper.optimizer.param_groups) == 27


def trained(make_wrapper):
    """Parameters after three steps; they start equal."""
    torch.manual_seed(0)
    model = Detector()
    wrapper = make_wrapper(model)
    for _ in range(3):
        maps = model.neck(model.backbone(torch.randn(1, 3, 48, 48)))
        wrapper.update_params(model.rpn_head(maps[0]).square().mean())
    return dict(model.named_parameters())


def one_group_each(model):
    groups = []
    for name, parameter in model.named_parameters():
        rate, decay = detectron2_rule(name, model.backbone)
        groups.append(dict(params=[parameter], lr=rate, weight_decay=decay))
    return OptimWrapper(torch.optim.AdamW(groups, betas=(0.9, 0.999)))


def test_groups_do_not_change_the_steps():
    ours = trained(lambda model: build_optim_wrapper(model, WRAPPER))
    theirs = trained(one_group_each)
    for name, parameter in ours.items():
        torch.testing.assert_close(parameter, theirs[name], msg=name)


def test_backbone_without_layers_is_refused():
    model = Detector(nn.Conv2d(3, 12, 16))
    with pytest.raises(ValueError, match='Detector with backbone Conv2d has no'):
        build_optim_wrapper(model, WRAPPER)


def test_frozen_parameters_stay_out():
    model = Detector()
    model.backbone.pos_embed.requires_grad_(False)
    wrapper = build_optim_wrapper(model, WRAPPER)
    ids = {id(p) for g in wrapper.optimizer.param_groups for p in g['params']}
    assert id(model.backbone.pos_embed) not in ids


def test_classifiers_keep_their_own_depths():
    model = MODELS.build(
        dict(
            type='mmpretrain.ImageClassifier',
            backbone=dict(
                type='mmpretrain.VisionTransformer',
                arch={k: v for k, v in ARCH.items() if k != 'global_attn_indexes'},
                img_size=16,
                patch_size=8,
            ),
            head=dict(
                type='mmpretrain.LinearClsHead',
                num_classes=3,
                in_channels=12,
                loss=dict(type='mmpretrain.CrossEntropyLoss'),
            ),
        )
    )
    wrapper = build_optim_wrapper(
        model, {**WRAPPER, 'paramwise_cfg': dict(layer_decay_rate=0.5)}
    )
    rates = {g['lr'] for g in wrapper.optimizer.param_groups}
    assert rates == {1e-4 * 0.5**power for power in range(14)}
