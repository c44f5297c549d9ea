"""A labelled dataset cut down to the first images of each class."""

from collections import Counter
from typing import Any

from mmengine.dataset import BaseDataset

from mmattmask.registry import DATASETS


@DATASETS.register_module(name='FirstPerClass')
def first_per_class(
    dataset: BaseDataset | dict[str, Any], images_per_class: int
) -> BaseDataset:
    """Return a dataset of the first images of each class, in the order of the list.

    What comes back is the dataset itself with a shorter list: samples are numbered from
    0 to its length, and its fingerprint is that of the shorter list.

    Args:
        dataset: A classification dataset, or its config. A dataset that is given as an
            object stays as it is.
        images_per_class: How many images of each class to keep.

    Raises:
        ValueError: If ``images_per_class`` is not positive, the dataset is a wrapper,
            an image has not exactly one label, or a class has fewer images.

    Source: AttMask, gkakogeorgiou/attmask utils.py (``--subset``).
    """
    if images_per_class < 1:
        raise ValueError(f'images_per_class must be at least 1, got {images_per_class}')
    if isinstance(dataset, dict):
        dataset = DATASETS.build(dataset)
    if not isinstance(dataset, BaseDataset):
        raise ValueError(
            f'{type(dataset).__name__} has no list of images of its own: put '
            "type='mmattmask.FirstPerClass' around the datasets inside it"
        )
    dataset.full_init()
    seen: Counter[int] = Counter()
    kept = []
    for index in range(len(dataset)):
        label = _label(dataset.get_data_info(index))
        if seen[label] < images_per_class:
            kept.append(index)
        seen[label] += 1
    short = sorted(label for label in seen if seen[label] < images_per_class)
    if short:
        names = dataset.metainfo.get('classes')
        listed = [f'{names[c] if names else c} {seen[c]}' for c in short[:8]]
        raise ValueError(
            f'{len(short)} of {len(seen)} classes have fewer than {images_per_class} '
            f'images: {", ".join(listed)}{", ..." if len(short) > 8 else ""}'
        )
    return dataset.get_subset(kept)


def _label(info: dict[str, Any]) -> int:
    label = info.get('gt_label')
    try:
        return int(label)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise ValueError(
            f'{info.get("img_path", "an image")} has the label {label}: '
            'mmattmask.FirstPerClass needs one label per image (with_label=True)'
        ) from error
