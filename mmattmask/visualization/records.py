"""What a guided model makes of an image: score, partition, predicted pixels."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmattmask.files import whole_file
from mmattmask.visualization.panels import Panel, rank_map
from mmattmask.visualization.policies import describe_counts


@dataclasses.dataclass(frozen=True)
class ImageRecord:
    """One image and what a model makes of it.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        score: What the policy decides on, (h, w), large = attended, or None.
        sets: Each patch's :class:`Membership`, (h, w), or None.
        prediction: The predicted pixels, (H, W, 3) uint8 RGB, or None.
        score_note: Where the score is from.
        policy_note: The policy.
        prediction_note: What to know about the prediction.
    """

    image: np.ndarray
    score: np.ndarray | None = None
    sets: np.ndarray | None = None
    prediction: np.ndarray | None = None
    score_note: str = ''
    policy_note: str = ''
    prediction_note: str = ''

    def panels(self, ranking: bool = False) -> list[Panel]:
        """Return image, score, ranking if wanted, partition and reconstruction."""
        image, score, sets = self.image, self.score, self.sets
        size = f'{image.shape[0]} x {image.shape[1]} px'
        panels = [Panel(image, title='image', note=size)]
        if score is not None:
            panels.append(Panel(image, score, title='score', note=self.score_note))
            if ranking:
                note = f'brightest: 1st of {score.size}'
                panels.append(Panel(image, rank_map(score), title='ranking', note=note))
        if sets is not None:
            note = f'{self.policy_note}: {describe_counts(sets)}'
            panels.append(Panel(image, None, sets, None, 'partition', note))
            if self.prediction is not None:
                texts = ('reconstruction', self.prediction_note)
                panels.append(Panel(image, None, sets, self.prediction, *texts))
        return panels


def save_records(path: Path, records: Sequence[ImageRecord], title: str) -> None:
    """Write records and their title to an ``.npz`` file, whole or not at all."""
    arrays: dict[str, Any] = {
        f'{number}.{name}': value
        for number, record in enumerate(records)
        for name, value in vars(record).items()
        if value is not None
    }
    with whole_file(path) as temporary:
        np.savez_compressed(temporary, title=title, **arrays)


def load_records(path: Path) -> tuple[list[ImageRecord], str]:
    """Read what :func:`save_records` wrote."""
    fields: dict[str, dict[str, Any]] = {}
    with np.load(path, allow_pickle=False) as arrays:
        contents = dict(arrays)
    title = str(contents.pop('title'))
    for key, value in contents.items():  # in the order of writing
        number, name = key.split('.')
        fields.setdefault(number, {})[name] = value if value.ndim else str(value)
    return [ImageRecord(**record) for record in fields.values()], title
