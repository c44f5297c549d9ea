"""Files that appear whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Yield a name of this process's own to write to; it then becomes ``path``.

    The folder is made if missing. If the block fails, what was written is removed and
    a former file stays. Its mode follows the umask, whatever a library (safetensors)
    makes of it. The temporary name has the same ending.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f'.{path.stem}.{os.getpid()}.tmp{path.suffix}')
    try:
        temporary.touch()
        mode = temporary.stat().st_mode
        yield temporary
        temporary.chmod(mode)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def file_state(path: str | Path) -> str:
    """Return size and time of change, which tell a file from another; '' if missing."""
    try:
        stat = os.stat(path)
    except OSError:
        return ''
    return f'{stat.st_size} {stat.st_mtime_ns}'


def write_text(path: str | Path, text: str) -> None:
    """Write a text file in UTF-8; see :func:`whole_file`."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding='utf-8')
