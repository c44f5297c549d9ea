"""The score as a weight of the loss: masks are random, attended errors count more."""

import pytest
import torch

from mmattmask.masking import relative_score

SCORER = dict(type='mmattmask.PatchContrast')


def errors_of(model, images, partition):
    """Return the error of every patch, computed without the head's loss."""
    latent, _, ids_restore = model.backbone(images, partition)
    pred = model.neck(latent, ids_restore, partition)
    return (pred - model.head.construct_target(images)).square().mean(dim=-1)


@pytest.mark.parametrize('strength', [0.0, 0.5, 1.0])
@pytest.mark.parametrize('cell_size', [8, 16])
@pytest.mark.parametrize('throw_ratio', [0.0, 0.4])
def test_loss_is_the_weighted_mean_of_the_errors(
    guided_mae, strength, cell_size, throw_ratio
):
    policy = dict(type='mmattmask.RandomMaskGenerator', mask_ratio=0.45)
    model = guided_mae(
        scorer=SCORER,
        score_weight=strength,
        cell_size=cell_size,
        mask_generator=dict(policy, throw_ratio=throw_ratio),
    )
    images = torch.randn(3, 3, 48, 48) * torch.linspace(0, 2, 48)
    score, partition = model.guidance.guide(images, None)
    model.guidance.guide = lambda *args: (score, partition)
    loss = model(images, None, mode='loss')['loss']
    weights = model.guidance.spread_values(score, (48, 48)).flatten(1)
    weights = 1 - strength + strength * weights / weights.mean(dim=1, keepdim=True)
    weights = weights * partition.mask
    expected = (weights * errors_of(model, images, partition)).sum() / weights.sum()
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('constant', [0.0, 0.3])
def test_a_constant_score_weighs_nothing(guided_mae, constant):
    images = torch.randn(2, 3, 48, 48)
    model = guided_mae(scorer=SCORER, score_weight=1.0)
    plain = guided_mae()
    score = torch.full((2, 36), constant)
    partition = model.guidance.decide(score, images)
    for each in (model, plain):
        each.guidance.guide = lambda *args: (score, partition)
    losses = [m(images, None, mode='loss')['loss'] for m in (model, plain)]
    torch.testing.assert_close(*losses)


def test_without_a_score_yet_all_errors_count_alike(guided_mae):
    scorer = dict(type='mmattmask.CachedAttention')
    model = guided_mae(scorer=scorer, score_weight=1.0)
    assert torch.isfinite(model(torch.randn(2, 3, 48, 48), None, mode='loss')['loss'])


def test_relative_score_is_one_on_average_at_any_scale():
    score = torch.rand(4, 30)
    for scale in (1e-3, 1.0, 200.0):
        relative = relative_score(score * scale)
        torch.testing.assert_close(relative.mean(dim=1), torch.ones(4))
        torch.testing.assert_close(
            relative, score / score.mean(1, keepdim=True), rtol=0.01, atol=0.01
        )
    assert (relative_score(torch.zeros(2, 5)) == 1).all()


@pytest.mark.parametrize(
    'changes', [dict(score_weight=1.5, scorer=SCORER), dict(score_weight=0.5)]
)
def test_impossible_weights_are_refused(guided_mae, changes):
    with pytest.raises(
        ValueError, match=f'score_weight.*got {changes["score_weight"]}'
    ):
        guided_mae(**changes)
