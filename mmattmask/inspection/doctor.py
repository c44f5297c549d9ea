"""Say what this installation can do: ``mmattmask doctor``.

Nothing is imported before it is tried, so that this runs where nothing else does.
"""

import io
import platform
import tempfile
from collections.abc import Callable, Iterable
from contextlib import redirect_stdout
from importlib import import_module, metadata
from pathlib import Path
from typing import NamedTuple

INSTALL = "pip install 'mmattmask[onedl]'"
INSTALL_DOWNSTREAM = "pip install 'mmattmask[downstream]'"
BUILD_MMCV = (
    'pip install --force-reinstall --no-deps --no-cache-dir --no-build-isolation '
    '--no-binary onedl-mmcv onedl-mmcv'
)
STOCK_CONFIG = 'mmpretrain::mae/mae_vit-base-p16_8xb512-amp-coslr-300e_in1k.py'

# Modules, and the distributions that bring them: the maintained one, official ones.
DISTRIBUTIONS = {
    'mmengine': ('onedl-mmengine', 'mmengine'),
    'mmcv': ('onedl-mmcv', 'mmcv', 'mmcv-lite'),
    'mmpretrain': ('onedl-mmpretrain', 'mmpretrain'),
    'mmdet': ('onedl-mmdetection', 'mmdet'),
    'mmseg': ('onedl-mmsegmentation', 'mmsegmentation'),
    'lvis': ('lvis',),
    'torch': ('torch',),
    'torchvision': ('torchvision',),
    'numpy': ('numpy',),
    'pycocotools': ('pycocotools',),
    'setuptools': ('setuptools',),
}


class Ability(NamedTuple):
    """Something that works here, or why not and the command that mends it."""

    name: str
    reason: str = ''
    fix: str = ''


def installed(distribution: str) -> str | None:
    """Return the version of a distribution, or None."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def present(names: Iterable[str]) -> dict[str, str]:
    """Return the versions of those distributions that are installed."""
    return {name: version for name in names if (version := installed(name))}


def versions() -> dict[str, str]:
    """Return what is installed for each module."""
    found = {'python': platform.python_version()}
    for module, names in DISTRIBUTIONS.items():
        texts = [
            v if name == module else f'{v} ({name})'
            for name, v in present(names).items()
        ]
        found[module] = ' and '.join(texts) or 'not installed'
    found['compiled ops'] = reason_against(imports('mmcv._ext')) or 'yes'
    return found


def doubled() -> list[str]:
    """Return official distributions beside the maintained ones of the same module."""
    return [n for names in DISTRIBUTIONS.values() for n in [*present(names)][1:]]


def reason_against(probe: Callable[[], object]) -> str:
    """Return why a probe fails, in one line; empty if it does not."""
    try:
        probe()
    except Exception as error:  # broken packages raise anything
        return ' '.join(f'{type(error).__name__}: {error}'.split())
    return ''


def can_pretrain() -> None:
    """Find a host by its name and inherit a stock config."""
    import_module('mmattmask.runtime').check_runtime()
    models = import_module('mmattmask.registry').MODELS
    if models.get('mmattmask.GuidedMAE') is None:
        raise ImportError('the hosts of mmattmask are not registered')
    import_module('mmengine.hub').get_config(STOCK_CONFIG)


def can_resume() -> None:
    """Read back what MMEngine puts into checkpoints."""
    torch = import_module('torch')
    import_module('mmattmask.registry')  # lets torch's safe loader read it
    history = import_module('mmengine.logging').HistoryBuffer([1.0], [1])
    checkpoint = import_module('mmengine.runner.checkpoint')
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'epoch_1.pth'
        torch.save({'message_hub': {'log_scalars': {'loss': history}}}, path)
        with redirect_stdout(io.StringIO()):  # MMEngine says what it loads
            checkpoint._load_checkpoint(str(path), map_location='cpu')


def can_use_amp() -> None:
    """See that MMEngine's wrapper takes this machine's device."""
    device = import_module('mmengine.device').get_device()
    if device in import_module('mmattmask.launching').DEVICES_WITHOUT_AMP:
        raise RuntimeError(f'not on {device}; training runs in full precision')


def imports(*modules: str) -> Callable[[], object]:
    """Return a probe that imports modules."""
    return lambda: [import_module(module) for module in modules]


def pretraining_fix(reason: str) -> str:
    """Return the command for what is wrong with the runtime."""
    if extra := doubled():
        return f'pip uninstall --yes {" ".join(extra)} && {INSTALL} --force-reinstall'
    if 'pkg_resources' in reason:
        return "pip install 'setuptools<82'"
    _, _, command = reason.rpartition(': run ')
    return command if command != reason else INSTALL


def downstream_fix(reason: str) -> str:
    """Return the command for what detection and segmentation lack."""
    modules = ('mmengine', 'mmcv', 'mmpretrain')
    official = [n for module in modules for n in present(DISTRIBUTIONS[module][1:])]
    if official:  # their packages do not go with current versions of each other
        return (
            f'pip uninstall --yes {" ".join(official)} && '
            "pip install 'mmattmask[onedl,downstream]'"
        )
    return BUILD_MMCV if 'mmcv' in reason else INSTALL_DOWNSTREAM


PROBES: dict[str, tuple[Callable[[], object], Callable[[str], str]]] = {
    'pre-training': (can_pretrain, pretraining_fix),
    'resume': (can_resume, lambda reason: f'{INSTALL} --upgrade'),
    'AMP': (can_use_amp, lambda reason: 'use a machine with an accelerator'),
    'detection': (
        imports('mmcv._ext', 'mmdet.models', 'pycocotools.mask'),
        downstream_fix,
    ),
    'segmentation': (imports('mmcv._ext', 'mmseg.models'), downstream_fix),
    'LVIS': (imports('lvis'), lambda reason: INSTALL_DOWNSTREAM),
}


def abilities() -> list[Ability]:
    """Try everything."""
    found = []
    for name, (probe, fix) in PROBES.items():
        reason = reason_against(probe)
        found.append(Ability(name, reason, fix(reason) if reason else ''))
    return found


def diagnose() -> tuple[str, int]:
    """Return what ``mmattmask doctor`` prints, and its exit code."""
    found = abilities()
    rows = versions()
    width = max(map(len, [*rows, *PROBES]))
    lines = ['versions', *(f'  {name:<{width}}  {v}' for name, v in rows.items())]
    for name in doubled():
        lines.append(f'  {name} lies over another distribution of the same module')
    lines += ['', 'what works']
    for ability in found:
        text = f'no: {ability.reason}' if ability.reason else 'yes'
        lines.append(f'  {ability.name:<{width}}  {text}')
        if ability.reason:
            lines.append(f'  {"":<{width}}  fix: {ability.fix}')
    broken = next(a.reason for a in found if a.name == 'pre-training')
    return '\n'.join(lines), 1 if broken else 0
