"""The command ``mmattmask``, which is also ``python -m mmattmask``."""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType

from mmattmask.quiet import quietly
from mmattmask.version import __version__

# Imported when asked for: the doctor runs where nothing else can be imported.
COMMANDS = {
    'train': 'pre-train or fine-tune a config, with the flags of MMPretrain',
    'test': "evaluate a config's checkpoint, with the flags of MMPretrain",
    'check': 'say what a config will do and what is wrong with it, before it runs',
    'doctor': 'say what this installation can do, and what mends the rest',
    'knn': 'k-NN and few-shot accuracy of frozen features',
    'linear': 'linear probe of frozen features',
    'embed': 'write frozen features of a folder of images to a file',
    'visualize': 'draw attention, rankings, masks and reconstructions of images',
    'select': "choose GPA's block and head from a few annotated images",
    'maps': 'make the maps of all images once, from a ViT or from masks, for UserMaps',
    'convert': "convert a checkpoint's encoder for another project",
    'compare': 'pre-train and evaluate several policies at equal budgets; one table',
}
# A traceback says where a run ended; of the others a sentence is enough.
WITH_TRACEBACK = ('train', 'test')


def usage() -> str:
    """Return what to type."""
    lines = [f'  {name:<10} {text}' for name, text in COMMANDS.items()]
    return '\n'.join(
        ['usage: mmattmask COMMAND [arguments], mmattmask COMMAND --help', '', *lines]
    )


def command(name: str) -> ModuleType:
    """Import the module of a command: DESCRIPTION, add_arguments(parser), run(args)."""
    with quietly():
        return import_module(f'mmattmask.cli.{name}')


def parser_of(name: str) -> argparse.ArgumentParser:
    """Return the parser of a command."""
    module = command(name)
    parser = argparse.ArgumentParser(
        prog=f'mmattmask {name}',
        description=module.DESCRIPTION,
        formatter_class=Formatter,
    )
    module.add_arguments(parser)
    return parser


class Formatter(
    argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter
):
    """Help with the defaults that say something."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        silent = (
            action.default in (None, False, []) or action.default is argparse.SUPPRESS
        )
        return action.help if silent else super()._get_help_string(action)


def run(name: str, argv: Sequence[str]) -> tuple[str, int]:
    """Run a command; return what it prints last, and its exit code.

    Raises:
        SystemExit: For arguments that the command does not take.
    """
    try:
        if name != 'doctor':
            import_module('mmattmask.runtime').check_runtime()
        args = parser_of(name).parse_args(argv)
        said = command(name).run(args)
        if getattr(args, 'launcher', 'none') != 'none':
            import_module('mmattmask.launching').leave_processes()
    except (ValueError, OSError, ImportError) as error:
        if name in WITH_TRACEBACK:
            raise
        return f'error: {error}', 1
    return said if isinstance(said, tuple) else (said or '', 0)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    argv = sys.argv[1:] if argv is None else list(argv)
    if argv[:1] == ['--version']:
        text, code = f'mmattmask {__version__}', 0
    elif argv[:1] in (['-h'], ['--help']):
        text, code = usage(), 0
    elif not argv or argv[0] not in COMMANDS:
        text, code = usage(), 2
    else:
        text, code = run(argv[0], argv[1:])
    if text:
        is_error = code == 2 or text.startswith('error: ')
        (sys.stderr if is_error else sys.stdout).write(text.rstrip('\n') + '\n')
    return code


if __name__ == '__main__':
    sys.exit(main())
