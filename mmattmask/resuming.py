"""How a run goes on: from which checkpoint, by which schedule."""

import logging
import re
import zipfile
from pathlib import Path
from typing import Any

TIMES = ('begin', 'end', 'T_max', 'total_iters')


def latest_checkpoint(work_dir: str) -> str | None:
    """Return the checkpoint to resume from: the recorded one, as it lies here.

    A folder may have been moved or copied, and writing may have been interrupted: then
    it is the newest whole one. None without a checkpoint, an error if none is whole.
    """
    folder = Path(work_dir)
    record = folder / 'last_checkpoint'
    recorded = record.read_text().strip() if record.is_file() else ''
    if recorded and is_whole(folder / Path(recorded).name):
        return str(folder / Path(recorded).name)
    if record.is_file() and not recorded:
        _say(f'{record} is empty: its writing was interrupted')
    found = [path for path in folder.glob('*.pth') if _number(path) >= 0]
    found.sort(key=_number)
    whole = [path for path in found if is_whole(path)]
    if whole:
        _say(f'resuming from {whole[-1]}, the newest whole checkpoint of this folder')
        return str(whole[-1])
    if found:
        raise ValueError(
            f'none of the {len(found)} checkpoints in {folder} is whole: '
            f'{", ".join(path.name for path in found[-5:])}'
        )
    if recorded and Path(recorded).exists():  # out_dir of the checkpoint hook
        return recorded
    _say(f'there is no checkpoint in {folder}: training begins anew')
    return None


def is_whole(path: Path) -> bool:
    """Return whether a checkpoint was written to its end; folders are believed."""
    return path.is_dir() or (path.is_file() and zipfile.is_zipfile(path))


def _number(path: Path) -> int:
    """Return 12 of ``epoch_12.pth`` or ``iter_12.pth``, else -1."""
    match = re.fullmatch(r'(?:epoch|iter)_(\d+)', path.stem)
    return int(match[1]) if match else -1


def _say(text: str) -> None:
    from mmengine.logging import print_log

    print_log(text, logger='current', level=logging.WARNING)


def schedule_ends(runner: Any) -> list[dict[str, Any]]:
    """Return when each schedule begins and ends, in iterations or epochs."""
    schedulers = runner.param_schedulers or []
    if isinstance(schedulers, dict):
        schedulers = [each for group in schedulers.values() for each in group]
    return [
        {
            'schedule': type(scheduler).__name__,
            **{key: value for key, value in vars(scheduler).items() if key in TIMES},
        }
        for scheduler in schedulers
        if hasattr(scheduler, 'state_dict')
    ]


def check_goes_on(runner: Any, filename: str) -> None:
    """Say that another run is resumed; ValueError if nothing is left of it.

    MMEngine takes ``load_from`` for that where ``resume=True``, as in stock
    pre-training. A finished run of this folder has nothing to do, which is no fault.
    """
    if Path(filename).resolve().parent == Path(runner.work_dir).resolve():
        return
    done = f'{filename} is resumed, with {runner.epoch} epochs and {runner.iter} steps'
    advice = 'set resume=False to start from its weights'
    if runner.iter >= runner.max_iters:
        raise ValueError(f'{done}, and this run has {runner.max_iters}: {advice}')
    runner.logger.warning(f'{done} done, as resume=True has it; {advice}')


def report_old_schedule(
    runner: Any, wanted: list[dict[str, Any]], used: list[dict[str, Any]]
) -> None:
    """Warn that a resumed run keeps the schedules of its checkpoint."""
    for config, checkpoint in zip(wanted, used, strict=False):
        if config == checkpoint:
            continue
        runner.logger.warning(
            f'the schedule goes on as the checkpoint has it, {checkpoint}, not as the '
            f'config says, {config}; after its end the rate stays as it is. To train '
            'longer than planned, begin a run with load_from=CHECKPOINT and '
            'resume=False, with a schedule of its own'
        )
