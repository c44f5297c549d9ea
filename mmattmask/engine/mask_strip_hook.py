"""Pictures of what guidance does, for the same images during the whole run."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.registry import DATASETS
from mmpretrain.structures import DataSample
from mmpretrain.utils import get_ori_model
from PIL import Image
from torch import Tensor

from mmattmask.datasets.concat import bases
from mmattmask.datasets.whole_images import WholeImages
from mmattmask.engine.image_pass import evaluating, normalized
from mmattmask.engine.schedule import Schedule
from mmattmask.files import whole_file
from mmattmask.masking import PatchPartition
from mmattmask.models import GuidedMAE, GuidedMILAN, GuidedSimMIM
from mmattmask.models.guidance import attention_maps
from mmattmask.registry import HOOKS
from mmattmask.scorers import CachedMaps
from mmattmask.visualization import (
    Strip,
    draw_row,
    draw_sheet,
    draw_strip,
    membership,
)
from mmattmask.visualization.panels import to_rgb
from mmattmask.visualization.prediction import predict_pixels

FOLDER = 'mask_strips'
ROWS = '[0-9]' * 8 + '.png'


@HOOKS.register_module()
class MaskStripHook(Hook):
    """Draw strips: image | attention | partition | reconstruction.

    The same whole images, evenly spaced over the dataset, are drawn before training,
    after every refresh of the attention maps, every ``interval`` epochs and at the end.
    Each image is one strip, ``mask_strip_<n>`` for the visualizer (local files,
    TensorBoard, W&B); ``<work_dir>/mask_strips.png`` shows some of them over time, one
    row per drawing.

    The partition is what the policy makes of the whole image with the score it has at
    that time (random during warm-up), always from the same random numbers. The random
    stream of training is not touched. Only rank 0 draws.

    Args:
        num_images: Number of strips. Fewer images than this are all drawn.
        interval: Epochs (or iterations) between drawings. Defaults to None: only at the
            start, at the end and on refreshes.
        on_refresh: Draw when the scorer has new maps; with a rolling refresh that is
            every epoch.
        by_epoch: Count epochs, or training iterations.
        dataset: Config of another dataset to draw. A bank does not know it: once there
            is one, the score is the model's attention at that moment. Defaults to the
            training images.
        sheet_images: Strips beside each other in ``mask_strips.png``; 0 writes none.
        seed: Of the masks.

    Raises:
        ValueError: If a number is out of range.
    """

    priority = 'NORMAL'  # after AttentionRefreshHook
    epoch_arguments = ('interval',)

    def __init__(
        self,
        num_images: int = 8,
        interval: int | None = None,
        on_refresh: bool = True,
        by_epoch: bool = True,
        dataset: dict[str, Any] | None = None,
        sheet_images: int = 2,
        seed: int = 0,
    ) -> None:
        if num_images < 1 or sheet_images < 0:
            raise ValueError(
                f'num_images ({num_images}) must be at least 1 and sheet_images '
                f'({sheet_images}) at least 0'
            )
        self.schedule = Schedule(0, 1 if interval is None else interval, by_epoch)
        self.num_images = num_images
        self.interval = interval
        self.on_refresh = on_refresh
        self.dataset = dataset
        self.sheet_images = sheet_images
        self.seed = seed
        self._bank: Any = None
        self._last: int | None = None

    def before_train(self, runner: Any) -> None:
        """Check the model and load the images."""
        self.schedule.check(runner, type(self).__name__)
        self._model = get_ori_model(runner.model)
        if not isinstance(self._model, GuidedMAE | GuidedMILAN | GuidedSimMIM):
            raise ValueError(
                'MaskStripHook needs a guided model such as mmattmask.GuidedMAE, got '
                f'{type(self._model).__name__}'
            )
        self._guidance = self._model.guidance
        dataset = runner.train_dataloader.dataset
        if self.dataset is not None:
            dataset = DATASETS.build(self.dataset)
        images = WholeImages(bases(dataset), tuple(self._model.backbone.img_size))
        if get_rank() != 0:
            return
        number = min(self.num_images, len(images))
        places = [(2 * i + 1) * len(images) // (2 * number) for i in range(number)]
        loaded = [images[place] for place in places]
        for *_, error in loaded:
            if error:
                runner.logger.warning(f'mask strips: skipped an unreadable {error}')
        self._ids = [index for _, index, _, error in loaded if not error]
        self._pixels = [pixels for pixels, _, _, error in loaded if not error]
        self._paths = [images.info(index)[1].get('img_path') for index in self._ids]

    def before_train_epoch(self, runner: Any) -> None:
        """Draw by epoch, and what a refresh before this epoch brought."""
        if self.schedule.by_epoch and self._is_due(runner):
            self.draw(runner)

    def before_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None
    ) -> None:
        """Draw by iteration, and what a refresh between iterations brought."""
        if self._is_refreshed() or (
            not self.schedule.by_epoch and self._is_due(runner)
        ):
            self.draw(runner)

    def after_train(self, runner: Any) -> None:
        """Draw what training came to."""
        if self._last != self.schedule.now(runner):
            self.draw(runner)

    def _is_due(self, runner: Any) -> bool:
        now = self.schedule.now(runner)
        if now == self._last and not self._is_refreshed():
            return False
        return (
            now == 0
            or self._is_refreshed()
            or (self.interval is not None and self.schedule.is_due(now))
        )

    def _is_refreshed(self) -> bool:
        return self.on_refresh and self._current_bank() is not self._bank

    def _current_bank(self) -> Any:
        scorer = self._guidance.scorer
        return scorer.bank if isinstance(scorer, CachedMaps) else None

    def draw(self, runner: Any) -> None:
        """Draw all strips now; on rank 0 only."""
        self._last = now = self.schedule.now(runner)
        self._bank = self._current_bank()
        if get_rank() != 0 or not self._ids:
            return
        strips = self._strips(runner)
        unit = self.schedule.unit
        for number, strip in enumerate(strips):
            caption = f'after {now} {unit}s · training image {self._ids[number]}'
            if self.dataset is not None:
                caption = caption.replace('training image', 'image')
            picture = draw_strip(strip, caption)
            runner.visualizer.add_image(f'mask_strip_{number:02d}', picture, step=now)
        if self.sheet_images:
            number = min(self.sheet_images, len(strips))
            chosen = [(2 * i + 1) * len(strips) // (2 * number) for i in range(number)]
            self._add_to_sheet(runner, [strips[i] for i in chosen], now)

    def _strips(self, runner: Any) -> list[Strip]:
        model, preprocessor = self._model, self._model.data_preprocessor
        inputs = normalized(preprocessor, torch.stack(self._pixels))
        guidance = self._guidance
        grid = guidance.policy_grid(inputs.shape[-2:])
        with evaluating(runner):
            score, partition = self._score_and_partition(inputs)
            shown = None if score is None else score.unflatten(1, grid)
            if score is None and guidance.scorer and guidance.scorer.measures:
                shown = attention_maps(model, inputs)
            mask = partition.mask.unflatten(1, grid)
            prediction, leak = predict_pixels(model, inputs, mask, partition)
        images = to_rgb(inputs, preprocessor.mean, preprocessor.std)
        sets = membership(partition, grid)
        maps = None
        if shown is not None:
            maps = shown.float().cpu().numpy()
        pixels = None
        if prediction is not None:
            pixels = to_rgb(prediction, preprocessor.mean, preprocessor.std)
        notes = (*self._notes(score is not None), leak)
        return [
            Strip(
                images[i],
                sets[i],
                None if maps is None else maps[i],
                None if pixels is None else pixels[i],
                *notes,
            )
            for i in range(len(images))
        ]

    def _score_and_partition(
        self, inputs: Tensor
    ) -> tuple[Tensor | None, PatchPartition]:
        """Score whole images and partition them as the policy does now."""
        score = self._score(inputs)
        rng = torch.Generator(inputs.device).manual_seed(self.seed)
        return score, self._guidance.decide(score, inputs, rng)

    def _score(self, inputs: Tensor) -> Tensor | None:
        """Return the score of whole images, (B, L), or None if none is known."""
        scorer = self._guidance.scorer
        if self.dataset is not None and scorer is not None and scorer.cached:
            if self._bank is None:
                return None
            return attention_maps(self._model, inputs).flatten(1)
        height, width = inputs.shape[-2:]
        whole = {
            'crop_box': (0.0, 0.0, float(height), float(width)),
            'ori_shape': (height, width),
            'flip': False,
            'flip_direction': None,
        }
        samples = [
            DataSample(metainfo={**whole, 'sample_idx': index, 'img_path': path})
            for index, path in zip(self._ids, self._paths, strict=True)
        ]
        return self._guidance.score(inputs, samples)

    def _notes(self, is_guided: bool) -> tuple[str, str]:
        """Say where attention and partition come from."""
        guidance = self._guidance
        generator = guidance.mask_generator
        if not is_guided:
            generator = guidance.warmup_mask_generator
        if self._bank is not None and self.dataset is None:
            attention = f'bank of {self._bank.header.source}'
        else:
            attention = 'the model now' if is_guided else 'the model now, unused'
        partition = re.sub('MaskGenerator$', '', type(generator).__name__)
        if guidance.scorer is not None and not is_guided:
            partition += ', warm-up'
        return attention, partition

    def _add_to_sheet(self, runner: Any, strips: Sequence[Strip], now: int) -> None:
        """Store this drawing's row and compose the sheet from the rows so far."""
        folder = Path(runner.work_dir) / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.glob(ROWS):
            if int(path.stem) >= now:  # of a former run
                path.unlink()
        title = f'{self.schedule.unit} {now}'
        note = strips[0].partition_note
        Image.fromarray(draw_row(strips, title, note)).save(folder / f'{now:08d}.png')
        rows = [np.asarray(Image.open(path)) for path in sorted(folder.glob(ROWS))]
        with whole_file(folder.with_suffix('.png')) as temporary:
            Image.fromarray(draw_sheet(rows, strips)).save(temporary)
