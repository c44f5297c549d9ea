"""Small images that lie on the device, cropped there a batch at a time."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmcv.transforms import RandomFlip
from mmengine.dataset import BaseDataset
from mmengine.device import get_device
from mmpretrain.datasets.transforms import PackInputs, RandomResizedCrop
from mmpretrain.structures import DataSample
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

from mmattmask.datasets.batched_crops import RADIUS, crop_resized, draw_boxes
from mmattmask.device import to_device
from mmattmask.registry import DATASETS
from mmattmask.sample_batch import SampleBatch


@DATASETS.register_module()
class ResidentImages(Dataset):
    """A dataset of small images of one size that makes views of a batch at once.

    Its images are loaded once and kept on the training process's device (in a loader
    process: in memory). A batch is cropped, resized and flipped there by the law of the
    dataset's own pipeline, which stays what single samples, refreshes and pictures
    come from; pixels differ by 2 of 255 levels at most. Random numbers are torch's own
    of the process, few of them and on the CPU, so ``EpochSeedHook`` and a resumed run
    get along with it. Take ``num_workers=0``, without ``pin_memory`` and with
    ``collate_fn=dict(type='default_collate')``.

    Args:
        dataset: The dataset or its config. Its pipeline consists of transforms that
            load (``Load...``), RandomResizedCrop with Pillow's bilinear or bicubic,
            RandomFlip, left to right, if wanted, and PackInputs.

    Raises:
        ValueError: If the pipeline is another.
    """

    makes_batches = True

    def __init__(self, dataset: dict[str, Any] | BaseDataset) -> None:
        if isinstance(dataset, dict):
            dataset = DATASETS.build(dataset)
        self.dataset: BaseDataset = dataset
        steps = self.dataset.pipeline.transforms
        self.load = [step for step in steps if type(step).__name__[:4] == 'Load']
        views: list[Any] = steps[len(self.load) :]
        views = views if len(views) > 1 else [None, None]
        self.crop, *flip, self.pack = views
        self.flip_prob: Any = getattr(flip[0], 'prob', None) if flip else 0.0
        if not (
            isinstance(self.crop, RandomResizedCrop)
            and isinstance(self.pack, PackInputs)
            and self.crop.backend == 'pillow'
            and self.crop.interpolation in RADIUS
            and len(flip) <= 1
            and all(isinstance(one, RandomFlip) for one in flip)
            and all(one.direction == 'horizontal' for one in flip)
            and isinstance(self.flip_prob, float)
        ):
            raise ValueError(
                "ResidentImages makes views of RandomResizedCrop(backend='pillow', "
                "interpolation='bilinear' or 'bicubic'), RandomFlip(prob=0.5) and "
                f'PackInputs, in this order, got {", ".join(map(str, steps))}: use the '
                'dataset itself, without ResidentImages'
            )
        self._images: Tensor | None = None
        self._samples: list[DataSample] = []

    @property
    def metainfo(self) -> dict[str, Any]:
        """What the dataset says of itself, such as ``classes``."""
        return self.dataset.metainfo

    def full_init(self) -> None:
        """Read the list of images."""
        self.dataset.full_init()

    def get_data_info(self, index: int) -> dict[str, Any]:
        """Return what is known of an image."""
        return self.dataset.get_data_info(index)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return one view, from the dataset's pipeline."""
        return self.dataset[index]

    def __getitems__(self, indices: Sequence[int]) -> dict[str, Any]:
        """Return views of a batch as the loader would collate them.

        Raises:
            ValueError: If the images are not of one size, uint8 and coloured.
        """
        images = self._load()
        number, crop = len(indices), self.crop
        size = (images.shape[-2], images.shape[-1])
        ranges = crop.crop_ratio_range, crop.aspect_ratio_range
        boxes = draw_boxes(number, size, *ranges, crop.max_attempts)
        flip = torch.rand(number) < self.flip_prob
        plan = torch.cat([torch.tensor(indices)[:, None], boxes, flip[:, None]], dim=1)
        which, places, flips = to_device(plan, images.device).split([1, 4, 1], dim=1)
        views = crop_resized(
            images[which[:, 0]],
            places,
            flips[:, 0].bool(),
            tuple(crop.scale),
            crop.interpolation,
        )
        return dict(inputs=views, data_samples=self._samples_of(indices, boxes, flip))

    def _load(self) -> Tensor:
        """Return all images, (N, C, H, W) uint8, on the device; load them at first."""
        if self._images is None:
            images = []
            for index in range(len(self)):
                results: Any = self.dataset.get_data_info(index)
                for transform in self.load:
                    results = transform(results)
                images.append(results.pop('img'))
                self._samples.append(self.pack.transform(results)['data_samples'])
            kinds = {(image.shape, str(image.dtype)) for image in images}
            if len(kinds) > 1 or images[0].dtype != np.uint8 or images[0].ndim != 3:
                raise ValueError(
                    'ResidentImages takes images of one size, (H, W, C) uint8, got '
                    f'{sorted(kinds)[:5]}: use the dataset itself'
                )
            device = 'cpu' if get_worker_info() else get_device()
            stack = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
            self._images = stack.contiguous().to(device)
        return self._images

    def _samples_of(
        self, indices: Sequence[int], boxes: Tensor, flip: Tensor
    ) -> SampleBatch:
        """Return what the pipeline would pack beside the images."""
        channels, *size = self._load().shape[1:]
        number = len(indices)
        geometry = torch.zeros(number, 8)
        geometry[:, :4], geometry[:, 7] = boxes, flip
        geometry[:, 4:6] = torch.tensor(size)
        place = dict(
            ori_shape=[tuple(size)] * number,
            img_shape=[(*self.crop.scale, channels)] * number,
            crop_box=list(map(tuple, geometry[:, :4].tolist())),
            flip=flip.tolist(),
            flip_direction=['horizontal' if one else None for one in flip.tolist()],
        )
        samples = [self._samples[index] for index in indices]
        return SampleBatch.of_columns(samples, place, geometry.numpy())
