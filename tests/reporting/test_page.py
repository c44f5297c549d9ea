"""The page: everything is in it, and nothing else is needed."""

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from mmattmask.reporting import Page

VOID = {'meta', 'img', 'br', 'link', 'hr'}
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 30 20"><path/></svg>'


class Reader(HTMLParser):
    """Reads a page, checks that tags are nested, and keeps what a test looks at."""

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.texts = [], [], []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if data.strip() and self.open[-1] != 'style':
            self.texts.append((self.open[-1], data))

    def all(self, name):
        return [attributes for tag, attributes in self.tags if tag == name]

    def inside(self, name):
        return [text for tag, text in self.texts if tag == name]


def decoded(image):
    """Return type and bytes of an image in the page."""
    kind, data = re.fullmatch(r'data:(.+);base64,(.+)', image['src']).groups()
    return kind, base64.b64decode(data, validate=True)


def png(height, width, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, 'PNG')
    return pixels, file.getvalue()


def small_figure():
    figure = Figure(figsize=(2, 1))
    figure.add_subplot().plot([0, 1], [2, 3])
    return figure


def test_text_is_shown_as_it_is():
    nasty = '<script>alert("x")</script> & \'quotes\''
    page = Page(nasty, nasty)
    page.section(nasty)
    page.text(f'{nasty}\n\nsecond\nparagraph')
    page.table([nasty, 'b'], [[nasty, nasty]], nasty)
    page.figure(png(2, 2)[1], nasty)
    page.strip([(nasty, png(2, 2)[1])], nasty)
    page.details(nasty, nasty)
    reader = Reader(page.html())
    assert reader.all('script') == []
    for tag in ('title', 'h1', 'h2', 'td', 'figcaption', 'summary', 'pre', 'span'):
        assert nasty in reader.inside(tag), tag
    assert reader.inside('p')[-2:] == [nasty, 'second paragraph']
    assert {image['alt'] for image in reader.all('img')} == {nasty}


def test_nothing_is_loaded_from_elsewhere(tmp_path):
    path = tmp_path / 'picture.png'
    path.write_bytes(png(3, 4)[1])
    page = Page('t')
    for image in (path, SVG, small_figure()):
        page.figure(image, 'c')
    reader = Reader(page.html())
    links = [v for _, a in reader.tags for n, v in a.items() if n in ('src', 'href')]
    assert len(links) == 3
    assert all(link.startswith('data:image/') for link in links)
    assert 'url(' not in page.html()
    assert '@import' not in page.html()
    (policy,) = (m['content'] for m in reader.all('meta') if 'http-equiv' in m)
    assert "default-src 'none'" in policy


@pytest.mark.parametrize('kind', ['path', 'bytes', 'array'])
def test_images_decode_to_the_given_pixels(kind, tmp_path):
    pixels, content = png(5, 7)
    path = tmp_path / 'a picture.png'
    path.write_bytes(content)
    page = Page('t')
    page.figure({'path': path, 'bytes': content, 'array': pixels}[kind], 'c', 'a')
    (image,) = Reader(page.html()).all('img')
    mime, data = decoded(image)
    assert mime == 'image/png'
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), pixels)
    assert (image['width'], image['height'], image['alt']) == ('7', '5', 'a')


def test_sizes_of_svg():
    page = Page('t')
    page.figure(SVG, 'c')
    page.figure(SVG.replace(b'viewBox="0 0 30 20"', b'width="72pt" height="1in"'), 'c')
    page.figure(small_figure(), 'c')
    sizes = [(i['width'], i['height']) for i in Reader(page.html()).all('img')]
    assert sizes == [('30', '20'), ('96', '96'), ('192', '96')]


def test_same_figure_is_the_same_page():
    pages = []
    for _ in range(2):
        page = Page('t')
        page.figure(small_figure(), 'c')
        pages.append(page.html())
    assert pages[0] == pages[1]


def test_strip_enlarges_small_pictures_and_keeps_their_shape():
    page = Page('t')
    page.strip([('small', png(16, 32)[1]), ('large', png(400, 200)[1])], width=160)
    small, large = Reader(page.html()).all('img')
    assert (small['width'], small['height'], small['class']) == ('160', '80', 'coarse')
    assert (large['width'], large['height']) == ('160', '320')
    assert 'class' not in large


def test_contents_lead_to_the_sections():
    page = Page('t')
    for name in ('one', 'two', 'three'):
        page.section(name)
    reader = Reader(page.html())
    targets = [link['href'].removeprefix('#') for link in reader.all('a')]
    assert targets == [heading['id'] for heading in reader.all('h2')]
    assert reader.inside('a') == ['one', 'two', 'three']


def test_details_open_on_demand():
    page = Page('t')
    page.details('closed', 'a')
    page.details('opened', 'b', is_open=True)
    assert ['open' in item for item in Reader(page.html()).all('details')] == [
        False,
        True,
    ]


def test_written_at_once(tmp_path, monkeypatch):
    path = tmp_path / 'new' / 'report.html'
    page = Page('first')
    assert page.write(path) == path
    assert path.read_text(encoding='utf-8') == page.html()

    def fail(*args):
        raise OSError('no space left')

    monkeypatch.setattr('mmattmask.files.os.replace', fail)
    with pytest.raises(OSError, match='no space'):
        Page('second').write(path)
    assert [item.name for item in path.parent.iterdir()] == ['report.html']
    assert 'first' in path.read_text(encoding='utf-8')


@pytest.mark.parametrize(
    ('image', 'message'),
    [
        (b'no picture at all', 'is no picture'),
        (png(9, 9)[1][:60], 'is no picture'),
        (b'<svg', 'is no picture'),
        (b'<html></html>', 'XML of another kind: html'),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', 'neither a size nor a view box'),
        (np.zeros((2, 2, 3)), r'got \(2, 2, 3\) of float64'),
        (np.zeros((2, 2, 4), np.uint8), r'got \(2, 2, 4\) of uint8'),
    ],
)
def test_what_is_no_picture_is_refused(image, message):
    with pytest.raises(ValueError, match=message):
        Page('t').figure(image, 'c')


def test_missing_picture_and_pictures_that_browsers_do_not_show(tmp_path):
    with pytest.raises(FileNotFoundError):
        Page('t').figure(tmp_path / 'none.png', 'c')
    path = tmp_path / 'picture.tif'
    Image.new('RGB', (2, 2)).save(path)
    with pytest.raises(ValueError, match='is a TIFF'):
        Page('t').figure(path, 'c')
