"""configs/transfer/segmentation: the papers' numbers, and they train and evaluate."""

import re
from functools import partial
from unittest.mock import patch

import numpy as np
import pytest
import torch
from mmengine.config import Config, utils
from mmengine.registry import DATASETS, METRICS, MODELS, DefaultScope

from tests.config_building import ROOT, SHIPPED, load, plain
from tests.train_tool import train

from .conftest import assert_layer_decay, groups_of, train_with_own_tool

mmseg = pytest.importorskip('mmseg')
pytestmark = pytest.mark.downstream

FOLDER = 'configs/transfer/segmentation/'
NAMES = [name for name in SHIPPED if name.startswith(FOLDER)]
FULL = [name for name in NAMES if not name.endswith('_debug.py')]
# Learning rate and layer decay of 16 images, by the first words of the name.
RATES = {
    'mae-base': (1e-4, 0.65),
    'vit-base': (1e-4, 0.65),
    'simmim-vit-base': (1e-4, 0.65),
    'ibot-vit-base': (8e-5, 0.65),
    'ibot-vit-small': (3e-5, 0.9),
}


def parts(name):
    """Return the first words of a name, GPUs x batch size, and iterations."""
    found = re.search(r'/([\w-]+?)_upernet_(\d)xb(\d)-amp-(\d+)k_', name)
    word, gpus, batch_size, thousands = found.groups()
    return word, int(gpus), int(batch_size), int(thousands) * 1000


def build(model, device='meta'):
    with (
        DefaultScope.overwrite_default_scope('mmseg'),
        # layers read their rate of stochastic depth from one
        patch('torch.linspace', partial(torch.linspace, device='cpu')),
        torch.device(device),
    ):
        return MODELS.build(model)


def debug(word):
    (name,) = [name for name in NAMES if f'/{word}-tiny' in name]
    return name


def test_bases_are_found_on_both_runtimes(monkeypatch):
    monkeypatch.setitem(utils.MODULE2PACKAGE, 'mmseg', 'mmsegmentation')
    cfg = Config.fromfile(str(ROOT / FULL[0]))
    assert cfg.model.decode_head.type == 'UPerHead'


@pytest.mark.parametrize('name', FULL)
def test_schedule_and_data(name):
    cfg = load(name)
    _, gpus, batch_size, iterations = parts(name)
    assert cfg.train_dataloader.batch_size == batch_size
    assert gpus * batch_size == cfg.auto_scale_lr.base_batch_size == 16
    assert cfg.train_cfg.max_iters == iterations
    assert cfg.train_cfg.val_interval == iterations // 10
    assert cfg.default_hooks.checkpoint.interval == iterations // 10
    warmup, main = cfg.param_scheduler
    assert (warmup.type, warmup.begin, warmup.end) == ('LinearLR', 0, 1500)
    assert (main.type, main.power, main.eta_min) == ('PolyLR', 1.0, 0.0)
    assert (main.begin, main.end) == (1500, iterations)
    assert not warmup.by_epoch
    assert not main.by_epoch
    assert cfg.optim_wrapper.type == 'AmpOptimWrapper'
    assert cfg.fp16 is None
    assert cfg.model.pretrained is None
    assert cfg.crop_size == cfg.model.data_preprocessor.size == (512, 512)
    assert cfg.model.test_cfg == dict(
        mode='slide', crop_size=(512, 512), stride=(341, 341)
    )
    heads = cfg.model.decode_head, cfg.model.auxiliary_head
    assert [head.num_classes for head in heads] == [150, 150]
    assert cfg.test_dataloader == cfg.val_dataloader
    metric = dict(type='IoUMetric', iou_metrics=['mIoU'])
    assert plain(cfg.val_evaluator) == metric
    assert cfg.model.backbone.init_cfg.checkpoint == ''


@pytest.mark.parametrize('name', FULL)
def test_every_weight_has_the_rate_and_decay_of_the_paper(name):
    cfg = Config.fromfile(str(ROOT / name))
    word, *_ = parts(name)
    model = build(cfg.model)
    # MMSegmentation's constructor looks for 'pos_embed', not 'backbone.pos_embed'
    spared = () if word == 'mae-base' else ('cls_token', 'pos_embed')
    assert_layer_decay(model, groups_of(cfg, model), *RATES[word], spared)
    assert tuple(cfg.optim_wrapper.optimizer.betas) == (0.9, 0.999)


@pytest.mark.parametrize('name', FULL)
def test_backbone_gives_four_maps_that_the_neck_takes(name):
    cfg = load(name)
    model = build(cfg.model)
    assert model.backbone.out_indices == [3, 5, 7, 11]
    maps = model.backbone(torch.empty(1, 3, 512, 512, device='meta'))
    assert [tuple(m.shape[2:]) for m in maps] == [(32, 32)] * 4
    sides = [m.shape[2] for m in model.neck(maps)]
    assert sides == [128, 64, 32, 16]
    rates = [float(getattr(m, 'drop_prob', 0.0) or 0) for m in model.backbone.modules()]
    assert max(rates) == pytest.approx(0.1)
    if not hasattr(model.backbone, 'patch_shape'):  # a plain ViT takes any size
        maps = model.backbone(torch.empty(1, 3, 512, 704, device='meta'))
        assert maps[0].shape[2:] == (32, 44)


@pytest.mark.parametrize('word', ['mae', 'vit'])
def test_starts_from_what_was_pre_trained(word, tmp_path):
    cfg = load(debug(word))
    pre_trained = MODELS.build(
        dict(type='mmattmask.GuidedMAEViT', arch='deit-tiny', img_size=64, patch_size=8)
    )
    for value in pre_trained.parameters():
        torch.nn.init.normal_(value)
    weights = pre_trained.state_dict()
    file = tmp_path / 'epoch_400.pth'
    torch.save({'state_dict': {f'backbone.{k}': v for k, v in weights.items()}}, file)
    (full,) = [n for n in FULL if f'/{word}-base' in n and '160k' in n]
    init_cfg = {**load(full).model.backbone.init_cfg, 'checkpoint': str(file)}
    backbone = {**cfg.model.backbone, 'init_cfg': init_cfg}
    model = build({**cfg.model, 'backbone': backbone}, 'cpu')
    model.init_weights()
    state = model.backbone.state_dict()
    fresh = {key for key in state if key not in weights}
    kinds = {key.split('.')[-1] for key in fresh}
    if word == 'vit':
        assert not kinds
    else:
        assert kinds == {
            'gamma_1',
            'gamma_2',
            'relative_position_bias_table',
            'relative_position_index',
        }
        assert all((state[k] == 0).all() for k in fresh if k.endswith('table'))
        assert all((state[k] == 1).all() for k in fresh if 'gamma' in k)
    for key in set(state) - fresh:
        torch.testing.assert_close(state[key], weights[key], msg=key)

    other = {'state_dict': {'backbone.conv1.weight': torch.ones(2)}}
    torch.save(other, file)
    with pytest.raises(ValueError, match='does not fit'):
        build({**cfg.model, 'backbone': backbone}, 'cpu').init_weights()


def test_pre_trained_positions_are_interpolated_to_the_larger_grid(tmp_path):
    cfg = load(debug('mae'))
    pre_trained = MODELS.build(
        dict(type='mmattmask.GuidedMAEViT', arch='deit-tiny', img_size=16, patch_size=8)
    )
    columns = torch.tensor([9.0, -1, 1, -1, 1])  # CLS, then two rows of two
    weights = pre_trained.state_dict()
    weights['pos_embed'] = columns.view(1, 5, 1).expand(1, 5, 192).contiguous()
    file = tmp_path / 'a.pth'
    torch.save({'state_dict': {f'backbone.{k}': v for k, v in weights.items()}}, file)
    init_cfg = load(FULL[2]).model.backbone.init_cfg
    assert 'optional' in init_cfg
    backbone = {**cfg.model.backbone, 'init_cfg': {**init_cfg, 'checkpoint': str(file)}}
    model = build(backbone, 'cpu')
    model.init_weights()
    assert (model.pos_embed[0, 0] == 9).all()
    grid = model.pos_embed[0, 1:, 0].view(8, 8)
    torch.testing.assert_close(grid, grid[:1].expand(8, 8))
    assert (grid[0].diff() > 0).all()


def test_ground_truth_as_prediction_is_a_mean_iou_of_100(data_folder):
    cfg = load(FULL[0])
    with DefaultScope.overwrite_default_scope('mmseg'):
        options = {**cfg.val_dataloader.dataset, 'data_root': data_folder / 'ade_mini'}
        dataset = DATASETS.build({**options, 'data_root': str(options['data_root'])})
        metric = METRICS.build(cfg.val_evaluator)
    metric.dataset_meta = dataset.metainfo
    assert len(dataset) == 2
    for sample in dataset:
        data = sample['data_samples']
        truth = data.gt_sem_seg.data
        assert truth.unique().numel() > 3
        guess = truth.clone()
        guess[truth == 255] = 0  # where nothing is labelled
        metric.process(
            {}, [dict(pred_sem_seg=dict(data=guess), gt_sem_seg=dict(data=truth))]
        )
    result = metric.evaluate(len(dataset))
    assert result['mIoU'] == result['aAcc'] == 100.0


def options(pre_trained, data_folder):
    root = data_folder / 'ade_mini'
    roots = [f'{part}_dataloader.dataset.data_root={root}' for part in ('train', 'val')]
    return [f'model.backbone.init_cfg.checkpoint={pre_trained}', *roots]


def check_rows(rows):
    losses = [row['loss'] for row in rows if 'loss' in row]
    assert len(losses) == 6
    assert np.isfinite(losses).all()
    assert 0.0 <= rows[-1]['mIoU'] <= 100.0


def test_debug_config_trains_and_reports_mean_iou(tmp_path, pre_trained, data_folder):
    work_dir = tmp_path / 'work_dir'
    rows = train(debug('mae'), work_dir, *options(pre_trained, data_folder))
    check_rows(rows)


def test_debug_config_trains_with_mmsegs_own_tool(tmp_path, pre_trained, data_folder):
    more = options(pre_trained, data_folder)
    check_rows(train_with_own_tool(mmseg, debug('vit'), tmp_path, *more))
