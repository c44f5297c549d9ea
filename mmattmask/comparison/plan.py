"""What is compared: a file that lists configs, seeds and budgets, and its runs."""

import copy
import dataclasses
import hashlib
import json
from collections.abc import Collection, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

from mmengine.config import Config

from mmattmask.comparison.stretch import stretch

Budget = Literal['images', 'tokens', 'time']
BUDGETS: tuple[Budget, ...] = get_args(Budget)
NEEDED = ('runs', 'baseline', 'epochs', 'seeds', 'budgets', 'evaluation')


@dataclasses.dataclass(frozen=True)
class Entry:
    """One policy in one host.

    Attributes:
        name: In file names and tables.
        config: The pre-training config.
        budgets: At which budgets it is run.
        title: How the table calls it.
        host: The algorithm, for the table.
        options: As of ``--cfg-options``.
        teacher: The entry whose run with the same seed and budget is the frozen
            teacher, ``checkpoint`` of its scorer.
        encoder_tokens: Per image, for hosts whose tokens cannot be counted.
    """

    name: str
    config: Path
    budgets: tuple[Budget, ...]
    title: str
    host: str = 'MAE'
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    teacher: str | None = None
    encoder_tokens: float | None = None


@dataclasses.dataclass(frozen=True)
class Run:
    """One training: an entry at a budget with a seed."""

    entry: str
    budget: Budget
    seed: int

    def __str__(self) -> str:
        return f'{self.entry}-{self.budget}-seed{self.seed}'


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A comparison, see ``configs/study``.

    Attributes:
        name: Of its file.
        entries: By name, in the order of the table.
        baseline: The entry that sets the budgets.
        control: The entry that others are judged against.
        epochs: Of the baseline.
        seeds: Every entry is run once with each.
        budgets: What is held equal: ``'images'`` seen, encoder ``'tokens'``, or
            ``'time'`` spent on training.
        evaluation: See :class:`mmattmask.comparison.evaluate.Evaluation`.
        content: What scores are looked at, see
            :func:`mmattmask.comparison.content.measure_content`; None leaves it out.
    """

    name: str
    entries: dict[str, Entry]
    baseline: str
    control: str
    epochs: int
    seeds: tuple[int, ...]
    budgets: tuple[Budget, ...]
    evaluation: dict[str, Any]
    content: dict[str, Any] | None = None

    def runs(self) -> list[Run]:
        """List all runs; those of the first seeds come first within a budget."""
        return [
            Run(entry.name, budget, seed)
            for budget in self.budgets
            for seed in self.seeds
            for entry in self.entries.values()
            if budget in entry.budgets
        ]


def read_comparison(
    path: str | Path,
    options: dict[str, Any] | None = None,
    only: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
    budgets: Sequence[str] | None = None,
) -> Comparison:
    """Read the file of a comparison.

    Args:
        path: A config with what :class:`Comparison` lists; ``runs`` are its entries,
            ``control`` is the baseline unless said.
        options: As of ``--cfg-options``, for this file.
        only: Entries to keep; baseline, control and teachers stay.
        seeds: Instead of the file's.
        budgets: Instead of the file's.

    Raises:
        ValueError: If something is missing, unknown or contradictory.
        FileNotFoundError: If a config is missing.
    """
    path = Path(path)
    cfg = Config.fromfile(path)
    cfg.merge_from_dict(options or {})
    for key in NEEDED:
        if key not in cfg:
            raise ValueError(f'{path} has no {key}: it is no comparison')
    asked = tuple(budgets or cfg.budgets)
    if unknown := set(asked) - set(BUDGETS):
        raise ValueError(f'budgets are {BUDGETS}, got {sorted(unknown)}')
    chosen = tuple(budget for budget in BUDGETS if budget in asked)
    if chosen == ('time',):
        raise ValueError(
            "budget 'time' is measured on the runs of 'tokens' or 'images': add one"
        )
    numbers = tuple(cfg.seeds if seeds is None else seeds)
    if not numbers or len(set(numbers)) < len(numbers):
        raise ValueError(f'seeds must be one or more different numbers: {numbers}')
    if cfg.epochs < 1:
        raise ValueError(f'epochs must be at least 1, got {cfg.epochs}')
    entries = {
        name: _entry(name, dict(run), path.parent, chosen)
        for name, run in cfg.runs.items()
    }
    control = cfg.get('control', cfg.baseline)
    for role, name in (('baseline', cfg.baseline), ('control', control)):
        if name not in entries:
            raise ValueError(f'{role} {name!r} is none of {list(entries)}')
    _check_needs(entries, cfg.baseline, chosen)
    if only is not None:
        entries = _keep(entries, {*only, cfg.baseline, control})
    evaluation = cfg.evaluation.to_dict()
    if evaluation.get('finetune') is not None:
        file = _config_file(path.parent, evaluation['finetune'], 'evaluation')
        evaluation['finetune'] = str(file)
    return Comparison(
        path.stem,
        entries,
        cfg.baseline,
        control,
        int(cfg.epochs),
        numbers,
        chosen,
        evaluation,
        cfg.get('content'),
    )


def _config_file(folder: Path, name: str, what: str) -> Path:
    config = folder / name
    if not config.is_file():
        raise FileNotFoundError(f'{what}: there is no config {config}')
    return config


def _entry(
    name: str, run: dict[str, Any], folder: Path, chosen: Sequence[Budget]
) -> Entry:
    known = {field.name for field in dataclasses.fields(Entry)} - {'name'}
    if 'config' not in run or set(run) - known:
        raise ValueError(
            f'run {name} needs a config and may have {sorted(known)}, got {sorted(run)}'
        )
    run['config'] = _config_file(folder, run['config'], f'run {name}')
    run['budgets'] = tuple(b for b in chosen if b in run.get('budgets', chosen))
    return Entry(name, **{'title': name, **run})


def _check_needs(
    entries: dict[str, Entry], baseline: str, budgets: Sequence[Budget]
) -> None:
    """Refuse teachers that are none, and teachers and baselines at too few budgets."""
    for entry in entries.values():
        teacher = entries.get(entry.teacher or '')
        if entry.teacher and (teacher is None or teacher.teacher):
            raise ValueError(
                f'the teacher of {entry.name}, {entry.teacher!r}, must be an entry '
                'without a teacher'
            )
        needs = set(budgets if entry.name == baseline else entry.budgets)
        missing = needs - set((teacher or entry).budgets)
        if missing:
            raise ValueError(
                f'{(teacher or entry).name} must be run at {sorted(missing)}, too: it '
                f'is the {"teacher of " + entry.name if teacher else "baseline"}'
            )


def _keep(entries: dict[str, Entry], wanted: Collection[str]) -> dict[str, Entry]:
    """Keep what is asked for and the teachers that it needs."""
    if unknown := set(wanted) - set(entries):
        raise ValueError(f'no run is called {sorted(unknown)}, there are {[*entries]}')
    kept = {*wanted, *(entries[name].teacher for name in wanted)}
    return {name: entry for name, entry in entries.items() if name in kept}


@cache
def _read(config: Path) -> Config:
    return Config.fromfile(config)


def run_config(entry: Entry, run: Run, epochs: int) -> Config:
    """Return the config of one run, stretched to so many epochs, without its teacher.

    Whatever is wrong with it is a ValueError with the run's name.
    """
    try:
        cfg = copy.deepcopy(_read(entry.config))
        cfg.merge_from_dict(copy.deepcopy(entry.options))
        stretch(cfg, epochs)
    except Exception as error:
        kind = '' if isinstance(error, ValueError) else f'{type(error).__name__}: '
        raise ValueError(f'run {entry.name}, {entry.config}: {kind}{error}') from error
    cfg.randomness = dict(seed=run.seed, diff_rank_seed=True)
    return cfg


def settings_hash(
    cfg: Config, evaluation: dict[str, Any], teacher: str | None = None
) -> str:
    """Hash what a run's result depends on, except machine, code and places of files.

    A config of fine-tuning counts with its content, a frozen teacher with its own hash.
    """
    evaluation = dict(evaluation)
    if evaluation.get('finetune'):
        evaluation['finetune'] = _read(Path(evaluation['finetune'])).to_dict()
    parts = [cfg.to_dict(), evaluation, *([teacher] if teacher else [])]
    text = json.dumps(_without_places(parts), sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _without_places(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_places(v) for k, v in value.items() if k != 'data_root'}
    if isinstance(value, list | tuple):
        return [_without_places(item) for item in value]
    return value
