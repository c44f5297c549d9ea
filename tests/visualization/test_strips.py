"""Drawings over time: kept, resumed, bounded in the sheet, all in the GIF."""

import numpy as np
import pytest
from PIL import Image, ImageSequence

from mmattmask.visualization import strips, write_gif
from mmattmask.visualization.records import load_records, save_records
from mmattmask.visualization.strips import add_drawing, strip_frames

from .pictures import labels, record_of, texts


def test_records_come_back_as_they_were(tmp_path):
    records = [record_of(seed=1), record_of(score=None, prediction=None)]
    save_records(tmp_path / 'new' / 'x.npz', records, 'epoch 3\nAMT')
    loaded, title = load_records(tmp_path / 'new' / 'x.npz')
    assert title == 'epoch 3\nAMT'
    for own, other in zip(records, loaded, strict=True):
        for name, value in vars(own).items():
            found = getattr(other, name)
            assert type(found) is type(value)
            assert np.array_equal(found, value)
    assert [path.name for path in (tmp_path / 'new').iterdir()] == ['x.npz']


def rows(figure):
    return [name.split('\n')[0] for *_, name in texts(figure) if name]


def test_a_sheet_grows_and_a_later_run_takes_over(tmp_path, drawn):
    for time in (0, 40, 80, 40):
        record = record_of(policy_note='AMT' if time else 'Random, warm-up')
        add_drawing(tmp_path, [record], time, 'epoch')
    assert [rows(figure) for figure in drawn] == [
        ['epoch 0'],
        ['epoch 0', 'epoch 40'],
        ['epoch 0', 'epoch 40', 'epoch 80'],
        ['epoch 0', 'epoch 40'],
    ]
    names = [path.stem for path in sorted((tmp_path / 'mask_strips').iterdir())]
    assert names == ['00000000', '00000040']
    with Image.open(tmp_path / 'mask_strips.png') as sheet:
        assert sheet.size[1] > sheet.size[0] // 3


def test_a_long_sheet_has_its_first_and_last_rows(tmp_path, monkeypatch, drawn):
    monkeypatch.setattr(strips, 'MOST_ROWS', 3)
    for time in range(6):
        add_drawing(tmp_path, [record_of()], time, 'iteration')
    assert rows(drawn[-1]) == ['iteration 0', 'iteration 2', 'iteration 5']
    assert len(strip_frames(tmp_path)) == 6


def test_frames_of_a_run_have_titles_and_legend(tmp_path, drawn):
    for time in (0, 8, 100):
        add_drawing(tmp_path, [record_of(seed=time), record_of()], time, 'epoch')
    drawn.clear()
    frames = strip_frames(tmp_path)
    again = strip_frames(tmp_path / 'mask_strips')
    titles = [['epoch 0'], ['epoch 8'], ['epoch 100']]
    assert [rows(figure) for figure in drawn[:3]] == titles
    for figure, frame, other in zip(drawn, frames, again, strict=False):
        assert len(labels(figure)) == 1
        assert texts(figure)[0][0] == 'image'
        assert np.array_equal(frame, other)


def test_no_drawings(tmp_path):
    with pytest.raises(FileNotFoundError, match='no drawings in'):
        strip_frames(tmp_path)


def test_frames_of_a_gif_have_times_and_one_size(tmp_path):
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
