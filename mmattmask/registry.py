"""Registry nodes of mmattmask: ``type='mmattmask.X'`` works from any scope.

They are children of MMEngine's root registries, and ``locations`` makes the first
look-up import the modules, so a config needs no ``custom_imports``.
"""

from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import (
    OPTIM_WRAPPER_CONSTRUCTORS as MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS,
)
from mmengine.registry import OPTIM_WRAPPERS as MMENGINE_OPTIM_WRAPPERS
from mmengine.registry import TASK_UTILS as MMENGINE_TASK_UTILS
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS
from mmengine.registry import Registry

from mmattmask.runtime import check_runtime, register_safe_globals

check_runtime()
register_safe_globals()

DATASETS = Registry(
    'dataset',
    parent=MMENGINE_DATASETS,
    scope='mmattmask',
    locations=['mmattmask.datasets'],
)
HOOKS = Registry(
    'hook', parent=MMENGINE_HOOKS, scope='mmattmask', locations=['mmattmask.engine']
)
MODELS = Registry(
    'model',
    parent=MMENGINE_MODELS,
    scope='mmattmask',
    locations=['mmattmask.models', 'mmattmask.scorers'],
)
OPTIM_WRAPPERS = Registry(
    'optim_wrapper',
    parent=MMENGINE_OPTIM_WRAPPERS,
    scope='mmattmask',
    locations=['mmattmask.engine'],
)
OPTIM_WRAPPER_CONSTRUCTORS = Registry(
    'optimizer wrapper constructor',
    parent=MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS,
    scope='mmattmask',
    locations=['mmattmask.engine'],
)
TASK_UTILS = Registry(
    'task util',
    parent=MMENGINE_TASK_UTILS,
    scope='mmattmask',
    locations=['mmattmask.mask_generators'],
)
TRANSFORMS = Registry(
    'transform',
    parent=MMENGINE_TRANSFORMS,
    scope='mmattmask',
    locations=['mmattmask.datasets'],
)
