"""Values of a config that nothing can be made of, found before anything is built."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any


def _is_whole(value: Any, least: int = 0) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _all(value: Any, holds: Callable[[Any], bool]) -> bool:
    """Whether it holds for a value, or for all of a list of them."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return bool(value) and all(_all(each, holds) for each in value)
    return holds(value)


def _is_size(value: Any) -> bool:
    return _all(value, lambda each: _is_whole(each, 1))


def _is_share(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and 0 <= value <= 1


def _are_shares(value: Any) -> bool:
    return _all(value, _is_share)


def _is_pair(value: Any) -> bool:
    return isinstance(value, Sequence) and len(value) == 2 and _are_shares(value)


SIZE = 'at least 1, whole, in px'
SHARE = 'a number in [0, 1], or several'
# What a key of a config must be, whoever reads it, and in words.
VALUES: dict[str, tuple[Callable[[Any], bool], str]] = {
    'img_size': (_is_size, SIZE),
    'patch_size': (_is_size, SIZE),
    'input_size': (lambda value: value is None or _is_size(value), SIZE),
    'mask_ratio': (_are_shares, SHARE),
    'throw_ratio': (_are_shares, SHARE),
    'num_masked': (
        lambda value: value is None or _is_whole(value, 1),
        'a whole number of at least 1',
    ),
    'seed': (
        lambda value: value is None or _is_whole(value),
        'a whole number of at least 0',
    ),
    'batch_size': (lambda value: _is_whole(value, 1), 'a whole number of at least 1'),
    'num_workers': (
        lambda value: value is None or _is_whole(value),
        'a whole number of at least 0',
    ),
}
SHARES = ('soft', 'hard')  # of SoftToHardMaskGenerator


def check_values(cfg: Mapping[str, Any]) -> None:
    """Raise ValueError for values that nothing can be made of, all of them with paths.

    Args:
        cfg: A whole config.
    """
    wrong = list(_wrong(dict(cfg.items()), ''))
    if wrong:
        raise ValueError('; '.join(wrong))


def _wrong(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, Mapping):
        yield from _wrong_together(value, path)
        for key, inner in value.items():
            where = f'{path}.{key}' if path else str(key)
            if key in VALUES and not isinstance(inner, Mapping):
                holds, words = VALUES[key]
                if not holds(inner):
                    yield f'{where} must be {words}, got {inner!r}'
            else:
                yield from _wrong(inner, where)
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from _wrong(inner, f'{path}[{index}]')


def _wrong_together(part: Mapping[str, Any], path: str) -> Iterator[str]:
    """Say what does not go together in one part of the config."""
    kind = str(part.get('type', '')).rpartition('.')[2]
    if kind == 'SoftToHardMaskGenerator':
        for key in SHARES:
            if key in part and not _is_pair(part[key]):
                yield (
                    f'{path}.{key} must be two shares in [0, 1], at the start and at '
                    f'the end, got {part[key]!r}'
                )
    if part.get('scorer') is not None and part.get('mask_generator', '') is None:
        yield (
            f'{path} has a scorer, {part["scorer"]}, and mask_generator=None: nobody '
            'decides by the score; set a mask_generator or leave the scorer out'
        )
    width: Any = part.get('embed_dims')
    heads: Any = part.get('num_heads')
    if _is_whole(width, 1) and _is_whole(heads, 1) and width % heads:
        yield f'{path}: num_heads ({heads}) does not divide embed_dims ({width})'
