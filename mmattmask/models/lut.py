"""LUT: unmasked tokens learn broader context from an EMA teacher's other view."""

from collections.abc import Sequence
from typing import Any

import torch
from mmpretrain.registry import MODELS as MMPRETRAIN_MODELS
from torch import Tensor, nn
from torch.nn import functional as F

from mmattmask.masking import PatchPartition, partition_patches, rank_random
from mmattmask.masking.attention import at_least_float32
from mmattmask.models.mae import GuidedMAE
from mmattmask.registry import MODELS
from mmattmask.scorers.ema_teacher import EMATeacher
from mmattmask.scorers.self_attention import num_prefix_tokens_of


@MODELS.register_module()
class LUT(GuidedMAE):
    """MAE on one view, and a loss that ties its visible patches to another view.

    View 1 is masked and reconstructed as by ``GuidedMAE``. View 2 keeps as many patches
    at other grid positions: the first ``num_visible`` masked patches of view 1's
    partition, or any where the policy has no order. The mean of each view's visible
    tokens, after projector and predictor, must predict the projected mean token of the
    other view, seen whole by an EMA teacher. The score is that of view 1; thrown
    patches stay out of both masked views.

    Inputs are lists of two views (``mmattmask.MultiView``). The teacher moves only with
    ``custom_hooks=[dict(type='mmattmask.EMATeacherHook')]``.

    Args:
        *args: As for GuidedMAE.
        hid_channels: Width of the hidden layer of projector and predictor.
        norm_cfg: Their norm layer. Defaults to SyncBN, which is BN in one process.
        context_weight: Weight of ``loss_context``.
        **kwargs: As for GuidedMAE.

    Raises:
        ValueError: If the parts do not fit each other, or more patches are visible than
            masked.

    Source: LUT, https://arxiv.org/abs/2310.13593; naver-ai/lut models/models_lut.py,
    engines/engine_lut.py.
    """

    least_images = 2  # for its batch norm

    def __init__(
        self,
        *args: Any,
        hid_channels: int = 4096,
        norm_cfg: dict[str, Any] | None = None,
        context_weight: float = 0.25,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._check_disjoint()
        width = self.backbone.embed_dims
        mlp = dict(
            type='NonLinearNeck',
            in_channels=width,
            hid_channels=hid_channels,
            out_channels=width,
            with_last_bn=False,
            with_avg_pool=False,
            norm_cfg=norm_cfg or dict(type='SyncBN'),
        )
        self.projector: nn.Module = MMPRETRAIN_MODELS.build(mlp)
        self.predictor: nn.Module = MMPRETRAIN_MODELS.build(mlp)
        self.context_weight = context_weight
        # Differs from LUT: the released teacher also averages decoder and predictor,
        # which it never uses.
        self.teacher = EMATeacher(
            self, 'teacher', backbone='backbone', projector='projector'
        )

    def _check_disjoint(self) -> None:
        out_type = getattr(self.backbone, 'out_type', None)
        if out_type != 'raw':
            raise ValueError(
                "LUT's teacher reads patch tokens: backbone.out_type must be 'raw', "
                f'got {out_type!r} of {type(self.backbone).__name__}'
            )
        height, width = self.guidance.policy_grid(self.backbone.img_size)
        for generator in self.guidance.policies():
            budget = generator.budget(height * width)
            if budget.num_visible > budget.num_masked:
                raise ValueError(
                    'LUT shows its second view other patches than its first, so at '
                    'least as many must be masked as visible: '
                    f'{type(generator).__name__} leaves {budget.num_visible} visible, '
                    f'masks {budget.num_masked} and throws {budget.num_thrown} of '
                    f'{budget.num_patches}'
                )

    def loss(  # type: ignore[override]  # two views
        self, inputs: Sequence[Tensor], data_samples: Sequence[Any], **kwargs: Any
    ) -> dict[str, Tensor]:
        """Reconstruct view 1 and predict the teacher's features of each other view.

        Returns ``loss`` of the reconstruction and ``loss_context``, weighted.
        ValueError if there are not two views of one size.
        """
        _check_views(inputs)
        losses, tokens, partition = self.reconstruct(inputs[0], data_samples)
        if any(policy.in_raster_order for policy in self.guidance.policies()):
            partition = shuffle_masked(partition, self.guidance.rng)
        other_tokens, *_ = self.backbone(inputs[1], next_partition(partition))
        # Two calls: batch norm has the statistics of one view at a time.
        students = [
            self.predictor(self.projector((self._pooled(view),)))[0]
            for view in (tokens, other_tokens)
        ]
        teachers = self.teach(inputs)
        pairs = zip(students, reversed(teachers), strict=True)
        first, second = ((2 - 2 * _cosine(*pair)).mean() for pair in pairs)
        return losses | dict(loss_context=self.context_weight * (first + second) / 2)

    @torch.no_grad()
    def teach(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Return the teacher's features of whole views, (B, C) each."""
        tokens = self.teacher['backbone'](torch.cat(tuple(inputs)), mask=None)[-1]
        features = self.teacher['projector']((self._pooled(tokens),))[0]
        return list(features.chunk(len(inputs)))

    def _pooled(self, tokens: Tensor) -> Tensor:
        """Mean patch token, (B, CLS + N, C) to (B, C)."""
        return tokens[:, num_prefix_tokens_of(self.backbone) :].mean(dim=1)


@torch.compiler.disable
def shuffle_masked(
    partition: PatchPartition, rng: torch.Generator | None = None
) -> PatchPartition:
    """Return a partition of the same sets, the masked patches in random order."""
    masked = partition.ids_mask
    masked = masked.gather(1, rank_random(masked, rng))
    order = [partition.ids_keep, masked, partition.ids_throw]
    return partition_patches(torch.cat(order, dim=1), partition.budget)


def next_partition(partition: PatchPartition) -> PatchPartition:
    """Return a partition whose visible patches are the first masked ones of another.

    Counts and thrown patches are the same.
    """
    budget = partition.budget
    now_visible, masked = partition.ids_mask.split(
        [budget.num_visible, budget.num_masked - budget.num_visible], dim=1
    )
    order = [now_visible, masked, partition.ids_keep, partition.ids_throw]
    return partition_patches(torch.cat(order, dim=1), budget)


def _cosine(student: Tensor, teacher: Tensor) -> Tensor:
    """Cosine of each pair of rows, (B,), at least in float32."""
    return F.cosine_similarity(
        at_least_float32(student), at_least_float32(teacher), dim=1
    )


def _check_views(inputs: Sequence[Tensor]) -> None:
    shapes = [tuple(view.shape) for view in inputs]
    if isinstance(inputs, Tensor) or len(inputs) != 2 or shapes[0] != shapes[1]:
        raise ValueError(
            'LUT takes a list of two views of one size, got '
            f'{tuple(inputs.shape) if isinstance(inputs, Tensor) else shapes}: use '
            "dict(type='mmattmask.MultiView', num_views=[1, 1], transforms=[...]) in "
            'the training pipeline'
        )
