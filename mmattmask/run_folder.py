"""A run keeps its folder: nobody else trains in it, and no checkpoint is lost."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LOCK = '.training'


@contextmanager
def only_run_in(work_dir: str | Path) -> Iterator[None]:
    """Keep other runs out of a folder while the block runs; on every process.

    A lock of the operating system's, which ends with the process, however it ends, and
    is not inherited by loader workers. If another run is there, all are refused.
    """
    from mmengine.dist import broadcast_object_list, is_main_process

    file, problem = None, ''
    if is_main_process():
        file, problem = _lock(Path(work_dir))
    problems = [problem]
    broadcast_object_list(problems)
    try:
        if problems[0]:
            raise ValueError(problems[0])
        yield
    finally:
        if file is not None:
            file.close()


def _lock(work_dir: Path) -> tuple[Any, str]:
    """Return the locked file, or None where there are no locks, and what is wrong."""
    try:
        import fcntl
    except ImportError:  # Windows
        return None, ''
    file = (work_dir / LOCK).open('a+')
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.seek(0)
        owner = file.read().strip()
        file.close()
        if not isinstance(error, BlockingIOError | PermissionError):
            return None, ''  # a file system without locks
        return None, (
            f'another run ({owner or "of another machine"}) trains in {work_dir}: give '
            'this one a folder of its own (--work-dir), or end the other'
        )
    file.truncate(0)
    file.write(f'process {os.getpid()} on {os.uname().nodename}')
    file.flush()
    return file, ''


def remove_torn(work_dir: str | Path) -> None:
    """Remove what killed runs have left of checkpoints."""
    from mmengine.dist import is_main_process

    if is_main_process():
        for path in Path(work_dir).glob('.*.tmp.pth'):
            path.unlink()


def remove_outdated(hook: Any, step: int) -> None:
    """Remove a checkpoint of CheckpointHook, as that does."""
    from mmengine.dist import is_main_process

    if not is_main_process():
        return
    backend = hook.file_backend
    path = backend.join_path(hook.out_dir, hook.filename_tmpl.format(step))
    if backend.isfile(path):
        backend.remove(path)
    elif backend.isdir(path):
        backend.rmtree(path)
