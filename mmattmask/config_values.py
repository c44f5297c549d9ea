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


def _is_count(value: Any) -> bool:
    return _is_whole(value, 1)


def _is_size(value: Any) -> bool:
    return _all(value, _is_count)


def _is_share(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and 0 <= value <= 1


def _are_shares(value: Any) -> bool:
    return _all(value, _is_share)


SIZE = (_is_size, 'at least 1, whole, in px')
SHARE = (_are_shares, 'a number in [0, 1], or several')
COUNT = (_is_count, 'a whole number of at least 1')
WHOLE = (_is_whole, 'a whole number of at least 0')
# What a key of a config must be, whoever reads it, and in words.
VALUES: dict[str, tuple[Callable[[Any], bool], str]] = {
    'img_size': SIZE,
    'patch_size': SIZE,
    'input_size': SIZE,
    'mask_ratio': SHARE,
    'throw_ratio': SHARE,
    'num_masked': COUNT,
    'batch_size': COUNT,
    'seed': WHOLE,
    'num_workers': WHOLE,
}
MAY_BE_NONE = ('input_size', 'num_masked', 'seed', 'num_workers')
STOCK_RATIO = 0.75  # of MAE's backbones, which their configs repeat
SHARES = ('soft', 'hard')  # of SoftToHardMaskGenerator
# Constructors of layer decay, ours and MMPretrain's, and what they read; others' bases
# have the number of layers, which these count.
DECAYING = (
    'LayerDecayOptimWrapperConstructor',
    'LearningRateDecayOptimWrapperConstructor',
)
DECAY_KEYS = {
    'layer_decay_rate',
    'norm_decay_mult',
    'bias_decay_mult',
    'flat_decay_mult',
    'custom_keys',
    'bypass_duplicate',
    'num_layers',
}


def check_values(cfg: Mapping[str, Any]) -> None:
    """Raise ValueError for all values that nothing can be made of, with their paths."""
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
                if not holds(inner) and not (inner is None and key in MAY_BE_NONE):
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
            pair = part.get(key, (0, 0))
            two = isinstance(pair, Sequence) and len(pair) == 2
            if not (two and _are_shares(pair)):
                yield (
                    f'{path}.{key} must be two shares in [0, 1], at the start and at '
                    f'the end, got {pair!r}'
                )
    constructor = str(part.get('constructor', '')).rpartition('.')[2]
    if constructor in DECAYING:
        options = part.get('paramwise_cfg') or {}
        keys = {
            key for one in (options.get('custom_keys') or {}).values() for key in one
        }
        unknown = sorted((options.keys() - DECAY_KEYS) | (keys - {'decay_mult'}))
        if unknown:
            yield (
                f'{path}.paramwise_cfg has {", ".join(unknown)}, which {constructor} '
                'does not read: it knows layer_decay_rate, norm_decay_mult, '
                'bias_decay_mult, flat_decay_mult, and decay_mult of custom_keys'
            )
    if not path:
        yield from _wrong_parts(part)
    policy, backbone = part.get('mask_generator'), part.get('backbone')
    if isinstance(policy, Mapping) and isinstance(backbone, Mapping):
        ratio = backbone.get('mask_ratio', STOCK_RATIO)
        own = policy.get('mask_ratio')
        if part.get('scorer') is None and ratio not in (STOCK_RATIO, own):
            yield (
                f'{path}.backbone.mask_ratio={ratio} is the share before there is a '
                f'score, and there is no scorer: set {path}.mask_generator.mask_ratio, '
                f'which is {own}'
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


def _wrong_parts(cfg: Mapping[str, Any]) -> Iterator[str]:
    """Say what does not go together in two parts of a whole config."""
    model, guided = cfg.get('model') or {}, cfg.get('data_preprocessor') or {}
    if model.get('data_preprocessor') and {'mask_generator', 'scorer'} & guided.keys():
        yield (
            f'data_preprocessor, {guided.get("type")}, would be left out for '
            'model.data_preprocessor, and masks would be random: write all of it into '
            'data_preprocessor'
        )
    wrapper, head = cfg.get('optim_wrapper') or {}, model.get('attention_head') or {}
    keys = (wrapper.get('paramwise_cfg') or {}).get('custom_keys') or {}
    exempt = (keys.get('attention_head') or {}).get('decay_mult') == 0
    decay = (wrapper.get('optimizer') or {}).get('weight_decay')
    if head.get('variant') == 'released' and decay and not exempt:
        yield (
            f"attention_head.variant='released' waits for most of the training, and "
            f'weight_decay={decay} would take its weights away: optim_wrapper'
            '.paramwise_cfg.custom_keys.attention_head=dict(decay_mult=0.0)'
        )
