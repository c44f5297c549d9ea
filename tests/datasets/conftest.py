"""Images whose pixels tell where they are."""

import mmcv
import numpy as np
import pytest


def coordinates(height: int, width: int, dtype=np.float32) -> np.ndarray:
    """An image whose first channel is the row and second the column, (H, W, 3)."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows, columns, np.zeros_like(rows)], axis=-1).astype(dtype)


@pytest.fixture(scope='session')
def coordinate_image():
    return coordinates


@pytest.fixture(scope='session')
def expected_coordinates():
    """Rows and columns that a view with a recorded geometry should show."""

    def expected(results) -> list[np.ndarray]:
        img = results['img'][0] if isinstance(results['img'], list) else results['img']
        flip = results.get('flip', False)
        direction = results.get('flip_direction') if flip else None
        flipped = (
            direction in ('vertical', 'diagonal'),
            direction in ('horizontal', 'diagonal'),
        )
        box = results['crop_box']
        axes = []
        for axis in (0, 1):
            places = (np.arange(img.shape[axis]) + 0.5) / img.shape[axis]
            places = places[::-1] if flipped[axis] else places
            axes.append(box[axis] + places * box[axis + 2] - 0.5)
        return axes

    return expected


def folder_config(folder, **options) -> dict:
    """Config of a dataset of class folders that packs whole images."""
    load = dict(type='mmpretrain.LoadImageFromFile')
    return dict(
        type='mmpretrain.CustomDataset',
        data_prefix=str(folder),
        pipeline=[load, dict(type='mmattmask.PackInputs')],
        **options,
    )


@pytest.fixture
def image_folder(tmp_path):
    """Writer of a folder of class folders with small images."""

    def write(name='photos', classes=2, images=3, size=(20, 30)):
        folder = tmp_path / name
        for label in range(classes):
            for index in range(images):
                pixels = np.full((*size, 3), 40 * label + 10 * index, np.uint8)
                path = folder / f'class_{label}' / f'{index}.png'
                mmcv.imwrite(pixels, str(path))
        return folder

    return write
