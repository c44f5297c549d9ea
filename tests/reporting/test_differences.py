"""What differs between two configs."""

import pytest

from mmattmask.reporting import config_differences
from mmattmask.reporting.differences import base_of


def test_changed_added_and_removed_values():
    old = {'model': {'type': 'MAE', 'head': {'norm': True}, 'size': [1, 2]}, 'gone': 1}
    new = {
        'model': {
            '_scope_': 'x',
            'type': 'Guided',
            'head': {'norm': True},
            'size': (1, 2),
            'new': {},
        }
    }
    assert config_differences(old, new) == [
        "- model.type = 'MAE'",
        "+ model.type = 'Guided'",
        '+ model.new = {}',
        '- gone = 1',
    ]


def test_a_mapping_instead_of_a_value():
    assert config_differences({'a': 1}, {'a': {'b': 2}}) == [
        '- a = 1',
        "+ a = {'b': 2}",
    ]
    assert config_differences({'a': [1]}, {'a': [1, 2]}) == [
        '- a = [1]',
        '+ a = [1, 2]',
    ]
    assert config_differences({'a': None}, {'a': None}) == []


@pytest.mark.parametrize('text', ["_base_ = 'x::y.py'", "_base_ = ['x::y.py']"])
def test_base_of_a_file(text, tmp_path):
    path = tmp_path / 'config.py'
    path.write_text(f'"""Doc."""\n\n{text}\nmodel = dict()\n')
    assert base_of(path) == 'x::y.py'


@pytest.mark.parametrize(
    ('text', 'message'), [('a = 1', 'no _base_'), ("_base_ = ['a', 'b']", '2 bases')]
)
def test_base_that_is_not_one(text, message, tmp_path):
    path = tmp_path / 'config.py'
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        base_of(path)
