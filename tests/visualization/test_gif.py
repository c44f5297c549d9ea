"""GIFs: as many frames as pictures, of one size, in order."""

import numpy as np
import pytest
from PIL import Image

from mmattmask.visualization import write_gif


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
