"""Small wrong changes to a Python file, one at a time: what tests of that file must notice.

Kinds: comparison turned or moved by its boundary, ``and``/``or``, ``not`` and signs dropped, operators exchanged,
numbers and texts changed, conditions made constant, one side of a choice taken, results replaced, arguments left out,
``min``/``max`` and ``all``/``any`` exchanged, statements left out. Documentation and what is inside f-strings stay.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass

COMPARE: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.Pow: ast.Mult,
}
TWINS = {"min": "max", "max": "min", "all": "any", "any": "all"}


@dataclass(frozen=True, slots=True)
class Mutant:
    """One wrong version: the line it is on, that line's text, what was changed to what, and the whole program."""

    line: int
    text: str
    change: str
    tree: ast.Module

    @property
    def key(self) -> tuple[str, str]:
        """What names it in a list that outlives other changes of the file."""
        return self.text, self.change


def mutants(source: str) -> Iterator[Mutant]:
    """Every mutant of a program."""
    tree, lines = ast.parse(source), source.splitlines()
    kept = set(_untouched(tree))
    for index, node in enumerate(ast.walk(tree)):
        if id(node) in kept:
            continue
        for change, replacement in _changes(node):
            line = getattr(node, "lineno", 0)
            yield Mutant(line, lines[line - 1].strip(), change, _with(tree, index, replacement))


def _untouched(tree: ast.Module) -> Iterator[int]:
    """Annotations, imports, documentation, f-strings, decorators."""
    for node in ast.walk(tree):
        parts: list[ast.AST] = [node] if isinstance(node, ast.JoinedStr | ast.Import | ast.ImportFrom) else []
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            parts.append(node)
        if isinstance(node, ast.FunctionDef):
            parts += [node.args, *node.decorator_list, *([node.returns] if node.returns else [])]
        for part in parts:
            yield from (id(inner) for inner in ast.walk(part))


def _with(tree: ast.Module, index: int, replacement: ast.AST) -> ast.Module:
    """A copy of the program with its node of that number replaced."""
    new = copy.deepcopy(tree)
    target = list(ast.walk(new))[index]

    class Swap(ast.NodeTransformer):
        def visit(self, node: ast.AST) -> ast.AST:
            return replacement if node is target else self.generic_visit(node)

    return ast.fix_missing_locations(Swap().visit(new))


def _changes(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """What may be put in the place of one node, each with words for it."""
    for new in _replacements(node):
        yield f"{ast.unparse(node).splitlines()[0]} -> {ast.unparse(new).splitlines()[0]}", ast.copy_location(new, node)


def _replacements(node: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.Compare():
            yield from _compared(node)
        case ast.BoolOp():
            yield ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
            for k in range(len(node.values)):
                left = [v for i, v in enumerate(node.values) if i != k]
                yield left[0] if len(left) == 1 else ast.BoolOp(node.op, left)
        case ast.UnaryOp():
            yield node.operand
        case ast.BinOp() if type(node.op) in OPERATORS:
            yield ast.BinOp(node.left, OPERATORS[type(node.op)](), node.right)
        case ast.Constant():
            yield from (ast.Constant(x) for x in _other_values(node.value))
        case ast.IfExp():
            yield from (node.body, node.orelse)
        case ast.If():
            yield from (ast.If(ast.Constant(x), node.body, node.orelse) for x in (True, False))
        case ast.Call():
            yield from _called(node)
        case ast.Return() if node.value is not None:
            yield ast.Return(ast.Constant(None))
        case ast.Assign() | ast.Expr():
            yield ast.Pass()


def _compared(node: ast.Compare) -> Iterator[ast.AST]:
    for k, op in enumerate(node.ops):
        for other in COMPARE[type(op)]:
            yield ast.Compare(node.left, [other() if i == k else x for i, x in enumerate(node.ops)], node.comparators)


def _other_values(value: object) -> tuple[object, ...]:
    if isinstance(value, bool):
        return (not value,)
    if isinstance(value, int | float):
        return (value + 1, 2 * value) if value else (1.0,)
    return (f"{value}?",) if isinstance(value, str) else ()


def _called(node: ast.Call) -> Iterator[ast.AST]:
    """The twin of a function, an argument in place of the call, the call with one keyword less."""
    name = node.func.id if isinstance(node.func, ast.Name) else ""
    if name in TWINS:
        yield ast.Call(ast.Name(TWINS[name], ast.Load()), node.args, node.keywords)
    if not node.keywords:
        yield from (x for x in node.args if not isinstance(x, ast.GeneratorExp))
    for k in range(len(node.keywords)):
        yield ast.Call(node.func, node.args, [x for i, x in enumerate(node.keywords) if i != k])
