"""A teacher that is the moving average of parts of its student."""

import copy
from typing import Any

import torch
from torch import Tensor, nn


class EMATeacherHost:
    """Mixin for algorithms with an exponential moving average (EMA) of themselves.

    ``EMATeacherHook`` moves the teacher after every optimizer step. The teacher has no
    gradients, stays in evaluation mode, and is part of checkpoints. A checkpoint
    without a teacher (``load_from`` a plain pre-training) gives it the student's
    weights.

    Attributes:
        teacher: The averaged parts, under the names they have in the student.
    """

    teacher: nn.ModuleDict

    def init_teacher(self, *names: str) -> None:
        """Make the teacher of the parts called ``names``; call when they are there."""
        parts = {name: copy.deepcopy(getattr(self, name)) for name in names}
        self.teacher = nn.ModuleDict(parts).requires_grad_(False).eval()

    def init_weights(self) -> None:
        """Initialise as stock, then start the teacher as a copy of the student."""
        super().init_weights()  # type: ignore[misc]
        init_cfg = getattr(self, 'init_cfg', None)
        # a pretrained checkpoint has set the teacher, see _load_from_state_dict
        if not (isinstance(init_cfg, dict) and init_cfg.get('type') == 'Pretrained'):
            self.update_teacher(1.0)

    def train(self, mode: bool = True) -> Any:
        """Set the mode of everything but the teacher, which keeps evaluating."""
        super().train(mode)  # type: ignore[misc]
        self.teacher.eval()
        return self

    @torch.no_grad()
    def update_teacher(self, momentum: float) -> None:
        """Set the teacher to (1 - momentum) * teacher + momentum * student.

        Buffers (running statistics of batch norm) are averaged like parameters;
        integers are averaged and rounded down.

        Args:
            momentum: Share of the student, in [0, 1]; MMEngine's convention, 1 minus
                the number the papers give.
        """
        old: list[Tensor] = []
        new: list[Tensor] = []
        for name, part in self.teacher.items():
            source = getattr(self, name).state_dict()
            for key, value in part.state_dict().items():
                if value.is_floating_point():
                    old.append(value)
                    new.append(source[key])
                else:
                    value.copy_(value * (1 - momentum) + source[key] * momentum)
        if momentum == 1:
            torch._foreach_copy_(old, new)
        else:
            torch._foreach_mul_(old, 1 - momentum)
            torch._foreach_add_(old, new, alpha=momentum)

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        teacher = f'{prefix}teacher.'
        if not any(key.startswith(teacher) for key in state_dict):
            for name in self.teacher:
                part = f'{prefix}{name}.'
                found = {k: v for k, v in state_dict.items() if k.startswith(part)}
                for key, value in found.items():
                    state_dict[f'{teacher}{key.removeprefix(prefix)}'] = value
        super()._load_from_state_dict(  # type: ignore[misc]
            state_dict, prefix, *args, **kwargs
        )
