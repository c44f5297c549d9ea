"""Tables: every cell, numbers to the right, the best in bold."""

import pytest

from mmattmask.reporting import Page
from mmattmask.reporting.table import is_numeric, number_of

from .test_page import Reader

COLUMNS = ['policy', 'k-NN, %', 'step', 'note']
ROWS = [
    ['AMT', '71.2 ± 0.3', 0.584, 'a < b'],
    ['random', 70.0, 1.0, ''],
    ['AttMask', None, 0.584, 'x'],
]


def table(**kwargs):
    page = Page('t')
    page.table(COLUMNS, ROWS, 'Accuracy', **kwargs)
    return Reader(page.html())


def test_every_cell_is_there():
    reader = table(digits=3)
    assert reader.inside('th') == [*COLUMNS, 'AMT', 'random', 'AttMask']
    assert reader.inside('td') == [
        *('71.2 ± 0.3', '0.584', 'a < b'),
        *('70.000', '1.000'),
        *('\N{EN DASH}', '0.584', 'x'),
    ]
    assert reader.inside('figcaption') == ['Accuracy.']


def test_headings_say_what_they_head():
    scopes = [heading['scope'] for heading in table().all('th')]
    assert scopes == ['col'] * 4 + ['row'] * 3


def test_columns_of_numbers_are_aligned_right():
    kinds = [heading.get('class') for heading in table().all('th')]
    assert kinds[:4] == [None, 'number', 'number', None]
    cells = [cell.get('class') for cell in table().all('td')]
    assert cells == ['number', 'number', None] * 3


def test_best_of_each_column_and_ties():
    reader = table(best={'k-NN, %': 'max', 'step': 'min'})
    assert reader.inside('strong') == ['71.2 ± 0.3', '0.58', '0.58']
    assert reader.inside('figcaption') == ['Accuracy. Best in bold.']
    assert table(best={'k-NN, %': 'min'}).inside('strong') == ['70.00']
    assert table(best={'note': 'max'}).inside('strong') == []


def test_no_best_where_all_are_equal():
    page = Page('t')
    page.table(['a', 'b'], [['x', 5.0], ['y', 5.0], ['z', None]], best={'b': 'max'})
    reader = Reader(page.html())
    assert reader.inside('strong') == reader.inside('figcaption') == []
    page.table(['a', 'b'], [['x', 5.0], ['z', None]], best={'b': 'max'})
    assert Reader(page.html()).inside('strong') == ['5.00']


@pytest.mark.parametrize(
    ('text', 'number'),
    [
        ('71.2', 71.2),
        ('\N{MINUS SIGN}3', -3),
        ('+1.5e-3', 1.5e-3),
        ('12,345', 12345),
        ('0.58 [0.55, 0.61]', 0.58),
        ('71.2 ± 0.3', 71.2),
        ('12 ms', 12),
        ('33.1 %', 33.1),
        ('1.4\N{MULTIPLICATION SIGN}', 1.4),
        ('12 of 15', None),
        ('ViT-S/16', None),
        ('', None),
    ],
)
def test_what_is_a_number(text, number):
    assert number_of(text) == number
    assert is_numeric([text, '']) == (number is not None)


@pytest.mark.parametrize(
    ('rows', 'best', 'message'),
    [
        ([['a', 'b', 'c']], {}, 'row 0 has 3 cells, there are 4 columns'),
        (ROWS, {'speed': 'max'}, "'speed': 'max'.*is not one of the columns policy"),
        (ROWS, {'step': 'lowest'}, "'step': 'lowest'"),
    ],
)
def test_what_does_not_fit_is_refused(rows, best, message):
    with pytest.raises(ValueError, match=message):
        Page('t').table(COLUMNS, rows, best=best)
