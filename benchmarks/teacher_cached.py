"""Compare a cached teacher with one that sees every view (GPA).

    python benchmarks/teacher_cached.py FOLDER CHECKPOINT --block 9 --head 11

Takes random views of the images in FOLDER, scores each view by the teacher itself
(online) and by the whole image's map, cropped and flipped alike (cached), and prints
their rank correlation and how much the masks made of them agree.
"""

import argparse
import platform
from pathlib import Path

import numpy as np
import torch
from mmcv.transforms import Resize
from mmengine.registry import MODELS, init_default_scope
from mmpretrain.datasets import PackInputs
from PIL import Image
from rich.progress import track

from mmattmask.datasets import RandomResizedCrop
from mmattmask.masking import shuffle_soft_to_hard, view_score

SUFFIXES = {'.jpg', '.jpeg', '.png'}
MEAN = torch.tensor([123.675, 116.28, 103.53]).view(3, 1, 1)
STD = torch.tensor([58.395, 57.12, 57.375]).view(3, 1, 1)


def ranks(score: torch.Tensor) -> torch.Tensor:
    """Return centred ranks, (B, L)."""
    places = score.argsort(dim=1).argsort(dim=1).double()
    return places - places.mean(dim=1, keepdim=True)


def rank_correlation(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Return Spearman's coefficient per image, (B,)."""
    return torch.cosine_similarity(ranks(first), ranks(second), dim=1)


def overlap(first: torch.Tensor, second: torch.Tensor, count: int) -> torch.Tensor:
    """Return the share of the top ``count`` patches that two scores share, (B,)."""
    masks = [
        torch.zeros_like(score).scatter(1, score.topk(count, dim=1).indices, 1)
        for score in (first, second)
    ]
    return (masks[0] * masks[1]).sum(dim=1) / count


def mask_overlap(first: torch.Tensor, second: torch.Tensor, ratio: float) -> float:
    """Return the share of patches masked by both, half soft, half hard, same noise."""
    count = int(first.shape[1] * ratio)
    noise = torch.rand(first.shape)
    masks = []
    for score in (first, second):
        torch.manual_seed(0)
        order = shuffle_soft_to_hard(score, count, count // 4, count // 4, noise=noise)
        masks.append(torch.zeros_like(score).scatter(1, order[:, -count:], 1))
    return float((masks[0] * masks[1]).sum(dim=1).mean() / count)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('folder')
    parser.add_argument('checkpoint')
    parser.add_argument('--arch', default='b', help='name, or dims,blocks,heads')
    parser.add_argument('--img-size', type=int, default=224)
    parser.add_argument('--patch-size', type=int, default=16)
    parser.add_argument('--block', type=int, default=9)
    parser.add_argument('--head', type=int, default=11, help='-1: all')
    parser.add_argument('--max-images', type=int, default=300)
    args = parser.parse_args()
    arch = args.arch
    if ',' in arch:
        dims, blocks, heads = map(int, arch.split(','))
        arch = dict(embed_dims=dims, num_layers=blocks, num_heads=heads)
        arch['feedforward_channels'] = 4 * dims
    init_default_scope('mmpretrain')
    size = args.img_size
    teacher = MODELS.build(
        dict(
            type='mmattmask.FrozenTeacher',
            backbone=dict(
                type='VisionTransformer',
                arch=arch,
                img_size=size,
                patch_size=args.patch_size,
            ),
            checkpoint=args.checkpoint,
            block=args.block,
            head=None if args.head < 0 else args.head,
        )
    )
    paths = sorted(
        p for p in Path(args.folder).rglob('*') if p.suffix.lower() in SUFFIXES
    )
    if not paths:
        raise FileNotFoundError(f'there are no images in {args.folder}')
    paths = paths[:: max(1, len(paths) // args.max_images)][: args.max_images]
    np.random.seed(0)  # noqa: NPY002 what the transforms draw from
    squash = Resize(scale=(size, size), backend='pillow', interpolation='bilinear')
    crop = RandomResizedCrop(
        size, crop_ratio_range=(0.2, 1.0), backend='pillow', interpolation='bicubic'
    )
    online, cached = [], []
    grid = (size // args.patch_size,) * 2
    for path in track(paths, description='views'):
        pixels = np.array(Image.open(path).convert('RGB'))
        whole = squash(dict(img=pixels))
        view = crop(dict(img=pixels))
        inputs = [PackInputs.format_input(v['img']) for v in (whole, view)]
        inputs = (torch.stack(inputs) - MEAN) / STD
        maps = teacher.measure(None, inputs)
        online.append(maps[1:])
        cached.append(
            view_score(
                maps[:1].unflatten(1, grid),
                torch.tensor([view['crop_box']]),
                torch.tensor([view['ori_shape']]),
                torch.zeros(1, 2, dtype=torch.bool),
                grid,
                samples=args.patch_size,
            )
        )
    report(args, torch.cat(online), torch.cat(cached), len(paths))


def report(args, online, cached, count):
    """Print what came out beside what chance gives."""
    num_patches = online.shape[1]
    hard = int(num_patches * 0.75 * 0.25)
    correlation = rank_correlation(online, cached)
    quartiles = correlation.quantile(torch.tensor([0.25, 0.5, 0.75]).double())
    other = cached.roll(1, dims=0)  # the map of another image
    print(
        f'\n{count} views of {Path(args.folder).name}, grid {num_patches}, block '
        f'{args.block}, head {args.head}, {platform.machine()}\n'
    )
    print('| cached beside online | own image | map of another image | chance |')
    print('|---|---|---|---|')
    print(
        f'| rank correlation, median (quartiles) | {quartiles[1]:.2f} '
        f'({quartiles[0]:.2f}..{quartiles[2]:.2f}) '
        f'| {rank_correlation(online, other).median():.2f} | 0 |'
    )
    print(
        f'| hard masks in common (top {hard}) '
        f'| {overlap(online, cached, hard).mean():.0%} '
        f'| {overlap(online, other, hard).mean():.0%} | {hard / num_patches:.0%} |'
    )
    print(
        '| all masks in common, a quarter hard and soft each, same noise '
        f'| {mask_overlap(online, cached, 0.75):.0%} '
        f'| {mask_overlap(online, other, 0.75):.0%} | |'
    )


if __name__ == '__main__':
    main()
