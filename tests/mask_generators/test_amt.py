"""AMTMaskGenerator: who is masked, who thrown, and every row of the paper's table 4."""

import pytest
import torch
from mmengine.registry import TASK_UTILS
from mmpretrain.models import MILANViT

from mmattmask.mask_generators import AMTMaskGenerator
from mmattmask.masking import PatchBudget, rank_sampled


def ids(members) -> list[int]:
    return sorted(members.flatten().tolist())


@pytest.mark.parametrize(
    ('ranking', 'throw', 'masked', 'thrown', 'visible'),
    [
        ('top', 'middle', [6, 7, 8, 9], [3, 4, 5], [0, 1, 2]),
        ('top', 'low', [6, 7, 8, 9], [0, 1, 2], [3, 4, 5]),
        ('bottom', 'middle', [0, 1, 2, 3], [4, 5, 6], [7, 8, 9]),
        ('bottom', 'low', [0, 1, 2, 3], [7, 8, 9], [4, 5, 6]),
    ],
)
def test_sets_without_sampling(ranking, throw, masked, thrown, visible):
    generator = AMTMaskGenerator(0.4, 0.3, throw=throw, ranking=ranking)
    partition = generator(torch.linspace(0, 1, 10)[None])
    assert ids(partition.ids_mask) == masked
    assert ids(partition.ids_throw) == thrown
    assert ids(partition.ids_keep) == visible
    assert partition.budget == PatchBudget(3, 4, 3)


@pytest.mark.parametrize('throw', ['middle', 'low'])
def test_sampled_sets_are_cut_from_the_sampled_ranking(throw):
    score = torch.rand(3, 36)
    ranking = rank_sampled(score, torch.Generator().manual_seed(4))
    generator = AMTMaskGenerator(0.45, 0.40, throw=throw)
    partition = generator(score, torch.Generator().manual_seed(4))
    masked, hidden = int(36 * 0.45), int(36 * 0.85)
    thrown = hidden - masked
    assert torch.equal(partition.ids_mask, ranking[:, :masked])
    if throw == 'middle':
        assert torch.equal(partition.ids_throw, ranking[:, masked:hidden])
        assert torch.equal(partition.ids_keep, ranking[:, hidden:])
    else:
        assert torch.equal(partition.ids_throw, ranking[:, 36 - thrown :])
        assert torch.equal(partition.ids_keep, ranking[:, masked : 36 - thrown])


@pytest.mark.parametrize('throw', ['middle', 'low'])
def test_first_drawn_may_stay_visible(throw):
    """The mirror: visible and masked change places."""
    score, options = torch.rand(3, 40), dict(throw=throw)
    mirror = AMTMaskGenerator(0.45, 0.40, first='visible', **options)
    usual = AMTMaskGenerator(0.15, 0.40, **options)
    mirror, usual = (
        g(score, torch.Generator().manual_seed(4)) for g in (mirror, usual)
    )
    assert torch.equal(mirror.ids_keep, usual.ids_mask)
    assert torch.equal(mirror.ids_throw, usual.ids_throw)
    assert torch.equal(mirror.ids_mask, usual.ids_keep)


@pytest.mark.parametrize(('num_patches', 'ratio'), [(196, 0.75), (128, 0.9), (50, 0.6)])
def test_first_visible_is_milans_policy(num_patches, ratio, monkeypatch):
    score, tokens = torch.rand(3, num_patches), torch.zeros(3, num_patches, 1)
    ranking = rank_sampled(score)
    monkeypatch.setattr(torch, 'multinomial', lambda *args, **options: ranking)
    _, ids_restore, ids_keep, _ = MILANViT.attention_masking(None, tokens, ratio, score)
    monkeypatch.setattr(
        'mmattmask.mask_generators.amt.rank_sampled', lambda *args: ranking
    )
    generator = AMTMaskGenerator(ratio, 0.0, first='visible', rounding='up')
    partition = generator(score)
    assert torch.equal(partition.ids_keep, ids_keep)
    assert torch.equal(partition.ids_restore, ids_restore)


@pytest.mark.parametrize('throw', ['middle', 'low'])
def test_attended_patches_are_masked_more_often(throw):
    score = torch.linspace(0.05, 1, 20).expand(8000, -1)
    partition = AMTMaskGenerator(0.45, 0.40, throw=throw)(score)
    masked = partition.mask.mean(0)
    assert (masked[5:] - masked[:-5] > 0.05).all()
    visible = 1 - masked - partition.thrown.float().mean(0)
    # 'middle' keeps the least attended visible, 'low' throws them
    assert (visible[0] > visible[-1] + 0.2) == (throw == 'middle')


def test_attended_patches_are_visible_more_often_if_the_first_are():
    score = torch.linspace(0.05, 1, 20).expand(8000, -1)
    masked = AMTMaskGenerator(0.75, 0.0, first='visible')(score).mask.mean(0)
    assert (masked[:-5] - masked[5:] > 0.05).all()


def test_defaults_are_the_papers():
    generator = TASK_UTILS.build(dict(type='mmattmask.AMTMaskGenerator'))
    assert generator.budget(196) == PatchBudget(30, 88, 78)
    assert (generator.throw, generator.ranking) == ('middle', 'sampled')
