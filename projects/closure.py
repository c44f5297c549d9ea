"""What the public classes of a project need, statement by statement.

A module of mmattmask is a list of top-level statements: definitions, assignments and
imports. Starting from the public classes, :func:`needed` follows the names that every
statement reads, through imports and re-exports, and returns the statements it met. All
else stays out of the export.
"""

import ast
import functools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

PACKAGE = 'mmattmask'
ROOT = Path(__file__).resolve().parent.parent
# Where registered classes are.
PACKAGES = ('models', 'scorers', 'mask_generators', 'engine', 'datasets')
REGISTRY = f'{PACKAGE}.registry'  # a project registers in MMPretrain's


@dataclass
class Module:
    """One module of mmattmask.

    Attributes:
        name: Dotted name.
        path: Its file.
        source: Its text.
        reads: Names that each top-level definition reads.
        imports: Where each name imported from mmattmask comes from.
    """

    name: str
    path: Path
    source: str
    reads: dict[str, set[str]] = field(default_factory=dict)
    imports: dict[str, tuple[str, str]] = field(default_factory=dict)


def file_of(name: str) -> Path | None:
    """Return the file of a module or package, or None if there is none."""
    base = ROOT.joinpath(*name.split('.'))
    for path in (base.with_suffix('.py'), base / '__init__.py'):
        if path.is_file():
            return path
    return None


@functools.lru_cache(None)
def module(name: str) -> Module:
    """Read a module.

    Raises:
        ValueError: If there is none, or it has a top-level statement of a kind that
            cannot be followed.
    """
    path = file_of(name)
    if path is None:
        raise ValueError(f'there is no module {name}')
    found = Module(name, path, path.read_text())
    for statement in ast.parse(found.source).body:
        found.imports.update(house_imports(statement))
        for defined in names_of(statement, path):
            found.reads[defined] = read_by(statement)
    return found


def names_of(statement: ast.stmt, path: Path) -> list[str]:
    """Return the names that a top-level statement defines, imports aside."""
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return [statement.name]
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AnnAssign):
        targets = [statement.target]
    elif isinstance(statement, ast.Import | ast.ImportFrom):
        return []
    elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
        return []  # a docstring
    else:
        targets = [statement]
    if not all(isinstance(target, ast.Name) for target in targets):
        raise ValueError(
            f'{path}:{statement.lineno}: a top-level {type(statement).__name__} cannot '
            'be followed: only definitions, imports and assignments to names can'
        )
    return [target.id for target in targets]


def house_imports(statement: ast.AST) -> dict[str, tuple[str, str]]:
    """Return the names a statement imports from mmattmask, with their origins."""
    found = {}
    for node in ast.walk(statement):
        if isinstance(node, ast.ImportFrom) and is_house(node.module):
            for alias in node.names:
                found[alias.asname or alias.name] = (node.module, alias.name)
    return found


def is_house(name: str | None) -> bool:
    """Return whether a module is one of mmattmask's."""
    return name is not None and name.split('.')[0] == PACKAGE


def read_by(statement: ast.stmt) -> set[str]:
    """Return the names a statement reads, and those it imports when it runs."""
    names = {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)}
    return names | set(house_imports(statement))


def origin(name: str, symbol: str) -> tuple[str, str]:
    """Follow re-exports to the module that defines a name."""
    while symbol not in module(name).reads:
        if symbol not in module(name).imports:
            raise ValueError(f'{name} has nothing called {symbol}')
        name, symbol = module(name).imports[symbol]
    return name, symbol


def find_public(class_name: str) -> tuple[str, str]:
    """Return where a class is that one of mmattmask's packages exports.

    Raises:
        ValueError: If no package does.
    """
    for package in PACKAGES:
        name = f'{PACKAGE}.{package}'
        if class_name in module(name).imports:
            return origin(name, class_name)
    raise ValueError(f'none of {", ".join(PACKAGES)} exports {class_name}')


def needed(public: list[str]) -> dict[str, set[str]]:
    """Return the definitions that public classes need, by module.

    Args:
        public: Names of classes.

    Returns:
        For every module, in order, the names of its statements to keep.
    """
    kept: dict[str, set[str]] = {}
    waiting = [find_public(name) for name in public]
    while waiting:
        name, symbol = waiting.pop()
        if symbol in kept.setdefault(name, set()):
            continue
        kept[name].add(symbol)
        waiting.extend(neighbours(name, symbol))
    return dict(sorted(kept.items()))


def neighbours(name: str, symbol: str) -> Iterator[tuple[str, str]]:
    """Yield the definitions of mmattmask that one definition reads."""
    source = module(name)
    for used in source.reads[symbol]:
        if used in source.reads and used != symbol:
            yield name, used
        elif used in source.imports:
            home, original = source.imports[used]
            if home != REGISTRY:
                yield origin(home, original)
