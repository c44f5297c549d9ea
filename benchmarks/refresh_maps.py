r"""What makes a refresh cheaper, and does it leave the order of the patches as it is?

    python benchmarks/refresh_maps.py FOLDER CHECKPOINT --arch dinov2-small \
        --patch-size 14 --img-size 518 --layer-scale 1e-5

Reads the CLS attention of a pre-trained ViT from whole images in FOLDER: the pass to
its end, up to what is needed, in bfloat16, and of smaller images. Prints the CPU time
of each beside the first and the rank correlation of the maps, on the full grid and in
random views of the images, with the first's. Variants take turns on each batch.
"""

import argparse
import time
from pathlib import Path

import mmcv
import torch
from mmengine.registry import MODELS, init_default_scope
from mmpretrain.datasets import PackInputs
from rich.progress import track
from teacher_cached import MEAN, STD, SUFFIXES

from mmattmask.datasets.whole_images import squash
from mmattmask.evaluation.score_content import rank_correlation
from mmattmask.export import load_vit, read_state_dict
from mmattmask.export.fit_vit import same_grid
from mmattmask.masking import reduce_heads, view_score
from mmattmask.masking.view import resample
from mmattmask.reporting.machine import machine
from mmattmask.scorers.self_attention import read_cls_attention

BATCH = 8


def build(args):
    """Return the ViT, its weights read."""
    options = (
        {}
        if args.layer_scale is None
        else dict(layer_scale_init_value=args.layer_scale)
    )
    vit = MODELS.build(
        dict(
            type='VisionTransformer',
            arch=args.arch,
            img_size=args.img_size,
            patch_size=args.patch_size,
            **options,
        )
    )
    state = read_state_dict(args.checkpoint)
    print(load_vit(vit, state, args.checkpoint, same_grid(vit, state)))
    vit.eval()
    return vit


def pictures(paths, size):
    """Return whole images, normalised, (B, 3, H, W)."""
    loaded = [mmcv.imread(path, channel_order='rgb') for path in paths]
    squashed = [PackInputs.format_input(squash(x, (size, size))) for x in loaded]
    return (torch.stack(squashed) - MEAN) / STD


def random_boxes(count, size):
    """Return views of 0.2 to 1 of the area of square images, (N, 4)."""
    rng = torch.Generator().manual_seed(0)
    side = size * (0.2 + 0.8 * torch.rand(count, 1, generator=rng)).sqrt()
    corner = torch.rand(count, 2, generator=rng) * (size - side)
    return torch.cat([corner, side, side], dim=1)


@torch.no_grad()
def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('folder')
    parser.add_argument('checkpoint')
    parser.add_argument('--arch', default='b')
    parser.add_argument('--patch-size', type=int, default=16)
    parser.add_argument('--img-size', type=int, default=224, help='of its positions')
    parser.add_argument('--layer-scale', type=float)
    parser.add_argument('--sides', type=int, default=16, help='patches along a side')
    parser.add_argument('--max-images', type=int, default=96)
    args = parser.parse_args()
    torch.set_num_threads(1)
    init_default_scope('mmpretrain')
    vit = build(args)
    found = [p for p in Path(args.folder).rglob('*') if p.suffix.lower() in SUFFIXES]
    paths = sorted(found)[:: max(1, len(found) // args.max_images)][: args.max_images]
    full = args.sides
    variants = {  # name: patches along a side, stop, dtype
        'to the end': (full, False, None),
        'up to queries and keys': (full, True, None),
        'the same, bfloat16': (full, True, torch.bfloat16),
        'the same, float16': (full, True, torch.float16),
    }
    sides = sorted({full * eighths // 16 for eighths in (15, 14, 12, 10, 8)})
    for side in reversed(sides):
        name = f'{side * args.patch_size} px, {side} x {side} patches'
        variants[name] = (side, True, None)
    maps = {name: [] for name in variants}
    seconds = dict.fromkeys(variants, 0.0)
    starts = range(0, len(paths), BATCH)
    for start in track(starts, description='batches'):
        for name, (side, stop, dtype) in variants.items():
            images = pictures(paths[start : start + BATCH], side * args.patch_size)
            begin = time.process_time()
            with torch.autocast('cpu', dtype or torch.bfloat16, dtype is not None):
                attention = read_cls_attention(vit, images, forward=vit, stop=stop)
            seconds[name] += time.process_time() - begin
            maps[name].append(reduce_heads(attention).unflatten(1, (side, side)))
    report(args, {k: torch.cat(v) for k, v in maps.items()}, seconds)


def report(args, maps, seconds):
    """Print cost and rank correlation of the variants."""
    first, grid = next(iter(maps)), (args.sides, args.sides)
    count, size = len(maps[first]), args.sides * args.patch_size
    sizes = torch.full((count, 2), size)
    boxes, flip = random_boxes(count, size), torch.zeros(count, 2, dtype=torch.bool)
    seen = {}
    for name, values in maps.items():
        same = values.shape[1:] == grid
        whole = values.flatten(1) if same else resample(values, grid, args.patch_size)
        view = view_score(values, boxes, sizes, flip, grid, samples=args.patch_size)
        seen[name] = whole.numpy(), view.numpy()
    print(f'\n{count} images of {Path(args.folder).name}, {args.arch}, {machine()}\n')
    print('| pass | cost | rank correlation of maps | in views |')
    print('|---|---|---|---|')
    for name, pair in seen.items():
        of_maps, of_views = (
            rank_correlation(a, b) for a, b in zip(seen[first], pair, strict=True)
        )
        cost = seconds[name] / seconds[first]
        print(f'| {name} | {cost:.2f} | {of_maps:.3f} | {of_views:.3f} |')


if __name__ == '__main__':
    main()
