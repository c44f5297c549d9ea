"""ColorMAE's masks: golden windows, counts, and the texture of each colour."""

import pytest
import torch

from mmattmask.mask_generators import ColorNoiseMaskGenerator, RandomMaskGenerator

from ..golden import each

NAME = 'policies/colormae_masks'
# share of equal neighbours, and of 2 x 2 cells without a visible patch, at 14 x 14
TEXTURES = {
    'white': (0.624, 0.316),
    'red': (0.896, 0.643),
    'blue': (0.560, 0.239),
    'green': (0.659, 0.351),
    'purple': (0.583, 0.285),
}


def masks(generator, grid, number, seed=0):
    score = torch.zeros(number, grid[0] * grid[1])
    mask = generator.mask(score, torch.Generator().manual_seed(seed), grid=grid)
    return mask.unflatten(1, grid).bool()


def runs_of(case):
    return case.under('out/mask_')


@each(NAME, runs_of, 'run')
def test_golden_masks(golden, run, monkeypatch):
    """From the released windows: who is visible, in which order."""
    case = golden(NAME)
    color, percent, number = run.split('_')
    side = case.config['grid']
    windows = []
    for top, left, *flips in case[f'draw/crop_{run}'].tolist():
        window = case[f'ref/{color}'][:, top : top + side, left : left + side]
        windows.append(window.flip([2 - i for i, flip in enumerate(flips) if flip]))
    noise = torch.cat(windows)[: int(number)].flatten(1)
    (ratio,) = (r for r in case.config['mask_ratios'] if round(100 * r) == int(percent))
    generator = ColorNoiseMaskGenerator(ratio, color)
    monkeypatch.setattr(
        'mmattmask.mask_generators.color_noise.color_noise', lambda *args: noise
    )
    partition = generator(torch.zeros_like(noise), grid=(side, side))
    assert torch.equal(partition.mask.bool(), case[f'out/mask_{run}'])
    assert torch.equal(partition.ids_keep, case[f'out/ids_keep_{run}'])


@pytest.mark.parametrize('color', TEXTURES)
def test_texture_is_that_of_the_color(color):
    generator = ColorNoiseMaskGenerator(color=color) if color != 'white' else None
    mask = masks(generator or RandomMaskGenerator(), (14, 14), 4000)
    equal, empty = TEXTURES[color]
    pairs = (
        (mask[:, 1:] == mask[:, :-1]).float(),
        (mask[:, :, 1:] == mask[:, :, :-1]).float(),
    )
    assert float(sum(p.mean() for p in pairs) / 2) == pytest.approx(equal, abs=0.004)
    cells = mask.unflatten(1, (7, 2)).unflatten(3, (7, 2))
    share = float(cells.all(dim=4).all(dim=2).float().mean())
    assert share == pytest.approx(empty, abs=0.006)


def test_the_score_does_not_count():
    generator, score = ColorNoiseMaskGenerator(), torch.rand(2, 24)
    first, second = (
        generator(s, torch.Generator().manual_seed(0), grid=(4, 6)).mask
        for s in (score, torch.zeros(2, 24))
    )
    assert torch.equal(first, second)
