"""See before training that every image has its map."""

from typing import Any

from mmengine.dataset import BaseDataset
from mmengine.hooks import Hook
from torch import nn

from mmattmask.datasets import GenerateMask, PackInputs
from mmattmask.datasets.concat import bases
from mmattmask.datasets.recording import check_pipeline
from mmattmask.engine.geometry_recording import record_in_log
from mmattmask.models.guidance import guidance_of
from mmattmask.registry import HOOKS
from mmattmask.scorers import ShuffledMaps, UserMaps

NUM_NAMED = 20


@HOOKS.register_module()
class CheckMapsHook(Hook):
    """Stop a run with ``UserMaps`` before it begins if it would stop later.

    All training images must have a map, no two images the same one. Stock crops and the
    stock packing of the training pipeline are exchanged for ours, which record where a
    view comes from. The scorer is the model's, its data
    preprocessor's or that of a ``GenerateMask`` in the pipeline. Every rank checks for
    itself, in some 10 s for a million images, so that all of them stop.
    """

    def before_train(self, runner: Any) -> None:
        """Check.

        Raises:
            ValueError: If something is missing, or no scorer is ``UserMaps``.
        """
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
                f'model, its data preprocessor or GenerateMask, got {_name(scorer)}'
            )
        for scorer, dataset in pairs:
            _check_images(scorer, [dataset])


def _name(scorer: nn.Module | None) -> str:
    return 'no scorer' if scorer is None else type(scorer).__name__


def _pipeline_scorers(dataset: BaseDataset) -> list[UserMaps]:
    """Return the scorers in a pipeline, once it is known to keep the geometry."""
    scorers = []
    transforms = dataset.pipeline.transforms
    for index, transform in enumerate(transforms):
        if isinstance(transform, GenerateMask) and transform.scorer is not None:
            check_pipeline([*transforms, PackInputs()])  # any packing will do
            _check_behind(transforms[index + 1 :])
            scorers.append(transform.scorer)
    return scorers


def _check_behind(transforms: list[Any]) -> None:
    """Raise ValueError if the view moves after it was masked."""
    for transform in transforms:
        name = type(transform).__name__
        if name == 'RandomFlip' or getattr(transform, 'records_geometry', False):
            raise ValueError(
                f'{name} is behind GenerateMask in the pipeline and moves the view '
                'away from its mask: put GenerateMask behind it'
            )


def _check_images(scorer: UserMaps, datasets: list[BaseDataset]) -> None:
    """Raise ValueError unless every image has a map."""
    paths = [
        dataset.get_data_info(index).get('img_path')
        for dataset in datasets
        for index in range(len(dataset))
    ]
    missing = scorer.missing(paths)
    if missing:
        named = ', '.join(missing[:NUM_NAMED])
        more = ', …' if len(missing) > NUM_NAMED else ''
        raise ValueError(
            f'maps are missing for {len(missing)} of {len(paths)} images in '
            f'{scorer.files.path}: {named}{more}'
        )
