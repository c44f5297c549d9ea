"""The LUT configs are the released recipe."""

import numpy as np
import pytest
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope

from tests.config_building import CONFIGS, build_model, build_pipeline, load

LUT = [name for name in CONFIGS if name.startswith('configs/lut/')]
IN1K = [name for name in LUT if name.endswith('_in1k.py')]


@pytest.mark.parametrize('name', LUT)
def test_recipe(name):
    cfg = load(name)
    model = build_model(cfg)
    assert model.context_weight == 0.25
    assert cfg.train_dataloader.drop_last
    budget = model.guidance.mask_generator.budget(model.backbone.num_patches)
    assert budget.num_visible == budget.num_patches // 4
    assert type(model.projector.bn0).__name__ == 'SyncBatchNorm'
    for head in (model.projector, model.predictor):
        assert head.fc0.bias is head.fc1.bias is None
        assert head.fc1.out_features == model.backbone.embed_dims
        assert [type(part).__name__ for part in head.children()][-1] == 'Linear'


@pytest.mark.parametrize(
    ('name', 'dims'), [('small', 384), ('base', 768), ('large', 1024)]
)
def test_full_size_is_the_released_recipe(name, dims):
    (name,) = [config for config in IN1K if f'vit-{name}' in config]
    cfg = load(name)
    model = build_model(cfg)
    assert model.backbone.embed_dims == dims
    assert model.projector.fc0.out_features == 4096
    assert cfg.optim_wrapper.optimizer.lr == pytest.approx(1.5e-4 * 4096**0.5 / 4)
    assert cfg.optim_wrapper.optimizer.betas == (0.9, 0.95)
    assert [s.end for s in cfg.param_scheduler] == [40, 1600]
    optim_cfg = {**cfg.optim_wrapper, 'type': 'OptimWrapper'}
    del optim_cfg['loss_scale']
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        groups = build_optim_wrapper(model, optim_cfg).optimizer.param_groups
    decays = {id(group['params'][0]): group['weight_decay'] for group in groups}
    for name, value in model.named_parameters():
        if value.requires_grad:
            is_plain = value.ndim == 1 or name.endswith(('cls_token', 'mask_token'))
            assert decays[id(value)] == (0.0 if is_plain else 0.05), name


def test_second_view_is_coloured_and_the_first_is_not():
    image = np.full((250, 300, 3), (200, 120, 40), np.uint8)
    (pipeline,) = {build_pipeline(load(IN1K[0]))}
    views = pipeline.transforms[1]
    changes = []
    for seed in range(60):
        np.random.seed(seed)  # noqa: NPY002  MMCV's transforms draw from it
        results = views({'img': image.copy(), 'ori_shape': (250, 300)})
        first, second = results['img']
        assert first.shape == second.shape == (224, 224, 3)
        assert np.abs(first.astype(int) - image[0, 0]).max() <= 1
        pixel = second[100, 100].astype(int)
        is_gray = np.ptp(pixel) == 0
        changes.append('gray' if is_gray else (pixel != image[0, 0]).any())
    assert 8 <= changes.count('gray') <= 32  # a third
    assert changes.count(True) > 20
    assert False in changes  # blur alone
