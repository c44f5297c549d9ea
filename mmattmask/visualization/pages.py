"""Figures of heads, blocks, policies and whole sets of images."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from mmattmask.evaluation.score_content import centred_ranks, without_position
from mmattmask.visualization.panels import SIDE, Panel, draw_panels, rank_map
from mmattmask.visualization.pixels import LEAKS
from mmattmask.visualization.policies import describe_counts
from mmattmask.visualization.records import ImageRecord

SHEET_SIDE, TABLE_SIDE = 1.0, 0.62  # inches of a panel

Sets = Mapping[str, np.ndarray]  # memberships under the policies' names


def draw_strip(record: ImageRecord, caption: str = '') -> np.ndarray:
    """Draw a record's panels side by side; uint8 RGB."""
    return draw_panels([record.panels()], caption)


def draw_overview(record: ImageRecord, caption: str = '') -> np.ndarray:
    """As :func:`draw_strip`, with the ranking."""
    return draw_panels(record.panels(ranking=True), caption, columns=3)


def draw_sheet(
    drawings: Sequence[Sequence[ImageRecord]], row_titles: Sequence[str]
) -> np.ndarray:
    """Draw the same images over time.

    Args:
        drawings: A row for each time; records of the same images in the same order.
        row_titles: One per row; a second line is fine.

    Returns:
        uint8 RGB; of one size for all drawings of the same images.

    Raises:
        ValueError: If there is no drawing, or not one title for each.
    """
    rows = [[p for record in row for p in record.panels()] for row in drawings]
    for row, panels in enumerate(rows):
        for column, panel in enumerate(panels):
            # narrow panels: the longest title may be broken here
            title = '' if row else panel.title.replace('recon', 'recon-')
            last = row == len(rows) - 1 and panel.prediction is not None
            note = panel.note if last else ''
            panels[column] = dataclasses.replace(panel, title=title, note=note)
    return draw_panels(rows, '', row_titles, side=SHEET_SIDE)


def draw_content(
    images: Sequence[tuple[np.ndarray, int]], maps: np.ndarray, caption: str
) -> np.ndarray:
    """Draw what all maps have in common, some of them, and these without it.

    Args:
        images: (H, W, 3) uint8 of one size, and which map is theirs.
        maps: (N, h, w), large = attended.
        caption: A line above all.

    Returns:
        uint8 RGB.
    """
    rest = without_position(maps.reshape(len(maps), -1)).reshape(maps.shape)
    grey = np.full_like(images[0][0], 200)
    ranks = centred_ranks(maps.reshape(len(maps), -1)).mean(axis=0)
    panels = [Panel(grey, ranks.reshape(maps.shape[1:]), title='mean of all')]
    panels += [Panel(image, rank_map(maps[i]), title='map') for image, i in images]
    panels += [Panel(image, rest[i], title='without place') for image, i in images]
    return draw_panels(panels, caption, columns=len(panels))


def draw_heads(
    image: np.ndarray, attention: np.ndarray, caption: str = ''
) -> np.ndarray:
    """Draw one block's attention: the mean of its heads, then every head.

    Args:
        image: (H, W, 3) uint8.
        attention: (heads, h, w), large = attended. Each panel has its own colour scale.
        caption: One line above all.

    Returns:
        uint8 RGB.
    """
    panels = [Panel(image, attention.mean(axis=0), title='mean of heads')]
    for number, head in enumerate(attention):
        panels.append(Panel(image, head, title=f'head {number}'))
    return draw_panels(panels, caption)


def draw_blocks(
    image: np.ndarray, attention: np.ndarray, blocks: Sequence[int], caption: str = ''
) -> np.ndarray:
    """Draw the attention of all blocks (rows) and heads (columns), and their sum.

    Args:
        image: (H, W, 3) uint8.
        attention: (blocks, heads, h, w), large = attended. Each panel has its own
            colour scale.
        blocks: The blocks' numbers.
        caption: One line above all.

    Returns:
        uint8 RGB.
    """
    maps = np.concatenate([attention, attention.sum(axis=1, keepdims=True)], axis=1)
    titles = [*(f'head {head}' for head in range(attention.shape[1])), 'sum']
    rows = [
        [
            Panel(image, one, title='' if row else title)
            for one, title in zip(heads, titles, strict=True)
        ]
        for row, heads in enumerate(maps)
    ]
    names = [f'block {block}' for block in blocks]
    return draw_panels(rows, caption, names, side=TABLE_SIDE)


def draw_policies(
    image: np.ndarray,
    score: np.ndarray,
    sets: Sets,
    caption: str = '',
    side: float = SIDE,
) -> np.ndarray:
    """Draw a score, its ranking, and what policies make of it.

    Args:
        image: (H, W, 3) uint8.
        score: (h, w), large = attended.
        sets: Each patch's :class:`Membership`, (h, w), under the policies' names.
        caption: One line above all.
        side: Of a panel in inches, about.

    Returns:
        uint8 RGB.
    """
    grid = f'{score.shape[0]} x {score.shape[1]}'
    panels = [
        Panel(image, score, title='score', note=grid),
        Panel(image, rank_map(score), title='ranking', note='brightest: 1st'),
    ]
    for name, own in sets.items():
        note = describe_counts(own)
        panels.append(Panel(image, sets=own, title=name, note=note))
    return draw_panels(panels, caption, side=side)


def draw_contact_sheet(
    records: Sequence[ImageRecord],
    sets: Sets,
    names: Sequence[str],
    caption: str = '',
) -> np.ndarray:
    """Draw all images, a column for each: what the model makes of it, and policies.

    Args:
        records: What the model makes of the images.
        sets: Memberships of all images, (B, h, w), under the policies' names.
        names: The images', above their columns.
        caption: One line above all.

    Returns:
        uint8 RGB.
    """
    columns = []
    for number, record in enumerate(records):
        panels = record.panels(ranking=True)
        for name, own in sets.items():
            panels.append(Panel(record.image, sets=own[number], title=name))
        columns.append(panels)
    titles = [
        panel.title + ('\nstatistics leak' if panel.note == LEAKS else '')
        for panel in columns[0]
    ]
    rows = [
        [
            dataclasses.replace(p, title='' if row else name, note='')
            for p, name in zip(panels, names, strict=True)
        ]
        for row, panels in enumerate(zip(*columns, strict=True))
    ]
    return draw_panels(rows, caption, titles, side=SHEET_SIDE)
