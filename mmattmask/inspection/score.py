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
from mmattmask.models.guidance import attention_maps, guidance_of
from mmattmask.progress_report import report_progress
from mmattmask.scorers import CenterPrior, PatchContrast
from mmattmask.scorers.bank import evenly_spaced
from mmattmask.scorers.self_attention import image_size_of
from mmattmask.visualization.model_output import whole_images
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
    """Look at the maps of whole images, evenly spaced.

    They are those of the config, or of a CSV file of annotated images
    (``datasets.foreground``) if the scorer measures images and does not look maps up.
    The picture shows maps with and without what they share.

    Raises:
        ValueError: If the scorer has no maps of whole images, an image cannot be read,
            or weights do not fit.
    """
    model = guided_model(cfg, checkpoint)
    scorer = getattr(guidance_of(model), 'scorer', None)
    measures = scorer is None or scorer.measures
    images = read_index(index) if index and measures else _training_images(cfg, model)
    ids = evenly_spaced(number, len(images)).tolist()
    number = len(ids)
    shown = [place * (number - 1) // 2 for place in range(3)]
    maps, masks, pictures = [], [], []
    known = {'centre prior': CenterPrior(), "a patch's contrast": PatchContrast()}
    controls: dict[str, list[np.ndarray]] = {name: [] for name in known}
    starts = range(0, number, BATCH)
    for start in report_progress(starts, len(starts), 'score'):
        chosen = ids[start : start + BATCH]
        batch = [images[i] for i in chosen]
        inputs, foregrounds = _inputs(cfg, model, batch)
        if measures:
            own = attention_maps(model, inputs)
        else:
            own = _known_maps(model, inputs, images, chosen)
        maps.append(own.numpy())
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


def _known_maps(model: Any, inputs: Tensor, images: Any, ids: Sequence[int]) -> Tensor:
    """Return the score of views that are these whole images, (B, h, w) float32."""
    guidance, size = guidance_of(model), inputs.shape[-2:]
    assert guidance is not None  # or there is no scorer
    paths = [images.info(index)[1].get('img_path') for index in ids]
    score = guidance.score(inputs, whole_images(ids, paths, size))
    if score is None or getattr(guidance.scorer, 'gives_labels', False):
        kind = type(guidance.scorer).__name__
        raise ValueError(f'{kind} knows no score of whole images')
    return score.float().unflatten(1, guidance.policy_grid(size))


def _training_images(cfg: Config, model: Any) -> Any:
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    return WholeImages(bases(dataset), image_size_of(model.backbone))


def _inputs(
    cfg: Config, model: Any, batch: Sequence[Any]
) -> tuple[Tensor, list[np.ndarray]]:
    """Return what the model is given of images, and their foregrounds if known."""
    if not isinstance(batch[0], AnnotatedImage):
        unreadable = [error for *_, error in batch if error]
        if unreadable:
            raise ValueError(f'a training image cannot be read: {unreadable[0]}')
        stack = torch.stack([image for image, *_ in batch])
        return normalized(model.data_preprocessor, stack), []
    loaded = [image.load() for image in batch]
    shape = image_size_of(model.backbone)[::-1]
    squashed = [image.resize(shape, Image.Resampling.BILINEAR) for image, _ in loaded]
    pixels = np.stack([np.asarray(image) for image in squashed])
    return normalise(pixels, normalisation_of(cfg)), [mask for _, mask in loaded]
