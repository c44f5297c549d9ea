"""GPA's soft-to-hard masks: golden masks and counts, schedules, the exclusive draw."""

import numpy as np
import pytest
import torch
from mmengine.logging import MessageHub

from mmattmask.mask_generators import SoftToHardMaskGenerator
from mmattmask.mask_generators.progress import training_progress
from mmattmask.masking import partition_patches, shuffle_soft_to_hard

from ..golden import each


def counts(generator, num_patches, progress):
    """Return what the generator asks for: hard, soft and all masked patches."""
    budget = generator.budget(num_patches)
    asked = {}

    def spy(score, num_masked, num_soft, num_hard, **options):
        asked.update(hard=num_hard, soft=min(num_soft, num_masked - num_hard))
        return torch.arange(num_patches)[None]

    with pytest.MonkeyPatch.context() as patch:
        module = 'mmattmask.mask_generators.soft_to_hard.shuffle_soft_to_hard'
        patch.setattr(module, spy)
        generator(torch.zeros(1, num_patches), progress=progress)
    return budget.num_masked, asked['hard'], asked['soft']


@each('gpa_masking', lambda case: case.config['L'], 'num_patches')
def test_golden_masks(golden, num_patches):
    case = golden('gpa_masking')
    size = f'L{num_patches}'
    score, noise = case[f'in/{size}/score'], case[f'draw/{size}/noise']
    soft_ranking = case[f'draw/{size}/soft_ranking']
    total = case.config['total_epochs']
    for call, preset in enumerate(case.arrays['out/call_preset']):
        hard_0, hard_1, soft_0, soft_1, release = case.config['presets'][str(preset)]
        if release == 'M':  # that script overwrites its schedule
            soft_0 = soft_1 = 0.3
        generator = SoftToHardMaskGenerator(
            float(case.arrays['out/call_alpha'][call]),
            soft=(soft_0, soft_1),
            hard=(hard_0, hard_1),
        )
        progress = int(case.arrays['out/call_epoch'][call]) / total
        num_masked, num_hard, num_soft = counts(generator, num_patches, progress)
        golden_counts = case.arrays[f'out/{size}/counts'][call]
        assert (num_masked, num_hard, num_soft) == tuple(golden_counts[:3]), preset
        ids_shuffle = shuffle_soft_to_hard(
            score,
            num_masked,
            num_soft,
            num_hard,
            noise=noise,
            soft_ranking=soft_ranking,
        )
        partition = partition_patches(ids_shuffle, generator.budget(num_patches))
        mask = case.arrays[f'out/{size}/mask'][call]
        np.testing.assert_array_equal(partition.mask.numpy(), mask)
        kept = case.arrays[f'out/{size}/ids_keep'][call]
        kept = kept[kept >= 0].reshape(len(score), -1)
        np.testing.assert_array_equal(partition.ids_keep.numpy(), kept)


def test_hpm_schedule_has_no_soft_part():
    generator = SoftToHardMaskGenerator(soft=(0, 0), hard=(0, 0.5))
    assert counts(generator, 196, 0.0) == (147, 0, 0)
    assert counts(generator, 196, 0.5) == (147, 36, 0)
    score = torch.rand(4, 196)
    mask = generator(score, progress=0.5).mask
    top = score.topk(36, dim=1).indices
    assert (mask.gather(1, top) == 1).all()


def test_all_hard_is_deterministic():
    generator = SoftToHardMaskGenerator(soft=(0, 0), hard=(1, 1))
    score = torch.rand(3, 50)
    first, second = generator(score).mask, generator(score).mask
    assert torch.equal(first, second)
    top = score.topk(generator.budget(50).num_masked, dim=1).indices
    assert (first.gather(1, top) == 1).all()


def test_exclusive_draws_soft_ones_beside_the_hard():
    """All soft and hard: without collisions, patches of no score stay visible."""
    score = torch.zeros(64, 40)
    score[:, :30] = torch.rand(64, 30) + 0.1
    generator = torch.Generator().manual_seed(0)
    masks = [
        partition_patches(
            shuffle_soft_to_hard(score, 30, 15, 15, exclusive, generator),
            SoftToHardMaskGenerator(0.75).budget(40),
        ).mask[:, 30:]
        for exclusive in (True, False)
    ]
    assert masks[0].sum() == 0
    assert masks[1].sum() > 64  # released: collisions are refilled at random


@each('policies/automae_step', lambda case: ['mask'], 'part')
def test_golden_masks_of_automae(golden, part):
    """The sampled third of its masked patches by its generator, all others at random.

    With a generator's Gumbel draws in its probability, the largest are the sampled.
    """
    case = golden('policies/automae_step')
    probability, noise = case['out/probability'], case['draw/noise']
    num_patches = probability.shape[1]
    ratio = case.config['mask_ratio']
    num_drawn = int(num_patches * (1 - ratio))
    generator = SoftToHardMaskGenerator(ratio, soft=(1 / 3, 1 / 3), hard=(0, 0))
    assert counts(generator, num_patches, 0.5) == (
        num_patches - num_drawn,
        0,
        num_drawn,
    )
    ids_shuffle = shuffle_soft_to_hard(
        probability,
        num_patches - num_drawn,
        num_drawn,
        0,
        noise=noise,
        soft_ranking=probability.argsort(dim=1, descending=True),
    )
    partition = partition_patches(ids_shuffle, generator.budget(num_patches))
    assert torch.equal(partition.mask.bool(), case[f'out/{part}'])


def test_progress_comes_from_the_message_hub(monkeypatch):
    hub = MessageHub('progress')
    monkeypatch.setattr(MessageHub, 'get_current_instance', lambda: hub)
    assert training_progress() == 0.0  # outside of a run
    hub.update_info_dict(dict(epoch=3, max_epochs=12, iter=350, max_iters=1000))
    assert training_progress(by_epoch=True) == 0.25
    assert training_progress(by_epoch=False) == 0.35


def test_more_hard_than_masked():
    with pytest.raises(ValueError, match=r'num_hard \(5\).*num_masked \(4\)'):
        shuffle_soft_to_hard(torch.rand(1, 9), 4, 0, 5)
