"""Attention of many heads and blocks, and rankings."""

from collections.abc import Sequence

import numpy as np

from mmattmask.visualization.gallery import (
    color_legend,
    draw_gallery,
    draw_table,
    fit,
)
from mmattmask.visualization.panels import draw_attention
from mmattmask.visualization.strips import PANEL_SIDE

TABLE_SIDE = 76  # px, of a panel among blocks x heads


def rank_map(score: np.ndarray) -> np.ndarray:
    """Return each patch's place in the ranking: 1 = most attended, 0 = least.

    Args:
        score: (h, w), large = attended, any scale.

    Returns:
        (h, w) float64 in [0, 1]; patches of equal score share the mean of their
        places. All are 0.5 if the score is constant.
    """
    values, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    if len(values) == 1:
        return np.full(score.shape, 0.5)
    last = np.cumsum(counts) - 1
    mean_place = last - (counts - 1) / 2
    places: np.ndarray = mean_place[inverse.reshape(-1)] / (score.size - 1)
    return places.reshape(score.shape)


def draw_ranking(image: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Lay the ranking over the grey image; colours are places, not scores.

    Args:
        image: (H, W, 3) uint8.
        score: (h, w), large = attended, any scale.
    """
    return draw_attention(image, rank_map(score))


def draw_heads(
    image: np.ndarray,
    attention: np.ndarray,
    caption: str = '',
    columns: int = 5,
    side: int = PANEL_SIDE,
) -> np.ndarray:
    """Draw one block's attention: the mean of its heads, then every head.

    Args:
        image: (H, W, 3) uint8.
        attention: (heads, h, w), large = attended. Each panel has its own colour scale.
        caption: One line above all.
        columns: Panels in a row.
        side: Of a panel in px, about.

    Returns:
        uint8 RGB.
    """
    image = fit(image, side)
    maps = [attention.mean(axis=0), *attention]
    titles = ['mean of heads', *(f'head {head}' for head in range(len(attention)))]
    panels = [draw_attention(image, attention_map) for attention_map in maps]
    return draw_gallery(panels, titles, (), columns, caption, color_legend())


def draw_blocks(
    image: np.ndarray,
    attention: np.ndarray,
    blocks: Sequence[int],
    caption: str = '',
    side: int = TABLE_SIDE,
) -> np.ndarray:
    """Draw the attention of all blocks (rows) and heads (columns), and their sum.

    Args:
        image: (H, W, 3) uint8.
        attention: (blocks, heads, h, w), large = attended. Each panel has its own
            colour scale.
        blocks: The blocks' numbers.
        caption: One line above all.
        side: Of a panel in px, about.

    Returns:
        uint8 RGB.
    """
    image = fit(image, side)
    maps = np.concatenate([attention, attention.sum(axis=1, keepdims=True)], axis=1)
    rows = [[draw_attention(image, one) for one in heads] for heads in maps]
    row_titles = [f'block {block}' for block in blocks]
    # narrow panels have no room for the word each time
    names = ['head 0', *map(str, range(1, attention.shape[1]))]
    return draw_table(rows, row_titles, [*names, 'sum'], caption, color_legend())
