"""Pages and contact sheets of what a model makes of images."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from mmattmask.visualization.attention_panels import (
    draw_blocks,
    draw_heads,
    draw_ranking,
)
from mmattmask.visualization.gallery import TEXT_SIZE, draw_gallery, draw_table, fit
from mmattmask.visualization.panels import (
    draw_attention,
    draw_partition,
    draw_reconstruction,
)
from mmattmask.visualization.policy_panels import describe_counts, draw_policies
from mmattmask.visualization.portrait import Portrait
from mmattmask.visualization.prediction import LEAKS
from mmattmask.visualization.strips import PANEL_SIDE, legend

SHEET_SIDE = 132  # px, of a panel in a contact sheet
LONGEST_NAME = 16

Sets = Mapping[str, np.ndarray]  # (B, h, w) under the policies' names


class Panel(NamedTuple):
    """A picture with its name and what to know about it."""

    title: str
    note: str
    picture: np.ndarray


def main_panels(portrait: Portrait, index: int, side: int = PANEL_SIDE) -> list[Panel]:
    """Draw image, attention or score, ranking, own partition and reconstruction.

    Args:
        portrait: What the model made of the images.
        index: Which image.
        side: Of a panel in px, about.
    """
    original = portrait.images[index]
    image, score = fit(original, side), portrait.score[index]
    size = f'{original.shape[0]} x {original.shape[1]} px'
    panels = [
        Panel('image', size, image),
        Panel('score', portrait.score_note, draw_attention(image, score)),
        Panel('ranking', f'brightest: 1st of {score.size}', draw_ranking(image, score)),
    ]
    if portrait.sets is None:
        return panels
    sets = portrait.sets[index]
    note = f'{portrait.policy_note}: {describe_counts(sets)}'
    panels.append(Panel('own policy', note, draw_partition(image, sets)))
    if portrait.prediction is not None:
        prediction = fit(portrait.prediction[index], side)
        picture = draw_reconstruction(image, prediction, sets)
        panels.append(Panel('reconstruction', portrait.prediction_note, picture))
    return panels


def draw_overview(portrait: Portrait, index: int, caption: str = '') -> np.ndarray:
    """Draw :func:`main_panels` side by side with titles and legend."""
    titles, notes, pictures = zip(*main_panels(portrait, index), strict=True)
    footer = legend([], TEXT_SIZE)
    return draw_gallery(pictures, titles, notes, len(titles), caption, footer)


def draw_pages(
    portrait: Portrait, sets: Sets, index: int, name: str, received: str, block: int
) -> dict[str, np.ndarray]:
    """Draw all pages of one image.

    Args:
        portrait: What the model made of the images.
        sets: What the policies made of the score.
        index: Which image.
        name: The image's, for captions.
        received: How received attention was read.
        block: The block whose heads get a page; one of ``portrait.blocks``.

    Returns:
        Pages under their names: ``overview``, ``policies`` and, if there is such
        attention, ``cls_heads``, ``cls_blocks`` and ``received_blocks``.
    """
    image, blocks = portrait.images[index], portrait.blocks
    pages = {'overview': draw_overview(portrait, index, name)}
    if portrait.cls is not None:
        of_image = portrait.cls[index]
        caption = f'{name} · attention of CLS, block {block}'
        pages['cls_heads'] = draw_heads(image, of_image[blocks.index(block)], caption)
        caption = f'{name} · attention of CLS'
        pages['cls_blocks'] = draw_blocks(image, of_image, blocks, caption)
    if portrait.received is not None:
        caption = f'{name} · attention that the patches receive ({received})'
        pages['received_blocks'] = draw_blocks(
            image, portrait.received[index], blocks, caption
        )
    own = {policy: of_images[index] for policy, of_images in sets.items()}
    caption = f'{name} · policies on one score: {portrait.score_note}'
    pages['policies'] = draw_policies(image, portrait.score[index], own, caption)
    return pages


def draw_panels(
    portrait: Portrait, sets: Sets, index: int, block: int
) -> dict[str, np.ndarray]:
    """Draw single panels of one image, without any lettering.

    Args:
        portrait: What the model made of the images.
        sets: What the policies made of the score.
        index: Which image.
        block: The block whose heads are drawn; one of ``portrait.blocks``.

    Returns:
        Panels under names that are fit for files.
    """
    image = fit(portrait.images[index])
    panels = {
        _file_name(panel.title): panel.picture for panel in main_panels(portrait, index)
    }
    if portrait.cls is not None:
        heads = portrait.cls[index, portrait.blocks.index(block)]
        panels['cls_mean'] = draw_attention(image, heads.mean(axis=0))
        for number, head in enumerate(heads):
            panels[f'cls_head_{number:02d}'] = draw_attention(image, head)
    for name, of_images in sets.items():
        picture = draw_partition(image, of_images[index])
        panels[f'policy_{_file_name(name)}'] = picture
    return panels


def draw_contact_sheet(
    portrait: Portrait, sets: Sets, names: Sequence[str], caption: str = ''
) -> np.ndarray:
    """Draw all images, one per row: what :func:`main_panels` draws, and the policies.

    Args:
        portrait: What the model made of the images.
        sets: What the policies made of the score; none leaves them out.
        names: The images', left of their rows.
        caption: One line above all.
    """
    rows, columns = [], []
    for index in range(len(names)):
        panels = main_panels(portrait, index, SHEET_SIDE)
        columns = [
            panel.title + ('\nstatistics leak' if panel.note == LEAKS else '')
            for panel in panels
        ]
        image = panels[0].picture
        rows.append(
            [
                *(panel.picture for panel in panels),
                *(draw_partition(image, own[index]) for own in sets.values()),
            ]
        )
    heads = [*columns, *map(_in_two_lines, sets)]
    return draw_table(
        rows, [_short(name) for name in names], heads, caption, legend([], TEXT_SIZE)
    )


def _in_two_lines(name: str) -> str:
    return name.replace(',', '').replace(' ', '\n', 1)


def _short(name: str) -> str:
    if len(name) <= LONGEST_NAME:
        return name
    return f'{name[: LONGEST_NAME - 7]}…{name[-6:]}'


def _file_name(title: str) -> str:
    words = title.lower().replace('%', '').replace(',', '').split()
    return '_'.join(words).replace('-', '_')
