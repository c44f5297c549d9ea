"""A folder of pictures: all that ``visualize`` writes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from mmattmask.datasets.foreground import IMAGE_SUFFIXES, read_picture
from mmattmask.geometry import ViewSample, centre_box
from mmattmask.visualization.loading import load_model
from mmattmask.visualization.model_output import ModelOutput, block_number, run_model
from mmattmask.visualization.pages import (
    Sets,
    draw_blocks,
    draw_contact_sheet,
    draw_heads,
    draw_policies,
)
from mmattmask.visualization.panels import Panel, draw_panel, draw_panels
from mmattmask.visualization.policies import apply_policy, example_policies
from mmattmask.visualization.strips import write_gif


def find_images(names: Sequence[str], others: Sequence[Path] = ()) -> list[Path]:
    """List images and those in folders, and then others; refuse to find none."""
    paths: list[Path] = []
    for path in map(Path, names):
        if not path.exists():
            raise FileNotFoundError(f'there is no image or folder {path}')
        found = sorted(path.rglob('*')) if path.is_dir() else [path]
        paths += [each for each in found if each.suffix.lower() in IMAGE_SUFFIXES]
    if not paths and not others:
        raise ValueError(
            f'there is no image in {", ".join(names) or "the arguments"}: name images '
            'or folders, or give --photographs'
        )
    return [*paths, *others]


def read_image(
    path: Path, size: tuple[int, int], squash: bool = False, channels: int = 3
) -> tuple[np.ndarray, ViewSample]:
    """Read an image upright, as (H, W, C) uint8, and say what it shows of its file.

    It is squashed, or keeps its aspect ratio and its centre is cropped. There are 3
    channels (RGB) or 1 (grey).

    Raises:
        ValueError: If it cannot be read, or not with so many channels.
    """
    modes = {1: 'L', 3: 'RGB'}
    if channels not in modes:
        raise ValueError(
            f'the model takes {channels} channels, an image file has 3 or 1'
        )
    image = read_picture(path).convert(modes[channels])
    shape = image.height, image.width
    top, left, height, width = box = centre_box(shape, shape if squash else size)
    corners = left, top, left + width, top + height
    pixels = np.asarray(image.resize(size[::-1], Image.Resampling.BICUBIC, corners))
    view = ViewSample(None, str(path), shape, box, False, None)
    return pixels.reshape(*size, channels), view


def visualize(
    out: Path,
    config: str,
    checkpoints: Sequence[str],
    paths: Sequence[Path],
    model: dict[str, Any],
    options: dict[str, Any],
    squash: bool = False,
    mask_ratio: float = 0.75,
) -> str:
    """Draw what a model makes of images; return what to tell the user.

    ``contact_sheet.png`` has all images; ``<image>/`` has its pages ``overview``,
    ``policies`` and, if there is such attention, ``cls_heads``, ``cls_blocks`` and
    ``received_blocks``; ``<image>/panels/`` has single panels without lettering. Of
    several checkpoints the last is drawn, and a GIF over all of them.

    Args:
        out: The folder.
        config: Config or name of a ViT.
        checkpoints: Files of weights.
        paths: The images.
        model: Other arguments of ``load_model``.
        options: Other arguments of ``run_model``.
        squash: Squash images; else their centre is cropped.
        mask_ratio: Of all policies side by side but AMT.
    """
    names = unique_names(paths)
    frames: list[np.ndarray] = []
    lines: list[str] = []
    for checkpoint in (*checkpoints,) or (None,):
        loaded = load_model(config, checkpoint, **model)
        channels = len(loaded.normalisation.mean)
        read = (read_image(path, loaded.size, squash, channels) for path in paths)
        images, views = zip(*read, strict=True)
        output = run_model(loaded, np.stack(images), views, **options)
        first = output.records[0]
        lines += [loaded.weights, *output.remarks]
        if len(checkpoints) > 1:
            caption = f'{Path(str(checkpoint)).stem} · {first.score_note}'
            frames.append(draw_contact_sheet(output.records, {}, names, caption))
    if first.prediction_note:
        lines.append(f'reconstruction: {first.prediction_note}')
    if frames:
        gif = write_gif(frames, out / 'checkpoints.gif')
        lines.append(f'{len(frames)} checkpoints in {gif}')
    maps: list[Any] = [record.score for record in output.records]
    flat = torch.from_numpy(np.stack(maps)).flatten(1)
    sets = {
        policy.name: apply_policy(policy, flat, maps[0].shape, options.get('seed', 0))
        for policy in example_policies(flat.shape[1], mask_ratio)
    }
    caption = f'{Path(config).stem} · {loaded.weights} · score: {first.score_note}'
    sheet = draw_contact_sheet(output.records, sets, names, caption)
    save(sheet, out / 'contact_sheet.png')
    for index, name in enumerate(names):
        own = {policy: memberships[index] for policy, memberships in sets.items()}
        pictures = draw_pages(output, own, index, name, options)
        for title, picture in pictures.items():
            save(picture, out / name / f'{title}.png')
    return '\n'.join([*lines, f'{len(names)} images in {out}'])


def draw_pages(
    output: ModelOutput, sets: Sets, index: int, name: str, options: dict[str, Any]
) -> dict[str, np.ndarray]:
    """Draw all pages and panels of one image, under the names of their files."""
    record, blocks = output.records[index], output.blocks
    image, score = record.image, record.score
    assert score is not None  # run_model gives one
    single = {panel.title: panel for panel in record.panels(ranking=True)}
    overview = draw_panels(record.panels(ranking=True), name, columns=3)
    pages = {'overview': overview}
    for kind, maps in output.attention.items():
        text = f'{name} · attention of CLS'
        if kind == 'received':
            reading = options.get('attention', kind)
            text = f'{name} · attention that the patches receive ({reading})'
        pages[f'{kind}_blocks'] = draw_blocks(image, maps[index], blocks, text)
    if 'cls' in output.attention:
        number = block_number(blocks, options.get('block', -1))
        heads = output.attention['cls'][index, blocks.index(number)]
        caption = f'{name} · attention of CLS, block {number}'
        pages['cls_heads'] = draw_heads(image, heads, caption)
        single['cls_mean'] = Panel(image, heads.mean(axis=0))
        for head, attention in enumerate(heads):
            single[f'cls_head_{head:02d}'] = Panel(image, attention)
    caption = f'{name} · policies on one score: {record.score_note}'
    pages['policies'] = draw_policies(image, score, sets, caption)
    for policy, own in sets.items():
        words = policy.lower().replace('%', '').replace(',', '').split()
        single['_'.join(['policy', *words]).replace('-', '_')] = Panel(image, sets=own)
    panels = {f'panels/{title}': draw_panel(one) for title, one in single.items()}
    return pages | panels


def unique_names(paths: Sequence[Path]) -> list[str]:
    """Name images by their files; those with equal names get a number."""
    names: list[str] = []
    for path in paths:
        name, number = path.stem, 2
        while name in names:
            name, number = f'{path.stem}_{number}', number + 1
        names.append(name)
    return names


def save(picture: np.ndarray, path: Path) -> None:
    """Write a picture, and the folder it is in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path, optimize=True)
