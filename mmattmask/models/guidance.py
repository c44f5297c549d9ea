"""Decide who is masked: what every host and guided data preprocessor holds."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from mmengine.model import BaseModule
from mmpretrain.models import BaseSelfSupervisor
from mmpretrain.utils import get_ori_model
from torch import Tensor, nn

from mmattmask.geometry import view_samples
from mmattmask.mask_generators import BaseMaskGenerator, build_policy, check_policy
from mmattmask.mask_generators.progress import training_progress
from mmattmask.mask_generators.trial import check_partition
from mmattmask.masking import PatchPartition, expand_mask, expand_partition
from mmattmask.masking.position import without_position
from mmattmask.registry import MODELS
from mmattmask.scorers.base import Scorer, check_score
from mmattmask.scorers.self_attention import grid_of

# Values are looked at in the first batches and then in one of so many: on a GPU that
# waits for the device.
CHECKED_BATCHES, CHECK_INTERVAL = 3, 200

Part = dict[str, Any] | nn.Module


class Guidance(BaseModule):
    """Asks a scorer for scores and a mask generator for masks, which it never keeps.

    Args:
        mask_generator: The policy or its config.
        scorer: The scorer or its config. None: the policy gets a constant score.
        warmup_mask_generator: The policy while the scorer knows no score, or its
            config; None leaves the masks to the host.
        cell_size: Side in px of the cells the policy decides on.
        token_size: Side in px of the tokens (patches) inside a cell.
        num_views: Views of an image that get masks, the first of a list of inputs.

    Attributes:
        rng: Source of randomness of the masks; None means torch's own.
        masking: Whether anything is masked now; hooks set it (iBOT).

    Raises:
        ValueError: If a cell is no square of tokens, the scorer is not a
            :class:`Scorer`, or only one of scorer and policy is about labels.
    """

    rng: torch.Generator | None = None
    masking: bool = True
    draws_masks = True  # so processes need random numbers of their own

    def __init__(
        self,
        mask_generator: dict[str, Any] | BaseMaskGenerator,
        scorer: dict[str, Any] | Scorer | None,
        warmup_mask_generator: dict[str, Any] | BaseMaskGenerator | None,
        cell_size: int,
        token_size: int,
        num_views: int = 1,
    ) -> None:
        super().__init__()
        policy, warmup = build_policy(mask_generator), None
        if warmup_mask_generator is not None:
            warmup = build_policy(warmup_mask_generator)
        if isinstance(scorer, dict):
            scorer = MODELS.build(scorer)
        if scorer is not None and not isinstance(scorer, Scorer):
            raise ValueError(
                f'{type(scorer).__name__} is no scorer: derive it from '
                'mmattmask.scorers.Scorer'
            )
        if cell_size < 1 or cell_size % token_size:
            raise ValueError(
                f'cell_size ({cell_size} px) must be a multiple of the patch size '
                f'({token_size} px)'
            )
        labels = scorer is not None and scorer.gives_labels
        if policy.takes_labels != labels:
            names = [type(policy).__name__, type(scorer).__name__]
            raise ValueError(
                'policies on parts and label maps go together, such as '
                'PartMaskGenerator with LabelMaps; got {} with {}'.format(*names)
            )
        self.mask_generator = policy
        self.scorer = scorer
        self.warmup_mask_generator = policy if scorer is None else warmup
        self.cell_size, self.token_size = cell_size, token_size
        self.num_views = num_views
        self._num_batches = 0
        self._tried: set[tuple[int, int]] = set()

    def bind(self, host: BaseSelfSupervisor, image_size: Sequence[int]) -> None:
        """Introduce the scorer to its complete host and try the policies on its grid.

        Raises:
            ValueError: If the scorer cannot work in this host, or a policy not on its
                grid.
        """
        if self.scorer is not None:
            self.scorer.check(host.backbone)
            self.scorer.views_from(host.data_preprocessor)
            self.scorer.bind(host)
            if self.scorer.learns and (self.scorer.cached or self.factor > 1):
                raise ValueError(
                    f'{type(self.scorer).__name__} learns from the error of each '
                    f'patch, so cached=True and cells of {self.cell_size} px are not '
                    'for it'
                )
        self.try_policies(self.policy_grid(image_size))

    @torch.compiler.disable  # not traced: it happens once
    def try_policies(self, grid: tuple[int, int]) -> None:
        """Try the policies on a grid of cells, once; see ``check_policy``."""
        if grid not in self._tried:
            for policy in dict.fromkeys(self.policies()):
                check_policy(policy, grid)
            self._tried.add(grid)

    @property
    def least_images(self) -> int:
        """Fewest images of a batch."""
        return 1 if self.scorer is None else self.scorer.fewest_images(self.num_views)

    @property
    def factor(self) -> int:
        """Tokens along the side of a cell."""
        return self.cell_size // self.token_size

    def policies(self) -> list[BaseMaskGenerator]:
        """Return the policies that may come into force."""
        candidates = (self.mask_generator, self.warmup_mask_generator)
        return [policy for policy in candidates if policy is not None]

    def check_counts(self, host: str) -> None:
        """Raise ValueError if images may differ in their number of masked patches."""
        for policy in self.policies():
            if policy.variable_counts:
                raise ValueError(
                    f'{host} gathers the visible patches, so every image must have '
                    f'as many; with these options {type(policy).__name__} masks '
                    'another number in each image'
                )

    def check_throws_nothing(self, host: str, grid: tuple[int, int]) -> None:
        """Raise ValueError if a policy throws any of a grid's cells."""
        num_patches = grid[0] * grid[1]
        for policy in self.policies():
            if policy.variable_counts:
                continue
            num_thrown = policy.budget(num_patches).num_thrown
            if num_thrown:
                raise ValueError(
                    f'{host} has to do with every patch, so none can be thrown; '
                    f'{type(policy).__name__} throws {num_thrown} of {num_patches}: '
                    'set throw_ratio=0, or use a host that can throw, such as '
                    'GuidedMAE, or GuidedSimMIM with a ViT'
                )

    def check_learns_nothing(self, host: str) -> None:
        """Raise ValueError if the scorer wants to learn."""
        if self.scorer is not None and self.scorer.learns:
            raise ValueError(
                f'{host} cannot teach {type(self.scorer).__name__}, which learns from '
                "the error of each patch: use a host such as type='mmattmask.GuidedMAE'"
            )

    def check_size(self, view: Tensor, image_size: Sequence[int]) -> None:
        """Raise ValueError unless views have the size the model was built for."""
        height, width = view.shape[-2:]
        grid, wanted = map(self.policy_grid, ((height, width), image_size))
        if grid != wanted:
            raise ValueError(
                f'images of {height} x {width} px have a grid of {grid} patches, the '
                f'backbone was built for {wanted}: set backbone.img_size'
            )

    def check_masks_something(self, grid: tuple[int, int] | None = None) -> None:
        """Raise ValueError if a policy may leave a batch without masked patches.

        On any grid, if the number of cells (h, w) is not known yet.
        """
        cells = math.prod(grid) if grid else None
        for policy in self.policies():
            least = policy.least_ratio
            if not least or (cells and least * cells < 1):
                number = f' ({least:g} of {cells} at least)' if least else ''
                raise ValueError(
                    f'with these options {type(policy).__name__} leaves some images '
                    f'without masked patches{number}; this loss is an average over the '
                    'masked patches of a batch, undefined if there are none: set '
                    'mask_prob=1, patch_prob=1 and ratios of a patch or more (iBOT '
                    'averages over images, there they may be)'
                )

    def policy_grid(self, image_size: Sequence[int]) -> tuple[int, int]:
        """Return the cells (h, w) of images of (H, W) px, or raise ValueError."""
        return grid_of(image_size, self.cell_size, 'cell size')

    def views(
        self, inputs: Tensor | Sequence[Tensor], data_samples: Sequence[Any] | None
    ) -> list[tuple[Tensor, Sequence[Any] | None]]:
        """Return the views that get masks, each with what is known of it."""
        if isinstance(inputs, Tensor) or self.num_views == 1:
            first = inputs if isinstance(inputs, Tensor) else inputs[0]
            return [(first, data_samples)]
        views, scorer = inputs[: self.num_views], self.scorer
        if data_samples is None or scorer is None or not scorer.reads_geometry:
            return [(view, data_samples) for view in views]
        return [(view, view_samples(data_samples, i)) for i, view in enumerate(views)]

    @torch.compiler.disable
    def score(
        self, inputs: Tensor | Sequence[Tensor], data_samples: Sequence[Any] | None
    ) -> Tensor | None:
        """Return the score of the views' cells, (N, L), or None if none is known.

        ``inputs`` are views, (B, C, H, W), or a list whose first ones get masks;
        ``data_samples`` may be None without a scorer.

        Raises:
            ValueError: If the views do not fit the grid, or this is no score.
        """
        scores: list[Tensor] = []
        for view, samples in self.views(inputs, data_samples):
            grid = self.policy_grid(view.shape[-2:])
            if self.scorer is None:
                return None
            with torch.set_grad_enabled(torch.is_grad_enabled() and self.scorer.learns):
                score = self.scorer(view, samples, grid, self.cell_size)
            if score is None:
                return None
            shape = (len(view), grid[0] * grid[1])
            check_score(
                score, self.scorer, shape, view.device, self._looks(view), samples
            )
            scores.append(self.unbiased(score))
        return scores[0] if len(scores) == 1 else torch.cat(scores)

    def of_teacher(self, attention: Tensor) -> Tensor | None:
        """Return the score known from an EMA teacher's attention (N, L), or None."""
        if self.scorer is None:
            return None
        score = self.scorer.of_teacher(attention, self.num_views)
        return None if score is None else self.unbiased(score)

    def unbiased(self, score: Tensor) -> Tensor:
        """Take the batch's mean map off an online score (B, L), if asked to.

        ValueError for a single view.
        """
        if self.scorer is None or self.scorer.debias is None or self.scorer.cached:
            return score
        if len(score) < 2:
            raise ValueError(
                f"debias='position' of {type(self.scorer).__name__} compares the views "
                f'of a batch, and this one has {len(score)}: use larger batches with '
                'drop_last=True, or cached maps'
            )
        return without_position(score)

    def _looks(self, view: Tensor) -> bool:
        """Whether this batch's values are checked; free on the CPU."""
        number = self._num_batches
        return not view.is_meta and (
            view.device.type == 'cpu'
            or number < CHECKED_BATCHES
            or number % CHECK_INTERVAL == 0
        )

    def policy(self, score: Tensor | None) -> BaseMaskGenerator | None:
        """Return the policy in force: the warm-up's while there is no score."""
        return self.warmup_mask_generator if score is None else self.mask_generator

    @torch.compiler.disable
    @torch.no_grad()
    def decide(
        self, score: Tensor | None, view: Tensor, rng: torch.Generator | None = None
    ) -> PatchPartition:
        """Partition the cells of a batch by its score (B, L), or without one.

        Of the views (B, C, H, W) only shape and device count.
        """
        return self._ask('__call__', score, view, rng)

    @torch.compiler.disable
    @torch.no_grad()
    def decide_mask(
        self, score: Tensor | None, view: Tensor, rng: torch.Generator | None = None
    ) -> Tensor:
        """As :meth:`decide`, but only who is masked: (B, L) float32, 1 = masked."""
        return self._ask('mask', score, view, rng)

    def _ask(self, method: str, score: Tensor | None, view: Tensor, rng: Any) -> Any:
        grid = self.policy_grid(view.shape[-2:])
        policy = self.policy(score)
        assert policy is not None  # or the host keeps its own masks
        if score is None:
            score = view.new_zeros(view.shape[0], grid[0] * grid[1])
        progress = training_progress(policy.by_epoch, policy.include_current)
        result = getattr(policy, method)(score.detach(), rng, progress, grid)
        if self._looks(view) and isinstance(result, PatchPartition):
            check_partition(result, type(policy).__name__)
        self._num_batches += 1
        return result

    def guide(
        self, inputs: Tensor | Sequence[Tensor], data_samples: Sequence[Any] | None
    ) -> tuple[Tensor | None, PatchPartition]:
        """Return a batch's score, or None, and the partition of its patches."""
        view, _ = self.views(inputs, data_samples)[0]
        score = self.score(view, data_samples)
        partition = self.decide(score, view, self.rng)
        return score, self.spread(partition, view)

    def spread(self, partition: PatchPartition, view: Tensor) -> PatchPartition:
        """Turn a partition of cells into one of the patches inside them."""
        if self.factor == 1:
            return partition
        grid = self.policy_grid(view.shape[-2:])
        return expand_partition(partition, grid, self.factor)

    def spread_values(self, values: Tensor, image_size: Sequence[int]) -> Tensor:
        """Give every patch the value of its cell: (B, L) to (B, h, w) of patches."""
        return expand_mask(values, self.policy_grid(image_size), self.factor)


def guidance_of(model: nn.Module) -> Guidance | None:
    """Return who decides on the masks of a model, wrapped or not, or None."""
    found = (m for m in get_ori_model(model).modules() if isinstance(m, Guidance))
    return next(found, None)


def attention_maps(model: nn.Module, images: Tensor) -> Tensor:
    """Let a model's scorer measure whole images, (B, h, w) float32.

    Args:
        model: A guided algorithm, in its distributed wrapper if it has one.
        images: Normalised, (B, C, H, W), of any size the scorer can cut.

    Raises:
        ValueError: If the model has no scorer that measures images.
    """
    guidance, host = guidance_of(model), get_ori_model(model)
    if guidance is None or guidance.scorer is None:
        raise ValueError(
            'attention maps need a scorer that measures images, '
            f'{type(host).__name__} has none'
        )
    scorer = guidance.scorer
    grid = scorer.map_grid(host.backbone, images.shape[-2:])
    return scorer.measure(model, images).unflatten(1, grid)
