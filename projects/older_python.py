"""Python 3.10 to Python 3.8, in a syntax that 3.7 can read.

MMPretrain's linters run on Python 3.7; what we call needs PyTorch 2.0, and with it
Python 3.8. Annotations are written as MMPretrain writes them, with ``typing``.
"""

import libcst as cst
from libcst import matchers as m

# Of collections.abc, for annotations, and built in, in brackets.
ABSTRACT = ('Callable', 'Iterable', 'Iterator', 'Mapping', 'Sequence')
BUILT_IN = {name: name.title() for name in ('dict', 'list', 'set', 'tuple', 'type')}


def for_older_python(source: str) -> str:
    """Return the same module for Python 3.8."""
    tree = cst.parse_module(source)
    downgrade = _Downgrade()
    tree = tree.visit(downgrade)
    if not downgrade.typing:
        return tree.code
    names = ', '.join(sorted(downgrade.typing))
    line = cst.parse_statement(f'from typing import {names}')
    body = list(tree.body)
    first = 1 if tree.get_docstring() is not None else 0
    return tree.with_changes(body=[*body[:first], line, *body[first:]]).code


class _Downgrade(cst.CSTTransformer):
    """Replaces what Python 3.8 does not have.

    Attributes:
        typing: Names that the module has to import from typing.
    """

    def __init__(self) -> None:
        super().__init__()
        self.typing: set[str] = set()

    def _typing(self, name: str) -> cst.Name:
        self.typing.add(name)
        return cst.Name(name)

    def leave_ImportFrom(  # noqa: N802
        self, original_node: cst.ImportFrom, updated_node: cst.ImportFrom
    ) -> cst.BaseSmallStatement | cst.RemovalSentinel:
        """Import abstract types from typing, whose names take brackets."""
        if not m.matches(updated_node.module, m.Attribute(attr=m.Name('abc'))):
            return updated_node
        for alias in updated_node.names:
            if alias.name.value not in ABSTRACT:
                raise ValueError(f'unknown abstract type: {alias.name.value}')
            self.typing.add(alias.name.value)
        return cst.RemoveFromParent()

    def leave_Subscript(  # noqa: N802
        self, original_node: cst.Subscript, updated_node: cst.Subscript
    ) -> cst.Subscript:
        """``tuple[int, ...]`` becomes ``Tuple[int, ...]``."""
        name = getattr(updated_node.value, 'value', None)
        if not isinstance(updated_node.value, cst.Name) or name not in BUILT_IN:
            return updated_node
        return updated_node.with_changes(value=self._typing(BUILT_IN[name]))

    def leave_Annotation(  # noqa: N802
        self, original_node: cst.Annotation, updated_node: cst.Annotation
    ) -> cst.Annotation:
        """Write unions with Optional and Union."""
        visitor = _Unions(self._typing)
        return updated_node.with_changes(
            annotation=updated_node.annotation.visit(visitor)
        )

    def leave_Assign(  # noqa: N802
        self, original_node: cst.Assign, updated_node: cst.Assign
    ) -> cst.Assign:
        """Write names for unions with Optional and Union too."""
        parts = parts_of(original_node.value)
        if len(parts) < 2 or not any(isinstance(p, cst.Subscript) for p in parts):
            return updated_node
        value = updated_node.value.visit(_Unions(self._typing))
        return updated_node.with_changes(value=value)

    def leave_Call(  # noqa: N802
        self, original_node: cst.Call, updated_node: cst.Call
    ) -> cst.BaseExpression:
        """Calls that take other arguments, or do not exist."""
        call = m.Call(func=m.Name('zip') | m.Attribute(attr=m.Name('dataclass')))
        if m.matches(updated_node, call):
            return without_keywords(updated_node, 'strict', 'slots')
        if m.matches(updated_node, m.Call(func=m.Name('isinstance'))):
            value, types = updated_node.args
            members = cst.Tuple([cst.Element(part) for part in parts_of(types.value)])
            if len(members.elements) > 1:
                types = types.with_changes(value=members)
            return updated_node.with_changes(args=[value, types])
        new = m.Attribute(attr=m.Name('removeprefix') | m.Name('removesuffix'))
        if m.matches(updated_node.func, new):
            raise ValueError(
                f'Python 3.8 has no {updated_node.func.attr.value}, see '
                'projects/substitutions.py'
            )
        return updated_node

    def visit_NamedExpr(self, node: cst.NamedExpr) -> None:  # noqa: N802
        """Refuse ``:=``."""
        raise ValueError('Python 3.7 has no :=, see projects/substitutions.py')


class _Unions(cst.CSTTransformer):
    """``A | B | None`` becomes ``Optional[Union[A, B]]``."""

    def __init__(self, typing: object) -> None:
        super().__init__()
        self.typing = typing

    def visit_BinaryOperation(self, node: cst.BinaryOperation) -> bool:  # noqa: N802
        return False  # all of its parts at once

    def leave_BinaryOperation(  # noqa: N802
        self, original_node: cst.BinaryOperation, updated_node: cst.BinaryOperation
    ) -> cst.BaseExpression:
        parts = [part.visit(self) for part in parts_of(original_node)]
        types = [part for part in parts if not m.matches(part, m.Name('None'))]
        inner = types[0] if len(types) == 1 else self._of('Union', types)
        return inner if len(types) == len(parts) else self._of('Optional', [inner])

    def _of(self, name: str, types: list[cst.BaseExpression]) -> cst.Subscript:
        return cst.Subscript(
            self.typing(name),
            [cst.SubscriptElement(cst.Index(part)) for part in types],
        )


def parts_of(node: cst.BaseExpression) -> list[cst.BaseExpression]:
    """Return the parts of ``A | B | C``."""
    if not m.matches(node, m.BinaryOperation(operator=m.BitOr())):
        return [node]
    return [*parts_of(node.left), *parts_of(node.right)]


def without_keywords(call: cst.Call, *names: str) -> cst.Call:
    """Return a call without some of its keyword arguments."""
    args = [
        arg
        for arg in call.args
        if arg.keyword is None or arg.keyword.value not in names
    ]
    if args:
        args[-1] = args[-1].with_changes(comma=cst.MaybeSentinel.DEFAULT)
    return call.with_changes(args=args)
