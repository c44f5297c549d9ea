"""Self-distillation with running centres."""

import torch
from mmengine.dist import all_reduce
from torch import Tensor, nn

from mmattmask.masking.attention import at_least_float32
from mmattmask.masking.self_distillation import (
    masked_patch_loss,
    teacher_probs,
    view_pair_loss,
)


class IBOTLoss(nn.Module):
    """Losses of CLS tokens and masked patches, and the centres of the teacher's output.

    A centre moves after an optimizer step, by the raw output of the teacher in all of
    its iterations and on all processes. ``EMATeacherHook`` moves it; a loop without the
    hook calls :meth:`move_centers`.

    Args:
        num_prototypes: Outputs of the head for CLS tokens, K.
        num_patch_prototypes: Outputs of the head for patches.
        student_temp: Temperature of the student.
        center_momentum: Share of the old centre of CLS tokens in the new, in [0, 1].
        patch_center_momentum: The same for patches.

    Raises:
        ValueError: If a temperature is not positive or a momentum not in [0, 1].

    Source: bytedance/ibot main_ibot.py.
    """

    cls_center: Tensor
    patch_center: Tensor

    def __init__(
        self,
        num_prototypes: int,
        num_patch_prototypes: int,
        student_temp: float = 0.1,
        center_momentum: float = 0.9,
        patch_center_momentum: float = 0.9,
    ) -> None:
        super().__init__()
        momenta = (center_momentum, patch_center_momentum)
        if student_temp <= 0 or not all(0 <= momentum <= 1 for momentum in momenta):
            raise ValueError(
                f'student_temp ({student_temp}) must be positive, center_momentum and '
                f'patch_center_momentum in [0, 1], got {momenta}'
            )
        self.student_temp = student_temp
        self.center_momentum = center_momentum
        self.patch_center_momentum = patch_center_momentum
        self.register_buffer('cls_center', torch.zeros(num_prototypes))
        self.register_buffer('patch_center', torch.zeros(num_patch_prototypes))
        self._means: list[Tensor] = []  # of the iterations since the optimizer's step

    def cls(self, student: Tensor, teacher: Tensor, teacher_temp: float) -> Tensor:
        """Return the loss of the CLS tokens.

        The student's output is for V views, (V, B, K), the teacher's for the first Q of
        them.
        """
        probs = teacher_probs(teacher, self.cls_center, teacher_temp)
        return view_pair_loss(student, probs, self.student_temp)

    def patch(
        self, student: Tensor, teacher: Tensor, weights: Tensor, teacher_temp: float
    ) -> Tensor:
        """Return the loss of R masked patches; outputs (R, K), weights (R,)."""
        probs = teacher_probs(teacher, self.patch_center, teacher_temp)
        return masked_patch_loss(student, probs, weights, self.student_temp)

    @torch.no_grad()
    def collect(self, cls_mean: Tensor, patch_mean: Tensor | None) -> None:
        """Remember the mean outputs (K,) of an iteration until the optimizer's step.

        Without ``patch_mean`` that centre stays.
        """
        means = [
            at_least_float32(mean)
            for mean in (cls_mean, patch_mean)
            if mean is not None
        ]
        self._means.append(torch.cat(means))

    @torch.no_grad()
    def move_centers(self, skipped: Tensor | None = None) -> None:
        """Move the centres towards the mean of what was collected; on every process.

        ``skipped`` is True, on the device, if a loss scaler has skipped the step: then,
        and if the mean is not finite, the centres stay.
        """
        if not self._means:
            return
        means = torch.stack(self._means).mean(dim=0)
        self._means.clear()
        all_reduce(means, op='mean')
        if skipped is not None:
            skipped = skipped | ~torch.isfinite(means).all()
        moves = [(self.cls_center, self.center_momentum)]
        if len(means) > len(self.cls_center):
            moves.append((self.patch_center, self.patch_center_momentum))
        sizes = [len(center) for center, _ in moves]
        for (center, momentum), mean in zip(moves, means.split(sizes), strict=True):
            moved = center.lerp(mean.to(center.dtype), 1 - momentum)
            center.copy_(
                moved if skipped is None else torch.where(skipped, center, moved)
            )
