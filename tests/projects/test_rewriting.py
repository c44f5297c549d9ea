"""The steps of the export, on small examples."""

import pytest

from projects import closure, substitutions
from projects.configs import as_calls, config_files
from projects.line_length import wrap_texts
from projects.long_lines import break_long_lines, filled
from projects.manifest import Manifest
from projects.older_python import for_older_python
from projects.rewrite import relative, without_scope


def kept(source):
    """Return the last line of a module for an older Python."""
    return for_older_python(source).splitlines()[-1]


@pytest.mark.parametrize(
    ('new', 'old'),
    [
        ('x: int | None', 'x: Optional[int]'),
        ('x: int | str', 'x: Union[int, str]'),
        ('x: None | dict[str, int | str]', 'x: Optional[Dict[str, Union[int, str]]]'),
        ('x: tuple[int, ...] | A | None', 'x: Optional[Union[Tuple[int, ...], A]]'),
        ('X = list[int] | A', 'X = Union[List[int], A]'),
        ('x = a | b', 'x = a | b'),
        ('isinstance(x, list | tuple | A)', 'isinstance(x, (list, tuple, A))'),
        ('isinstance(x, list)', 'isinstance(x, list)'),
        ('zip(a, b, strict=True)', 'zip(a, b)'),
        ('dataclasses.dataclass(frozen=True, slots=True)',
         'dataclasses.dataclass(frozen=True)'),
        ('x = list(y)', 'x = list(y)'),
    ],
)  # fmt: skip
def test_older_python(new, old):
    assert kept(new + '\n') == old


def test_typing_is_imported_behind_the_docstring():
    source = (
        '"""Doc."""\nfrom collections.abc import Sequence\nx: Sequence[int] | None\n'
    )
    assert for_older_python(source).splitlines() == [
        '"""Doc."""',
        'from typing import Optional, Sequence',
        'x: Optional[Sequence[int]]',
    ]


@pytest.mark.parametrize(
    'source',
    [
        'x = [a for b in c if (a := b)]',
        "x.removeprefix('a')",
        'from collections.abc import Hashable',
    ],
)
def test_what_cannot_be_written_is_refused(source):
    with pytest.raises(ValueError, match=r'see projects/sub|unknown abstract type'):
        for_older_python(source + '\n')


@pytest.mark.parametrize(
    ('source', 'target', 'name'),
    [
        ('models.mae', 'models.guided', '.guided'),
        ('models.mae', 'masking.view', '..masking.view'),
    ],
)
def test_relative(source, target, name):
    assert relative(source, target) == name


def test_types_lose_their_scope():
    text = "type='mmattmask.GuidedMAE', 'mmattmask.PackInputs', 'mmattmask/bank'"
    assert without_scope(text) == "type='GuidedMAE', 'TrackedPackInputs', 'bank'"


def test_closure_follows_names_through_packages():
    found = closure.needed(['AMTMaskGenerator'])
    assert found['mmattmask.mask_generators.amt'] == {
        'AMTMaskGenerator', 'Ranking', 'Throw',
    }  # fmt: skip
    assert 'rank_sampled' in found['mmattmask.masking.ranking']
    assert 'shuffle_soft_to_hard' not in found['mmattmask.masking.ranking']
    assert not [name for name in found if 'models' in name or 'scorers' in name]


def test_unknown_class_is_refused():
    with pytest.raises(ValueError, match='exports NoSuchClass'):
        closure.needed(['NoSuchClass'])


def test_substitution_must_fit(monkeypatch):
    monkeypatch.setattr(substitutions, 'SUBSTITUTIONS', {'a': {'old': 'new'}})
    assert substitutions.substituted('a', 'an old text') == 'an new text'
    for text in ('another text', 'old, old text'):
        with pytest.raises(ValueError, match='instead of once'):
            substitutions.substituted('a', text)


def test_config_with_a_class_of_another_project_is_refused():
    name = 'amt/amt_vit-base-p16_8xb512-amp-coslr-400e_in1k.py'
    manifest = Manifest('x', ['GuidedMAE'], [name], [], {})
    with pytest.raises(ValueError, match=r'AMTMaskGenerator.* not public'):
        config_files(manifest, ['projects.x.models'])


def test_values_are_written_as_calls():
    value = {'type': 'A', 'b': [{'c': (1, 2)}], 'd': {'e.f': None}}
    text = as_calls(value)
    assert text == "dict(type='A', b=[dict(c=(1, 2))], d={'e.f': None})"
    assert eval(text) == value


def test_texts_are_wrapped():
    entry = '        name: ' + 'word ' * 16
    source = f'''\
def f(name):
    """Summary.

    Args:
{entry}
            and more.
        other: Short.

        >>> {'x' * 90}
    """
    return name  # {'why ' * 20}
'''
    lines = wrap_texts(source).splitlines()
    assert lines[4].startswith('        name: word')
    assert lines[5].startswith('            word') or lines[5].endswith('and more.')
    assert '        other: Short.' in lines
    assert lines[-1] == '    return name'
    assert lines[-2].startswith('    # why')
    assert [line for line in lines if len(line) > 79] == [f'        >>> {"x" * 90}']


def test_long_lines_stay_the_same_program():
    words = 'word ' * 20
    source = f"x = 1\ny = f'{words}{{x}} {words}'\nz = {' + '.join(['x'] * 40)}\n"
    broken = break_long_lines(source)
    assert broken != source
    here, there = {}, {}
    exec(source, here)
    exec(broken, there)
    assert (here['y'], here['z']) == (there['y'], there['z'])
    assert '{x}' in broken


@pytest.mark.parametrize(
    'literals',
    [
        ["'one two three four '", "'five '", "'six'"],
        ["f'one {x} two three four '", "'{five} '", "f'six {x}'"],
        ["'one two three '", 'f"it\'s {x} and four "', "'five'"],
        ['\'say "one" two three four \'', '"it\'s five"'],
    ],
)
def test_strings_are_filled_anew(literals):
    parts = filled(literals, 20)
    assert eval(' '.join(parts), {'x': 1}) == eval(' '.join(literals), {'x': 1})
    assert max(map(len, parts)) <= 20
    mergeable = '"one"' not in literals[0]  # else quotes would need backslashes
    assert not mergeable or min(len(part) for part in parts[:-1]) > 10
