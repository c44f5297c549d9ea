"""How a run goes on: from which checkpoint, by which schedule and settings."""

import logging
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmattmask.checkpoints import some
from mmattmask.recorded_config import parse_config

TIMES = ('begin', 'end', 'T_max', 'total_iters')
# What weights depend on, and what in it they do not.
SETTINGS = (
    'model',
    'data_preprocessor',
    'train_dataloader',
    'optim_wrapper',
    'custom_hooks',
)
OF_THE_MACHINE = re.compile(
    r'\.(num_workers|persistent_workers|pin_memory|prefetch_factor|data_root|_scope_)$'
)


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


def check_goes_on(runner: Any, filename: str, changed: list[str]) -> None:
    """Say if another run or other settings are resumed; ValueError if nothing is left.

    MMEngine takes ``load_from`` for that where ``resume=True``, as in stock
    pre-training. A finished run of this folder and its settings has nothing to do,
    which is no fault.
    """
    own = Path(filename).resolve().parent == Path(runner.work_dir).resolve()
    if own and not changed:
        return
    others = f', trained with other {some(changed)}' if changed else ''
    done = f'{filename} has {runner.epoch} epochs and {runner.iter} steps{others}'
    advice = 'set resume=False to start from its weights'
    advice += ', or another work_dir' if own else ''
    if any(name.startswith('optim_wrapper.') for name in changed):
        advice += '; resumed, the optimizer keeps the rates of the checkpoint'
    if runner.iter >= runner.max_iters:
        raise ValueError(
            f'{done}; this run has {runner.max_iters}, so there is nothing to do: '
            f'{advice}'
        )
    runner.logger.warning(f'{done}; it is resumed, as resume=True has it; {advice}')


def changed_settings(before: str | None, now: str | None) -> list[str]:
    """Return what two configs, as text, train with differently, by dotted names.

    What only the machine needs does not count.
    """
    if before is None or now is None:
        return []
    old, new = (
        {key: leaf for part in SETTINGS for key, leaf in _leaves(cfg.get(part), part)}
        for cfg in map(parse_config, (before, now))
    )
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    return [name for name in names if not OF_THE_MACHINE.search(name)]


def _leaves(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Yield the dotted names and values of what is no list and no dict."""
    inner = dict(enumerate(value)) if isinstance(value, list) else value
    if not isinstance(inner, dict):
        yield name, value
        return
    for key, each in inner.items():
        yield from _leaves(each, f'{name}.{key}')


def begin_epoch_again(runner: Any) -> None:
    """Let a loop of epochs count its iterations from the epoch that it begins.

    MMEngine begins an epoch again that was left in its middle, and counts on; with
    another batch size or number of processes it counts iterations of others. What is
    scheduled by them (temperatures, momentum, masks) would be too early or too late.
    """
    from mmengine.runner import EpochBasedTrainLoop

    loop = runner.train_loop
    if not isinstance(loop, EpochBasedTrainLoop):
        return
    begins = runner.epoch * len(loop.dataloader)
    if runner.iter != begins:
        runner.logger.warning(
            f'the checkpoint is of iteration {runner.iter}, and epoch {runner.epoch} '
            f'(from 0) begins at {begins}: it begins again and counts from there; '
            'schedules of param_scheduler by iteration keep their place'
        )
        loop._iter = begins


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
