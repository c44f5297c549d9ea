"""Train configs by MMPretrain's train.py and save losses, masks and weights.

python train.py BLOCKED FOLDER CONFIG...

BLOCKED is a package that cannot be imported; images are in FOLDER.
"""

import importlib.abc
import runpy
import sys
from pathlib import Path

import mmpretrain
import torch
from mmengine.runner import Runner

BLOCKED, FOLDER, *CONFIGS = sys.argv[1:]


class Blocker(importlib.abc.MetaPathFinder):
    def find_spec(self, fullname, path=None, target=None):
        if fullname.partition('.')[0] == BLOCKED:
            raise ModuleNotFoundError(f'{fullname} is blocked', name=fullname)


def recorded(function, results):
    """Return a function that also writes down what it returns."""

    def record(*args):
        results.append(function(*args))
        return results[-1]

    return record


def train(config):
    """Run train.py and return what it did."""
    losses, masks, models = [], [], []
    stock = Runner.train

    def watched(runner):
        models.append(runner.model)
        # a project leaves the pixels of stock crops to Pillow
        names = [type(hook).__name__ for hook in runner._hooks]
        if 'FastLoaderHook' in names:
            del runner._hooks[names.index('FastLoaderHook')]
        runner.model.parse_losses = recorded(runner.model.parse_losses, losses)
        for module in runner.model.modules():
            for part in list(vars(module).values()):
                if 'mask_generators' in type(part).__module__:
                    part.shuffle = recorded(part.shuffle, masks)
                    part.mask = recorded(part.mask, masks)
        return stock(runner)

    script = Path(mmpretrain.__file__).parent / '.mim' / 'tools' / 'train.py'
    options = ['--cfg-options', f'train_dataloader.dataset.data_root={FOLDER}']
    options += ['default_hooks.checkpoint.interval=9']
    options += ['default_hooks.checkpoint.save_last=False']
    sys.argv = [str(script), config, '--work-dir', 'work', *options]
    Runner.train = watched
    runpy.run_path(str(script), run_name='__main__')
    Runner.train = stock
    logged = [{name: value.item() for name, value in log.items()} for _, log in losses]
    return dict(losses=logged, masks=masks, weights=models[0].state_dict())


sys.meta_path.insert(0, Blocker())
torch.save([train(config) for config in CONFIGS], 'steps.pth')
assert BLOCKED not in sys.modules
