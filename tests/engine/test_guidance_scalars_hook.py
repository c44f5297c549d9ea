"""GuidanceScalarsHook: its numbers, when it measures, and that nobody notices."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.logging import MessageHub
from mmpretrain.utils import get_ori_model

from mmattmask.engine import GuidanceScalarsHook
from mmattmask.evaluation.score_content import rank_correlation
from mmattmask.models.guidance import guidance_of
from mmattmask.scorers import AttentionBank, CachedAttention

from ..tiny_hosts import HOSTS
from .toy_run import assert_equal_weights, toy_config, train, weights

AM = dict(type='mmattmask.AMTMaskGenerator', mask_ratio=0.5, throw_ratio=0.0)
HIGH = dict(type='mmattmask.AttMaskGenerator', mode='high', mask_ratio=0.5)
CACHED = dict(type='mmattmask.CachedAttention')


def config(work_dir, data_root, interval=1, **changes):
    cfg = toy_config(work_dir, data_root, **changes)
    cfg.default_hooks.checkpoint.interval = 100
    cfg.custom_hooks.append(
        dict(type='mmattmask.GuidanceScalarsHook', interval=interval, num_maps=5)
    )
    return cfg


def logged(runner):
    """Return the iterations of the local log, name by name."""
    path = Path(runner.log_dir) / 'vis_data' / 'scalars.json'
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope='module')
def watched(tmp_path_factory, data_root):
    return train(config(tmp_path_factory.mktemp('watched'), data_root))


def test_training_does_not_notice(whole, watched):
    assert_equal_weights(weights(whole), weights(watched))
    assert watched.model.training


def test_scalars_of_a_run(watched):
    lines = logged(watched)  # 3 iterations per epoch, guided from epoch 1 on
    warm_up, guided = lines[0], lines[-1]
    assert warm_up['guidance/masked'] == pytest.approx(0.75)
    assert 'guidance/attention_entropy' not in warm_up
    assert guided['guidance/masked'] == pytest.approx(7 / 16)
    assert 0 < guided['guidance/attention_entropy'] < 1
    masses = [line['guidance/attention_masked'] for line in lines[3:]]
    assert np.mean(masses) > 7 / 16 + 0.05  # attended patches are drawn first
    assert 0 < guided['guidance/refresh_share'] < 1
    assert 'guidance/foreground_masked' not in guided
    assert -1 <= guided['guidance/shuffled_correlation'] <= 1
    assert 0 <= guided['guidance/shuffled_overlap'] <= 1
    assert guided['loss'] > 0
    assert not any('loss' in name for name in guided if 'guidance' in name)


def test_refresh_correlation_is_that_of_the_banks(watched):
    lines, name = logged(watched), 'guidance/refresh_correlation'
    first = next(index for index, line in enumerate(lines) if name in line)
    assert first == 9  # the second refresh, before epoch 3
    folder = Path(watched.work_dir) / 'attention_bank'
    banks = [AttentionBank(folder / f'epoch_{epoch}.bank') for epoch in (1, 3)]
    maps = [bank.maps(np.array([2, 6, 11, 15, 19])).reshape(5, -1) for bank in banks]
    expected = rank_correlation(*maps)
    assert lines[-1][name] == pytest.approx(expected, abs=1e-6)


def test_only_every_interval_iterations(tmp_path, data_root, monkeypatch):
    iterations = []
    original = GuidanceScalarsHook.measure

    def spy(self, runner, data_batch):
        iterations.append(runner.iter)
        return original(self, runner, data_batch)

    monkeypatch.setattr(GuidanceScalarsHook, 'measure', spy)
    train(config(tmp_path, data_root, interval=4, train_cfg__max_epochs=3))
    assert iterations == [3, 7]


@pytest.fixture
def hub():
    name = 'guidance_scalars'
    yield MessageHub.get_instance(name)
    MessageHub._instance_dict.pop(name, None)


def measured(model, hub, batch):
    hook = GuidanceScalarsHook(interval=1)
    runner = SimpleNamespace(model=model, hooks=[], message_hub=hub, iter=0)
    hook.before_train(runner)
    return hook.measure(runner, batch)


@pytest.mark.parametrize(
    ('host', 'policy'),
    [
        ('MAE', AM),
        ('MFF', AM),
        ('SimMIM (ViT)', HIGH),
        ('SimMIM (Swin)', HIGH),
        ('MaskFeat', HIGH),
        ('BEiT', HIGH),
        ('CAE', HIGH),
    ],
)
def test_numbers_of_hosts_of_both_seams(hub, host, policy, monkeypatch):
    host = HOSTS[host]
    model, batch = host.build(policy), host.batch()
    guidance = guidance_of(model)
    num_patches = host.grid[0] * host.grid[1]
    score = torch.zeros(2, num_patches)
    score[0, :2] = 1.0
    score[1, 3] = 5.0
    monkeypatch.setattr(guidance, 'scorer', CachedAttention())
    monkeypatch.setattr(guidance, 'score', lambda inputs, samples: score)
    state, before = torch.random.get_rng_state(), str(batch)
    values = measured(model.train(), hub, batch)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert str(batch) == before
    assert model.training
    assert values['attention_entropy'] == pytest.approx(
        np.log(2) / np.log(num_patches) / 2
    )
    assert values['attention_masked'] == pytest.approx(1.0)  # attended ones first
    assert values['masked'] == pytest.approx(0.5)
    assert 0.5 < values['mask_agreement'] < 2.0  # ties are drawn at random


def test_deterministic_policy_agrees_with_itself(hub, monkeypatch):
    host = HOSTS['MAE']
    model = host.build(HIGH)
    score = torch.arange(16.0).expand(2, 16)
    monkeypatch.setattr(model.guidance, 'score', lambda inputs, samples: score)
    values = measured(model, hub, host.batch())
    assert values['mask_agreement'] == 2.0
    assert values['attention_masked'] == pytest.approx(sum(range(8, 16)) / 120)


def test_ibot_has_the_attention_of_its_teacher(hub):
    host = HOSTS['iBOT']
    model, batch = host.build(HIGH), host.batch(3)
    values = measured(model.train(), hub, batch)
    images = model.data_preprocessor(dict(batch), False)['inputs']
    _, attention = model.teach(torch.cat(images[:2]))
    share = attention / attention.sum(dim=1, keepdim=True)
    entropy = -(share * share.log()).sum(dim=1).mean() / np.log(16)
    assert values['attention_entropy'] == pytest.approx(float(entropy), abs=1e-5)
    top = share.sort(dim=1, descending=True).values[:, :8].sum(dim=1).mean()
    assert values['attention_masked'] == pytest.approx(float(top), abs=1e-5)
    model.guidance.masking = False
    assert set(measured(model, hub, batch)) == {'attention_entropy', 'position_share'}


@pytest.mark.parametrize('name', ['MAE', 'iBOT'])
def test_foreground_of_the_samples(hub, name, monkeypatch):
    host = HOSTS[name]
    model, batch = host.build(HIGH), host.batch()
    whole, *_ = batch['inputs'] if host.small else (batch['inputs'],)
    views = 4 if host.small else 1
    mask = np.zeros((40, 50))
    mask[:20] = 1  # the upper half
    for sample in batch['data_samples']:
        box = (0.0, 0.0, 40.0, 50.0)
        sample.set_metainfo(dict(crop_box=[box] * views if host.small else box))
        sample.set_metainfo(dict(foreground=mask))
    images = len(whole) * (2 if host.small else 1)
    score = torch.zeros(images, 16)
    score[:, :8] = 1 + torch.rand(images, 8)  # attention on the upper half
    monkeypatch.setattr(model.guidance, 'score', lambda inputs, samples: score)
    values = measured(model, hub, batch)
    assert (values['foreground_masked'], values['foreground_auc']) == (1.0, 1.0)
    score = score.flip(1)
    values = measured(model, hub, batch)
    assert (values['foreground_masked'], values['foreground_auc']) == (0.0, 0.0)


def test_without_attention_only_masks_are_measured(hub, monkeypatch):
    """Of the random baseline, and where the score is labels of parts."""
    host = HOSTS['MAE']
    model = host.build(dict(type='mmattmask.RandomMaskGenerator', mask_ratio=0.5))
    assert set(measured(model, hub, host.batch())) == {'masked', 'mask_agreement'}
    labels = torch.arange(16).expand(len(host.batch()['inputs']), -1) % 4
    monkeypatch.setattr(model.guidance, 'score', lambda inputs, samples: labels)
    scorer = type('Labels', (torch.nn.Module,), dict(gives_labels=True))()
    model.guidance.scorer = scorer
    assert set(measured(model, hub, host.batch())) == {'masked', 'mask_agreement'}


def test_masks_of_the_pipeline_are_not_measured(hub):
    host = HOSTS['MaskFeat']
    model = host.build(HIGH, CACHED)
    assert measured(model, hub, host.batch()) == {}


def test_errors(hub):
    with pytest.raises(ValueError, match=r'interval \(0\)'):
        GuidanceScalarsHook(interval=0)
    with pytest.raises(ValueError, match=r'num_maps \(-1\)'):
        GuidanceScalarsHook(num_maps=-1)
    with pytest.raises(ValueError, match=r'needs a guided model.*got MAE'):
        measured(get_ori_model(HOSTS['MAE'].build()), hub, {})
