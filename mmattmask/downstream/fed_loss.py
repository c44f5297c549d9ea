"""Classification loss of detectors on LVIS, whose images are labelled in part."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmattmask.downstream.lvis_image_counts import LVIS_V1_IMAGE_COUNTS
from mmattmask.registry import MODELS


def federated_classes(
    labels: Tensor,
    num_sampled: int,
    weight: Tensor,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Choose the classes that a loss looks at, (K,) bool: those there are, and others.

    The others are drawn in proportion to ``weight``, (K,), without replacement, until
    there are ``num_sampled``. Among the labels, (N,) int64, K is background, which
    counts as one of these where it occurs, as in the released code.

    Source: https://arxiv.org/abs/2103.07461; facebookresearch/detectron2
    detectron2/modeling/roi_heads/fast_rcnn.py.
    """
    num_classes = len(weight)
    present = torch.zeros(num_classes + 1, dtype=torch.bool, device=weight.device)
    present.index_fill_(0, labels, True)
    noise = torch.empty_like(weight, dtype=torch.float32)
    noise.exponential_(generator=generator)
    # the largest of weight / Exp(1) are a sample without replacement
    score = F.pad(weight.float().log() - noise.log(), (0, 1), value=-torch.inf)
    score = score.masked_fill(present, torch.inf)
    chosen = score.topk(min(num_sampled, num_classes + 1)).indices
    return (present.index_fill(0, chosen, True) & (score > -torch.inf))[:num_classes]


@MODELS.register_module()
class FedLoss(nn.Module):
    """Sigmoid cross entropy over the classes of the batch and a random few.

    A box head of MMDetection asks it for channels, scores and accuracy.

    Args:
        num_classes: K, without background, which has no output.
        num_sampled: See :func:`federated_classes`.
        power: Classes are drawn in proportion to their number of images to this power.
        image_counts: Images of each class. Defaults to those of LVIS v1's training set.
        loss_weight: Factor of the loss.

    Raises:
        ValueError: If there is not one count per class.
    """

    # MMDetection's BBoxHead looks for these.
    custom_cls_channels = True
    custom_activation = True
    custom_accuracy = True

    weight: Tensor

    def __init__(
        self,
        num_classes: int = len(LVIS_V1_IMAGE_COUNTS),
        num_sampled: int = 50,
        power: float = 0.5,
        image_counts: tuple[int, ...] = LVIS_V1_IMAGE_COUNTS,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__()
        if len(image_counts) != num_classes:
            raise ValueError(
                f'num_classes is {num_classes}, image_counts has {len(image_counts)}'
            )
        self.num_classes = num_classes
        self.num_sampled = num_sampled
        self.loss_weight = loss_weight
        weight = torch.tensor(image_counts, dtype=torch.float32) ** power
        self.register_buffer('weight', weight, persistent=False)

    def forward(
        self,
        cls_score: Tensor,
        label: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | None = None,
        reduction_override: str | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Compute the loss of logits (N, K) and classes (N,), of which K is background.

        Proposals have a ``weight``, (N,); ``avg_factor``, else N, divides the sum.

        Raises:
            ValueError: If another reduction is asked for.
        """
        if reduction_override is not None:
            raise ValueError(f'reduction is the mean, got {reduction_override!r}')
        if cls_score.numel() == 0:
            return cls_score.sum()
        chosen = federated_classes(label, self.num_sampled, self.weight, generator)
        target = F.one_hot(label, self.num_classes + 1)[:, : self.num_classes]
        # sums of 50 logits of 1000 proposals do not fit half precision
        logits, target = cls_score.float(), target.float()
        loss = F.binary_cross_entropy_with_logits(logits, target, reduction='none')
        loss = (loss * chosen).sum(dim=1)
        if weight is not None:
            loss = loss * weight
        return self.loss_weight * loss.sum() / (avg_factor or len(loss))

    def get_cls_channels(self, num_classes: int) -> int:
        """Return how many outputs a classifier of ``num_classes`` classes needs."""
        if num_classes != self.num_classes:
            raise ValueError(
                f'the head has {num_classes} classes, the loss {self.num_classes}'
            )
        return num_classes

    def get_activation(self, cls_score: Tensor) -> Tensor:
        """Return scores (N, K + 1) of logits (N, K); background's is not used."""
        return F.pad(cls_score.sigmoid(), (0, 1))

    def get_accuracy(self, cls_score: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Return the share of objects, in %, whose class has the highest logit."""
        is_object = labels < self.num_classes
        right = (cls_score.argmax(dim=1) == labels) & is_object
        share = right.sum() * 100.0 / is_object.sum().clamp(min=1)
        return {'acc_classes': share}
