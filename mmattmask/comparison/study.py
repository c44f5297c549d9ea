"""A comparison in a folder: its runs, the rows they leave, and what is still to do."""

import json
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmattmask.comparison.budget import (
    epochs_of_equal,
    seconds_per_epoch,
    tokens_per_image,
)
from mmattmask.comparison.content import measure_content
from mmattmask.comparison.files import CONFIG, DIAGNOSTICS, JOB, ROW, write_json
from mmattmask.comparison.fingerprint import data_fingerprint
from mmattmask.comparison.plan import (
    Budget,
    Comparison,
    Entry,
    Run,
    run_config,
    settings_hash,
)

EPOCHS = 'epochs.json'
Row = dict[str, Any]


class Study:
    """The state of a comparison below one folder.

    Args:
        comparison: What is compared.
        work_dir: Holds one folder per run; made if missing.
    """

    def __init__(self, comparison: Comparison, work_dir: str | Path) -> None:
        self.comparison = comparison
        self.work_dir = Path(work_dir)
        self.work_dir.mkdir(parents=True, exist_ok=True)
        self._tokens: dict[tuple[str, int], float] = {}
        self._hashes: dict[tuple[Run, int], str] = {}
        self._data: dict[str, str] = {}
        file = self.work_dir / EPOCHS
        self._epochs: dict[str, int] = (
            json.loads(file.read_text()) if file.exists() else {}
        )

    def rows(self) -> list[Row]:
        """Return the rows of finished runs, in the order of the plan.

        A run that would be one of another budget, epoch for epoch, is that one's row.
        """
        found = []
        for run in self.comparison.runs():
            row = self.row(run)
            if row is not None:
                found.append(row)
        return found

    def row(self, run: Run) -> Row | None:
        """Return a finished run's row, or None.

        Numbers in ``diagnostics.json``, if the run's folder has one, are columns too.
        """
        path = self.folder(run) / ROW
        if path.exists():
            row = json.loads(path.read_text())
            more = path.with_name(DIAGNOSTICS)
            return row | (json.loads(more.read_text()) if more.exists() else {})
        twin = self._twin(run)
        row = None if twin is None else self.row(twin)
        return None if row is None else dict(row, budget=run.budget)

    def measure_content(self) -> None:
        """Look at the scores of finished runs, where the comparison asks for it.

        Raises:
            FileNotFoundError: If the annotated images are not there.
        """
        if (how := self.comparison.content) is None:
            return
        for run in self.comparison.runs():
            if (self.folder(run) / ROW).exists():
                measure_content(self.folder(run), how)

    def folder(self, run: Run) -> Path:
        """Return the folder of a run."""
        return self.work_dir / 'runs' / str(run)

    def is_done(self, run: Run) -> bool:
        """Return whether a run has a row."""
        return self.row(run) is not None

    def to_do(self) -> list[Run]:
        """Return the runs without a row."""
        return [run for run in self.comparison.runs() if not self.is_done(run)]

    def epochs(self, entry: Entry, budget: Budget) -> int | None:
        """Return the length of a run, or None while it cannot be known.

        Equal time is known when every seed of the entry and of the baseline has a row
        at an earlier budget. It is kept then: seeds that come later do not change it.
        """
        total = self.comparison.epochs
        base = self.comparison.entries[self.comparison.baseline]
        if entry is base or budget == 'images':
            return total
        if budget == 'tokens':
            return epochs_of_equal(
                lambda n: n * self.tokens(entry, n),
                total * self.tokens(base, total),
                total,
            )
        configs = [self._settings(Run(one.name, 'images', 0)) for one in (entry, base)]
        key = ' '.join([entry.name, budget, *configs])
        if key not in self._epochs:
            own, others = self._timed(entry), self._timed(base)
            if own is None or others is None:
                return None
            pace = seconds_per_epoch(own)
            self._epochs[key] = epochs_of_equal(
                lambda n: n * pace, total * seconds_per_epoch(others), total
            )
            write_json(self.work_dir / EPOCHS, self._epochs)
        return self._epochs[key]

    def _settings(self, run: Run, epochs: int | None = None) -> str:
        """Return the hash of a run's settings."""
        entry = self.comparison.entries[run.entry]
        epochs = epochs or self.comparison.epochs
        if (run, epochs) not in self._hashes:
            teacher = None
            if entry.teacher is not None:
                of = self.comparison.entries[entry.teacher]
                length = self.epochs(of, run.budget)
                teacher = self._settings(Run(of.name, run.budget, run.seed), length)
            cfg = run_config(entry, run, epochs)
            evaluation = self.comparison.evaluation
            self._hashes[run, epochs] = settings_hash(cfg, evaluation, teacher)
        return self._hashes[run, epochs]

    def tokens(self, entry: Entry, epochs: int) -> float:
        """Return encoder tokens per image of a run of so many epochs."""
        key = (entry.name, epochs)
        if key not in self._tokens:
            cfg = run_config(entry, Run(entry.name, 'images', 0), epochs)
            self._tokens[key] = tokens_per_image(entry, cfg)
        return self._tokens[key]

    def _timed(self, entry: Entry) -> list[Row] | None:
        """Return the rows that tell an entry's pace, or None if one is missing."""
        for budget in self.comparison.budgets:
            if budget != 'time' and budget in entry.budgets:
                seeds = self.comparison.seeds
                rows = [self.row(Run(entry.name, budget, seed)) for seed in seeds]
                known = [row for row in rows if row is not None]
                return known if len(known) == len(rows) else None
        return None

    def _twin(self, run: Run) -> Run | None:
        """Return the same run of an earlier budget: with the same epochs."""
        entry = self.comparison.entries[run.entry]
        try:
            epochs = self.epochs(entry, run.budget)
        except ValueError:  # the run cannot start and says so then
            return None
        for budget in self.comparison.budgets:
            if budget == run.budget or epochs is None:
                return None
            if budget in entry.budgets and self.epochs(entry, budget) == epochs:
                return Run(run.entry, budget, run.seed)
        return None

    def prepare(self, run: Run) -> Path | None:
        """Write what a worker needs; return None while something is missing.

        Raises:
            ValueError: If the folder belongs to a run with other settings or images.
        """
        entry = self.comparison.entries[run.entry]
        epochs = self.epochs(entry, run.budget)
        teacher = self._teacher(run)
        waits_for_teacher = entry.teacher is not None and teacher is None
        if epochs is None or waits_for_teacher or self._twin(run) is not None:
            return None
        cfg = run_config(entry, run, epochs)
        settings = self._settings(run, epochs)
        folder = self.folder(run)
        folder.mkdir(parents=True, exist_ok=True)
        job = dict(
            settings=settings,
            data=self.data(entry),
            teacher=teacher,
            teacher_key=entry.teacher_key,
            evaluation=self.comparison.evaluation,
            row=self._row_of(entry, run, epochs, settings),
        )
        self.check(run, settings)
        cfg.dump(folder / CONFIG)
        write_json(folder / JOB, job)
        return folder

    def check(self, run: Run, settings: str) -> None:
        """Raise ValueError if a run's folder holds one of other settings or images."""
        path = self.folder(run) / JOB
        if not path.exists():
            return
        job = json.loads(path.read_text())
        data = self.data(self.comparison.entries[run.entry])
        for what, before, now in (
            ('settings', job['settings'], settings),
            ('images', job.get('data'), data),
        ):
            if before != now:
                raise ValueError(
                    f'{path.parent} was begun with other {what}: delete it or give '
                    'another --work-dir'
                )

    def data(self, entry: Entry) -> str:
        """Return the fingerprint of the images that an entry sees and is tested on."""
        if entry.name not in self._data:
            run, how = Run(entry.name, 'images', 0), self.comparison.evaluation
            cfg = run_config(entry, run, self.comparison.epochs)
            places = [cfg.train_dataloader.dataset, how['train'], how['test']]
            if how.get('finetune'):
                places.append(Config.fromfile(how['finetune']).to_dict())
            key = repr(places)
            if key not in self._data:
                self._data[key] = data_fingerprint(*places)
            self._data[entry.name] = self._data[key]
        return self._data[entry.name]

    def check_finished(self) -> None:
        """Raise ValueError if a finished run had other settings or images than now."""
        for run in self.comparison.runs():
            if (self.folder(run) / JOB).exists():
                entry = self.comparison.entries[run.entry]
                epochs = self.epochs(entry, run.budget)
                if epochs is not None:
                    self.check(run, self._settings(run, epochs))

    def _row_of(self, entry: Entry, run: Run, epochs: int, settings: str) -> Row:
        """Return what is known of a run before it starts."""
        try:
            tokens: float | None = round(self.tokens(entry, epochs), 2)
        except ValueError:  # nobody can count them
            tokens = None
        return dict(
            run=entry.name,
            policy=entry.title,
            host=entry.host,
            budget=run.budget,
            seed=run.seed,
            epochs=epochs,
            tokens_per_image=tokens,
            settings=settings,
        )

    def _teacher(self, run: Run) -> str | None:
        """Return the checkpoint of a run's teacher, or None."""
        entry = self.comparison.entries[run.entry]
        if entry.teacher is None:
            return None
        row = self.row(Run(entry.teacher, run.budget, run.seed))
        if row is None:
            return None
        return str((self.work_dir / 'runs' / row['checkpoint']).resolve())
