"""Run configs of an exported project as MMPretrain would, where mmattmask is not.

python without_mmattmask.py PROJECT OUT CONFIG... -- OPTION...

PYTHONPATH is the folder that holds projects/. Every config named is trained by
MMPretrain's own train.py, as `mim train mmpretrain CONFIG` does; then all types of all
the project's configs are looked up and its own tests run.
"""

import contextlib
import importlib
import importlib.abc
import runpy
import sys
from pathlib import Path


class Blocker(importlib.abc.MetaPathFinder):
    """Makes mmattmask impossible to import."""

    def find_spec(self, fullname, path=None, target=None):
        if fullname.partition('.')[0] == 'mmattmask':
            raise ModuleNotFoundError(f'{fullname} is blocked', name=fullname)


sys.meta_path.insert(0, Blocker())


def check_blocked() -> None:
    with contextlib.suppress(ModuleNotFoundError):
        importlib.import_module('mmattmask')
        raise AssertionError('mmattmask can be imported')
    assert not [name for name in sys.modules if name.split('.')[0] == 'mmattmask']


def train(config: Path, work_dir: Path, options: list[str]) -> dict:
    """Run MMPretrain's train.py on a config and return its steps."""
    import mmpretrain
    import recorder
    from mmengine.runner import Runner

    script = Path(mmpretrain.__file__).parent / '.mim' / 'tools' / 'train.py'
    found = []
    stock = Runner.train
    sys.argv = [str(script), str(config), '--work-dir', str(work_dir)]
    sys.argv += ['--cfg-options', *options]

    def recorded(runner):
        Runner.train = stock
        found.append(recorder.train(runner))

    Runner.train = recorded
    runpy.run_path(str(script), run_name='__main__')
    return found[0]


def unknown_types(config: object, registries: list) -> set[str]:
    """Return the types of a config that are in no registry."""
    if isinstance(config, dict):
        found = set().union(*(unknown_types(v, registries) for v in config.values()))
        name = config.get('type')
        if isinstance(name, str) and name != 'default_collate':
            known = any(registry.get(name) for registry in registries)
            found |= set() if known else {name}
        return found
    if isinstance(config, list | tuple):
        return set().union(*(unknown_types(item, registries) for item in config))
    return set()


def check_configs(project: Path) -> None:
    """Parse all configs of a project; every type must be registered."""
    import mmpretrain.registry
    from mmengine.config import Config
    from mmengine.registry import DefaultScope, Registry, init_default_scope

    init_default_scope('mmpretrain')
    assert DefaultScope.get_current_instance().scope_name == 'mmpretrain'
    registries = [
        value
        for value in vars(mmpretrain.registry).values()
        if isinstance(value, Registry)
    ]
    for path in sorted(project.glob('configs/*.py')):
        unknown = unknown_types(Config.fromfile(path).to_dict(), registries)
        assert not unknown, f'{path} names {unknown}'


def main() -> None:
    check_blocked()
    split = sys.argv.index('--')
    project, out, *configs = map(Path, sys.argv[1:split])
    options = sys.argv[split + 1 :]
    import pytest
    import torch

    steps = {path.name: train(path, out / path.stem, options) for path in configs}
    torch.save(steps, out / 'steps.pth')
    check_configs(project)
    check_blocked()
    arguments = ['-q', '-p', 'no:cacheprovider', '-W', 'ignore', '--rootdir']
    sys.exit(pytest.main([*arguments, str(project), str(project / 'tests')]))


if __name__ == '__main__':
    main()
