"""``python -m mmattmask check CONFIG`` and ``python -m mmattmask doctor``."""

import sys
from collections.abc import Sequence
from importlib import import_module

# Imported when asked for: the doctor must run where nothing else can be imported.
COMMANDS = {
    'check': ('mmattmask.cli.check', 'say what a config will do and what is wrong'),
    'doctor': ('mmattmask.inspection.doctor', 'say what this installation can do'),
}


def usage() -> str:
    """Return what to type."""
    lines = [f'  python -m mmattmask {name:<8}{text}' for name, (_, text) in commands()]
    return '\n'.join(['usage:', *lines])


def commands() -> list[tuple[str, tuple[str, str]]]:
    """Return the names, modules and descriptions of the commands."""
    return list(COMMANDS.items())


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command, write what it returns, and return its exit code."""
    argv = sys.argv[1:] if argv is None else list(argv)
    if argv[:1] in (['-h'], ['--help']):
        sys.stdout.write(f'{usage()}\n')
        return 0
    if not argv or argv[0] not in COMMANDS:
        sys.stderr.write(f'{usage()}\n')
        return 2
    text, code = import_module(COMMANDS[argv[0]][0]).main(argv[1:])
    (sys.stderr if code == 2 else sys.stdout).write(f'{text}\n')
    return code


if __name__ == '__main__':
    sys.exit(main())
