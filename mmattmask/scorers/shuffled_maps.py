"""Another image's map: masks that look guided and know nothing of their image."""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor, nn

from mmattmask.geometry import ViewSample, read_keys, read_metainfo
from mmattmask.registry import MODELS
from mmattmask.scorers.base import Scorer
from mmattmask.scorers.cached_maps import CachedMaps
from mmattmask.scorers.map_files import MapArray, NamedMaps
from mmattmask.scorers.user_maps import UserMaps


@MODELS.register_module()
class ShuffledMaps(CachedMaps):
    """Another image's map: the strength, spread and places of the maps, no content.

    A policy that is not better with the maps themselves follows places. Where maps are
    looked up, who gets whose is drawn once: no image its own, every map is one other's.
    A scorer that looks at views gives each the score of the one before in the batch.

    Args:
        scorer: The source of the maps, or its config.
        seed: Of who gets whose map, where they are looked up.

    Raises:
        ValueError: If the scorer learns, or neither looks maps up nor at images, or
            there is only one map or view.
    """

    def __init__(self, scorer: dict[str, Any] | Scorer, seed: int = 0) -> None:
        source: Any = MODELS.build(scorer) if isinstance(scorer, dict) else scorer
        looks_up = source.cached or isinstance(source, UserMaps)
        if source.learns or not (looks_up or source.measures):
            raise ValueError(
                'ShuffledMaps needs a scorer that looks maps up or measures images, '
                'and does not learn, such as CachedAttention, UserMaps, FrozenTeacher '
                f'or TeacherAttention, got {type(source).__name__}'
            )
        super().__init__(
            getattr(source, 'crop_mode', 'aligned'),
            getattr(source, 'storage', 'float16'),
            source.debias,
        )
        self.scorer = source
        if isinstance(source, UserMaps):
            source.checks_sides = False  # maps lie over other images than their own
        self.looks_up = looks_up
        self.seed = seed
        self.cached = source.cached
        self.gives_labels = source.gives_labels
        self._others = np.empty(0, np.int64)
        self._names: list[str] = []

    @property
    def reads_geometry(self) -> bool:  # type: ignore[override]
        """Views lie in their source images, also where the map is another's."""
        return self.looks_up or self.scorer.reads_geometry

    @property
    def measures(self) -> bool:
        """Whether the source of the maps measures images."""
        return self.scorer.measures

    @property
    def made_by(self) -> str:
        """What the source's maps depend on."""
        return getattr(self.scorer, 'made_by', type(self.scorer).__name__)

    def fewest_images(self, num_views: int) -> int:
        """Two: scores of views are exchanged within a batch."""
        return 1 if self.looks_up else 2

    def extra_repr(self) -> str:
        """Return the arguments."""
        return f'seed={self.seed}'

    def bind(self, host: nn.Module) -> None:
        """Introduce the source of the maps to its host."""
        self.scorer.bind(host)

    def views_from(self, preprocessor: nn.Module) -> None:
        """Tell the source of the maps where views come from."""
        self.scorer.views_from(preprocessor)

    def check(self, backbone: nn.Module) -> None:
        """Raise ValueError unless the source of the maps can work."""
        self.scorer.check(backbone)

    def check_other_images(self) -> None:
        """Raise ValueError if the source's maps are of training images only."""
        self.scorer.check_other_images()

    def map_grid(
        self, backbone: nn.Module, image_size: Sequence[int]
    ) -> tuple[int, int]:
        """Return the grid (h, w) of the source's maps."""
        return self.scorer.map_grid(backbone, image_size)

    def measure(self, model: nn.Module, images: Tensor) -> Tensor:
        """Return what the source measures of the images themselves, (B, L) float32."""
        return self.scorer.measure(model, images)

    def forward(
        self,
        inputs: Tensor,
        data_samples: Sequence[Any],
        grid: tuple[int, int],
        cell_size: int,
    ) -> Tensor | None:
        """Return the score of the views' cells, see the source of the maps."""
        if not self.looks_up:
            score = self.scorer(inputs, data_samples, grid, cell_size)
            return None if score is None else _exchanged(score)
        if isinstance(self.scorer, CachedMaps):
            if self.bank is None:
                return None
            self.scorer.bank = self.bank
        samples = [
            ViewSample(index, path, shape, box, *flip)
            for (index, path), (shape, box), flip in zip(
                self._others_of(data_samples),
                read_metainfo(data_samples, 'ori_shape', 'crop_box'),
                map(_flip, data_samples),
                strict=True,
            )
        ]
        return self.scorer(inputs, samples, grid, cell_size)

    def of_teacher(self, attention: Tensor, num_views: int) -> Tensor | None:
        """Return another image's score of the same view, if the source's is known."""
        score = self.scorer.of_teacher(attention, num_views)
        return None if score is None else _exchanged(score, num_views)

    def _others_of(
        self, data_samples: Sequence[Any]
    ) -> list[tuple[int | None, str | None]]:
        """Return sample id or path of the images whose maps are taken."""
        if isinstance(self.scorer, CachedMaps):
            assert self.bank is not None  # or there is no score
            number = len(self.bank)
            ids = [idx for (idx,) in read_metainfo(data_samples, 'sample_idx')]
            return [(self._other(idx, number), None) for idx in ids]
        files = self.scorer.files
        keys: list[Any] = [files.find(*key) for key in read_keys(data_samples)]
        if not isinstance(files, NamedMaps):
            assert isinstance(files, MapArray)
            return [(self._other(key, len(files)), None) for key in keys]
        if not self._names:
            self._names = sorted(files.names)
        names = self._names
        others = [self._other(bisect_left(names, key), len(names)) for key in keys]
        # with an extension, as of an image: what follows the last point is cut off
        return [(None, f'{names[other]}.npy') for other in others]

    def _other(self, index: int, number: int) -> int:
        """Return whose map an image gets."""
        if len(self._others) != number:
            self._others = derangement(number, self.seed)
        if not 0 <= index < number:
            raise ValueError(f'sample id {index} is outside the {number} maps')
        return int(self._others[index])


def _exchanged(score: Tensor, num_views: int = 1) -> Tensor:
    """Give each image of each view the score (views * B, L) of the one before it."""
    views = score.unflatten(0, (num_views, -1))
    if views.shape[1] < 2:
        raise ValueError(
            'scores of views cannot be exchanged in a batch of 1: set '
            'train_dataloader.drop_last=True, or larger batches'
        )
    return views.roll(1, dims=1).flatten(0, 1)


def derangement(number: int, seed: int) -> np.ndarray:
    """Return a permutation of 0..number-1, at least two, that leaves none in place."""
    if number < 2:
        raise ValueError(f'maps cannot be exchanged: there is {number}, 2 are needed')
    order = np.random.default_rng(seed).permutation(number)
    others = np.empty(number, np.int64)
    others[order] = np.roll(order, 1)
    return others


def _flip(sample: Any) -> tuple[bool, str | None]:
    return getattr(sample, 'flip', False), getattr(sample, 'flip_direction', None)
