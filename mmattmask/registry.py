"""Registry nodes of mmattmask: ``type='mmattmask.X'`` works from any scope.

They are children of MMEngine's root registries, and ``locations`` makes the first
look-up import the modules, so a config needs no ``custom_imports``.
"""

from mmengine import registry as root
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


def _child(parent: Registry, *modules: str) -> Registry:
    locations = [f'mmattmask.{module}' for module in modules]
    return Registry(parent.name, parent=parent, scope='mmattmask', locations=locations)


DATA_SAMPLERS = _child(root.DATA_SAMPLERS, 'downstream')
DATASETS = _child(root.DATASETS, 'datasets')
HOOKS = _child(root.HOOKS, 'engine', 'downstream')
METRICS = _child(root.METRICS, 'downstream.lvis_metric')  # imports mmdet
MODELS = _child(root.MODELS, 'models', 'scorers', 'downstream')
OPTIM_WRAPPERS = _child(root.OPTIM_WRAPPERS, 'engine')
OPTIM_WRAPPER_CONSTRUCTORS = _child(
    root.OPTIM_WRAPPER_CONSTRUCTORS, 'engine', 'downstream'
)
TASK_UTILS = _child(root.TASK_UTILS, 'mask_generators')
TRANSFORMS = _child(root.TRANSFORMS, 'datasets')
WEIGHT_INITIALIZERS = _child(root.WEIGHT_INITIALIZERS, 'export.pretrained')
