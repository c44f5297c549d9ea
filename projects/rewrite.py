"""One module of mmattmask as a module of a project of MMPretrain.

Statements that nobody needs go, imports become relative or MMPretrain's, registries are
MMPretrain's, and names that MMPretrain has already get ``Tracked`` in front.
"""

import re
from collections.abc import Mapping

import libcst as cst

from projects.closure import PACKAGE, REGISTRY, is_house, module, origin
from projects.substitutions import substituted

# MMPretrain, MMEngine or MMCV have transforms and a dataset of these names; in one
# registry with them ours, which keep track of crops and samples, need others.
TRACKED = (
    'CenterCrop',
    'ConcatDataset',
    'LoadImageFromFile',
    'MultiView',
    'PackInputs',
    'RandomCrop',
    'RandomResizedCrop',
    'RandomResizedCropAndInterpolationWithTwoPic',
)
STOCK_REGISTRY = 'MMPRETRAIN_'


def new_name(name: str) -> str:
    """Return what a class of mmattmask is called in a project."""
    return f'Tracked{name}' if name in TRACKED else name


def without_scope(text: str) -> str:
    """Take the scope out of types and messages: ``mmattmask.X`` becomes ``X``."""
    pattern = rf'\b{PACKAGE}\.(\w+)'
    text = re.sub(pattern, lambda match: new_name(match[1]), text)
    return re.sub(rf'\b{PACKAGE}[/ ]', '', text)


def rewrite(name: str, kept: set[str], places: Mapping[str, str]) -> str:
    """Return the text of a module for a project.

    Args:
        name: Dotted name of the module.
        kept: Names of the statements to keep.
        places: Dotted names of modules below the project, by their names here.
    """
    tree = cst.parse_module(substituted(name, module(name).source))
    tree = tree.with_changes(
        body=[line for line in tree.body if is_kept(line, kept)],
    )
    tree = tree.visit(_Imports(name, places))
    tree = tree.visit(_Names(name, kept))
    tree = tree.with_changes(body=list(filter(None, map(_Unused(tree), tree.body))))
    return without_scope(tree.code)


def is_kept(line: cst.CSTNode, kept: set[str]) -> bool:
    """Return whether a top-level statement stays."""
    if isinstance(line, cst.FunctionDef | cst.ClassDef):
        return line.name.value in kept
    (statement,) = line.body
    if isinstance(statement, cst.Assign):
        return any(target.target.value in kept for target in statement.targets)
    if isinstance(statement, cst.AnnAssign):
        return statement.target.value in kept
    return True


def dotted(node: cst.BaseExpression | None) -> str | None:
    """Return the text of a dotted name."""
    return None if node is None else cst.Module([]).code_for_node(node)


def relative(source: str, target: str) -> str:
    """Return the name by which a module imports another of the project.

    Args:
        source: Dotted name of the importing module below the project.
        target: Dotted name of the imported one.
    """
    folder, other = source.split('.')[:-1], target.split('.')
    shared = 0
    while shared < len(folder) and folder[shared] == other[shared]:
        shared += 1
    return '.' * (len(folder) - shared + 1) + '.'.join(other[shared:])


class _Imports(cst.CSTTransformer):
    """Imports of mmattmask become relative, its registries MMPretrain's."""

    def __init__(self, name: str, places: Mapping[str, str]) -> None:
        super().__init__()
        self.name = name
        self.places = places

    def leave_SimpleStatementLine(  # noqa: N802
        self, original_node: cst.SimpleStatementLine, updated_node: cst.CSTNode
    ) -> cst.CSTNode | cst.FlattenSentinel:
        """Replace one import by one per module that defines a name."""
        (statement, *_) = original_node.body
        source = dotted(getattr(statement, 'module', None))
        if source == 'mmpretrain.registry':
            names = [alias.name.value for alias in statement.names]
            return cst.parse_statement(f'from {source} import {", ".join(names)}')
        if not is_house(source):
            return updated_node
        lines = []
        for alias in statement.names:
            if source == REGISTRY:
                lines.append(f'from mmpretrain.registry import {alias.name.value}')
                continue
            home, symbol = origin(source, alias.name.value)
            if home not in self.places:
                continue  # what reads it is not kept either
            path = relative(self.places[self.name], self.places[home])
            local = f' as {alias.asname.name.value}' if alias.asname else ''
            lines.append(f'from {path} import {new_name(symbol)}{local}')
        return cst.FlattenSentinel(map(cst.parse_statement, lines))


class _Names(cst.CSTTransformer):
    """Stock registries and tracked classes by their new names."""

    def __init__(self, name: str, kept: set[str]) -> None:
        super().__init__()
        self.ours = (kept | set(module(name).imports)) & set(TRACKED)

    def leave_Name(  # noqa: N802
        self, original_node: cst.Name, updated_node: cst.Name
    ) -> cst.Name:
        name = original_node.value.removeprefix(STOCK_REGISTRY)
        return cst.Name(new_name(name)) if name in self.ours else cst.Name(name)

    def leave_Attribute(  # noqa: N802
        self, original_node: cst.Attribute, updated_node: cst.Attribute
    ) -> cst.Attribute:
        return updated_node.with_changes(attr=original_node.attr)

    def visit_ImportFrom(self, node: cst.ImportFrom) -> bool:  # noqa: N802
        return False


class _Unused:
    """Take names out of top-level imports that no statement reads any more."""

    def __init__(self, tree: cst.Module) -> None:
        self.read: set[str] = set()
        for line in tree.body:
            if not is_import(line):
                line.visit(_Read(self.read))

    def __call__(self, line: cst.CSTNode) -> cst.CSTNode | None:
        """Return the line without them, or None if nothing is left."""
        if not is_import(line):
            return line
        (statement,) = line.body
        names = [
            alias.with_changes(comma=cst.MaybeSentinel.DEFAULT)
            for alias in statement.names
            if self._local(alias) in self.read
        ]
        if not names:
            return None
        statement = statement.with_changes(names=names)
        if isinstance(statement, cst.ImportFrom):
            statement = statement.with_changes(lpar=None, rpar=None)
        return line.with_changes(body=[statement])

    def _local(self, alias: cst.ImportAlias) -> str:
        name = dotted(alias.asname.name if alias.asname else alias.name)
        return name.split('.')[0]


class _Read(cst.CSTVisitor):
    def __init__(self, found: set[str]) -> None:
        super().__init__()
        self.found = found

    def visit_Name(self, node: cst.Name) -> None:  # noqa: N802
        self.found.add(node.value)

    def visit_Attribute(self, node: cst.Attribute) -> bool:  # noqa: N802
        node.value.visit(self)
        return False


def is_import(line: cst.CSTNode) -> bool:
    """Return whether a top-level statement is an import."""
    if not isinstance(line, cst.SimpleStatementLine):
        return False
    return isinstance(line.body[0], cst.Import | cst.ImportFrom)
