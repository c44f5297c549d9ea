"""Batches to try a config with, where its training images are here and where not."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from mmattmask.inspection.built_config import BuiltConfig

TRIAL = (600, 800)  # sides in px of the image that is sent through a pipeline


def trial_batches(built: BuiltConfig, channels: int) -> Iterator[dict[str, Any]]:
    """Yield batches of two: of the training images, else of one for each pipeline."""
    if built.images is not None:
        sample, collate = built.images.dataset[0], built.images.collate_fn
        assert collate is not None
        yield collate([sample] * 2)
        return
    if built.scorer is not None and built.scorer.added_hooks:
        return  # it has maps of the real images only
    for transforms in built.pipelines or []:
        views = _trial_views(transforms, channels)
        if views is not None:
            yield views


def _trial_views(transforms: list[Any], channels: int) -> dict[str, Any] | None:
    """Send an image through a pipeline; None if it takes something else."""
    image = np.zeros((*TRIAL, channels), np.uint8)
    results: Any = dict(img=image, img_shape=TRIAL, ori_shape=TRIAL, img_path='')
    results.update(gt_label=0, sample_idx=0)
    try:
        for transform in transforms:
            if not type(transform).__name__.startswith('Load'):
                results = transform(results)
        inputs, sample = results['inputs'], results['data_samples']
        several = isinstance(inputs, list | tuple)
        views = [torch.stack([view] * 2) for view in (inputs if several else [inputs])]
    except Exception:  # whatever a transform of the user's may need
        return None
    batch = [view.to('meta') for view in views]
    return dict(inputs=batch if several else batch[0], data_samples=[sample] * 2)
