"""Masks of coarse cells, in the token order of the official Pixio."""

import torch

from mmattmask.mask_generators import RandomMaskGenerator
from mmattmask.masking import expand_partition

from ..golden import each

NAME = 'policies/pixio_grid'


def settings_of(case):
    return range(len(case.config['settings']))


def replay(monkeypatch, noise) -> None:
    """Let torch.rand give the recorded noise of the cells."""

    def rand(shape, **options):
        assert shape == noise.shape
        return noise

    monkeypatch.setattr(torch, 'rand', rand)


def check(partition, case, setting) -> None:
    assert torch.equal(partition.mask.bool(), case[f'out/mask{setting}'])
    assert torch.equal(partition.ids_keep, case[f'out/kept_ids{setting}'])
    assert torch.equal(partition.ids_restore, case[f'out/ids_restore{setting}'])
    assert partition.ids_throw.numel() == 0


@each(NAME, settings_of, 'setting')
def test_cells_of_random_masks_equal_official_pixio(golden, monkeypatch, setting):
    case = golden(NAME)
    options, noise = case.config['settings'][setting], case[f'draw/noise{setting}']
    replay(monkeypatch, noise)
    cells = RandomMaskGenerator(options['mask_ratio'])(torch.zeros_like(noise))
    grid = (options['grid'] // options['cell'],) * 2
    check(expand_partition(cells, grid, options['cell']), case, setting)


@each(NAME, settings_of, 'setting')
def test_a_host_with_cells_decides_as_official_pixio(
    golden, guided_mae, monkeypatch, setting
):
    case = golden(NAME)
    options, patch_size = case.config['settings'][setting], 4
    side = options['grid'] * patch_size
    model = guided_mae(
        img_size=side,
        patch_size=patch_size,
        cell_size=patch_size * options['cell'],
        mask_generator__mask_ratio=options['mask_ratio'],
    )
    replay(monkeypatch, case[f'draw/noise{setting}'])
    images = torch.zeros(case.config['batch'], 3, side, side)
    _, partition = model.guidance.guide(images, None)
    check(partition, case, setting)
