"""Registry nodes of mmattmask: ``type='mmattmask.X'`` works from any scope.

They are children of MMEngine's root registries, and ``locations`` makes the first
look-up import the modules, so a config needs no ``custom_imports``.
"""

from mmengine.registry import DATA_SAMPLERS as MMENGINE_DATA_SAMPLERS
from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import METRICS as MMENGINE_METRICS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import (
    OPTIM_WRAPPER_CONSTRUCTORS as MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS,
)
from mmengine.registry import OPTIM_WRAPPERS as MMENGINE_OPTIM_WRAPPERS
from mmengine.registry import TASK_UTILS as MMENGINE_TASK_UTILS
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS
from mmengine.registry import WEIGHT_INITIALIZERS as MMENGINE_WEIGHT_INITIALIZERS
from mmengine.registry import Registry

from mmattmask.run_guard import guard_runs
from mmattmask.runtime import (
    add_checking_hooks,
    check_runtime,
    refuse_code_in_checkpoints,
    refuse_weights_that_do_not_fit,
    register_safe_globals,
    tolerate_scope,
)

check_runtime()
register_safe_globals()
refuse_code_in_checkpoints()
refuse_weights_that_do_not_fit()
add_checking_hooks()
tolerate_scope()
guard_runs()

DATA_SAMPLERS = Registry(
    'data sampler',
    parent=MMENGINE_DATA_SAMPLERS,
    scope='mmattmask',
    locations=['mmattmask.downstream'],
)
DATASETS = Registry(
    'dataset',
    parent=MMENGINE_DATASETS,
    scope='mmattmask',
    locations=['mmattmask.datasets'],
)
HOOKS = Registry(
    'hook',
    parent=MMENGINE_HOOKS,
    scope='mmattmask',
    locations=['mmattmask.engine', 'mmattmask.downstream'],
)
METRICS = Registry(
    'metric',
    parent=MMENGINE_METRICS,
    scope='mmattmask',
    locations=['mmattmask.downstream.lvis_metric'],  # imports mmdet
)
MODELS = Registry(
    'model',
    parent=MMENGINE_MODELS,
    scope='mmattmask',
    locations=['mmattmask.models', 'mmattmask.scorers', 'mmattmask.downstream'],
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
    locations=['mmattmask.engine', 'mmattmask.downstream'],
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
WEIGHT_INITIALIZERS = Registry(
    'weight initializer',
    parent=MMENGINE_WEIGHT_INITIALIZERS,
    scope='mmattmask',
    locations=['mmattmask.export.pretrained'],
)
