"""A moving average of the student, and its attention as the score."""

import copy
import functools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mmattmask.masking.attention import low_precision
from mmattmask.masking.options import check_options
from mmattmask.registry import MODELS
from mmattmask.scorers.base import DEBIAS, Debias, Scorer
from mmattmask.scorers.self_attention import check_readable, read_cls_attention


class EMATeacher(nn.ModuleDict):
    """Exponential moving average (EMA) of parts of an algorithm.

    ``EMATeacherHook`` moves it after every optimizer step. It has no gradients, stays
    in evaluation mode, and is part of checkpoints. A checkpoint without it
    (``load_from`` a plain pre-training) gives it the student's weights.

    Args:
        host: The algorithm.
        where: The teacher's own name in the host, with dots.
        **parts: The student's part for each of the teacher's: its name in the host.
    """

    paired_hooks = ('EMATeacherHook', 'LinearEMATeacherHook')

    def __init__(self, host: nn.Module, where: str, **parts: str) -> None:
        students = {name: host.get_submodule(path) for name, path in parts.items()}
        super().__init__({name: copy.deepcopy(m) for name, m in students.items()})
        self._pairs: list[tuple[Tensor, Tensor]] | None = None  # teacher's, student's
        self.requires_grad_(False)
        self.train(False)
        # not submodules: they belong to the host
        self.students: dict[str, nn.Module]
        object.__setattr__(self, 'students', students)
        host.register_load_state_dict_pre_hook(
            functools.partial(_complete, where=where, parts=parts)
        )

    def init_weights(self) -> None:
        """Start as a copy of the student."""
        self.move(1.0)

    def train(self, mode: bool = True) -> 'EMATeacher':
        """Stay in evaluation mode; look at the student anew."""
        self._pairs = None
        return super().train(False)

    def _apply(self, fn: Any, recurse: bool = True) -> 'EMATeacher':
        """Move to another device or type, and look at the student anew."""
        self._pairs = None
        return super()._apply(fn, recurse)

    @torch.no_grad()
    def move(self, momentum: float) -> None:
        """Become (1 - momentum) * teacher + momentum * student.

        Momentum is MMEngine's: 1 minus the number the papers give. Buffers are averaged
        like parameters; integers are averaged and rounded down.
        """
        if self._pairs is None:  # two state dicts per step are a large part of it
            self._pairs = [
                (value, source[key])
                for name, part in self.items()
                for source in [self.students[name].state_dict()]
                for key, value in part.state_dict().items()
            ]
        floats = [pair for pair in self._pairs if pair[0].is_floating_point()]
        old, new = ([pair[side] for pair in floats] for side in (0, 1))
        for value, source in self._pairs:
            if not value.is_floating_point():
                value.copy_(value * (1 - momentum) + source * momentum)
        if momentum == 1:
            torch._foreach_copy_(old, new)
        else:
            torch._foreach_mul_(old, 1 - momentum)
            torch._foreach_add_(old, new, alpha=momentum)


def _complete(
    module: nn.Module,
    state_dict: dict[str, Any],
    prefix: str,
    *args: Any,
    where: str,
    parts: dict[str, str],
) -> None:
    """Give a state dict without a teacher the student's weights for it."""
    teacher = f'{prefix}{where}.'
    if any(key.startswith(teacher) for key in state_dict):
        return
    for name, path in parts.items():
        part = f'{prefix}{path}.'
        found = {k: v for k, v in state_dict.items() if k.startswith(part)}
        for key, value in found.items():
            state_dict[f'{teacher}{name}.{key.removeprefix(part)}'] = value


def teachers_of(model: nn.Module) -> list[EMATeacher]:
    """Return the EMA teachers of a model, itself unwrapped or not."""
    return [module for module in model.modules() if isinstance(module, EMATeacher)]


def teacher_backbone(model: nn.Module) -> nn.Module | None:
    """Return the EMA teacher of a model's backbone, or None."""
    teachers = (t for t in teachers_of(model) if 'backbone' in t)
    return next((teacher['backbone'] for teacher in teachers), None)


@MODELS.register_module()
class TeacherAttention(Scorer):
    """The CLS attention of the host's EMA teacher in its last block (AttMask).

    For hosts with a teacher of their backbone from the start, such as ``IBOT``, which
    catches it in the pass that makes its targets.

    Args:
        debias: See :class:`Scorer`.

    Source: AttMask, https://arxiv.org/abs/2203.12719.
    """

    paired_hooks = ('EMATeacherHook',)

    def __init__(self, debias: Debias | None = None) -> None:
        super().__init__()
        check_options(debias=(debias, DEBIAS))
        self.debias = debias

    def bind(self, host: nn.Module) -> None:
        """Find the teacher; ValueError if its attention cannot be read."""
        backbone = teacher_backbone(host)
        if backbone is None:
            raise ValueError(
                f'TeacherAttention needs a host with an EMA teacher of its backbone, '
                f'such as mmattmask.IBOT, got {type(host).__name__}'
            )
        check_readable(backbone)
        object.__setattr__(self, 'backbone', backbone)  # the host's module

    def of_teacher(self, attention: Tensor, num_views: int) -> Tensor:
        """Return the attention, which is the score."""
        return attention

    @torch.no_grad()
    def measure(self, model: nn.Module, images: Tensor) -> Tensor:
        """Return the score of the images' patches, (B, L) float32: mean of heads."""
        with low_precision(images):
            return read_cls_attention(self.backbone, images).mean(dim=1)

    def forward(
        self,
        inputs: Tensor,
        data_samples: Sequence[Any] | None,
        grid: tuple[int, int],
        cell_size: int,
    ) -> Tensor:
        """Return the score of the views' patches, (B, L) float32."""
        return self.measure(self, inputs)
