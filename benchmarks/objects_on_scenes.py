"""A dataset whose true attention maps are known: CIFAR-10 objects on photographs.

    python benchmarks/objects_on_scenes.py --objects DIR --scenes DIR --out DIR

Each image is one CIFAR-10 image, the object, shrunk to 16 px and pasted at a random
place (multiples of 2 px) of a 32-px crop of an unrelated photograph; its label is the
object's. Chance is 10 %. Photographs of training and test images are different ones.
The maps say where the object is: a score that a guided policy cannot do better than.

Reads ``train.npz`` and ``test.npz`` (``mmattmask.PackedImages``) in the folder of the
objects and ``train/`` and ``val/`` in the folder of the scenes. Writes both files anew
with the composed images, lossless, and maps (N, 16, 16) uint8 of the training images:

    maps_true.npy       the object 255, the scene 0
    maps_anti.npy       the reverse
    maps_shuffled.npy   true maps, each of another image
    maps_auc90.npy …    true maps mixed with smooth noise, of which as many cells as
                        the object has are 255 and the rest 0: the contrast is that of
                        the true map, the place is wrong so often that the AUC of a
                        cell for "object" is .90, .75 and .60

Everything follows from --seed.

    python benchmarks/objects_on_scenes.py --shares DIR

prints where the policies of configs/study/compare_objects.py leave the object, with the
maps in DIR.
"""

import argparse
import io
import os
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from mmengine.dataset import BaseDataset
from mmengine.registry import TASK_UTILS
from PIL import Image
from scipy.ndimage import gaussian_filter
from scipy.stats import rankdata
from torch.nn.functional import adaptive_avg_pool2d

from mmattmask.comparison.plan import Run, read_comparison, run_config
from mmattmask.datasets.packed_images import PackedImages

ROOT = Path(__file__).resolve().parents[1]
COMPARISON = ROOT / 'configs' / 'study' / 'compare_objects.py'
SIDE, OBJECT, CELL = 32, 16, 2
GRID = SIDE // CELL
AUCS = (0.90, 0.75, 0.60)
SUFFIXES = ('.jpg', '.jpeg', '.png')


def main() -> None:
    """Write the dataset."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--objects', help='folder of train and test.npz')
    parser.add_argument('--scenes', help='folder of train/ and val/')
    parser.add_argument('--shares', metavar='DIR', help='of a finished dataset')
    parser.add_argument('--out', default='data/objects_on_scenes')
    parser.add_argument('--images', type=int, default=10_000, help='of each split')
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    if args.shares:
        print(shares(Path(args.shares)).to_markdown(index=False))
        return
    if not (args.objects and args.scenes):
        parser.error('give --objects and --scenes, or --shares')
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    draws = np.random.default_rng(args.seed).spawn(2)
    for (split, folder), draw in zip(
        (('train', 'train'), ('test', 'val')), draws, strict=True
    ):
        objects = PackedImages(
            f'{split}.npz',
            data_root=args.objects,
            indices=args.images,
            lazy_init=False,
        )
        scenes = read_scenes(Path(args.scenes) / folder)
        truth = write_images(out / f'{split}.npz', objects, scenes, draw)
        if split == 'train':
            for name, maps in maps_of(truth, draw).items():
                np.save(out / f'maps_{name}.npy', maps)
        print(f'{split}: {len(truth)} images on {len(scenes)} photographs')


def read_scenes(folder: Path) -> list[Image.Image]:
    """Read photographs, their shorter side made two crops long."""
    scenes = []
    for path in sorted(folder.rglob('*')):
        if path.suffix.lower() in SUFFIXES:
            with Image.open(path) as file:
                image = file.convert('RGB')
            scale = 2 * SIDE / min(image.size)
            size = [round(side * scale) for side in image.size]
            scenes.append(image.resize(size, Image.Resampling.BICUBIC))
    if not scenes:
        raise FileNotFoundError(f'there is no photograph in {folder}')
    return scenes


def write_images(
    path: Path,
    objects: BaseDataset,
    scenes: list[Image.Image],
    draw: np.random.Generator,
) -> np.ndarray:
    """Compose and write images; return where the objects are, (N, GRID, GRID) bool."""
    files, labels, truth = [], [], []
    for index in range(len(objects)):
        sample = objects[index]
        scene = scenes[draw.integers(len(scenes))]
        left, top = (int(draw.integers(side - SIDE + 1)) for side in scene.size)
        image = scene.crop((left, top, left + SIDE, top + SIDE))
        x, y = (
            int(n) * CELL for n in draw.integers((SIDE - OBJECT) // CELL + 1, size=2)
        )
        shrunk = Image.fromarray(sample['img']).resize(
            (OBJECT, OBJECT), Image.Resampling.BICUBIC
        )
        image.paste(shrunk, (x, y))
        file = io.BytesIO()
        image.save(file, 'png')
        files.append(np.frombuffer(file.getvalue(), np.uint8))
        labels.append(sample['gt_label'])
        inside = np.zeros((SIDE, SIDE), bool)
        inside[y : y + OBJECT, x : x + OBJECT] = True
        truth.append(inside[::CELL, ::CELL])
    np.savez(
        path,
        jpeg=np.concatenate(files),
        offsets=np.cumsum([0, *map(len, files)]),
        labels=np.array(labels, np.uint8),
        classes=np.array(objects.metainfo['classes']),
    )
    return np.stack(truth)


def maps_of(truth: np.ndarray, draw: np.random.Generator) -> dict[str, np.ndarray]:
    """Return the maps by name, (N, GRID, GRID) uint8."""
    true, anti = (np.where(where, 255, 0).astype(np.uint8) for where in (truth, ~truth))
    # a cycle through all images in random order: nobody keeps the own map
    order = draw.permutation(len(true))
    other = np.empty_like(order)
    other[order] = np.roll(order, 1)
    maps = dict(true=true, anti=anti, shuffled=true[other])
    noise = gaussian_filter(draw.normal(size=truth.shape), (0, 2, 2), mode='wrap')
    noise /= noise.std()
    for target in AUCS:
        low, high = 0.0, 10.0  # times the object's indicator
        while high - low > 1e-3:
            weight = (low + high) / 2
            mixed = highest(noise + weight * truth, (OBJECT // CELL) ** 2)
            low, high = (weight, high) if auc(mixed, truth) < target else (low, weight)
        mixed = highest(noise + high * truth, (OBJECT // CELL) ** 2)
        maps[f'auc{100 * target:.0f}'] = np.where(mixed, 255, 0).astype(np.uint8)
    return maps


def highest(score: np.ndarray, count: int) -> np.ndarray:
    """Return the ``count`` highest cells of each map, (N, GRID, GRID) bool."""
    flat = score.reshape(len(score), -1)
    threshold = np.partition(flat, -count, axis=1)[:, -count, None]
    where: np.ndarray = flat >= threshold
    return where.reshape(score.shape)


def auc(score: np.ndarray, truth: np.ndarray) -> float:
    """Return the mean over images of the AUC of a score for being the object."""
    count = len(score)
    ranks = rankdata(score.reshape(count, -1), axis=1)
    inside = truth.reshape(count, -1)
    positive, negative = inside.sum(1), (~inside).sum(1)
    above = (ranks * inside).sum(1) - positive * (positive + 1) / 2
    return float((above / (positive * negative)).mean())


def shares(folder: Path) -> pd.DataFrame:
    """Return, in %, where policies leave the object of whole images."""
    os.environ['MMATTMASK_OBJECTS'] = str(folder)  # which the config asks for
    comparison = read_comparison(COMPARISON)
    inside = patches(np.load(folder / 'maps_true.npy')) > 127
    rows = []
    for entry in comparison.entries.values():
        cfg = run_config(entry, Run(entry.name, 'tokens', 0), comparison.epochs)
        scorer = cfg.model.get('scorer') or dict(path=folder / 'maps_true.npy')
        if not Path(scorer['path']).exists():  # a ViT's, which others make
            continue
        score = patches(np.load(scorer['path'])).float()
        policy = TASK_UTILS.build(cfg.model.mask_generator)
        partition = policy(score, rng=torch.Generator().manual_seed(0), grid=(8, 8))
        row = dict(policy=entry.title)
        parts = ('visible', 'masked', 'thrown')
        ids = (partition.ids_keep, partition.ids_mask, partition.ids_throw)
        found = [inside.gather(1, part).sum().item() for part in ids]
        for part, count in zip(parts, found, strict=True):
            row[f'{part}, of the object'] = round(100 * count / inside.sum().item())
        for part, count, places in zip(parts[:2], found, ids, strict=False):
            row[f'object, of the {part}'] = round(100 * count / places.numel())
        rows.append(row)
    return pd.DataFrame(rows)


def patches(maps: np.ndarray) -> torch.Tensor:
    """Return the means of patches of 4 px, (N, 64)."""
    return adaptive_avg_pool2d(torch.from_numpy(maps).float(), 8).flatten(1)


if __name__ == '__main__':
    main()
