"""iBOT, with AttMask and other masks; DINO is iBOT without masks."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any, NamedTuple

import torch
from mmpretrain.models import BaseSelfSupervisor
from mmpretrain.registry import MODELS as MMPRETRAIN_MODELS
from torch import Tensor, nn

from mmattmask.mask_generators import BaseMaskGenerator
from mmattmask.masking.attention import at_least_float32
from mmattmask.masking.self_distillation import masked_rows, patches_at
from mmattmask.models.guidance import Guidance
from mmattmask.models.guided_parts import build_preprocessor
from mmattmask.models.ibot_loss import IBOTLoss
from mmattmask.registry import MODELS, TASK_UTILS
from mmattmask.scorers import Scorer
from mmattmask.scorers.ema_teacher import EMATeacher, TeacherAttention
from mmattmask.scorers.self_attention import grid_of, patch_size_of, read_cls_attention


class Targets(NamedTuple):
    """What the teacher says of N views: of CLS tokens, (N, K), and of masked patches.

    Those, (R, K'), and the mean output for all patches are None without patch loss.
    """

    cls: Tensor
    cls_mean: Tensor
    patch: Tensor | None = None
    patch_mean: Tensor | None = None


@MODELS.register_module()
class IBOT(BaseSelfSupervisor):
    """Predict an EMA teacher's view of other crops, and of masked patches.

    Inputs are lists of crops: ``num_global`` large ones first, then any number of small
    ones, none of them masked. The teacher sees the large ones whole.

    Without a scorer, a policy's score is the teacher's own CLS attention in its last
    block (``TeacherAttention``: AttMask). Policies without interest in scores (iBOT's
    blocks) make masks all the same.

    Teacher and centres move only with
    ``custom_hooks=[dict(type='mmattmask.EMATeacherHook')]``, and temperatures warm up
    with ``dict(type='mmattmask.TeacherTemperatureHook')``.
    ``mode='tensor'`` gives the features of the student; k-NN results of the papers are
    of ``teacher['backbone']``.

    Args:
        backbone: Config of an ``IBOTViT``, or a module. ``with_mask_token`` is filled
            in.
        head: Config of an ``IBOTHead``, or a module. ``in_channels`` is filled in.
        mask_generator: Config of a mask generator, which may mask another number of
            patches in each crop. Defaults to None: nothing is masked (DINO), then
            ``patch_weight`` must be 0.
        scorer: Config of another source of scores. Defaults to None: the teacher.
        warmup_mask_generator: Config of the mask generator while a scorer knows no
            score. Defaults to ``mask_generator`` with a constant score.
        num_global: Number of large crops.
        cls_weight: Weight of ``loss_cls``, the papers' lambda 1.
        patch_weight: Weight of ``loss_patch``, lambda 2; 0 computes none.
        student_temp: Temperature of the student.
        teacher_temp: Temperature of the teacher's CLS output.
        teacher_patch_temp: Temperature of its patch output.
        center_momentum: See ``IBOTLoss``.
        patch_center_momentum: See ``IBOTLoss``.
        dense: Compute the head for all patches, as the released code does: the same
            losses, slower.
        **kwargs: As for BaseSelfSupervisor.

    Raises:
        ValueError: If the parts do not fit each other.

    Source: iBOT, https://arxiv.org/abs/2111.07832; bytedance/ibot main_ibot.py;
    AttMask, https://arxiv.org/abs/2203.12719; gkakogeorgiou/attmask main_attmask.py.
    """

    def __init__(
        self,
        backbone: dict[str, Any] | nn.Module,
        head: dict[str, Any] | nn.Module,
        mask_generator: dict[str, Any] | BaseMaskGenerator | None = None,
        scorer: dict[str, Any] | Scorer | None = None,
        warmup_mask_generator: dict[str, Any] | BaseMaskGenerator | None = None,
        num_global: int = 2,
        cls_weight: float = 1.0,
        patch_weight: float = 1.0,
        student_temp: float = 0.1,
        teacher_temp: float = 0.07,
        teacher_patch_temp: float = 0.07,
        center_momentum: float = 0.9,
        patch_center_momentum: float = 0.9,
        dense: bool = False,
        **kwargs: Any,
    ) -> None:
        if isinstance(backbone, dict):
            token = dict(with_mask_token=mask_generator is not None)
            backbone = MMPRETRAIN_MODELS.build({**token, **backbone})
        if isinstance(head, dict):
            width = dict(in_channels=getattr(backbone, 'embed_dims', None))
            head = MMPRETRAIN_MODELS.build({**width, **head})
        preprocessor = build_preprocessor(kwargs.pop('data_preprocessor', None))
        super().__init__(backbone, head=head, data_preprocessor=preprocessor, **kwargs)
        self.num_global = num_global
        self.cls_weight = cls_weight
        self.patch_weight = patch_weight
        self.teacher_temp = teacher_temp
        self.teacher_patch_temp = teacher_patch_temp
        self.dense = dense
        self.patch_size = patch_size_of(self.backbone)
        self._check_parts(mask_generator)
        self.distillation = IBOTLoss(
            self.head.out_channels,
            self.head.patch_out_channels,
            student_temp,
            center_momentum,
            patch_center_momentum,
        )
        self.teacher = EMATeacher(self, 'teacher', backbone='backbone', head='head')
        teacher: Any = self.teacher['backbone']
        teacher.mask_token = None
        self.guidance: Guidance | None = None
        if mask_generator is not None:
            self._init_guidance(mask_generator, scorer, warmup_mask_generator)
        elif scorer is not None or warmup_mask_generator is not None:
            raise ValueError(
                'a scorer or warmup_mask_generator without a mask_generator masks '
                'nothing: leave them out (DINO), or set mask_generator'
            )

    def _init_guidance(
        self,
        mask_generator: dict[str, Any] | BaseMaskGenerator,
        scorer: dict[str, Any] | Scorer | None,
        warmup_mask_generator: dict[str, Any] | BaseMaskGenerator | None,
    ) -> None:
        if isinstance(mask_generator, dict):
            mask_generator = TASK_UTILS.build(mask_generator)
        host, backbone = type(self).__name__, self.backbone
        self.guidance = Guidance(
            mask_generator,
            scorer or TeacherAttention(),
            warmup_mask_generator or mask_generator,
            self.patch_size,
            self.patch_size,
            self.num_global,
        )
        grid = self.guidance.policy_grid(backbone.img_size)
        self.guidance.check_throws_nothing(host, grid)
        self.guidance.check_learns_nothing(host)
        self.guidance.bind(self, backbone.img_size)

    def _check_parts(self, mask_generator: Any) -> None:
        backbone, head = self.backbone, self.head
        if backbone.out_type != 'raw' or backbone.cls_token is None:
            raise ValueError(
                "IBOT reads CLS and patch tokens: backbone.out_type must be 'raw', got "
                f'{backbone.out_type!r}'
            )
        if head.in_channels != backbone.embed_dims:
            raise ValueError(
                f'the head takes tokens of width {head.in_channels}, those of the '
                f'backbone have {backbone.embed_dims}'
            )
        if self.num_global < 1:
            raise ValueError(f'num_global must be at least 1, got {self.num_global}')
        has_masks = mask_generator is not None
        has_token = getattr(backbone, 'mask_token', None) is not None
        if has_masks != has_token:
            raise ValueError(
                'a mask generator and a mask token go together, got mask_generator='
                f'{mask_generator} and backbone.with_mask_token={has_token}'
            )
        if self.patch_weight and not has_masks:
            raise ValueError(
                f'patch_weight ({self.patch_weight}) needs a mask_generator; without '
                'masks (DINO) set patch_weight=0'
            )
        if not self.patch_weight and head.patch_last_layer is not None:
            raise ValueError(
                'with patch_weight=0 a last layer for patches is never used: leave out '
                f'patch_out_channels ({head.patch_out_channels}) of the head'
            )

    def extract_feat(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """Return the student's tokens of whole images, ((B, 1 + L, C),)."""
        return self.backbone(inputs)

    @torch.no_grad()
    def teach(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the teacher's tokens (N, 1 + L, C) of whole crops, and its attention.

        That is the CLS token's to the patches in the last block, (N, L), mean of the
        heads.
        """
        backbone = self.teacher['backbone']
        tokens: list[Tensor] = []
        attention = read_cls_attention(
            backbone,
            images,
            forward=lambda x: tokens.append(backbone(x)[-1]),
            stop=False,
        )
        return tokens[0], attention.mean(dim=1)

    @torch.no_grad()
    def mask_views(
        self,
        inputs: Sequence[Tensor],
        data_samples: Sequence[Any] | None,
        attention: Tensor,
    ) -> Tensor | None:
        """Return the masks of the large crops, (N, L), 1 = masked; None for DINO.

        The teacher's attention (N, L) is the score unless the scorer is another.
        """
        guidance = self.guidance
        if guidance is None:
            return None
        if not guidance.masking:
            return torch.zeros_like(attention)
        images = torch.cat(tuple(inputs[: self.num_global]))
        score = guidance.of_teacher(attention)
        if score is None:
            score = guidance.score(inputs, data_samples)
        mask = guidance.decide_mask(score, images, guidance.rng)
        return mask.type_as(attention)

    def loss(
        self,
        inputs: Sequence[Tensor],
        data_samples: Sequence[Any] | None,
        **kwargs: Any,
    ) -> dict[str, Tensor]:
        """Compare student and teacher; in training mode, collect means for the centres.

        Returns ``loss_cls`` and, unless its weight is 0, ``loss_patch``, both weighted.
        ValueError if there are too few crops or they do not fit each other.
        """
        self._check_views(inputs)
        images = torch.cat(tuple(inputs[: self.num_global]))
        tokens, attention = self.teach(images)
        mask = self.mask_views(inputs, data_samples, attention)
        rows = self._patch_rows(mask)
        targets = self.targets(tokens, rows)
        cls, patch = self.predict(images, mask, inputs[self.num_global :], rows)

        distillation, batch_size = self.distillation, len(inputs[0])
        student, teacher = (
            logits.unflatten(0, (-1, batch_size)) for logits in (cls, targets.cls)
        )
        loss = distillation.cls(student, teacher, self.teacher_temp)
        losses = dict(loss_cls=self.cls_weight * loss)
        if rows is not None and patch is not None and targets.patch is not None:
            _, weights = rows
            loss = distillation.patch(
                patch, targets.patch, weights, self.teacher_patch_temp
            )
            losses['loss_patch'] = self.patch_weight * loss
        if self.training:
            distillation.collect(targets.cls_mean, targets.patch_mean)
        return losses

    def _patch_rows(self, mask: Tensor | None) -> tuple[Tensor, Tensor] | None:
        """Return places and weights of the patches that have a loss, (R,) each."""
        if not self.patch_weight:
            return None
        assert mask is not None  # or the model was not built
        assert self.guidance is not None
        num_images, num_patches = mask.shape
        if self.dense:
            capacity = num_patches
        else:
            policies = self.guidance.policies()
            most = max(policy.max_masked(num_patches) for policy in policies)
            capacity = most if self.guidance.masking else 0
        return masked_rows(mask, num_images * capacity)

    @torch.no_grad()
    def targets(self, tokens: Tensor, rows: tuple[Tensor, Tensor] | None) -> Targets:
        """Return the teacher's output for its tokens, (N, 1 + L, C)."""
        head: Any = self.teacher['head']
        z = head.project(tokens if rows is not None else tokens[:, :1])
        cls = head.cls_logits(z[:, 0])
        cls_mean = at_least_float32(cls).mean(dim=0)
        if rows is None:
            return Targets(cls, cls_mean)
        patch = head.patch_logits(patches_at(z, rows[0]))
        if self.dense:
            return Targets(cls, cls_mean, patch, at_least_float32(patch).mean(dim=0))
        return Targets(cls, cls_mean, patch, head.mean_patch_logits(z[:, 1:]))

    def predict(
        self,
        images: Tensor,
        mask: Tensor | None,
        small: Sequence[Tensor],
        rows: tuple[Tensor, Tensor] | None,
    ) -> tuple[Tensor, Tensor | None]:
        """Return the student's CLS logits of all crops, and of the patches at ``rows``.

        ``images`` are the large crops, (N, 3, H, W), ``mask`` theirs, (N, L); equal
        neighbours among the small ones run together. ``rows`` are of ``masked_rows``.
        """
        tokens = self.backbone(images, mask)[-1]
        parts = [tokens[:, 0]]
        for _, group in groupby(small, key=lambda crop: crop.shape):
            parts.append(self.backbone(torch.cat(tuple(group)))[-1][:, 0])
        num_cls = sum(map(len, parts))
        if rows is not None:
            parts.append(patches_at(tokens, rows[0]))
        z = self.head.project(torch.cat(parts))
        cls = self.head.cls_logits(z[:num_cls])
        return cls, None if rows is None else self.head.patch_logits(z[num_cls:])

    def _check_views(self, inputs: Sequence[Tensor]) -> None:
        if isinstance(inputs, Tensor) or len(inputs) < max(self.num_global, 2):
            number = 1 if isinstance(inputs, Tensor) else len(inputs)
            raise ValueError(
                f'IBOT takes a list of at least {max(self.num_global, 2)} crops, '
                f'{self.num_global} of them large, got {number}: use '
                "dict(type='mmattmask.MultiCrop', num_views=[2, ...], ...)"
            )
        sizes = [tuple(crop.shape[-2:]) for crop in inputs]
        if len(set(sizes[: self.num_global])) > 1:
            raise ValueError(
                f'the first {self.num_global} crops must have one size, got '
                f'{sizes[: self.num_global]} px'
            )
        for size in set(sizes):
            grid_of(size, self.patch_size)
