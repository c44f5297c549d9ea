"""Masked attention modeling: predict each patch's score from what is visible (GPA)."""

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional as F

from mmattmask.masking import PatchPartition, relative_order_loss, z_score
from mmattmask.masking.attention import at_least_float32, full_precision
from mmattmask.masking.options import check_options
from mmattmask.models.mae_decoder import Decoded, GuidedMAEDecoder
from mmattmask.registry import MODELS
from mmattmask.scorers.score_decoder import ScoreDecoder, zero_weighted

Scope = Literal['masked', 'all']


@dataclass(frozen=True)
class Variant:
    """One reading of masked attention modeling.

    ``shared``: one linear layer on the pixel decoder instead of a second one.
    ``before``: up to the switch the decoder trains, is bypassed (the mean of the
    decoder tokens' channels is the prediction), or is a copy of the pixel decoder
    without a loss. ``relative``: learn the order of the scores instead of their values.
    """

    shared: bool = False
    before: Literal['train', 'bypass', 'copy'] = 'train'
    scope: Scope = 'masked'
    relative: bool = False


# Differs from GPA: `released` is what the released code runs. The paper has the decoder
# on throughout and only masked patches in its loss (Eq. 7).
VARIANTS = {
    'paper': Variant(),
    'released': Variant(before='bypass', scope='all'),
    'intended': Variant(before='copy'),
    'shared': Variant(shared=True),
    'relative': Variant(relative=True),
}


@MODELS.register_module()
class AttentionHead(BaseModule):
    """Predict the score of the patches beside their pixels.

    Every parameter takes part in every step, with zero gradients while it has nothing
    to learn, so DDP needs no ``find_unused_parameters``. The optimizer's weight decay
    still acts on it then: where a decoder waits (``'released'``), exempt it by
    ``paramwise_cfg=dict(custom_keys=dict(attention_head=dict(decay_mult=0.0)))``.

    Args:
        neck: The pixel decoder; the host fills it in.
        variant: What is predicted, from where and when.

            - ``'paper'``: a second decoder predicts the z-scored score of the masked
              patches, throughout.
            - ``'released'``: up to ``switch`` the second decoder is bypassed, the
              prediction is the mean of the decoder tokens' channels; the loss counts
              all patches.
            - ``'intended'``: up to ``switch`` the second decoder is a copy of the pixel
              decoder and there is no loss; then as ``'paper'``.
            - ``'shared'``: a linear layer on the pixel decoder instead of a second one.
            - ``'relative'``: as ``'paper'``, but only the order of the scores counts.
        loss_weight: Weight of the loss.
        switch: Progress up to which a second decoder waits; it counts only for
            ``'released'`` and ``'intended'``.
        scope: ``'masked'`` or ``'all'`` patches in the loss; thrown ones are in
            neither. Defaults to the variant's.
        depth: Blocks of the second decoder. Defaults to the pixel decoder's.

    Raises:
        ValueError: If an option is unknown, out of range, or not for this variant.

    Source: GPA, Eq. 7-8; Lrbomchz/MM2024_GPA model_GPA_learn_atten.py; HPM.
    """

    def __init__(
        self,
        neck: GuidedMAEDecoder,
        variant: str = 'paper',
        loss_weight: float = 1.0,
        switch: float = 0.75,
        scope: Scope | None = None,
        depth: int | None = None,
    ) -> None:
        super().__init__()
        check_options(
            variant=(variant, tuple(VARIANTS)), scope=(scope, (None, *get_args(Scope)))
        )
        if loss_weight < 0 or not 0 <= switch <= 1:
            raise ValueError(
                f'loss_weight ({loss_weight}) must be at least 0 and switch ({switch}) '
                'in [0, 1]'
            )
        self.variant = VARIANTS[variant]
        if depth is not None and (self.variant.shared or self.variant.before == 'copy'):
            raise ValueError(
                f'depth ({depth}) is not for variant={variant!r}: its decoder is the '
                "pixel decoder's"
            )
        self.loss_weight = loss_weight
        self.switch = switch
        self.scope = scope or self.variant.scope
        self.decoder: nn.Linear | ScoreDecoder
        if self.variant.shared:
            self.decoder = nn.Linear(neck.decoder_embed.out_features, 1)
        else:
            self.decoder = ScoreDecoder(neck, depth)

    def start_from(self, neck: GuidedMAEDecoder) -> None:
        """Initialise the blocks of a second decoder as those of the pixel decoder."""
        if isinstance(self.decoder, ScoreDecoder):
            self.decoder.copy_blocks(neck)

    def predict(self, tokens: Tensor, features: Tensor) -> Tensor:
        """Predict the score of all tokens, (B, 1 + N), CLS first.

        ``features`` are the decoder tokens (B, 1 + N, D) after its blocks and norm.
        """
        if self.variant.shared:
            return at_least_float32(self.decoder(features)).squeeze(-1)
        return self.decoder(tokens)

    def loss(
        self,
        neck: GuidedMAEDecoder,
        decoded: Decoded,
        score: Tensor | None,
        partition: PatchPartition,
        progress: float,
    ) -> Tensor:
        """Compare predictions with the score (B, L); without one the loss is zero."""
        before = self.variant.before
        active = before == 'train' or progress > self.switch
        if before == 'copy' and not active:
            assert isinstance(self.decoder, ScoreDecoder)  # no variant shares a copy
            self.decoder.copy_all(neck)
            score = None
        if score is None:
            return zero_weighted(self)
        _, tokens, features = decoded
        if active:
            pred = self.predict(tokens, features)
        else:
            pred = at_least_float32(tokens).mean(dim=-1)  # of the channels
        pred = partition.to_raster(pred[:, neck.num_extra_tokens :])
        loss = self.loss_weight * self.compare(pred, score, partition)
        return loss if active else loss + zero_weighted(self)

    def compare(self, pred: Tensor, score: Tensor, partition: PatchPartition) -> Tensor:
        """Return the unweighted loss of predictions (B, L) in raster order."""
        ids = partition.ids_mask
        if self.scope == 'all':
            ids = torch.cat([partition.ids_keep, ids], dim=1)
        # standardised over the whole view, whatever the loss counts, as released
        target = score if self.variant.relative else z_score(score)
        compare = relative_order_loss if self.variant.relative else F.mse_loss
        with full_precision(pred):
            return compare(pred.gather(1, ids), target.gather(1, ids))
