"""Look at the score that a checkpoint gives to the training images of a config."""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.runner import load_checkpoint
from mmpretrain.registry import DATASETS, MODELS
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from mmattmask.datasets.concat import bases
from mmattmask.datasets.foreground import AnnotatedImage, patch_mask, read_index
from mmattmask.datasets.whole_images import WholeImages
from mmattmask.engine.image_pass import normalized
from mmattmask.evaluation.frozen_backbone import normalisation_of
from mmattmask.evaluation.score_content import ScoreContent
from mmattmask.files import whole_file
from mmattmask.models.guidance import attention_maps
from mmattmask.progress_report import report_progress
from mmattmask.scorers import CenterPrior, PatchContrast
from mmattmask.scorers.bank import evenly_spaced
from mmattmask.scorers.self_attention import image_size_of
from mmattmask.visualization.pages import draw_content
from mmattmask.visualization.pixels import normalise, to_rgb

BATCH = 32


def guided_model(cfg: Config, checkpoint: str | None) -> Any:
    """Return the model of a config in evaluation mode, with a checkpoint's weights."""
    config = copy.deepcopy(cfg.model)
    if cfg.get('data_preprocessor') is not None:
        config.setdefault('data_preprocessor', cfg.data_preprocessor)
    model = MODELS.build(config).eval()
    if checkpoint is not None:
        load_checkpoint(model, checkpoint, map_location='cpu')
    return model


@torch.no_grad()
def content_of_score(
    cfg: Config,
    checkpoint: str,
    number: int,
    index: str | None = None,
    picture: str | None = None,
) -> ScoreContent:
    """Measure whole images, evenly spaced, as a refresh would.

    They are those of the config, or of a CSV file of annotated images
    (``datasets.foreground``). The picture shows maps with and without what they share.

    Raises:
        ValueError: If the scorer does not measure images, or weights do not fit.
    """
    model = guided_model(cfg, checkpoint)
    images = read_index(index) if index else _training_images(cfg, model)
    ids = evenly_spaced(number, len(images)).tolist()
    number = len(ids)
    shown = [place * (number - 1) // 2 for place in range(3)]
    maps, masks, pictures = [], [], []
    known = {'centre prior': CenterPrior(), "a patch's contrast": PatchContrast()}
    controls: dict[str, list[np.ndarray]] = {name: [] for name in known}
    starts = range(0, number, BATCH)
    for start in report_progress(starts, len(starts), 'score'):
        batch = [images[i] for i in ids[start : start + BATCH]]
        inputs, foregrounds = _inputs(cfg, model, batch)
        maps.append(attention_maps(model, inputs).numpy())
        masks += foregrounds
        for name, control in known.items() if foregrounds else ():
            grid = maps[-1].shape[1:]
            score = control(_cut_by(grid, inputs), None, grid, 0)
            controls[name].append(score.numpy())
        seen = [i - start for i in shown if 0 <= i - start < len(batch)]
        pictures += list(to_rgb(inputs, normalisation_of(cfg))[seen])
    every = np.concatenate(maps)
    grid = every.shape[1:]
    foreground = np.stack([patch_mask(x, grid) for x in masks]) if masks else None
    others = {name: np.concatenate(parts) for name, parts in controls.items() if parts}
    content = ScoreContent.from_maps(every.reshape(number, -1), foreground, others)
    if picture is not None:
        examples = list(zip(pictures, shown, strict=True))
        drawn = draw_content(examples, every, content.sentence())
        with whole_file(picture) as temporary:
            Image.fromarray(drawn).save(temporary)
    return content


def _cut_by(grid: tuple[int, ...], images: Tensor) -> Tensor:
    """Enlarge images (B, C, H, W) until the grid (h, w) of a map divides them."""
    sides = zip(images.shape[-2:], grid, strict=True)
    size = tuple(-(-side // cells) * cells for side, cells in sides)
    if size == tuple(images.shape[-2:]):
        return images
    return interpolate(images, size, mode='bilinear')


def _training_images(cfg: Config, model: Any) -> Any:
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    return WholeImages(bases(dataset), image_size_of(model.backbone))


def _inputs(
    cfg: Config, model: Any, batch: Sequence[Any]
) -> tuple[Tensor, list[np.ndarray]]:
    """Return what the model is given of images, and their foregrounds if known."""
    if not isinstance(batch[0], AnnotatedImage):
        stack = torch.stack([image for image, *_ in batch])
        return normalized(model.data_preprocessor, stack), []
    loaded = [image.load() for image in batch]
    shape = image_size_of(model.backbone)[::-1]
    squashed = [image.resize(shape, Image.Resampling.BILINEAR) for image, _ in loaded]
    pixels = np.stack([np.asarray(image) for image in squashed])
    return normalise(pixels, normalisation_of(cfg)), [mask for _, mask in loaded]
