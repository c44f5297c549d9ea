"""What can be known of all runs is checked before the first one trains."""

import copy

from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DATASETS, DefaultScope, init_default_scope

from mmattmask.comparison.evaluate import Evaluation, check_data
from mmattmask.comparison.plan import Comparison, Run, run_config
from mmattmask.inspection.plan import read_plan
from mmattmask.launching import drop_amp_without_accelerator


def check_runs(comparison: Comparison) -> None:
    """Build models, hooks, optimizers and lists of images of all entries.

    Raises:
        ValueError: If something cannot be built; one line per finding, with the run.
    """
    init_default_scope('mmpretrain')
    found, images = [], {}
    try:
        check_data(Evaluation(**comparison.evaluation))
    except Exception as error:
        found.append(f'evaluation: {error}')
    for entry in comparison.entries.values():
        run = Run(entry.name, comparison.budgets[0], comparison.seeds[0])
        try:
            cfg = run_config(entry, run, comparison.epochs)
        except ValueError as error:
            found.append(str(error))
            continue
        try:
            errors = _errors(cfg, str(entry.config))
        except ValueError as error:
            errors = [str(error)]
        dataset = repr(cfg.get('train_dataloader'))
        if dataset not in images:
            images[dataset] = _images_error(cfg)
        found += [f'run {entry.name}: {error}' for error in errors + images[dataset]]
    if found:
        raise ValueError('\n'.join(found))


def _errors(cfg: Config, name: str) -> list[str]:
    plan = read_plan(cfg, name, gpus=1)
    if plan.model is not None:
        plain = copy.deepcopy(cfg)
        drop_amp_without_accelerator(plain)
        try:
            with DefaultScope.overwrite_default_scope(plan.cfg.default_scope):
                build_optim_wrapper(plan.model, plain.optim_wrapper)
        except Exception as error:
            kind = plain.optim_wrapper.get('optimizer', {}).get('type')
            plan.errors.append(f'the optimizer {kind} cannot be built: {error}')
    return plan.errors


def _images_error(cfg: Config) -> list[str]:
    """Return a sentence about training images that cannot be listed, or none."""
    scope = cfg.get('default_scope', 'mmpretrain')
    try:
        config = {**cfg.train_dataloader.dataset.to_dict(), 'pipeline': []}
        with DefaultScope.overwrite_default_scope(scope):
            number = len(DATASETS.build(config))
    except Exception as error:
        return [f'the training images cannot be listed: {error}']
    return [] if number else ['there is no training image']
