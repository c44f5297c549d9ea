"""GIFs: as many frames as pictures, of one size, in order."""

import numpy as np
from PIL import Image, ImageSequence

from mmattmask.visualization import write_gif


def test_frames_times_and_sizes(tmp_path):
    grey = [np.full((10 + i, 20 - i, 3), 40 * i, np.uint8) for i in range(4)]
    path = write_gif(grey, tmp_path / 'new' / 'x.gif')
    with Image.open(path) as gif:
        assert gif.info['loop'] == 0
        frames = [
            (np.asarray(f.convert('RGB')), f.info['duration'])
            for f in ImageSequence.Iterator(gif)
        ]
    assert [duration for _, duration in frames] == [800, 800, 800, 2500]
    for number, (frame, _) in enumerate(frames):
        assert frame.shape == (13, 20, 3)
        own = frame[: 10 + number, : 20 - number].astype(int)
        assert np.abs(own - 40 * number).max() <= 8
        assert (frame[10 + number :] == 255).all()  # paper
        assert (frame[:, 20 - number :] == 255).all()
