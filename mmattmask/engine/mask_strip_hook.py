"""Pictures of what guidance does, for the same images during the whole run."""

from typing import Any

import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.registry import DATASETS
from mmpretrain.utils import get_ori_model
from torch import Tensor

from mmattmask.dataset_configs import check_same_colours
from mmattmask.datasets.concat import bases
from mmattmask.datasets.whole_images import WholeImages
from mmattmask.engine.image_pass import evaluating, normalized
from mmattmask.engine.schedule import Schedule
from mmattmask.evaluation.features import Normalisation
from mmattmask.evaluation.frozen_backbone import normalisation_of
from mmattmask.models import GuidedMAE, GuidedMILAN, GuidedSimMIM
from mmattmask.models.guidance import attention_maps
from mmattmask.registry import HOOKS
from mmattmask.scorers import CachedMaps
from mmattmask.scorers.bank import evenly_spaced
from mmattmask.visualization import ImageRecord, draw_strip
from mmattmask.visualization.model_output import (
    make_records,
    name_of,
    note_of,
    whole_images,
)
from mmattmask.visualization.strips import add_drawing


@HOOKS.register_module()
class MaskStripHook(Hook):
    """Draw strips: image | score | partition | reconstruction.

    The same whole images, evenly spaced over the dataset, are drawn before training,
    after every refresh of the attention maps, every ``interval`` epochs and at the end.
    Each image is one strip, ``mask_strip_<n>`` for the visualizer (local files,
    TensorBoard, W&B); ``<work_dir>/mask_strips.png`` shows some of them over time, at
    most 12 drawings below each other, ``<work_dir>/mask_strips/`` keeps all of them for
    ``mmattmask visualize --strips`` and for resumed runs. Images may have any number of
    channels.

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
            is one, the score is what the scorer measures at that moment. Maps that go
            by sample id are refused. Defaults to the training images.
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
        self.schedule = Schedule(0, interval, by_epoch)
        self.num_images = num_images
        self.on_refresh = on_refresh
        self.dataset = dataset
        self.sheet_images = sheet_images
        self.seed = seed
        self._bank: Any = None

    def before_train(self, runner: Any) -> None:
        """Check the model and load the images."""
        self.check_model(runner)
        dataset = runner.train_dataloader.dataset
        if self.dataset is not None:
            dataset = DATASETS.build(self.dataset)
        images = WholeImages(bases(dataset), tuple(self._model.backbone.img_size))
        if get_rank() != 0:
            return
        ids = evenly_spaced(self.num_images, len(images)).tolist()
        loaded = [images[i] for i in ids]
        for *_, error in loaded:
            if error:
                runner.logger.warning(f'mask strips: skipped an unreadable {error}')
        self._ids = [index for _, index, _, error in loaded if not error]
        self._pixels = [pixels for pixels, _, _, error in loaded if not error]
        self._paths = [images.info(index)[1].get('img_path') for index in self._ids]

    def check_model(self, runner: Any) -> None:
        """Raise ValueError if the schedule never comes or the model is not guided.

        And if the pipeline normalises, or ``dataset`` has red and blue exchanged or
        no scores.
        """
        self.schedule.check(runner, type(self).__name__)
        self._rgb = normalisation_of(runner.cfg).rgb
        if self.dataset is not None:
            training = runner.cfg.train_dataloader.dataset
            check_same_colours(training=training, dataset=self.dataset)
        self._model = get_ori_model(runner.model)
        if not isinstance(self._model, GuidedMAE | GuidedMILAN | GuidedSimMIM):
            raise ValueError(
                'MaskStripHook needs a guided model such as mmattmask.GuidedMAE, got '
                f'{type(self._model).__name__}'
            )
        self._guidance = self._model.guidance
        if self.dataset is not None and self._guidance.scorer is not None:
            self._guidance.scorer.check_other_images()

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
        self.draw(runner)

    def _is_due(self, runner: Any) -> bool:
        return self.schedule.is_due(self.schedule.now(runner)) or self._is_refreshed()

    def _is_refreshed(self) -> bool:
        return self.on_refresh and self._current_bank() is not self._bank

    def _current_bank(self) -> Any:
        scorer = self._guidance.scorer
        return scorer.bank if isinstance(scorer, CachedMaps) else None

    def draw(self, runner: Any) -> None:
        """Draw all strips now; on rank 0 only."""
        now = self.schedule.now(runner)
        self._bank = self._current_bank()
        if get_rank() != 0 or not self._ids:
            return
        records, unit = self._records(runner), self.schedule.unit
        kind = 'training image' if self.dataset is None else 'image'
        for number, record in enumerate(records):
            caption = f'after {now} {unit}s · {kind} {self._ids[number]}'
            picture = draw_strip(record, caption)
            runner.visualizer.add_image(f'mask_strip_{number:02d}', picture, step=now)
        if self.sheet_images:
            chosen = [
                records[i] for i in evenly_spaced(self.sheet_images, len(records))
            ]
            add_drawing(runner.work_dir, chosen, now, unit)

    def _records(self, runner: Any) -> list[ImageRecord]:
        model, guidance = self._model, self._guidance
        inputs = normalized(model.data_preprocessor, torch.stack(self._pixels))
        grid = guidance.policy_grid(inputs.shape[-2:])
        with evaluating(runner):
            score = self._score(inputs)
            rng = torch.Generator(inputs.device).manual_seed(self.seed)
            partition = guidance.decide(score, inputs, rng)
            shown = None if score is None else score.unflatten(1, grid)
            if score is None and guidance.scorer and guidance.scorer.measures:
                shown = attention_maps(model, inputs)
            mean, std = (  # of any number of channels
                getattr(model.data_preprocessor, name, default).flatten().tolist()
                for name, default in (('mean', torch.zeros(1)), ('std', torch.ones(1)))
            )
            normalisation = Normalisation(tuple(mean), tuple(std), self._rgb)
            notes = self._notes(score)
            return make_records(model, inputs, normalisation, shown, partition, *notes)

    def _score(self, inputs: Tensor) -> Tensor | None:
        """Return the score of whole images, (B, L), or None if none is known."""
        scorer = self._guidance.scorer
        if self.dataset is not None and scorer is not None and scorer.cached:
            if self._bank is None:
                return None
            return attention_maps(self._model, inputs).flatten(1)
        ids = self._ids if self.dataset is None else [None] * len(self._ids)
        samples = whole_images(ids, self._paths, inputs.shape[-2:])
        return self._guidance.score(inputs, samples)

    def _notes(self, score: Tensor | None) -> tuple[str, str]:
        """Say where score and partition come from."""
        guidance, scorer = self._guidance, self._guidance.scorer
        source = '' if scorer is None else note_of(scorer)
        if self._bank is not None and self.dataset is None:
            source = f'bank of {self._bank.header.source}'
        policy = name_of(guidance.policy(score) or guidance.mask_generator)
        if scorer is not None and score is None:
            source, policy = f'{source}, unused', f'{policy}, warm-up'
        return source, policy
