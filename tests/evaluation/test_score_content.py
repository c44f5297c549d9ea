"""Scores of known kind: pure place, pure content, mixtures."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from mmattmask.evaluation.score_content import (
    MAX_POSITION_SHARE,
    ScoreContent,
    area_under_curve,
    overlap,
    position_share,
    rank_correlation,
    shuffled,
    without_position,
)

N, GRID = 400, (6, 5)
L = GRID[0] * GRID[1]


@pytest.fixture
def parts():
    """A map for all images, one for each, and a foreground that each one's finds."""
    draw = np.random.default_rng(0)
    place, content = draw.normal(size=(1, L)), draw.normal(size=(N, L))
    return place, content, content > np.quantile(content, 0.75)


def test_position_share_of_known_kinds(parts):
    place, content, _ = parts
    assert position_share(np.exp(place + 0 * content)) == pytest.approx(1)
    assert position_share(content) == pytest.approx(0, abs=0.01)
    # with equal variances: about half, in ranks as in values
    assert position_share(place / place.std() + content) == pytest.approx(0.5, abs=0.05)
    shares = [position_share(weight * place + content) for weight in (0, 0.5, 1, 2, 4)]
    assert shares == sorted(shares)


def test_position_share_needs_no_scale_and_no_many_images(parts):
    place, content, _ = parts
    maps = place + content
    scales = np.random.default_rng(1).uniform(0.1, 10, (N, 1))
    assert position_share(np.exp(maps) * scales) == pytest.approx(position_share(maps))
    few = [position_share(content[start : start + 4]) for start in range(0, N, 4)]
    assert np.mean(few) == pytest.approx(0, abs=0.02)  # 1 / 4 without the correction
    assert position_share(np.ones((2, L))) == 1
    with pytest.raises(ValueError, match='two maps or more, got 1'):
        position_share(content[:1])


def test_gate_tells_place_from_content(parts):
    place, content, foreground = parts
    known = ScoreContent.from_maps(content, foreground)
    assert known.is_content
    assert known.auc['score'] > 0.95
    assert known.auc["another image's"] == pytest.approx(0.5, abs=0.02)
    assert known.shuffled_overlap == pytest.approx(7 / L, abs=0.03)
    biased = ScoreContent.from_maps(np.repeat(place, N, axis=0), foreground)
    assert not biased.is_content
    assert biased.auc_gain == pytest.approx(0, abs=0.02)
    assert (biased.position_share, biased.shuffled_overlap) == (1, 1)
    assert 'place, not content: 100%' in biased.sentence()
    # strong place over a little content: annotations see what the share does not
    mixed = 3 * place + content
    assert ScoreContent.from_maps(mixed).position_share > MAX_POSITION_SHARE
    assert not ScoreContent.from_maps(mixed).is_content
    found = ScoreContent.from_maps(mixed, foreground)
    assert found.is_content
    assert found.verdict == 'content below place'
    assert (known.verdict, biased.verdict) == ('content', 'place')


def test_a_prior_shared_with_the_foreground_is_no_content(parts):
    """Objects are in the centre, and so is every map: an AUC that is place alone."""
    place, content, _ = parts
    draw = np.random.default_rng(2)
    foreground = place + 0.5 * draw.normal(size=(N, L)) > np.quantile(place, 0.7)
    maps = place + 0.3 * content
    found = ScoreContent.from_maps(maps, foreground)
    assert found.auc['score'] > 0.8
    assert not found.is_content


def test_without_position_has_no_mean_map(parts):
    place, content, _ = parts
    rest = without_position(place + content)
    np.testing.assert_allclose(rest.mean(axis=0), 0, atol=1e-9)
    assert np.corrcoef(rest.ravel(), content.ravel())[0, 1] > 0.85


def test_area_under_curve_counts_pairs():
    maps = np.array([[3, 1, 2, 2], [1, 1, 1, 1], [5, 0, 0, 0]])
    foreground = np.array([[1, 0, 1, 0], [1, 1, 0, 0], [1, 1, 1, 1]], bool)
    # (3>1, 3>2, 2>1, 2=2) / 4, ties alone, and an image that does not count
    assert area_under_curve(maps, foreground) == pytest.approx((3.5 / 4 + 0.5) / 2)
    assert np.isnan(area_under_curve(maps, np.ones_like(foreground)))


def test_rank_correlation():
    draw = np.random.default_rng(0)
    first, second = draw.integers(0, 5, (2, 3, 20))
    expected = np.mean(
        [spearmanr(a, b).statistic for a, b in zip(first, second, strict=True)]
    )
    assert rank_correlation(first, second) == pytest.approx(expected)
    assert rank_correlation(first, -first) == pytest.approx(-1)
    constant = np.ones_like(first)
    assert rank_correlation(first, constant) == 0
    assert rank_correlation(constant, 2 * constant) == 1


def test_shuffled_maps_are_of_other_images():
    maps = np.arange(12).reshape(4, 3)
    other = shuffled(maps)
    assert sorted(map(tuple, other)) == sorted(map(tuple, maps))
    assert not (other == maps).all(axis=1).any()
    assert overlap(maps, maps) == 1
