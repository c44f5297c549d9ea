"""Controls: the middle of the view, and the contrast of its patches."""

import pytest
import torch
from mmengine.registry import MODELS

from mmattmask.scorers import CenterPrior, PatchContrast


def test_center_prior_falls_with_the_distance_on_any_grid():
    views = torch.zeros(2, 3, 32, 48)
    score = CenterPrior()(views, None, (4, 6), 8).unflatten(1, (4, 6))
    assert (score > 0).all()
    assert (score <= 1).all()
    for axis in (1, 2):
        torch.testing.assert_close(score, score.flip(axis))
        half = score.split(score.shape[axis] // 2, dim=axis)[0]
        assert (half.diff(dim=axis) > 0).all()
    assert torch.equal(score[0], score[1])


def test_center_prior_is_a_gaussian_of_its_width():
    (score,) = CenterPrior(sigma=0.5)(torch.zeros(1, 3, 24, 24), None, (3, 3), 8)
    assert score[4] == 1
    torch.testing.assert_close(score[3], torch.tensor(-0.5 * (1 / 3 / 0.5) ** 2).exp())


@pytest.mark.parametrize('sigma', [0, -1.0])
def test_center_prior_has_a_width(sigma):
    with pytest.raises(ValueError, match=f'above 0, got {sigma}'):
        CenterPrior(sigma)


def test_contrast_is_the_spread_of_a_patchs_pixels():
    views = torch.randn(2, 3, 16, 24)
    views[0, :, :8, 8:16] = torch.tensor([1.0, -2.0, 0.5])[:, None, None]  # one colour
    score = PatchContrast()(views, None, (2, 3), 8)
    assert score[0, 1] == pytest.approx(0, abs=1e-6)
    patch = views[1, :, 8:, :8]
    expected = patch.flatten(1).var(dim=1, unbiased=False).mean().sqrt()
    torch.testing.assert_close(score[1, 3], expected)
    torch.testing.assert_close(
        PatchContrast()(3 * views + 1, None, (2, 3), 8), 3 * score
    )


def test_contrast_of_half_precision_is_computed_in_float32():
    views = (200 + torch.randn(1, 3, 16, 16)).half()
    score = PatchContrast()(views, None, (2, 2), 8)
    assert score.dtype == torch.float32
    torch.testing.assert_close(score, PatchContrast()(views.float(), None, (2, 2), 8))


@pytest.mark.parametrize('name', ['CenterPrior', 'PatchContrast'])
def test_a_host_masks_by_it_and_its_whole_images_can_be_measured(guided_mae, name):
    model = guided_mae(
        scorer=dict(type=f'mmattmask.{name}'),
        mask_generator=dict(type='mmattmask.AttMaskGenerator', mode='high'),
    )
    images = torch.randn(2, 3, 48, 48)
    score, partition = model.guidance.guide(images, None)
    masked = score.gather(1, partition.ids_mask)
    assert (masked.amin(1) >= score.gather(1, partition.ids_keep).amax(1) - 1e-6).all()
    torch.testing.assert_close(model.guidance.scorer.measure(model, images), score)
    assert MODELS.build(dict(type=f'mmattmask.{name}')).learns is False


@pytest.mark.parametrize('scorer', [CenterPrior(), PatchContrast()])
def test_nothing_reads_a_value_of_the_device(scorer):
    score = scorer(torch.zeros(2, 3, 16, 24, device='meta'), None, (2, 3), 8)
    assert (score.shape, score.device.type) == ((2, 6), 'meta')
