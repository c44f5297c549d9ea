"""Features of a whole dataset: shared by all processes, kept on disk."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import (
    all_gather,
    all_gather_object,
    broadcast,
    broadcast_object_list,
    get_rank,
    get_world_size,
)
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.utils.data import DataLoader

from mmattmask.evaluation.eval_data import LabelledImages
from mmattmask.evaluation.features import FrozenFeatures, Kind
from mmattmask.files import whole_file
from mmattmask.progress_report import report_progress

CACHE_FORMAT = 2
CHUNK_ROWS = 16384
NAMED = 100


def extract_features(
    model: FrozenFeatures,
    images: LabelledImages,
    name: str,
    batch_size: int = 128,
    num_workers: int = 4,
    cache: Path | None = None,
) -> tuple[dict[Kind, Tensor], Tensor]:
    """Return the features of all images and their labels, on every process.

    Every process runs the backbone on its share. Features made before are read from
    ``cache``, a folder of the first process, where they are kept under a hash of
    everything they depend on. ``name`` is for the progress line and the files.

    Returns:
        Features by kind, (N, D) float32 on the CPU, and labels, (N,) int64.

    Raises:
        ValueError: If images cannot be read, or features are not finite.
    """
    paths: dict[Kind, Path] = {}
    if cache:
        for kind in model.kinds:
            file = f'{name}-{kind}-{identity(model, images, kind)}.safetensors'
            paths[kind] = cache / file
    made = [[kind for kind in paths if paths[kind].exists()]]
    broadcast_object_list(made)  # the folder of the first process counts
    found = {kind: _from_first(paths[kind]) for kind in made[0]}
    if set(model.kinds) - set(found):
        new = _run_over(model, images, name, batch_size, num_workers)
        for kind, features in new.items():
            if not features.isfinite().all():
                raise ValueError(f'{kind} features of {name} are not finite')
            found[kind] = features
            if kind in paths and get_rank() == 0:
                with whole_file(paths[kind]) as temporary:
                    save_file({'features': features.contiguous()}, temporary)
    return {kind: found[kind] for kind in model.kinds}, images.labels


def _run_over(
    model: FrozenFeatures,
    images: LabelledImages,
    name: str,
    batch_size: int,
    num_workers: int,
) -> dict[Kind, Tensor]:
    """Run the backbone over this process's share and put all shares together."""
    rank, world_size = get_rank(), get_world_size()
    steps = -(-len(images) // world_size)
    # the last rows of some ranks begin again: all ranks have as many
    share = [(rank + step * world_size) % len(images) for step in range(steps)]
    loader: DataLoader = DataLoader(
        images.images, batch_size, sampler=share, num_workers=num_workers
    )
    batches: Iterator[Any] = iter(loader)
    if rank == 0:
        batches = report_progress(batches, len(loader), f'features of {name}')
    parts: dict[Kind, list[Tensor]] = {}
    unreadable: list[str] = []
    for pixels, _, _, errors in batches:
        unreadable += filter(None, errors)
        if unreadable:  # the rest is read only, for all their names at once
            continue
        for kind, features in model(pixels, images.rgb).items():
            parts.setdefault(kind, []).append(features.cpu())
    check_readable(sorted(set(chain(*all_gather_object(unreadable)))))
    return {
        kind: in_order(torch.cat(part), len(images)) for kind, part in parts.items()
    }


def check_readable(errors: Sequence[str]) -> None:
    """Raise ValueError if an image could not be read; a score without it is another."""
    unreadable = [error for error in errors if error]
    if unreadable:
        raise ValueError(
            f'{len(unreadable)} images cannot be read: {"; ".join(unreadable[:NAMED])}'
        )


def in_order(own: Tensor, total: int) -> Tensor:
    """Put the rows of all ranks together, on every rank; drop those beyond ``total``.

    A rank has rows ``rank``, ``rank + world_size``, and so on, as many as all others.
    """
    world_size = get_world_size()
    if world_size == 1:
        return own[:total]
    rows = own.new_empty(len(own), world_size, *own.shape[1:])
    for start in range(0, len(own), CHUNK_ROWS):  # bounds memory on the device
        chunk = slice(start, start + CHUNK_ROWS)
        rows[chunk] = torch.stack(all_gather(own[chunk]), dim=1)
    return rows.flatten(0, 1)[:total]


def identity(model: FrozenFeatures, images: LabelledImages, kind: Kind) -> str:
    """Hash everything that the features of one kind depend on."""
    # the printed modules hold what weights do not show, such as activations
    parts = [CACHE_FORMAT, kind, repr(model.backbone), str(model.normalisation)]
    given = [images.rgb, images.fingerprint]
    text = json.dumps([*parts, model.amp, model.digest, *given])
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _from_first(path: Path) -> Tensor:
    """Read features on the first process and hand them to all."""
    first = get_rank() == 0
    rows = load_file(path)['features'] if first else torch.empty(0)
    shape = [tuple(rows.shape)]
    broadcast_object_list(shape)
    if not first:
        rows = torch.empty(shape[0])
    if get_world_size() > 1:
        for start in range(0, len(rows), CHUNK_ROWS):
            chunk = rows[start : start + CHUNK_ROWS].contiguous()
            broadcast(chunk)
            rows[start : start + CHUNK_ROWS] = chunk
    return rows
