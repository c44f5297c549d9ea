"""Draw the pictures of the guides, from the photographs inside scikit-image.

    python examples/demo.py                                  # makes the checkpoint
    python docs/make_pictures.py work_dirs/demo/epoch_30.pth

Without a checkpoint only those that need none are drawn.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from mmattmask.cli.visualize import read_image
from mmattmask.datasets.photographs import find_photographs
from mmattmask.masking import view_score
from mmattmask.visualization import (
    apply_policy,
    draw_attention,
    draw_gallery,
    draw_policies,
    draw_table,
    example_policies,
)
from mmattmask.visualization.pages import main_panels
from mmattmask.visualization.portrait import Portrait, portray
from mmattmask.visualization.sitter import load_sitter
from mmattmask.visualization.strips import legend

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / 'docs' / 'images'
SIZE = (224, 224)
GRID = (14, 14)
CROP = (8, 30, 120, 120)  # top, left, height, width in px
LETTERS = 15  # px


def photograph(name: str, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Return a photograph, its centre cropped to (H, W), as (H, W, 3) uint8."""
    (path,) = (path for path in find_photographs() if path.stem == name)
    return read_image(path, size, squash=False)


def contrast(image: np.ndarray, grid: tuple[int, int] = GRID) -> np.ndarray:
    """Return how far each patch's colour is from the image's mean, (h, w) in [0, 1]."""
    pixels = image.reshape(grid[0], image.shape[0] // grid[0], grid[1], -1, 3)
    patches = pixels.mean(axis=(1, 3))
    distance = np.linalg.norm(patches - patches.mean(axis=(0, 1)), axis=-1)
    return distance / distance.max()


def draw_all_policies() -> np.ndarray:
    """Draw ten policies on one score."""
    image = photograph('coffee')
    score = contrast(image)
    flat = torch.from_numpy(score).float().flatten().unsqueeze(0)
    sets = {
        policy.name: apply_policy(policy, flat, GRID)[0]
        for policy in example_policies(flat.shape[1])
    }
    caption = 'ten policies on one score: the contrast of colours'
    return draw_policies(image, score, sets, caption, side=168)


def draw_crop() -> np.ndarray:
    """Draw a map of a whole image, a view of the image, and the view's score."""
    image = photograph('coffee')
    score = contrast(image)
    top, left, height, width = CROP
    view = image[top : top + height, left : left + width][:, ::-1]
    view = np.asarray(Image.fromarray(view).resize(SIZE, Image.Resampling.BICUBIC))
    of_view = view_score(
        torch.from_numpy(score).unsqueeze(0),
        torch.tensor([CROP]),
        torch.tensor([SIZE]),
        torch.tensor([[False, True]]),
        GRID,
    )
    of_view = of_view[0].unflatten(0, GRID).numpy()
    panels = [
        framed(image),
        framed(draw_attention(image, score)),
        view,
        draw_attention(view, of_view),
    ]
    titles = ['whole image', 'its map', 'a view', "the view's score"]
    notes = ['224 x 224 px', '14 x 14', 'cropped, flipped', '14 x 14']
    return draw_gallery(panels, titles, notes, columns=4)


def framed(picture: np.ndarray) -> np.ndarray:
    """Draw the crop's outline."""
    top, left, height, width = CROP
    inside = np.zeros(SIZE, dtype=bool)
    inside[top : top + height, left : left + width] = True
    core = np.zeros(SIZE, dtype=bool)
    core[top + 3 : top + height - 3, left + 3 : left + width - 3] = True
    return np.where((inside & ~core)[..., None], np.uint8(255), picture)


def draw_demo(checkpoint: Path, names: tuple[str, ...]) -> np.ndarray:
    """Draw what the demo's model makes of photographs."""
    config = ROOT / 'configs' / 'demo' / 'amt_vit-tiny_photographs.py'
    sitter, size, _ = load_sitter(str(config), str(checkpoint))
    images = np.stack([photograph(name, size) for name in names])
    portrait: Portrait = portray(sitter, images)
    rows = [main_panels(portrait, index, side=128) for index in range(len(names))]
    return draw_table(
        [[panel.picture for panel in row] for row in rows],
        [name.replace('_', ' ') for name in names],
        ['image', 'attention', 'ranking', 'AMT 45/40', 'reconstruction'],
        footer=legend([], LETTERS),
    )


def save(picture: np.ndarray, path: Path) -> None:
    """Write a PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(picture)).save(path, optimize=True)


def main(argv: list[str] | None = None) -> str:
    """Draw; return what to print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('checkpoint', nargs='?', type=Path, help="the demo's last")
    parser.add_argument('--out', type=Path, default=IMAGES, help='docs/images')
    args = parser.parse_args(argv)
    pictures = {'policies': draw_all_policies(), 'crop': draw_crop()}
    if args.checkpoint is not None:
        names = ('cell', 'retina', 'rocket', 'coins')
        pictures['attention'] = draw_demo(args.checkpoint, names)
    lines = []
    for name, picture in pictures.items():
        path = args.out / f'{name}.png'
        save(picture, path)
        lines.append(f'{path}: {path.stat().st_size / 1024:.0f} KB')
    return '\n'.join(lines)


if __name__ == '__main__':
    print(main())
