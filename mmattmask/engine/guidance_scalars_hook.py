"""Scalars that tell whether guidance does anything."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.hooks import Hook
from mmpretrain.utils import get_ori_model
from torch import Tensor

from mmattmask.engine.attention_refresh_hook import AttentionRefreshHook
from mmattmask.engine.image_pass import evaluating
from mmattmask.evaluation.guidance_scalars import (
    attention_entropy,
    attention_masked,
    foreground_masked,
    foreground_of_views,
    is_annotated,
    mask_agreement,
)
from mmattmask.evaluation.score_content import (
    ScoreContent,
    area_under_curve,
    position_share,
    rank_correlation,
)
from mmattmask.geometry import view_samples
from mmattmask.models.guidance import guidance_of
from mmattmask.registry import HOOKS
from mmattmask.scorers import CachedMaps

PREFIX = 'train/guidance'  # LoggerHook averages what has "loss" or "time" in its name


@HOOKS.register_module()
class GuidanceScalarsHook(Hook):
    """Log what attention and masks have to do with each other.

    Every ``interval`` iterations the batch that comes next is scored and masked once
    more, with random numbers of the hook's own: training does not notice, and other
    iterations cost nothing. The scalars are this process's (the log's: rank 0), under
    ``guidance/`` in the log and in all visualizer backends:

    * ``attention_entropy``: 1 = attention is spread evenly, 0 = all on one patch.
    * ``attention_masked``: share of the attention on masked patches; compare it with
      ``masked``, the share of the patches that are masked.
    * ``mask_agreement``: overlap of two masks that the policy draws for one image, over
      that of random masks: 1 = as random, 1 / ``masked`` = always the same patches.
    * ``foreground_masked``: share of the foreground patches that are masked, if samples
      carry ``foreground`` or ``gt_bboxes`` (of the whole image; name them in
      ``mmattmask.PackInputs(meta_keys=…)``). ``masked`` is its chance level.
    * ``foreground_auc``: with such samples, how often a foreground patch has the larger
      score; .5 = nothing is known. A centre prior may have .8: compare.
    * ``refresh_correlation``: Spearman's correlation between the maps of a refresh and
      of the one before, mean over a sample of images. After a rolling refresh only
      maps count that changed.
    * ``position_share``: share of the score's ranks that the place of a patch explains,
      in the batch; 1 = the same map for every image.
    * ``map_position_share``: the same of the whole images' maps after a refresh. Above
      a half (``evaluation.score_content``) a warning says that guidance follows place,
      not content, once for each refresh.
    * ``shuffled_correlation``, ``shuffled_overlap``: rank correlation of each of these
      maps with another image's, and the most attended quarter that both share.
    * ``refresh_share``: share of the training's duration spent on refreshes.

    While no score is known, only what concerns masks is logged, and nothing where the
    masks of the pipeline stand. Labels of parts are no attention: of them, only masks
    are logged.

    Args:
        interval: Training iterations between measurements.
        num_maps: Images whose maps are compared between refreshes, evenly spaced.
        seed: Of the hook's masks.

    Raises:
        ValueError: If a number is less than 1, or the model is not guided.
    """

    priority = 'NORMAL'  # after AttentionRefreshHook, before LoggerHook

    def __init__(self, interval: int = 100, num_maps: int = 256, seed: int = 0) -> None:
        if interval < 1 or num_maps < 1:
            raise ValueError(
                f'interval ({interval}) and num_maps ({num_maps}) must be at least 1'
            )
        self.interval = interval
        self.num_maps = num_maps
        self.seed = seed
        self._bank: Any = None
        self._maps: np.ndarray | None = None

    def before_train(self, runner: Any) -> None:
        """Check the model."""
        self.check_model(runner)
        self._refreshes = [
            hook for hook in runner.hooks if isinstance(hook, AttentionRefreshHook)
        ]

    def check_model(self, runner: Any) -> None:
        """Raise ValueError if the model is not guided."""
        self._model = get_ori_model(runner.model)
        guidance = guidance_of(self._model)
        if guidance is None:
            raise ValueError(
                'GuidanceScalarsHook needs a guided model, such as mmattmask.GuidedMAE '
                'or a stock one with mmattmask.GuidedDataPreprocessor, got '
                f'{type(self._model).__name__}'
            )
        self._guidance = guidance

    def before_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None
    ) -> None:
        """Compare maps after a refresh; measure a batch if it is time."""
        scalars = self._look_at_bank(runner)
        if self.every_n_train_iters(runner, self.interval):
            scalars |= self.measure(runner, data_batch)
            if self._refreshes:
                shares = [hook.time_share for hook in self._refreshes]
                scalars['refresh_share'] = sum(shares)
        for name, value in scalars.items():
            runner.message_hub.update_scalar(f'{PREFIX}/{name}', value)

    def measure(self, runner: Any, data_batch: dict[str, Any]) -> dict[str, float]:
        """Score and mask a batch, which stays as it is; return the scalars by name."""
        devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
        # nothing below draws from torch's own stream; a scorer of the user's may
        with torch.random.fork_rng(devices), evaluating(runner):
            # training=False: guided preprocessors would draw masks
            data = self._model.data_preprocessor(dict(data_batch), False)
            return self._scalars(data['inputs'], data['data_samples'], runner.iter)

    def _scalars(
        self, inputs: Tensor | Sequence[Tensor], samples: Sequence[Any], iteration: int
    ) -> dict[str, float]:
        guidance, samples = self._guidance, list(samples or [])
        views = [view for view, _ in guidance.views(inputs, samples)]
        images, score = torch.cat(views), guidance.score(inputs, samples)
        # two seeds of this iteration that no other iteration has
        first, second = (
            self._draw(score, images, self.seed + 2 * iteration + draw)
            for draw in range(2)
        )
        values: dict[str, float | Tensor] = {}
        labels = getattr(guidance.scorer, 'gives_labels', False)
        attention = None if labels else score
        if attention is not None:
            values['attention_entropy'] = attention_entropy(attention)
            if len(attention) > 1:
                numbers = attention.float().cpu().numpy()
                values['position_share'] = position_share(numbers)
        if first is not None and second is not None:
            values['masked'] = first.mean()
            values['mask_agreement'] = mask_agreement(first, second)
            if attention is not None:
                values['attention_masked'] = attention_masked(attention, first)
            foreground = self._foreground(views, samples)
            if foreground is not None:
                if attention is not None:
                    pair = (x.cpu().float().numpy() for x in (attention, foreground))
                    values['foreground_auc'] = area_under_curve(*pair)
                foreground = foreground.to(first.device)
                values['foreground_masked'] = foreground_masked(first, foreground)
        floats = {name: float(value) for name, value in values.items()}
        return {name: value for name, value in floats.items() if np.isfinite(value)}

    def _foreground(self, views: Sequence[Tensor], samples: list[Any]) -> Tensor | None:
        """Return the annotated patches of all views, (N, L) bool, if any are."""
        if not any(map(is_annotated, samples)):
            return None
        located = samples
        if len(views) > 1:
            located = [s for i in range(len(views)) for s in view_samples(samples, i)]
        grid = self._guidance.policy_grid(views[0].shape[-2:])
        return foreground_of_views(samples * len(views), located, grid)

    def _draw(self, score: Tensor | None, views: Tensor, seed: int) -> Tensor | None:
        """Draw masks, (B, L), or return None where the host makes its own."""
        if self._guidance.policy(score) is None or not self._guidance.masking:
            return None
        rng = torch.Generator(views.device).manual_seed(seed)
        return self._guidance.decide_mask(score, views, rng)

    def _look_at_bank(self, runner: Any) -> dict[str, float]:
        """Compare the maps of a new bank with each other and with those before."""
        scorer = self._guidance.scorer
        bank = scorer.bank if isinstance(scorer, CachedMaps) else None
        if bank is None or bank is self._bank:
            return {}
        maps = bank.sample(self.num_maps)
        before, self._bank, self._maps = self._maps, bank, maps
        scalars = {}
        if len(maps) > 1:
            content = ScoreContent.from_maps(maps)
            scalars = dict(
                map_position_share=content.position_share,
                shuffled_correlation=content.shuffled_correlation,
                shuffled_overlap=content.shuffled_overlap,
            )
            if not content.is_content:
                runner.logger.warning(f'attention refresh: {content.sentence()}')
        if before is None or before.shape != maps.shape:
            return scalars
        changed = (before != maps).any(axis=1)
        if changed.any():
            before, maps = before[changed], maps[changed]
        return scalars | {'refresh_correlation': rank_correlation(before, maps)}
