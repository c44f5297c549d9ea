"""A report in a real browser without a network."""

import re

import numpy as np
import pytest
from PIL import Image

from mmattmask.reporting import Curve, Page, curves

from .browser import look, screenshot
from .test_page import SVG, png

COLOR = (12, 200, 77)


def example():
    page = Page('Study <1>', 'One sentence.')
    page.section('Numbers')
    page.text('A paragraph & more.')
    columns = ['policy', *(f'a measure of length {k}' for k in range(8))]
    page.table(columns, [['AMT', *range(8)], ['random', *range(8)]], 'Wide.')
    page.section('Pictures')
    page.figure(curves([Curve('c', [0, 1, 2], [1, 2, 4])], 'x', 'y'), 'Curve', 'curve')
    page.figure(png(40, 900)[1], 'Wide', 'wide')
    page.figure(np.full((60, 80, 3), COLOR, np.uint8), 'Plain', 'plain')
    page.strip([(f'small {k}', png(8, 8, k)[1]) for k in range(12)])
    page.figure(SVG, 'Drawn', 'drawn')
    page.details('Config', 'x = 1\n' + 'long ' * 100)
    return page


@pytest.mark.parametrize('width', [400, 1600])
def test_everything_renders_at_any_width(width, tmp_path):
    seen = look(example().html(), tmp_path, width)
    sizes = {
        image['alt']: (image['width'], image['height']) for image in seen['images']
    }
    assert len(sizes) == 16
    assert all(image['shown'] for image in seen['images'])
    assert (sizes['wide'], sizes['plain']) == ((900, 40), (80, 60))
    assert sizes['curve'] == (720, 403)
    assert seen['cells'][:2] == ['policy', 'a measure of length 0']
    assert seen['cells'][9:] == ['AMT', *'01234567', 'random', *'01234567']
    for text in ('Study <1>', 'A paragraph & more.', 'small 11', 'Config'):
        assert text in seen['text']
    assert seen['pageWidth'] <= seen['frameWidth'] == width


def test_probe_sees_a_picture_that_is_broken_or_from_elsewhere(tmp_path):
    html = example().html()
    broken = re.sub(r'(src="data:image/png;base64,).{9}', r'\1AAAAAAAAA', html, count=1)
    remote = html.replace(
        '</main>', '<img src="https://example.org/x.png" alt="remote"></main>'
    )
    for page, alt in ((broken, 'wide'), (remote, 'remote')):
        widths = {i['alt']: i['width'] for i in look(page, tmp_path)['images']}
        assert widths.pop(alt) == 0
        assert all(widths.values())


def luminance(text):
    return sum(map(int, re.findall(r'\d+', text)[:3])) / 3


def test_light_and_dark(tmp_path):
    light, dark = (
        look(example().html(), tmp_path, dark=dark) for dark in (False, True)
    )
    assert luminance(light['background']) > 240 > 60 > luminance(light['color'])
    assert luminance(dark['background']) < 60 < 200 < luminance(dark['color'])


def test_file_opens_with_its_pictures_in_their_colours(tmp_path):
    path = example().write(tmp_path / 'a report.html')
    with Image.open(screenshot(path, tmp_path, height=2500)) as image:
        pixels = np.asarray(image.convert('RGB')).astype(int)
    plain = (np.abs(pixels - COLOR).max(axis=-1) <= 2).sum()
    assert 0.95 * 60 * 80 < plain <= 60 * 80  # its corners are round
