"""Look at the score that a checkpoint gives to the training images of a config."""

import copy
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.runner import load_checkpoint
from mmpretrain.registry import DATASETS, MODELS

from mmattmask.datasets.concat import bases
from mmattmask.datasets.whole_images import WholeImages
from mmattmask.engine.image_pass import normalized
from mmattmask.evaluation.score_content import ScoreContent
from mmattmask.models.guidance import attention_maps
from mmattmask.progress_report import report_progress
from mmattmask.scorers.self_attention import image_size_of

BATCH = 32


def guided_model(cfg: Config, checkpoint: str | None) -> Any:
    """Return the model of a config in evaluation mode, with a checkpoint's weights.

    Raises:
        ValueError: If weights do not fit.
        FileNotFoundError: If there is no such checkpoint.
    """
    config = copy.deepcopy(cfg.model)
    if cfg.get('data_preprocessor') is not None:
        config.setdefault('data_preprocessor', cfg.data_preprocessor)
    model = MODELS.build(config).eval()
    if checkpoint is not None:
        load_checkpoint(model, checkpoint, map_location='cpu')
    return model


@torch.no_grad()
def content_of_score(cfg: Config, checkpoint: str, number: int) -> ScoreContent:
    """Measure whole training images as a refresh would.

    Args:
        cfg: The config of a guided model whose scorer measures images.
        checkpoint: Weights of this model.
        number: Images, evenly spaced.

    Raises:
        ValueError: If the scorer does not measure images, or weights do not fit.
        FileNotFoundError: If checkpoint or data are missing.
    """
    model = guided_model(cfg, checkpoint)
    dataset: BaseDataset = DATASETS.build(cfg.train_dataloader.dataset)
    images = WholeImages(bases(dataset), image_size_of(model.backbone))
    number = min(number, len(images))
    ids = ((2 * np.arange(number) + 1) * len(images) // (2 * number)).tolist()
    maps = []
    starts = range(0, number, BATCH)
    for start in report_progress(starts, len(starts), 'score'):
        pixels = torch.stack([images[i][0] for i in ids[start : start + BATCH]])
        inputs = normalized(model.data_preprocessor, pixels)
        maps.append(attention_maps(model, inputs).flatten(1).numpy())
    return ScoreContent.of(np.concatenate(maps))
