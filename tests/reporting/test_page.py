"""The page: everything is in it, and nothing else is needed."""

import base64
import re
from html.parser import HTMLParser

import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from mmattmask.reporting import Page, save_figure

VOID = {'meta', 'img', 'br', 'link', 'hr'}


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


@pytest.fixture
def png(tmp_path):
    path = tmp_path / 'a picture.png'
    Image.new('RGB', (7, 5), 'red').save(path)
    return path


def test_text_is_shown_as_it_is(png):
    nasty = '<script>alert("x")</script> & \'quotes\''
    page = Page(nasty, nasty)
    page.section(nasty)
    page.text(nasty)
    page.table(pd.DataFrame({nasty: [nasty], 'b': [nasty]}), nasty)
    page.figure(png, nasty)
    page.details(nasty, nasty)
    reader = Reader(page.html())
    assert reader.all('script') == []
    for tag in ('title', 'h1', 'h2', 'a', 'p', 'th', 'td', 'figcaption', 'summary'):
        assert nasty in reader.inside(tag), tag
    assert reader.inside('pre') == [nasty]
    assert {image['alt'] for image in reader.all('img')} == {nasty}


def test_everything_is_in_the_page(png):
    """Pictures are the given files, charts vectors; nothing is loaded from outside."""
    figure = Figure(figsize=(2, 1))
    figure.add_subplot().plot([0, 1], [2, 3])
    svg = save_figure(figure, png.with_name('a chart'))
    page = Page('t')
    page.figure(png, 'c')
    page.figure(svg, 'c')
    html = page.html()
    reader = Reader(html)
    picture, chart = reader.all('img')
    assert decoded(picture) == ('image/png', png.read_bytes())
    assert (picture['class'], chart['class']) == ('picture', 'chart')
    assert decoded(chart) == ('image/svg+xml', svg.read_bytes())
    links = [v for _, a in reader.tags for n, v in a.items() if n in ('src', 'href')]
    assert len(links) == 2
    assert 'url(' not in html
    assert '@import' not in html
    (policy,) = (m['content'] for m in reader.all('meta') if 'http-equiv' in m)
    assert "default-src 'none'" in policy
    again = Page('t')
    again.figure(png, 'c')
    again.figure(svg, 'c')
    assert again.html() == html


def test_contents_lead_to_the_sections():
    page = Page('t')
    for name in ('one', 'two', 'three'):
        page.section(name)
        page.text('between')
    reader = Reader(page.html())
    targets = [link['href'].removeprefix('#') for link in reader.all('a')]
    assert targets == [heading['id'] for heading in reader.all('h2')]
    assert reader.inside('a') == ['one', 'two', 'three']


def test_every_cell_is_there_and_numbers_are_aligned_right():
    frame = pd.DataFrame(
        [
            ['AMT', '71.2 ± 0.3', 0.5, 'a < b'],
            ['random', '-0.1', 1.0, ''],
            ['High', '-', None, 'x'],
        ],
        columns=['policy', 'k-NN, %', 'step', 'note'],
    )
    page = Page('t')
    page.table(frame, 'Accuracy')
    reader = Reader(page.html())
    assert reader.inside('th') == [*frame, *frame.policy]
    assert reader.inside('td') == [
        *('71.2 ± 0.3', '0.5', 'a < b'),
        *('-0.1', '1.0'),
        *('-', 'x'),
    ]
    assert [heading['scope'] for heading in reader.all('th')] == (
        ['col'] * 4 + ['row'] * 3
    )
    kinds = [heading.get('class') for heading in reader.all('th')]
    assert kinds[:4] == [None, 'number', 'number', None]
    assert [cell.get('class') for cell in reader.all('td')] == (
        ['number', 'number', None] * 3
    )


def test_what_is_wider_than_the_screen_scrolls(png):
    """Tables and pictures stand in a box that scrolls, by keyboard too."""
    page = Page('t')
    page.table(pd.DataFrame({'a': [1]}))
    page.figure(png, 'c')
    html = page.html()
    boxes = [box for box in Reader(html).all('div') if box.get('class') == 'scroll']
    assert [box['tabindex'] for box in boxes] == ['0', '0']
    assert '.scroll { overflow-x: auto; max-width: 100%;' in html
    assert '<meta name="viewport" content="width=device-width' in html


def test_written_to_a_new_folder(tmp_path):
    page, path = Page('first'), tmp_path / 'new' / 'report.html'
    assert page.write(path) == path
    assert path.read_text(encoding='utf-8') == page.html()


def test_what_is_no_picture_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError):
        Page('t').figure(tmp_path / 'none.png', 'c')
    with pytest.raises(ValueError, match='no ending of a picture'):
        Page('t').figure(tmp_path / 'row.json', 'c')
