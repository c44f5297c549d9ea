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


def draw_sheet(
    drawings: Sequence[Sequence[ImageRecord]], row_titles: Sequence[str]
) -> np.ndarray:
    """Draw the same images over time, a row and a title for each; uint8 RGB.

    All drawings of the same images are of one size.
    """
    rows = [[p for record in row for p in record.panels()] for row in drawings]
    for row in rows:
        for column, panel in enumerate(row):
            # narrow panels: the longest title may be broken here
            title = panel.title.replace('recon', 'recon-')
            last = row is rows[-1] and panel.prediction is not None
            note = panel.note if last else ''
            row[column] = dataclasses.replace(panel, title=title, note=note)
    return draw_panels(rows, '', row_titles, side=SHEET_SIDE)


def draw_content(
    images: Sequence[tuple[np.ndarray, int]], maps: np.ndarray, caption: str
) -> np.ndarray:
    """Draw what maps (N, h, w) have in common, and images with their map without it."""
    flat = maps.reshape(len(maps), -1)
    rest = without_position(flat).reshape(maps.shape)
    ranks = centred_ranks(flat).mean(axis=0)
    grey = np.full_like(images[0][0], 200)
    panels = [Panel(grey, ranks.reshape(maps.shape[1:]), title='mean of all')]
    panels += [Panel(image, rank_map(maps[i]), title='map') for image, i in images]
    panels += [Panel(image, rest[i], title='without place') for image, i in images]
    return draw_panels(panels, caption, columns=len(panels))


def draw_heads(
    image: np.ndarray, attention: np.ndarray, caption: str = ''
) -> np.ndarray:
    """Draw one block's attention (heads, h, w): the mean of its heads, then each head.

    Each panel has its own colour scale.
    """
    panels = [Panel(image, attention.mean(axis=0), title='mean of heads')]
    for number, head in enumerate(attention):
        panels.append(Panel(image, head, title=f'head {number}'))
    return draw_panels(panels, caption)


def draw_blocks(
    image: np.ndarray, attention: np.ndarray, blocks: Sequence[int], caption: str = ''
) -> np.ndarray:
    """Draw attention (blocks, heads, h, w): blocks in rows, heads and their sum.

    Each panel has its own colour scale.
    """
    maps = np.concatenate([attention, attention.sum(axis=1, keepdims=True)], axis=1)
    titles = [*(f'head {head}' for head in range(attention.shape[1])), 'sum']
    rows = [
        [Panel(image, one, title=t) for one, t in zip(heads, titles, strict=True)]
        for heads in maps
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
    """Draw a score, its ranking, and what policies make of it; uint8 RGB.

    Args:
        image: (H, W, 3) uint8.
        score: (h, w), large = attended.
        sets: Each patch's :class:`Membership`, (h, w), under the policies' names.
        caption: One line above all.
        side: Of a panel in inches, about.
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

    ``sets`` are memberships of all images, (B, h, w), under the policies' names.
    """
    columns = [
        record.panels(ranking=True)
        + [Panel(record.image, sets=own[i], title=name) for name, own in sets.items()]
        for i, record in enumerate(records)
    ]
    titles = [
        panel.title + ('\nstatistics leak' if panel.note == LEAKS else '')
        for panel in columns[0]
    ]
    columns = [
        [dataclasses.replace(panel, title=name, note='') for panel in column]
        for column, name in zip(columns, names, strict=True)
    ]
    rows = list(zip(*columns, strict=True))
    return draw_panels(rows, caption, titles, side=SHEET_SIDE)
