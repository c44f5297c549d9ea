"""Whole images of a training set, as the model is to measure them."""

import copy
import random
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import mmcv
import numpy as np
import torch
from mmcv.transforms import Compose
from mmengine.dataset import BaseDataset
from mmengine.dataset import Compose as PipelineCompose
from mmengine.registry import TRANSFORMS
from mmpretrain.datasets import MultiView, PackInputs
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import Dataset

from mmattmask.datasets.recording import LOSSY, class_names

Transform = Callable[[dict[str, Any]], dict[str, Any] | None]

# By the names of a transform's classes, as LOSSY: what moves pixels and says where to,
# what is random without MMCV's mark, what ends a pipeline.
GEOMETRIC = re.compile('^(?!Load|Read).*(Resize|Flip)')
RANDOM = re.compile(
    '^(Random|Lighting$|ColorJitter$|GaussianBlur$|GenerateMask$)|MaskGenerator$'
)
PACKING = re.compile('^Pack|^Collect$|^ImageToTensor$')
NUM_TRIED = 100


class WholeImages(Dataset):
    """The images behind base datasets, squashed to ``input_size`` (h, w) in px.

    What is done to an image comes from its dataset's own pipeline: all of its steps in
    their order, with one resize where the first crop, flip or resize is, and without
    random steps. So the pass has the channels, the type and the range of training.
    Random numbers of a user's own steps depend on the image alone, and the process's
    random state stays as it was. ``pipeline``, transforms before packing or their
    configs, stands in for the datasets' own.
    """

    def __init__(
        self,
        datasets: Sequence[BaseDataset],
        input_size: tuple[int, int],
        pipeline: Sequence[dict[str, Any] | Transform] | None = None,
    ) -> None:
        self.datasets = list(datasets)
        self.ends = np.cumsum([len(dataset) for dataset in self.datasets])
        self.input_size = (input_size[0], input_size[1])
        self.derived = pipeline is None
        self.transforms = [
            measuring_steps(dataset.pipeline.transforms, [Squash(self.input_size)])
            if pipeline is None
            else [built(transform) for transform in pipeline]
            for dataset in self.datasets
        ]
        self._blanks: dict[int, Tensor] = {}

    def __len__(self) -> int:
        return int(self.ends[-1])

    def info(self, index: int) -> tuple[int, dict[str, Any]]:
        """Return the dataset an image is from, and a copy of what that knows of it."""
        part = int(np.searchsorted(self.ends, index, side='right'))
        first = int(self.ends[part - 1]) if part else 0
        return part, copy.copy(self.datasets[part].get_data_info(index - first))

    def __getitem__(self, index: int) -> tuple[Tensor, int, int, str]:
        """Return the image (C, H, W), or zeros, its id, label and what went wrong."""
        part, results = self.info(index)
        label = results.get('gt_label', -1)
        label = int(label) if np.ndim(label) == 0 else -1
        image, error = self._load(index)
        return self.blank(part) if image is None else image, index, label, error

    def blank(self, part: int) -> Tensor:
        """Return what stands for unreadable images of a dataset, zeros (C, H, W).

        ValueError if none of its first images can be read.
        """
        if part in self._blanks:
            return self._blanks[part]
        first = int(self.ends[part - 1]) if part else 0
        tried = range(first, min(first + NUM_TRIED, int(self.ends[part])))
        errors = []
        for index in tried:
            image, error = self._load(index)
            if image is not None:
                self._blanks[part] = torch.zeros_like(image)
                return self._blanks[part]
            errors.append(error)
        raise ValueError(
            f'none of the first {len(tried)} images of '
            f'{type(self.datasets[part]).__name__} can be read: {"; ".join(errors[:3])}'
        )

    def check(self) -> Tensor:
        """Try an image of every dataset; return zeros like theirs, (C, H, W).

        ValueError if they differ in size, channels or type.
        """
        blanks = [self.blank(part) for part in range(len(self.datasets))]
        kinds = {(tuple(blank.shape), str(blank.dtype)) for blank in blanks}
        size = tuple(blanks[0].shape[1:])
        if len(kinds) > 1 or size != self.input_size:
            raise ValueError(
                f'whole images must be (C, {self.input_size[0]}, {self.input_size[1]}) '
                f'of one type after the pipeline, got {sorted(kinds)}'
            )
        return blanks[0]

    def _load(self, index: int) -> tuple[Tensor | None, str]:
        """Return an image, or None and why it cannot be read."""
        part, info = self.info(index)
        results: Any = info
        name = results.get('img_path', f'sample {index}')
        with _own_randomness(index if self.derived else None):
            for transform in self.transforms[part]:
                is_read = 'img' in results
                try:
                    results = transform(results)
                    if results is None:
                        raise ValueError('the loading transform returned nothing')
                except Exception as error:  # decoders raise what they like
                    if is_read:
                        raise ValueError(
                            f'{type(transform).__name__} does not take {name}: {error}'
                        ) from error
                    return None, f'{name} ({error})'
        return PackInputs.format_input(results['img']), ''


class Squash:
    """Resize an image to (H, W) px, whatever its type and channels are."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.size = size

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Replace ``img`` and ``img_shape``."""
        image = squash(results['img'], self.size)
        return {**results, 'img': image, 'img_shape': self.size}


def squash(image: Any, size: tuple[int, int]) -> Any:
    """Resize to (h, w) bilinearly, averaging where the area is larger than a pixel.

    Arrays (H, W) or (H, W, C) of any real type, or a Pillow image; returns its like.
    ValueError for anything else.
    """
    if isinstance(image, Image.Image):
        return image.resize(size[::-1], Image.Resampling.BILINEAR)
    if not isinstance(image, np.ndarray) or image.ndim not in (2, 3):
        raise ValueError(
            'an image must be an array (H, W) or (H, W, C), got '
            f'{type(image).__name__} {getattr(image, "shape", "")}'
        )
    if image.dtype == np.uint8 and (image.ndim == 2 or image.shape[2] in (3, 4)):
        return mmcv.imresize(image, size[::-1], backend='pillow')
    dtype = np.promote_types(image.dtype, np.float32)
    planes = torch.from_numpy(image.astype(dtype)).reshape(*image.shape[:2], -1)
    resized = F.interpolate(
        planes.permute(2, 0, 1)[None], size, mode='bilinear', antialias=True
    )
    values = resized[0].permute(1, 2, 0).numpy().reshape(*size, *image.shape[2:])
    if image.dtype.kind not in 'f':
        values = np.rint(values)
    return values.astype(image.dtype)


def built(transform: dict[str, Any] | Transform) -> Transform:
    """Return a transform; its config is enough."""
    if not isinstance(transform, dict):
        return transform
    made: Transform = TRANSFORMS.build(copy.deepcopy(transform))
    return made


def measuring_steps(
    transforms: Iterable[Any], view: Sequence[Transform]
) -> list[Transform]:
    """Return a training pipeline's steps without random ones and packing.

    ``view`` stands for all that move pixels, at the place of the first. Of several
    views, the first branch counts.
    """
    steps: list[Any] = []
    is_viewed = False
    for transform in _flat(transforms):
        names = class_names(transform)
        if any(map(PACKING.search, names)):
            break
        moves = any(LOSSY.search(n) or GEOMETRIC.search(n) for n in names)
        marked = getattr(type(transform), '_methods_with_randomness', ())
        if moves or getattr(transform, 'records_geometry', False):
            if not is_viewed:
                steps += view
            is_viewed = True
        elif not marked and not any(map(RANDOM.search, names)):
            steps.append(transform)
    return steps if is_viewed else [*steps, *view]


def _flat(transforms: Iterable[Any]) -> Iterator[Any]:
    for transform in transforms:
        if isinstance(transform, Compose | PipelineCompose):
            yield from _flat(transform.transforms)
        elif isinstance(transform, MultiView):
            yield from _flat(transform.transforms[:1])
        else:
            yield transform


@contextmanager
def _own_randomness(seed: int | None) -> Iterator[None]:
    """Draw from ``seed`` inside; None changes nothing."""
    if seed is None:
        yield
        return
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng(devices=[]):
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002  MMCV's transforms draw from it
        torch.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002
