"""Do command lines of the documentation agree with the commands there are?

Nothing is run: every tool's own parser reads its arguments, and configs must exist.
"""

import argparse
import contextlib
import io
import re
import shlex
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from mmengine.config import Config

from mmattmask.__main__ import COMMANDS, parser_of
from tests.config_building import ROOT

PLACEHOLDER = re.compile(r'[A-Z][A-Z_0-9]*')
ASSIGNMENT = re.compile(r'([A-Z_a-z]\w*)(\+?)=(.*)', re.DOTALL)
VARIABLE = re.compile(r'\$(?:(\w+)|\{(\w+)\})')
OPERATORS = ('&&', '||', '|', ';', '&')
# Commands of others, which have no parser here.
FOREIGN = ('cd', 'export', 'mkdir', 'ls', 'pre-commit', 'tensorboard')
NEED_MMDET = ('configs/transfer/detection', 'configs/transfer/segmentation')


class CommandError(AssertionError):
    """A command line that would not work."""


def check_block(source: str, variables: dict[str, str], folder: Path = ROOT) -> int:
    """Check every command of a shell block.

    Args:
        source: The block.
        variables: Shell variables that are set; the block's own are added.
        folder: Where paths are looked up, beside the repository.

    Returns:
        How many commands there are.

    Raises:
        CommandError: If one would not work.
    """
    number = 0
    for line in source.replace('\\\n', ' ').splitlines():
        for words in split(line, variables):
            while words and ASSIGNMENT.fullmatch(words[0]):
                words = words[1:]
            if words:
                check(words, folder)
                number += 1
    return number


def split(line: str, variables: dict[str, str]) -> list[list[str]]:
    """Split a line into commands and these into words, as a shell does."""

    def value_of(found: re.Match) -> str:
        name = found.group(1) or found.group(2)
        if name not in variables:
            raise CommandError(f'${name} is not set in {line!r}')
        return variables[name]

    lexer = shlex.shlex(line, posix=True, punctuation_chars='|&;')
    lexer.whitespace_split = True
    commands: list[list[str]] = [[]]
    for word in lexer:
        if word in OPERATORS:
            commands.append([])
            continue
        word = VARIABLE.sub(value_of, word)
        found = ASSIGNMENT.fullmatch(word)
        if found and all(map(ASSIGNMENT.fullmatch, commands[-1])):
            name, more, value = found.groups()
            variables[name] = (variables.get(name, '') if more else '') + value
        commands[-1].append(word)
    return [words for words in commands if words]


def check(words: list[str], folder: Path) -> None:
    """Check one command.

    Raises:
        CommandError: If it would not work.
    """
    program, *arguments = words
    if program in ('python', 'python3', '.venv/bin/python'):
        check_python(arguments, folder)
    elif program == 'mmattmask':
        check_command(arguments, folder)
    elif program == 'torchrun':
        check_torchrun(arguments, folder)
    elif program == 'mim':
        check_mim(arguments, folder)
    elif program in ('tools/dist_train.sh', 'tools/slurm_train.sh'):
        check_launcher(program, arguments, folder)
    elif program == 'make':
        check_make(arguments)
    elif program == 'pip':
        check_pip(arguments)
    elif program not in FOREIGN:
        raise CommandError(f'unknown command {program!r}')


def check_python(arguments: list[str], folder: Path) -> None:
    """Check ``python FILE ...`` and ``python -m MODULE ...``."""
    if arguments[:2] == ['-m', 'mmattmask']:
        check_command(arguments[2:], folder)
    elif arguments[0] == '-m':
        if find_spec(arguments[1]) is None:
            raise CommandError(f'there is no module {arguments[1]}')
    elif arguments[0] in ('tools/train.py', 'tools/test.py'):
        check_command([Path(arguments[0]).stem, *arguments[1:]], folder)
    elif not exists(arguments[0], folder):
        raise CommandError(f'there is no file {arguments[0]}')


def check_torchrun(arguments: list[str], folder: Path) -> None:
    """Check torchrun's options and the tool that it starts."""
    from torch.distributed.run import get_args_parser

    args = parse(get_args_parser().parse_args, arguments, 'torchrun')
    start = ['-m'] if args.module else []
    check_python([*start, args.training_script, *args.training_script_args], folder)


def check_mim(arguments: list[str], folder: Path) -> None:
    """Check that ``mim train PACKAGE CONFIG`` names a config there is."""
    action, package, config = arguments[:3]
    if action not in ('train', 'test') or package not in ('mmpretrain', 'mmattmask'):
        raise CommandError(f'mim {" ".join(arguments)}')
    if package == 'mmattmask' and '/' not in config:
        names = [path.name for path in (ROOT / 'configs').rglob('*.py')]
        if config not in names:
            raise CommandError(f'mim finds no config {config}')
    else:
        check_config(config, folder)


def check_launcher(program: str, arguments: list[str], folder: Path) -> None:
    """Check the scripts that hand the rest to tools/train.py."""
    if not (ROOT / program).is_file():
        raise CommandError(f'there is no file {program}')
    if program == 'tools/dist_train.sh':
        config, gpus, *rest = arguments
        if not gpus.isdigit():
            raise CommandError(f'{program}: not a number of GPUs: {gpus}')
    else:
        _, _, config, _, *rest = arguments
    check_command(['train', config, *rest], folder)


def check_make(arguments: list[str]) -> None:
    """Check that the Makefile has the targets."""
    phony = re.search(r'^\.PHONY: (.+)$', (ROOT / 'Makefile').read_text(), re.MULTILINE)
    targets = phony.group(1).split()
    for word in arguments:
        if not ASSIGNMENT.fullmatch(word) and word not in targets:
            raise CommandError(f'make has no target {word}: {targets}')


def check_pip(arguments: list[str]) -> None:
    """Check that setup.py has the extras of this package."""
    source = (ROOT / 'setup.py').read_text()
    for word in arguments:
        found = re.fullmatch(r'(?:\.|mmattmask)\[(.+)\]', word)
        for extra in found.group(1).split(',') if found else ():
            if not re.search(rf"^    '{extra}': ", source, re.MULTILINE):
                raise CommandError(f'setup.py has no extra {extra}')


def check_command(arguments: list[str], folder: Path) -> None:
    """Let a command's own parser read arguments, then check what they name."""
    name, *rest = arguments
    if name not in COMMANDS:
        raise CommandError(f'mmattmask has no command {name}')
    if not rest:  # a sentence about the command
        return
    args = parse(parser_of(name).parse_args, rest, name)
    config = getattr(args, 'config', None)
    if isinstance(config, str):
        check_config(config, folder)
        check_options(config, getattr(args, 'cfg_options', None), folder)
    for value in vars(args).values():
        for name in value if isinstance(value, list) else [value]:
            if isinstance(name, str) and name.startswith('configs/'):
                check_config(name, folder)


def parse(parser, arguments: list[str], name: str) -> argparse.Namespace:
    """Parse, with an error instead of an exit."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            return parser(arguments)
    except SystemExit as error:
        if error.code == 0:  # --help
            return argparse.Namespace()
        last = said.getvalue().strip().splitlines()[-1:]
        message = f'{name} {" ".join(arguments)}: {"".join(last)}'
        raise CommandError(message) from error


def check_config(name: str, folder: Path) -> None:
    """Check that a config exists, or is a placeholder or a ViT's name."""
    if PLACEHOLDER.fullmatch(name):
        return
    if name.endswith('.py'):
        if not exists(name, folder):
            raise CommandError(f'there is no config {name}')
        return
    from mmattmask.evaluation.frozen_backbone import named_backbone

    try:
        named_backbone(name, (224, 224))
    except ValueError as error:
        raise CommandError(f'{name} is no config and no ViT: {error}') from error


def check_options(config: str, options: dict | None, folder: Path) -> None:
    """Check that --cfg-options change something that the config has."""
    if not options or PLACEHOLDER.fullmatch(config) or not config.endswith('.py'):
        return
    if config.startswith(NEED_MMDET) and find_spec('mmdet') is None:
        return
    cfg = load(str(path_of(config, folder)))
    for key in options:
        node, parents = cfg, key.split('.')[:-1]
        for depth, part in enumerate(parents):
            part = int(part) if isinstance(node, list) else part
            try:
                node = node[part]
            except (KeyError, IndexError, TypeError) as error:
                if part == 'init_cfg' and depth == len(parents) - 1:
                    break  # written by the option itself
                raise CommandError(f'{config} has no {key}') from error


@cache
def load(path: str) -> Config:
    """Parse a config once."""
    return Config.fromfile(path)


def path_of(name: str, folder: Path) -> Path:
    """Return where a file of the reader's folder or of the repository is."""
    return folder / name if (folder / name).exists() else ROOT / name


def exists(name: str, folder: Path) -> bool:
    """Whether a file is in the reader's folder or in the repository."""
    return path_of(name, folder).is_file()
