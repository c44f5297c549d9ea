"""Weights from files: read without running code, fitted whole, or refused."""

import argparse
import logging
import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor, nn

from mmattmask.safe_globals import safe_globals

_WHOLE: ContextVar[bool] = ContextVar('whole', default=False)
# What torch puts in front of names when it wraps a module.
WRAPPERS = re.compile(r'(^module\.)|(?:(?<=\.)|^)_orig_mod\.')
# What a backbone may lack: relative positions of ViTDet (zero at first), the norm after
# average pooling, mask tokens, and buffers that are computed or only count.
OPTIONAL = (
    r'\.rel_pos_[hw]$',
    r'^(backbone\.)?ln2\.',
    r'relative_position_index$',
    r'^(backbone\.)?mask_token$',
    r'num_batches_tracked$',
)


def read_checkpoint(file: Any, map_location: Any = 'cpu') -> Any:
    """Read a checkpoint without running code from it.

    ``file`` is of torch.save, and may be open, or a ``.safetensors`` file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is no checkpoint, damaged, or holds other objects.
    """
    if isinstance(file, str | Path):
        file = Path(file).expanduser()
        if not file.is_file():
            raise FileNotFoundError(f'there is no checkpoint {file}')
        _check_beginning(file)
        if file.suffix == '.safetensors':
            return _read_safetensors(file)
    # leaving the context forgets all of them: those that are allowed anyway stay out
    known = torch.serialization.get_safe_globals()
    allowed = [*safe_globals(), argparse.Namespace, slice]
    allowed = [entry for entry in allowed if entry not in known]
    try:
        with torch.serialization.safe_globals(allowed):
            return torch.load(file, map_location=map_location, weights_only=True)
    except UnpicklingError as error:
        code = re.search(r'GLOBAL\s+(\S+)|asks for (.+)', str(error))
        if code is None:
            raise ValueError(
                f'{file} is damaged or not written by torch.save; nothing of it was run'
            ) from error
        raise ValueError(
            f'{file} holds more than weights ({code[1] or code[2]}), and nothing of it '
            'was run. If you trust it, read it with torch.load(FILE, '
            'weights_only=False) in a process of your own and save '
            'dict(state_dict=...) of it'
        ) from error
    except (RuntimeError, EOFError, OSError) as error:
        first = (str(error).splitlines() or ['it ends too early'])[0]
        raise ValueError(f'{file} is damaged: {first}') from error


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(f'{path} is damaged: {error}') from error


def _check_beginning(path: Path) -> None:
    """Refuse what downloads leave behind in the place of weights."""
    with path.open('rb') as file:
        start = file.read(512)
    if not start:
        raise ValueError(f'{path} is empty (0 bytes): get it again')
    if start.startswith(b'version https://git-lfs'):
        raise ValueError(
            f'{path} is a pointer of git-lfs, not the weights: run git lfs pull'
        )
    try:
        text = start.decode().strip()
    except UnicodeDecodeError as error:
        if error.start < len(start) - 3:  # not only a letter that was cut in two
            return
        text = start[: error.start].decode().strip()
    if not all(letter.isprintable() or letter.isspace() for letter in text):
        return
    what = 'web page' if text.startswith('<') else 'text file'
    first = (text.splitlines() or [''])[0][:60]
    raise ValueError(
        f'{path} is a {what}, not a checkpoint; it begins with {first!r}: was it the '
        'link to the file itself?'
    )


def unwrapped(name: str) -> str:
    """Return a weight's name without what wrappers of torch put into it."""
    return WRAPPERS.sub('', name)


def check_finite(state: Mapping[str, Any], source: object) -> None:
    """Raise ValueError if a weight is NaN or infinite."""
    bad = [
        name
        for name, value in state.items()
        if isinstance(value, Tensor)
        and value.is_floating_point()
        and not value.isfinite().all()
    ]
    if bad:
        raise ValueError(
            f'{source} has {len(bad)} weights with NaN or infinite values: {some(bad)}'
        )


def load_matched(
    module: nn.Module,
    state: Mapping[str, Tensor],
    source: object,
    optional: Iterable[str] = (),
) -> str:
    """Load weights into a module and refuse to leave any of it without.

    Args:
        module: The module.
        state: Weights under the module's names; what it does not have is passed over.
        source: Where the weights are from, for the messages.
        optional: Patterns of names that may be missing.

    Returns:
        A line such as ``'matched 150/150 weights of FILE'``.

    Raises:
        ValueError: If weights of the module are missing, have another shape, or are
            not finite.
    """
    own = module.state_dict()
    check_finite({name: state[name] for name in own if name in state}, source)
    missing, unused, matched = _load(module, own, dict(state), source)
    missing = _without(missing, optional)
    if missing:
        raise ValueError(
            f'{source} does not fit {type(module).__name__}: {matched}; missing '
            f'{some(missing)}; not used {some(unused)}'
        )
    return f'{matched} of {source}'


@contextmanager
def whole_models() -> Iterator[None]:
    """Let :func:`load_whole` refuse a model of which any part is left without."""
    token = _WHOLE.set(True)
    try:
        yield
    finally:
        _WHOLE.reset(token)


def whole_is_asked() -> bool:
    """Return whether this is within :func:`whole_models`."""
    return _WHOLE.get()


def load_whole(
    module: nn.Module,
    state: Mapping[str, Any],
    strict: bool = False,
    logger: Any = None,
) -> None:
    """Load a checkpoint as MMEngine does, but leave no backbone without, silently.

    Stands in for ``mmengine.runner.checkpoint.load_state_dict``, behind ``load_from``,
    ``resume``, ``get_model`` and the stock ``init_cfg``. Parts of which the file has
    nothing (a head, a decoder) keep their values with a warning; within
    :func:`whole_models`, as in a test, they are refused too.

    Raises:
        ValueError: If nothing fits, a weight of the backbone is missing or has another
            shape, or weights are not finite.
    """
    mmengine_model = import_module('mmengine.model')
    while mmengine_model.is_model_wrapper(module) or isinstance(
        module, mmengine_model.BaseTTAModel
    ):
        module = module.get_submodule('module')
    own, parameters = module.state_dict(), dict(module.named_parameters())
    renamed = {n if n in own else unwrapped(n): value for n, value in state.items()}
    source = 'the checkpoint'
    check_finite({n: renamed[n] for n in parameters if n in renamed}, source)
    is_whole, in_test = hasattr(module, 'backbone'), whole_is_asked()
    is_stock = not type(module).__module__.startswith('mmattmask.')
    if is_whole and is_stock and not strict and not in_test:
        # a head for other classes is what users of stock models mean
        for name, value in own.items():
            other = _differs(value, renamed.get(name))
            if other and not name.startswith('backbone.'):
                renamed[f'{name} of another shape'] = renamed.pop(name)
    loaded = OrderedDict(renamed)
    if hasattr(state, '_metadata'):
        loaded._metadata = state._metadata  # type: ignore[attr-defined]
    absent, unused, matched = _load(module, own, loaded, source)
    missing = _without(absent, OPTIONAL)
    if in_test:
        random = [name for name in missing if name in parameters]
    elif is_whole:
        random = [name for name in missing if name.startswith('backbone.')]
    else:
        kinds = {kind.__name__ for kind in type(module).__mro__}
        random = missing if 'BaseBackbone' in kinds else []
    nothing = own and len(absent) == len(own)
    if random or nothing or (strict and (missing or unused)):
        raise ValueError(
            f'{source} does not fit {type(module).__name__}: {matched}; missing '
            f'{some(random or missing)}; not used {some(unused)}. For other names, or '
            "a backbone alone: model.backbone.init_cfg=dict(type='Pretrained', "
            "_scope_='mmattmask', checkpoint=FILE)"
        )
    if missing or unused:
        import_module('mmengine.logging').print_log(
            f'{matched} of {type(module).__name__}; keep their first values: '
            f'{some(missing)}; not used: {some(unused)}',
            logger=logger,
            level=logging.WARNING,
        )


def _load(
    module: nn.Module, own: Mapping[str, Any], state: dict[str, Any], source: object
) -> tuple[list[str], list[str], str]:
    """Load what fits; return missing and unused names, and how many matched."""
    try:  # modules may resize a position embedding as they load it
        result = module.load_state_dict(state, strict=False)
    except RuntimeError as error:
        others = [
            f'{name} {tuple(state[name].shape)} instead of {tuple(value.shape)}'
            for name, value in own.items()
            if _differs(value, state.get(name))
        ]
        raise ValueError(
            f'{source} does not fit {type(module).__name__}: '
            f'{some(others) if state else error}'
        ) from error
    missing = result.missing_keys
    matched = f'matched {len(own) - len(missing)}/{len(own)} weights'
    return missing, result.unexpected_keys, matched


def _without(names: Iterable[str], optional: Iterable[str]) -> list[str]:
    """Leave out the names that a pattern finds."""
    patterns = tuple(optional)
    return [name for name in names if not any(re.search(p, name) for p in patterns)]


def _differs(own: Tensor, value: Any) -> bool:
    return isinstance(value, Tensor) and value.shape != own.shape


def some(names: Iterable[str], limit: int = 6) -> str:
    """Return the first names, and how many more there are."""
    names = list(names)
    more = f' and {len(names) - limit} more' if len(names) > limit else ''
    return (', '.join(names[:limit]) or 'nothing') + more
