"""The OpenMMLab runtime under us: is it there, and can it resume?

Two families of distributions share the module names ``mmengine``, ``mmcv`` and
``mmpretrain``: the maintained ``onedl-*`` and the official ``mm*``. This module
imports neither when it is imported itself. To repair twice changes nothing.
"""

from collections.abc import Iterable
from importlib import import_module, metadata
from importlib.util import find_spec
from typing import Any

import torch

from mmattmask.checkpoints import load_whole, read_checkpoint
from mmattmask.safe_globals import safe_globals

RUNTIME_MODULES = ('mmengine', 'mmcv', 'mmpretrain')
INSTALL_COMMAND = "pip install 'mmattmask[onedl]'"
# `_base_ = 'mmpretrain::...'` looks beside site-packages there and finds nothing.
BROKEN_MMENGINE = '0.11.0rc0'


def check_runtime() -> None:
    """Refuse a missing or broken runtime by ImportError, with what mends it.

    Broken are mmengine that cannot inherit configs of other packages, and transformers
    that mmpretrain does not know.
    """
    missing = [name for name in RUNTIME_MODULES if find_spec(name) is None]
    if missing:
        raise ImportError(
            f'mmattmask needs {", ".join(missing)}, not installed here: run '
            f'{INSTALL_COMMAND}'
        )
    version = _installed_version('mmengine')
    if version == BROKEN_MMENGINE:
        raise ImportError(
            f"mmengine {version} cannot inherit configs ('mmpretrain::...'): run "
            f'pip uninstall --yes mmengine && {INSTALL_COMMAND}'
        )
    if find_spec('transformers') is not None:
        version = metadata.version('transformers')
        if int(version.partition('.')[0]) >= 5:
            raise ImportError(
                f'mmpretrain cannot be imported beside transformers {version}: run '
                "pip install 'transformers<5'"
            )


def _installed_version(module: str) -> str:
    """Version of the installed module, from either family of distributions."""
    for distribution in (module, f'onedl-{module}'):
        try:
            return metadata.version(distribution)
        except metadata.PackageNotFoundError:
            continue
    return str(import_module(module).__version__)


def register_safe_globals() -> None:
    """Let ``--resume`` read MMEngine's checkpoints under torch's safe loader.

    Since torch 2.6 ``torch.load`` builds only what is on an allow-list, and the
    official mmengine (0.10.7 and older) has none: every resume fails on the log
    history. The maintained runtime brings its own; older torch loads everything.
    """
    if not hasattr(torch.serialization, 'safe_globals'):
        return
    checkpoint = import_module('mmengine.runner.checkpoint')
    if hasattr(checkpoint, 'get_torch_safe_globals'):
        return
    torch.serialization.add_safe_globals(safe_globals())


def refuse_code_in_checkpoints() -> None:
    """Let no checkpoint that MMEngine reads run code.

    The maintained runtime reads a file that holds more than weights a second time,
    with everything allowed; this takes the second time away. The official one reads
    once, and torch 2.6 and newer allow weights only.
    """
    checkpoint: Any = import_module('mmengine.runner.checkpoint')
    if hasattr(checkpoint, '_safe_torch_load'):
        checkpoint._safe_torch_load = load_weights_only


def load_weights_only(
    file: Any, map_location: Any = None, weights_only: bool | None = None
) -> Any:
    """Read a checkpoint as MMEngine does; ``weights_only`` is not asked: always."""
    return read_checkpoint(file, map_location)


def refuse_weights_that_do_not_fit() -> None:
    """Let no run begin from random weights where MMEngine warns and goes on."""
    checkpoint: Any = import_module('mmengine.runner.checkpoint')
    checkpoint.load_state_dict = load_whole


def add_checking_hooks() -> None:
    """Give every run the hooks that stop it when it goes wrong, unless it has them.

    That is ``FiniteLossHook``, and what parts of the model name in ``added_hooks``.
    Lists of hooks in a config replace those of its bases, so a base cannot.
    """
    module = import_module('mmengine.runner')
    for runner in (module.Runner, module.FlexibleRunner):
        if runner.register_hooks.__module__ != __name__:
            runner.register_hooks = _with_checking_hooks(runner.register_hooks)


def _with_checking_hooks(register: Any) -> Any:
    def register_hooks(self: Any, *args: Any, **kwargs: Any) -> None:
        register(self, *args, **kwargs)
        model, loader = (getattr(self, n, None) for n in ('model', '_train_dataloader'))
        for hook in lacking_hooks(model, self.hooks, loader):
            self.register_hook(hook)

    return register_hooks


def lacking_hooks(
    model: Any, hooks: Iterable[Any], loader: Any = None
) -> list[dict[str, str]]:
    """Return the configs of checking hooks that a run has not yet.

    Those of the model's parts and, by the loader's config, of masks of the pipeline.
    """
    parts = model.modules() if isinstance(model, torch.nn.Module) else ()
    named = [name for part in parts for name in getattr(part, 'added_hooks', ())]
    named += ['CheckMapsHook'] * _masks_by_maps(loader)
    present = {type(hook).__name__ for hook in hooks}
    return [
        dict(type=f'mmattmask.{name}')
        for name in dict.fromkeys(['FiniteLossHook', *named])
        if name not in present
    ]


def _masks_by_maps(config: Any) -> bool:
    """Return whether a ``GenerateMask`` in a config has a scorer."""
    if isinstance(config, dict):
        name_of = import_module('mmattmask.launching').name_of
        if config.get('scorer') and name_of(config.get('type', '')) == 'GenerateMask':
            return True
        config = list(config.values())
    return isinstance(config, list | tuple) and any(map(_masks_by_maps, config))


def return_from_train() -> None:
    """Let ``train()`` and ``eval()`` of MMPretrain's backbones return the backbone."""
    base = import_module('mmpretrain.models.backbones.base_backbone').BaseBackbone

    def train(self: Any, mode: bool = True) -> Any:
        """Set the mode of the backbone and return it."""
        super(base, self).train(mode)
        return self

    base.train = train


def tolerate_scope() -> None:
    """Let a config inherit ``collate_fn=dict(type='default_collate')``.

    MMEngine adds ``_scope_`` to what a config inherits from another package and hands
    it to the collate function, which does not take it.
    """
    functions = import_module('mmengine.registry').FUNCTIONS
    import_module('mmengine.dataset')  # registers it
    functions.register_module('default_collate', force=True, module=default_collate)


def default_collate(batch: Any, _scope_: str | None = None) -> Any:
    """MMEngine's ``default_collate``, whatever scope it is handed."""
    if isinstance(batch, dict):  # made at once by the dataset (``ResidentImages``)
        return batch
    return import_module('mmengine.dataset').default_collate(batch)
