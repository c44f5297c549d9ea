"""Taking away what scores have in common at each place."""

import pytest
import torch

from mmattmask.evaluation.score_content import (
    area_under_curve,
    position_share,
    rank_correlation,
)
from mmattmask.masking.position import log_mean_map, without_position


@pytest.fixture
def parts():
    draw = torch.Generator().manual_seed(0)
    content = torch.randn(500, 6, 5, generator=draw)
    place = torch.randn(6, 5, generator=draw).exp()
    return place, content


def test_a_factor_of_the_place_is_taken_away_exactly(parts):
    place, content = parts
    # an image's own scale is none of the policy's business
    free = without_position(content.exp())
    found = without_position(content.exp() * place)
    ranks = rank_correlation(free.flatten(1).numpy(), found.flatten(1).numpy())
    assert ranks > 0.99
    assert position_share(found.flatten(1).numpy()) < 0.05
    assert position_share((content.exp() * place).flatten(1).numpy()) > 0.3


def test_foreground_is_found_again(parts):
    place, content = parts
    foreground = content.flatten(1) > 1
    biased = (content + 2 * place.log()).exp()
    before = area_under_curve(biased.flatten(1).numpy(), foreground.numpy())
    after = area_under_curve(
        without_position(biased).flatten(1).numpy(), foreground.numpy()
    )
    assert before < 0.8
    assert after > 0.95


def test_mean_of_many_images_serves_a_few(parts):
    place, content = parts
    maps = content.exp() * place
    common = log_mean_map(maps)
    assert common.shape == (6, 5)
    torch.testing.assert_close(
        without_position(maps[:3], common), without_position(maps)[:3]
    )


def test_zeros_and_constants_stay_finite():
    score = torch.tensor([[0.0, 0.0, 0.0], [0.0, 1.0, 3.0]])
    found = without_position(score)
    assert torch.isfinite(found).all()
    assert (found > 0).all()
    same = without_position(torch.ones(4, 7))
    torch.testing.assert_close(same, torch.ones(4, 7))
    assert without_position(score.half()).dtype == torch.float32
