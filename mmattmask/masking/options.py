"""Options that policies and scorers refuse where they are given."""

from typing import Any


def check_options(**options: tuple[Any, tuple[Any, ...]]) -> None:
    """Raise ValueError unless every option (value, known values) is known."""
    for name, (value, known) in options.items():
        if value not in known:
            raise ValueError(f'{name} must be one of {known}, got {value!r}')


def check_ratios(mask_ratio: float, throw_ratio: float = 0.0) -> None:
    """Raise ValueError unless both ratios are in [0, 1] and sum to at most 1."""
    in_range = 0 <= mask_ratio <= 1 and 0 <= throw_ratio <= 1
    if not in_range or mask_ratio + throw_ratio > 1:
        raise ValueError(
            'mask_ratio and throw_ratio must be in [0, 1] and sum to at most 1, got '
            f'{mask_ratio} + {throw_ratio} = {mask_ratio + throw_ratio}'
        )
