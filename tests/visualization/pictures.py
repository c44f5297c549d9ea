"""Images, masks and records to draw, and what is found in figures."""

import numpy as np
from matplotlib.colors import to_rgba_array

from mmattmask.visualization import ImageRecord
from mmattmask.visualization.panels import MASKED, THROWN, THROWN_LINE
from mmattmask.visualization.policies import Membership

# image size in px and grid: square, wide, tall, one row, not divisible
SHAPES = [
    ((32, 32), (8, 8)),
    ((20, 50), (2, 5)),
    ((224, 126), (14, 9)),
    ((16, 64), (1, 4)),
    ((30, 31), (7, 4)),
]


def image_of(size, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def record_of(size=(32, 32), grid=(8, 8), seed=0, **changes):
    """A record with all three sets in it."""
    rng = np.random.default_rng(seed)
    sets = rng.permutation(np.arange(grid[0] * grid[1]) % 3).reshape(grid)
    parts = dict(
        image=rng.integers(0, 100, (*size, 3), dtype=np.uint8),
        score=rng.random(grid),
        sets=sets.astype(np.uint8),
        prediction=rng.integers(150, 256, (*size, 3), dtype=np.uint8),
        score_note='the model now',
        policy_note='AMT',
        prediction_note='patch statistics from the image',
    )
    return ImageRecord(**(parts | changes))


def texts(figure):
    """Titles, notes and row titles of every panel."""
    return [
        (
            axes.get_title(loc='left'),
            ' '.join(note.get_text() for note in axes.texts).replace('\n', ' '),
            axes.get_ylabel(),
        )
        for axes in figure.axes
    ]


def labels(figure):
    """The labels of each of a figure's legends."""
    return [[text.get_text() for text in one.get_texts()] for one in figure.legends]


def colors(panel, grid):
    """The pixel in the middle of every patch, (h, w, 3)."""
    height, width = panel.shape[:2]
    rows = (2 * np.arange(grid[0]) + 1) * height // (2 * grid[0])
    columns = (2 * np.arange(grid[1]) + 1) * width // (2 * grid[1])
    return panel[rows[:, None], columns]


def flat(panel, grid):
    """Which patches are drawn as masked, and which as thrown, by their middles."""
    middles = colors(panel, grid).astype(int)
    # the ground of thrown ones and its lines, which are smoothed
    masked, low, high = 255 * to_rgba_array([MASKED, THROWN, THROWN_LINE])[:, :3]
    is_masked = (np.abs(middles - masked) <= 2).all(axis=-1)
    share = (middles - low) / (high - low)
    straight = np.ptp(share, axis=-1) < 0.1
    thrown = straight & (share > -0.05).all(axis=-1) & (share < 1.05).all(axis=-1)
    return np.where(
        is_masked, Membership.MASKED, np.where(thrown, Membership.THROWN, 0)
    )
