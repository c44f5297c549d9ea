"""See before training that every image has its map."""

from collections.abc import Iterable
from typing import Any

from mmengine.dataset import BaseDataset
from mmengine.dist import all_gather_object, get_rank, get_world_size
from mmengine.hooks import Hook

from mmattmask.datasets import GenerateMask, PackInputs
from mmattmask.datasets.concat import bases
from mmattmask.datasets.recording import check_pipeline
from mmattmask.engine.geometry_recording import record_in_log
from mmattmask.models.guidance import guidance_of
from mmattmask.progress_report import report_progress
from mmattmask.registry import HOOKS
from mmattmask.scorers import ShuffledMaps, UserMaps

NUM_NAMED = 20


@HOOKS.register_module()
class CheckMapsHook(Hook):
    """Stop a run with ``UserMaps`` before it begins if it would stop later.

    All training images must have a map, no two images the same one, and every map must
    be whole, (h, w), finite, not negative, and not turned on its side. Stock crops and
    the stock packing of the training pipeline are exchanged for ours, which record
    where a view comes from. The scorer is the model's, its data preprocessor's or that
    of a ``GenerateMask`` in the pipeline. The ranks share the reading, and all of them
    stop.
    """

    def before_train(self, runner: Any) -> None:
        """Check."""
        self.check_data(runner)

    def check_data(self, runner: Any) -> None:
        """Raise ValueError if a map cannot be used, or no scorer is ``UserMaps``."""
        datasets = bases(runner.train_dataloader.dataset)
        guidance = guidance_of(runner.model)
        scorer = None if guidance is None else guidance.scorer
        if isinstance(scorer, ShuffledMaps):
            scorer = scorer.scorer
        if isinstance(scorer, UserMaps):
            record_in_log(runner, datasets)
            _check_images(scorer, datasets)
            return
        pairs = [(s, d) for d in datasets for s in _pipeline_scorers(d)]
        if not pairs:
            raise ValueError(
                "CheckMapsHook needs scorer=dict(type='mmattmask.UserMaps', …) in the "
                'model, its data preprocessor or GenerateMask, got '
                f'{"no scorer" if scorer is None else type(scorer).__name__}'
            )
        for scorer, dataset in pairs:
            _check_images(scorer, [dataset])


def _pipeline_scorers(dataset: BaseDataset) -> list[UserMaps]:
    """Return the scorers in a pipeline, once it is known to keep the geometry."""
    scorers = []
    transforms = dataset.pipeline.transforms
    for index, transform in enumerate(transforms):
        if isinstance(transform, GenerateMask) and transform.scorer is not None:
            check_pipeline([*transforms, PackInputs()])  # any packing will do
            for later in transforms[index + 1 :]:
                name = type(later).__name__
                if name == 'RandomFlip' or getattr(later, 'records_geometry', False):
                    raise ValueError(
                        f'{name} is behind GenerateMask in the pipeline and moves the '
                        'view away from its mask: put GenerateMask behind it'
                    )
            scorers.append(transform.scorer)
    return scorers


def _check_images(scorer: UserMaps, datasets: list[BaseDataset]) -> None:
    """Raise ValueError unless every image has a map that can be used."""
    paths = [
        dataset.get_data_info(index).get('img_path')
        for dataset in datasets
        for index in range(len(dataset))
    ]
    missing = scorer.missing(paths)
    if missing:
        raise ValueError(
            f'maps are missing for {len(missing)} of {len(paths)} images in '
            f'{scorer.files.path}: {_first(missing, ", ")}'
        )
    follows_exif = not any(
        word in str(getattr(transform, 'color_type', ''))
        for word in ('ignore_orientation', 'unchanged')  # as MMCV loads them
        for dataset in datasets
        for transform in dataset.pipeline.transforms
    )
    share = range(get_rank(), len(paths), get_world_size())
    found: Iterable[str | None] = scorer.faults(paths, share, follows_exif)
    if get_rank() == 0:
        found = report_progress(found, len(share), 'checking maps')
    own = [fault for fault in found if fault is not None]
    faults = [fault for part in all_gather_object(own) for fault in part]
    if faults:
        raise ValueError(
            f'{len(faults)} of {len(paths)} maps cannot be used: {_first(faults, "; ")}'
        )


def _first(items: list[str], separator: str) -> str:
    more = f'{separator}…' if len(items) > NUM_NAMED else ''
    return separator.join(items[:NUM_NAMED]) + more
