"""Images to the device, and guided masks where the pipeline makes masks."""

import copy
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import torch
from mmengine.model import BaseDataPreprocessor
from mmengine.structures import BaseDataElement
from mmpretrain.models import SelfSupDataPreprocessor, TwoNormDataPreprocessor
from torch import Tensor

from mmattmask.device import to_device
from mmattmask.mask_generators import BaseMaskGenerator
from mmattmask.models.guidance import Guidance
from mmattmask.models.guided_parts import guides
from mmattmask.registry import MODELS
from mmattmask.sample_batch import SampleBatch
from mmattmask.scorers import Scorer
from mmattmask.scorers.self_attention import image_size_of


class AsyncCopies(BaseDataPreprocessor):
    """Mixin of preprocessors of images that never wait for the device.

    Stock ones copy each label and mask of each DataSample to the device, and wait for
    each. Here images are copied while the device works (``pin_memory`` of the loader),
    and samples stay on the CPU.

    Attributes:
        reverses_channels: Whether BGR becomes RGB, or RGB BGR.
        takes_sample_batches: See ``mmattmask.sample_batch.send_compactly``.
    """

    takes_sample_batches = True
    added_hooks = ('FastLoaderHook',)
    _channel_conversion: bool

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # the stock swap indexes with a list, which is copied, too
        self.reverses_channels = self._channel_conversion
        self._channel_conversion = False

    def cast_data(self, data: Any) -> Any:
        """Move images to the device, their channels in the right order."""
        if isinstance(data, Tensor):
            data = data.to(self.device, non_blocking=True)
            return data.flip(1) if self.reverses_channels else data
        stays = isinstance(data, BaseDataElement | SampleBatch)
        return data if stays else super().cast_data(data)


@guides(SelfSupDataPreprocessor)
class AsyncDataPreprocessor(AsyncCopies, SelfSupDataPreprocessor):
    """SelfSupDataPreprocessor that never waits for the device; guided hosts' own."""


class MaskRewriter(AsyncCopies):
    """Mixin that rewrites ``data_sample.mask`` of a training batch on the device.

    For SimMIM, MaskFeat, BEiT, CAE and others that read ``data_sample.mask``: the
    algorithm stays the stock one. Until the scorer knows a score, the masks that the
    pipeline made stand, unless there is a ``warmup_mask_generator``.

    Args:
        mask_generator: Config of a mask generator.
        scorer: Config of a scorer.
        warmup_mask_generator: Config of the mask generator while there is no score.
        mask_patch_size: Side in px of a mask cell, the unit of the policy.
        model_patch_size: Side in px of a token; a cell holds a square of them. Defaults
            to ``mask_patch_size``.
        num_masked: Number of tokens that the algorithm needs masked in every image
            (CAE: its neck's ``mask_tokens_num``). Defaults to None: what the neck says,
            or any.
        **kwargs: As for the stock data preprocessor.

    Raises:
        ValueError: If the sizes do not fit each other, or the policy throws patches or
            masks another number than ``num_masked``.
    """

    def __init__(
        self,
        mask_generator: dict[str, Any] | BaseMaskGenerator,
        scorer: dict[str, Any] | Scorer | None = None,
        warmup_mask_generator: dict[str, Any] | None = None,
        mask_patch_size: int = 16,
        model_patch_size: int | None = None,
        num_masked: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if model_patch_size is None:
            model_patch_size = mask_patch_size
        self.num_masked = num_masked
        self.guidance = Guidance(
            mask_generator,
            scorer,
            warmup_mask_generator,
            mask_patch_size,
            model_patch_size,
        )
        if self.guidance.scorer is not None:
            self.guidance.scorer.views_from(self)
        self.guidance.check_masks_something()
        self.guidance.check_learns_nothing(type(self).__name__)
        self._checked: set[tuple[int, int]] = set()
        if num_masked is not None:
            for policy in self.guidance.policies():
                if policy.variable_counts:
                    raise ValueError(
                        f'every image must have {num_masked} masked tokens, but with '
                        f'these options {type(policy).__name__} masks another '
                        'number in each image'
                    )

    def init_weights(self) -> None:
        """Let the scorer load its weights; called with the model's."""
        self.guidance.init_weights()

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Preprocess as stock, and in training replace the masks by (h, w) int64."""
        data = super().forward(data, training)
        # what the loader gave stays as it is
        samples = [copy.copy(sample) for sample in data['data_samples'] or ()]
        if training:
            self.rewrite(data['inputs'], samples)
        elif samples and 'mask' in samples[0]:
            self._move_masks(samples)
        return {**data, 'data_samples': samples}

    def _move_masks(self, data_samples: Sequence[Any]) -> None:
        masks = torch.stack([sample.mask for sample in data_samples])
        _set_masks(data_samples, to_device(masks, self.device))

    def rewrite(
        self, inputs: Tensor | Sequence[Tensor], data_samples: Sequence[Any]
    ) -> None:
        """Replace the samples' masks; of several pictures the first is the view."""
        if 'mask' not in data_samples[0]:
            raise ValueError(
                f'{type(self).__name__} replaces masks that the pipeline made, but the '
                'samples have none. Algorithms that mask by themselves do not read '
                'them: for MAE, MFF, EVA, MILAN and ConvMAE there are guided hosts '
                "(type='mmattmask.GuidedMAE', …); MixMIM mixes pairs of images under "
                'one mask for the whole batch and SparK masks convolutions, neither is '
                'supported'
            )
        guidance = self.guidance
        view = inputs if isinstance(inputs, Tensor) else inputs[0]
        size = view.shape[-2:]
        self.check_counts(guidance.policy_grid(size))
        score = guidance.score(view, data_samples)
        if guidance.policy(score) is None:
            self._move_masks(data_samples)
            return
        mask = guidance.decide_mask(score, view, guidance.rng)
        masks = guidance.spread_values(mask, size)
        expected = data_samples[0].mask.shape
        if masks.shape[1:] != expected:
            raise ValueError(
                f'views of {size[0]} x {size[1]} px have {masks.shape[1]} x '
                f'{masks.shape[2]} tokens of {guidance.token_size} px, the masks of '
                f'the pipeline have {tuple(expected)}: set model_patch_size of the '
                'data preprocessor'
            )
        _set_masks(data_samples, masks.long())

    def check_host(self, model: Any) -> None:
        """Raise ValueError where a step would for its number of masks.

        The neck of CAE says how many tokens it needs, unless ``num_masked`` does. A
        backbone that does not tell its size is asked in the first step.
        """
        if self.num_masked is None:
            neck = getattr(model, 'neck', None)
            self.num_masked = getattr(neck, 'mask_token_num', None)
        with suppress(AttributeError):
            size = image_size_of(model.backbone)
            self.check_counts(self.guidance.policy_grid(size))

    def check_counts(self, grid: tuple[int, int]) -> None:
        """Raise ValueError unless the policies fit a grid; looked at once for each."""
        if grid in self._checked:
            return
        self.guidance.check_masks_something(grid)
        self.guidance.check_throws_nothing(type(self).__name__, grid)
        self.guidance.try_policies(grid)
        tokens_per_cell = self.guidance.factor**2
        for policy in self.guidance.policies():
            if policy.variable_counts:
                continue
            budget = policy.budget(grid[0] * grid[1])
            masked = budget.num_masked * tokens_per_cell
            if self.num_masked is not None and masked != self.num_masked:
                raise ValueError(
                    f'every image must have {self.num_masked} masked tokens, but '
                    f'{type(policy).__name__} masks {masked} of '
                    f'{budget.num_patches * tokens_per_cell}: set mask_ratio='
                    f'{self.num_masked}/{budget.num_patches * tokens_per_cell}'
                )
        self._checked.add(grid)


def _set_masks(data_samples: Sequence[Any], masks: Tensor) -> None:
    """Give each sample its mask of (B, h, w)."""
    for sample, mask in zip(data_samples, masks, strict=True):
        sample.set_mask(mask)


@MODELS.register_module()
class GuidedDataPreprocessor(MaskRewriter, SelfSupDataPreprocessor):
    """SelfSupDataPreprocessor with guided masks, for SimMIM and MaskFeat."""


@MODELS.register_module()
class GuidedTwoNormDataPreprocessor(MaskRewriter, TwoNormDataPreprocessor):
    """TwoNormDataPreprocessor with guided masks, for BEiT, BEiT v2 and CAE."""
