"""Configs of stock hosts differ from the stock ones only by their guidance."""

import pytest
from mmpretrain.registry import TRANSFORMS

from mmattmask.models.guidance import guidance_of
from tests.config_building import CONFIGS, build_model, load, load_stock, plain

FULL = [
    name for name in CONFIGS if name.startswith('configs/hosts/') and '_in1k' in name
]
# masked and thrown patches of 196
COUNTS = {
    'beit-attmask': (75, 0),
    'beitv2-am': (75, 0),
    'cae-gpa': (75, 0),
    'eva-am': (147, 0),
    'mae-gpa': (147, 0),
    'maskfeat-am': (78, 0),
    'mff-amt': (88, 78),
    'milan-am': (147, 0),
}
# whose crops are not torchvision's
PIPELINE = ('train_pipeline', 'train_dataloader')


def word(name):
    return name.split('/')[-1].split('_')[0]


def test_every_host_has_a_full_and_a_debug_config():
    assert sorted(map(word, FULL)) == sorted(COUNTS)
    debug = [n for n in CONFIGS if n.startswith('configs/hosts/') and n not in FULL]
    assert sorted(map(word, debug)) == sorted(COUNTS)
    assert all(name.endswith('_debug.py') for name in debug)


@pytest.mark.parametrize('name', FULL)
def test_only_the_guidance_differs_from_stock(name):
    ours, stock = plain(load(name)), plain(load_stock(name))
    assert {key for key in ours if ours[key] != stock.get(key)} <= {
        *('model', 'data_preprocessor', 'custom_hooks', 'teacher'),
        *(PIPELINE if word(name) == 'mff-amt' else []),
        *(['auto_scale_lr'] if word(name) == 'milan-am' else []),
        # test_configs: who needs it
        *([] if ours.get('find_unused_parameters') else ['find_unused_parameters']),
    }
    preprocessor = {**ours['data_preprocessor'], **stock['data_preprocessor']}
    assert preprocessor | {'type': ''} == ours['data_preprocessor'] | {'type': ''}
    model, other = ours['model'], stock['model']
    if 'mask_generator' in model:
        assert 'mask_generator' not in preprocessor
        for key in ('scorer', 'mask_generator'):
            model.pop(key)
        if word(name) == 'milan-am':  # stock's decoder is for a ViT-L
            assert model['neck'].pop('embed_dim') == 768
        for host in (model, other):
            host.pop('type')
    assert model == other


@pytest.mark.parametrize('name', FULL)
def test_counts(name):
    cfg = load(name)
    model = build_model(cfg)
    guidance = guidance_of(model)
    assert guidance.policy_grid((224, 224)) == (14, 14)
    budget = guidance.mask_generator.budget(196)
    assert (budget.num_masked, budget.num_thrown) == COUNTS[word(name)]
    for step in cfg.train_dataloader.dataset.pipeline:
        if step.type == 'BEiTMaskGenerator':
            assert budget.num_masked == step.num_masking_patches
    if word(name) == 'cae-gpa':
        num_masked = model.data_preprocessor.num_masked
        assert model.neck.mask_token_num == num_masked == 75


def test_mff_crops_as_stock():
    (name,) = [name for name in FULL if 'mff' in name]
    _, resize, crop, flip, _ = load(name).train_dataloader.dataset.pipeline
    _, _, stock_resize, stock_crop, stock_flip, *_ = load_stock(name).train_pipeline
    assert resize.scale == stock_resize.size == 224
    assert TRANSFORMS.build(resize).interpolation == 'bilinear'  # torchvision's default
    assert crop.crop_size == stock_crop.size
    for option in ('padding', 'padding_mode'):
        assert crop[option] == stock_crop[option]
    assert flip.prob == stock_flip.p
