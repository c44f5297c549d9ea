"""Does a score follow the content of images, or only the place of a patch?

A policy can be guided by an attention that is the same for every image: it masks the
border or the center, and nothing else tells. What is computed here does.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np
from scipy.stats import rankdata

# A score whose place explains more than this of its ranks is called place, not content.
# (Four networks of eight epochs: .66 to .92; docs/guides/scores.md has the numbers.)
MAX_POSITION_SHARE = 0.5
# With annotated images instead: AUC above another image's map, place removed from both.
MIN_AUC_GAIN = 0.05


def centred_ranks(maps: np.ndarray) -> np.ndarray:
    """Return each map's ranks minus their mean, (N, L); tied values share theirs."""
    ranks = rankdata(maps, axis=1)
    return ranks - ranks.mean(axis=1, keepdims=True)


def position_share(maps: np.ndarray) -> float:
    """Return the share of the variance of the ranks that the patch's place explains.

    1 = the same map (N, L) for every image, about 0 = nothing in common; constant maps
    have 1. Ranks, so that neither scale nor outliers of single images count. The mean
    map of N images holds 1 / N of what is not place; that is taken off. ValueError for
    fewer than two.
    """
    if len(maps) < 2:
        raise ValueError(f'a position share needs two maps or more, got {len(maps)}')
    ranks = centred_ranks(maps)
    total = (ranks**2).mean()
    if total == 0:
        return 1.0
    common = (ranks.mean(axis=0) ** 2).mean() / total
    count = len(maps)
    return float((count * common - 1) / (count - 1))


def without_position(maps: np.ndarray) -> np.ndarray:
    """Return ranks minus the mean ranks of their places, (N, L): no score any more."""
    ranks = centred_ranks(maps)
    return ranks - ranks.mean(axis=0)


def shuffled(maps: np.ndarray) -> np.ndarray:
    """Give every image the map of the one before it, (N, L)."""
    return np.roll(maps, 1, axis=0)


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Return Spearman's correlation of maps (N, L), mean over images.

    A constant map has 0 with any other and 1 with a constant one.
    """
    a, b = centred_ranks(first), centred_ranks(second)
    norms = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    constant = (a == 0).all(axis=1) & (b == 0).all(axis=1)
    products = (a * b).sum(axis=1)
    each = np.where(norms > 0, products / np.maximum(norms, 1e-30), constant)
    return float(each.mean())


def overlap(first: np.ndarray, second: np.ndarray) -> float:
    """Return the share of the most attended quarter that maps (N, L) have in common.

    Mean over images; chance is 1 / 4.
    """
    k = max(1, first.shape[1] // 4)
    top = [np.argsort(-maps, axis=1, kind='stable')[:, :k] for maps in (first, second)]
    pairs = zip(*top, strict=True)
    return float(np.mean([len(np.intersect1d(a, b)) / k for a, b in pairs]))


def area_under_curve(maps: np.ndarray, foreground: np.ndarray) -> float:
    """Return the chance that a foreground patch has the larger score, (N, L) each.

    Mean over images, ties counting half: .5 is nothing, 1 everything, 0 the reverse.
    Images with only one of the two do not count; without any it is not a number.
    """
    foreground = foreground.astype(bool)
    inside = foreground.sum(axis=1)
    outside = foreground.shape[1] - inside
    counts = (inside > 0) & (outside > 0)
    ranks = (rankdata(maps, axis=1) * foreground).sum(axis=1)
    above = ranks - inside * (inside + 1) / 2
    each = above[counts] / (inside * outside)[counts]
    return float(each.mean()) if counts.any() else float('nan')


@dataclasses.dataclass(frozen=True)
class ScoreContent:
    """What is known of a score; *shuffled* is beside another image's map.

    ``auc`` is by name, on annotated images: of the score, of another image's map, of
    both without position, and of controls.
    """

    num_images: int
    position_share: float
    shuffled_correlation: float
    shuffled_overlap: float
    auc: dict[str, float]

    @classmethod
    def from_maps(
        cls,
        maps: np.ndarray,
        foreground: np.ndarray | None = None,
        controls: Mapping[str, np.ndarray] | None = None,
    ) -> 'ScoreContent':
        """Look at maps (N, L), large = attended, one per image.

        ``foreground`` is (N, L) bool; ``controls`` are maps that cost nothing, by name.
        """
        other, auc = shuffled(maps), {}
        if foreground is not None:
            rest = without_position(maps)
            for name, each in {
                'score': maps,
                "another image's": other,
                'without position': rest,
                "another image's, without position": shuffled(rest),
                **(controls or {}),
            }.items():
                auc[name] = area_under_curve(each, foreground)
        return cls(
            len(maps),
            position_share(maps),
            rank_correlation(maps, other),
            overlap(maps, other),
            auc,
        )

    @property
    def auc_gain(self) -> float | None:
        """AUC without position above that of another image; None if unknown."""
        if not self.auc:
            return None
        names = ('without position', "another image's, without position")
        own, other = (self.auc[name] for name in names)
        return own - other

    @property
    def is_content(self) -> bool:
        """Whether the score follows content, by annotations if there are any."""
        if self.auc_gain is not None:
            return self.auc_gain >= MIN_AUC_GAIN
        return self.position_share <= MAX_POSITION_SHARE

    @property
    def verdict(self) -> str:
        """``'content'``, ``'place'``, or ``'content below place'``: worth a repair."""
        if not self.is_content:
            return 'place'
        below = self.position_share > MAX_POSITION_SHARE
        return 'content below place' if below else 'content'

    def sentence(self) -> str:
        """Say it in a sentence."""
        facts = (
            f'{self.position_share:.0%} of it is explained by the place of a patch, '
            f"another image's map correlates by {self.shuffled_correlation:.2f}"
        )
        gain = self.auc_gain
        if gain is not None:
            found = ', '.join(f'{name} {auc:.2f}' for name, auc in self.auc.items())
            facts += f', and without place it finds the foreground by {gain:+.2f} AUC'
            facts += f' (AUC: {found})'
        verdict = 'place, not content' if not self.is_content else self.verdict
        return f'the score is {verdict}: {facts} ({self.num_images} images)'
