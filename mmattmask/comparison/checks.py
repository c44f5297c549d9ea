"""What can be known of all runs is checked before the first one trains."""

import copy

from mmengine.config import Config
from mmengine.registry import DATASETS, DefaultScope, init_default_scope

from mmattmask.comparison.evaluate import Evaluation
from mmattmask.comparison.plan import Run, run_config
from mmattmask.comparison.study import Study
from mmattmask.datasets.foreground import read_index
from mmattmask.inspection.built_config import build_config
from mmattmask.scorers import FrozenTeacher


def check_runs(study: Study) -> None:
    """Build models, hooks, optimizers and lists of images; raise all that is wrong."""
    init_default_scope('mmpretrain')
    comparison = study.comparison
    numbers: dict[str, int] = {}  # of images by dataset
    trained: dict[str, int] = {}  # by run
    found = []
    try:
        Evaluation(**comparison.evaluation).images((32, 32))  # no transform runs
    except Exception as error:
        found.append(f'evaluation: {error}')
    try:
        if (index := (comparison.content or {}).get('index')) is not None:
            read_index(index)
    except (ValueError, OSError) as error:
        found.append(f'content: {error}')
    for entry in comparison.entries.values():
        run = Run(entry.name, comparison.budgets[0], comparison.seeds[0])
        try:
            cfg = run_config(entry, run, comparison.epochs)
            built = build_config(cfg, str(entry.config), gpus=1)
            errors, scorer = built.errors, type(built.scorer)
            if entry.teacher and not errors and not issubclass(scorer, FrozenTeacher):
                kind = f'FrozenTeacher, its scorer is {scorer.__name__}'
                errors = [f'teacher={entry.teacher!r} is for {kind}']
            found += [f'run {entry.name}: {one}' for one in errors]
            for budget in entry.budgets if not errors else ():
                epochs = study.epochs(entry.name, budget)  # None: not measured yet
                run_config(entry, run, epochs or comparison.epochs)
        except ValueError as error:
            found.append(str(error))
            continue
        dataset = repr(cfg.train_dataloader.dataset)
        try:
            if dataset not in numbers:
                numbers[dataset] = _number_of_images(cfg)
            trained[entry.name] = numbers[dataset]
        except ValueError as error:
            found.append(f'run {entry.name}: {error}')
    wanted = trained.get(comparison.baseline)
    found += [
        f'run {name}: {number} training images, and {comparison.baseline} has '
        f'{wanted}: equal budgets need epochs of as many'
        for name, number in trained.items()
        if wanted is not None and number != wanted
    ]
    if found:
        raise ValueError('\n'.join(dict.fromkeys(found)))


def _number_of_images(cfg: Config) -> int:
    scope = cfg.get('default_scope', 'mmpretrain')
    try:
        with DefaultScope.overwrite_default_scope(scope):
            return len(DATASETS.build(copy.deepcopy(cfg.train_dataloader.dataset)))
    except Exception as error:
        raise ValueError(f'the training images cannot be listed: {error}') from error
