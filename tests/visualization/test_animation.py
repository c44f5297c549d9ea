"""GIFs: as many frames as pictures, of one size, in order."""

import numpy as np
import pytest
from PIL import Image

from mmattmask.visualization import Strip, draw_row, draw_sheet, strip_frames, write_gif


def read(path):
    with Image.open(path) as gif:
        frames = []
        for number in range(gif.n_frames):
            gif.seek(number)
            duration = gif.info['duration']
            frames.append((np.asarray(gif.convert('RGB')), duration))
        return frames, gif.info['loop']


def test_frames_times_and_sizes(tmp_path):
    grey = [np.full((10 + i, 20 - i, 3), 40 * i, np.uint8) for i in range(4)]
    path = write_gif(grey, tmp_path / 'new' / 'x.gif', seconds=0.2, last_seconds=1.0)
    frames, loop = read(path)
    assert loop == 0
    assert [duration for _, duration in frames] == [200, 200, 200, 1000]
    for number, (frame, _) in enumerate(frames):
        assert frame.shape == (13, 20, 3)
        own = frame[: 10 + number, : 20 - number].astype(int)
        assert np.abs(own - 40 * number).max() <= 8
        assert (frame[10 + number :] == 255).all()  # paper
        assert (frame[:, 20 - number :] == 255).all()


@pytest.mark.parametrize(
    ('frames', 'seconds', 'message'),
    [([], 1, 'got 0 frames'), ([np.zeros((2, 2, 3), np.uint8)], 0, '1 frames, 0 s')],
)
def test_nothing_to_write(tmp_path, frames, seconds, message):
    with pytest.raises(ValueError, match=message):
        write_gif(frames, tmp_path / 'x.gif', seconds)


def strips(value):
    image = np.full((16, 16, 3), value, np.uint8)
    return [Strip(image, np.eye(4, dtype=np.uint8), np.eye(4))] * 2


@pytest.fixture
def rows(tmp_path):
    folder = tmp_path / 'mask_strips'
    folder.mkdir()
    rows = [draw_row(strips(60 * i), f'epoch {i}', 'AMT') for i in range(3)]
    for epoch, row in zip((0, 40, 100), rows, strict=True):
        Image.fromarray(row).save(folder / f'{epoch:08d}.png')
    return rows


def test_frames_of_a_run_have_titles_and_legend(tmp_path, rows):
    bare = strip_frames(tmp_path / 'mask_strips')
    sheet = draw_sheet(rows, strips(0))
    Image.fromarray(sheet).save(tmp_path / 'mask_strips.png')
    frames = strip_frames(tmp_path)
    assert len(frames) == len(bare) == 3
    first_row = frames[0].shape[0] - sheet.shape[0]
    assert first_row == -sum(row.shape[0] + 10 for row in rows[1:])
    for frame, row in zip(frames, rows, strict=True):
        assert frame.shape[1] == sheet.shape[1]
        tops = [
            top
            for top in range(frame.shape[0] - row.shape[0])
            if np.array_equal(
                frame[top : top + row.shape[0], 14 : 14 + row.shape[1]], row
            )
        ]
        (top,) = tops
        assert (frame[:top] < 100).any()  # titles
        assert (frame[top + row.shape[0] :] < 100).any()  # legend
    # another sheet is not cut up
    Image.fromarray(sheet[::-1]).save(tmp_path / 'mask_strips.png')
    assert strip_frames(tmp_path)[0].shape == bare[0].shape


def test_no_drawings(tmp_path):
    with pytest.raises(FileNotFoundError, match='no drawings in'):
        strip_frames(tmp_path)
