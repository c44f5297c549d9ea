"""A comparison in a folder: its runs, the rows they leave, and what is still to do."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmattmask.comparison.budget import (
    check_one_machine,
    epochs_of_equal,
    relative_pace,
    tokens_per_image,
)
from mmattmask.comparison.content import measure_content
from mmattmask.comparison.files import CONFIG, DIAGNOSTICS, JOB, ROW, write_json
from mmattmask.comparison.fingerprint import data_fingerprint
from mmattmask.comparison.plan import (
    Budget,
    Comparison,
    Run,
    run_config,
    settings_hash,
)

EPOCHS = 'epochs.json'
Row = dict[str, Any]


class Study:
    """The state of a comparison below a folder, which holds one folder per run."""

    def __init__(self, comparison: Comparison, work_dir: str | Path) -> None:
        self.comparison = comparison
        self.work_dir = Path(work_dir)
        self.work_dir.mkdir(parents=True, exist_ok=True)
        # asked for again and again while runs go on
        self.tokens = cache(self._tokens)
        self.settings = cache(self._settings)
        self.data = cache(self._data)
        self._fingerprints: dict[str, str] = {}
        file = self.work_dir / EPOCHS
        self._epochs: dict[str, int] = (
            json.loads(file.read_text()) if file.exists() else {}
        )

    def rows(self) -> list[Row]:
        """Return the rows of finished runs, in the order of the plan."""
        rows = map(self.row, self.comparison.runs())
        return [row for row in rows if row is not None]

    def row(self, run: Run) -> Row | None:
        """Return a finished run's row, or None.

        Numbers in ``diagnostics.json``, if the run's folder has one, are columns too. A
        run that would be one of another budget, epoch for epoch, has that one's row.
        """
        path = self.folder(run) / ROW
        if path.exists():
            more = path.with_name(DIAGNOSTICS)
            numbers = json.loads(more.read_text()) if more.exists() else {}
            return json.loads(path.read_text()) | numbers
        twin = self._twin(run)
        row = None if twin is None else self.row(twin)
        return None if row is None else dict(row, budget=run.budget)

    def measure_content(self) -> None:
        """Look at the scores of finished runs, where the comparison asks for it."""
        if (content := self.comparison.content) is None:
            return
        for run in self.comparison.runs():
            if (self.folder(run) / ROW).exists():
                measure_content(self.folder(run), content)

    def folder(self, run: Run) -> Path:
        """Return the folder of a run."""
        return self.work_dir / 'runs' / str(run)

    def is_done(self, run: Run) -> bool:
        """Return whether a run has a row."""
        return self.row(run) is not None

    def to_do(self) -> list[Run]:
        """Return the runs without a row."""
        return [run for run in self.comparison.runs() if not self.is_done(run)]

    def epochs(self, name: str, budget: Budget) -> int | None:
        """Return the length of an entry's runs, or None while it cannot be known.

        Equal time is known when every seed of the entry and of the baseline has a row
        at an earlier budget. It is kept then: seeds that come later do not change it.
        ValueError if a seed's two are of different machines.
        """
        total, baseline = self.comparison.epochs, self.comparison.baseline
        if name == baseline or budget == 'images':
            return total
        if budget == 'tokens':
            return epochs_of_equal(
                lambda n: n * self.tokens(name, n),
                total * self.tokens(baseline, total),
                total,
            )
        pair = [self.settings(Run(n, 'images', 0), total) for n in (name, baseline)]
        key = ' '.join([name, budget, *pair])
        if key not in self._epochs:
            own, others = self._timed(name), self._timed(baseline)
            if not own or not others:
                return None
            check_one_machine(own, others)
            pace = relative_pace(own, others)
            self._epochs[key] = epochs_of_equal(lambda n: n * pace, total, total)
            write_json(self.work_dir / EPOCHS, self._epochs)
        return self._epochs[key]

    def _settings(self, run: Run, epochs: int) -> str:
        """Return the hash of a run's settings."""
        entry = self.comparison.entries[run.entry]
        teacher = None
        if entry.teacher is not None:
            length = self.epochs(entry.teacher, run.budget) or self.comparison.epochs
            teacher = self.settings(Run(entry.teacher, run.budget, run.seed), length)
        cfg = run_config(entry, run, epochs)
        return settings_hash(cfg, self.comparison.evaluation, teacher)

    def _tokens(self, name: str, epochs: int) -> float:
        """Return encoder tokens per image of a run of so many epochs."""
        entry = self.comparison.entries[name]
        cfg = run_config(entry, Run(name, 'images', 0), epochs)
        return tokens_per_image(entry, cfg)

    def _timed(self, name: str) -> list[Row]:
        """Return the rows that tell an entry's pace; none while one is missing."""
        for budget in self.comparison.budgets:
            if budget != 'time' and budget in self.comparison.entries[name].budgets:
                seeds = self.comparison.seeds
                rows = [self.row(Run(name, budget, seed)) for seed in seeds]
                known = [row for row in rows if row is not None]
                return known if len(known) == len(rows) else []
        return []

    def _twin(self, run: Run) -> Run | None:
        """Return the same run of an earlier budget: with the same epochs."""
        try:
            epochs = self.epochs(run.entry, run.budget)
        except ValueError:  # the run cannot start and says so then
            return None
        for budget in self.comparison.budgets:
            if budget == run.budget or epochs is None:
                return None
            planned = budget in self.comparison.entries[run.entry].budgets
            if planned and self.epochs(run.entry, budget) == epochs:
                return Run(run.entry, budget, run.seed)
        return None

    def prepare(self, run: Run) -> Path | None:
        """Write what a worker needs; return None while something is missing."""
        entry = self.comparison.entries[run.entry]
        epochs = self.epochs(run.entry, run.budget)
        teacher = self._teacher(run)
        waits_for_teacher = entry.teacher is not None and teacher is None
        if epochs is None or waits_for_teacher or self._twin(run) is not None:
            return None
        self.check(run, epochs)
        try:
            tokens = round(self.tokens(run.entry, epochs), 2)
        except ValueError:  # nobody can count them
            tokens = None
        row = dict(
            run=entry.name,
            policy=entry.title,
            host=entry.host,
            budget=run.budget,
            seed=run.seed,
            epochs=epochs,
            tokens_per_image=tokens,
            settings=self.settings(run, epochs),
        )
        job = dict(
            settings=row['settings'],
            data=self.data(run.entry),
            teacher=teacher,
            evaluation=self.comparison.evaluation,
            row=row,
        )
        folder = self.folder(run)
        folder.mkdir(parents=True, exist_ok=True)
        run_config(entry, run, epochs).dump(folder / CONFIG)
        write_json(folder / JOB, job)
        return folder

    def check(self, run: Run, epochs: int, files: bool = True) -> None:
        """Raise ValueError if a run's folder holds one of other settings or files."""
        path = self.folder(run) / JOB
        if not path.exists():
            return
        job = json.loads(path.read_text())
        now = dict(settings=self.settings(run, epochs))
        if files:
            now['data'] = self.data(run.entry)
        for what in now:
            if job.get(what) != now[what]:
                raise ValueError(
                    f'{path.parent} was begun with other {what}: delete it or give '
                    'another --work-dir'
                )

    def check_finished(self, files: bool = True) -> None:
        """Raise ValueError if a finished run had other settings or files than now."""
        for run in self.comparison.runs():
            if (self.folder(run) / JOB).exists():
                epochs = self.epochs(run.entry, run.budget)
                if epochs is not None:
                    self.check(run, epochs, files)

    def _data(self, name: str) -> str:
        """Return the fingerprint of the files that an entry sees and is tested on."""
        evaluation, entry = self.comparison.evaluation, self.comparison.entries[name]
        cfg = run_config(entry, Run(name, 'images', 0), self.comparison.epochs)
        images = [cfg.train_dataloader.dataset, evaluation['train'], evaluation['test']]
        if evaluation.get('finetune'):
            images.append(Config.fromfile(evaluation['finetune']).to_dict())
        weights = [cfg.model, cfg.get('data_preprocessor')]
        weights.append(dict(load_from=cfg.get('load_from')))
        return self._fingerprint(images) + self._fingerprint(weights)

    def _fingerprint(self, configs: list[Any]) -> str:
        """Hash files once, for all entries that name the same."""
        key = repr(configs)
        if key not in self._fingerprints:
            self._fingerprints[key] = data_fingerprint(*configs)
        return self._fingerprints[key]

    def _teacher(self, run: Run) -> str | None:
        """Return the checkpoint of a run's teacher, or None."""
        name = self.comparison.entries[run.entry].teacher
        row = None if name is None else self.row(Run(name, run.budget, run.seed))
        if row is None:
            return None
        return str((self.work_dir / 'runs' / row['checkpoint']).resolve())
