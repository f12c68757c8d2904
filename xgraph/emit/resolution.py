"""Whether each name that a program reads is the one that is meant.

A name of a spec that hides another one which is still read makes another network without a word:
in Python a variable may be bound again, and inner names hide outer ones. Generated code never needs
either, so here both are faults, found from the syntax tree alone.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator

_BUILTINS = frozenset(dir(builtins)) | {"__file__", "__name__", "__doc__"}
_FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


def faults(tree: ast.Module) -> list[str]:
    """What is wrong with the names of a program, a line each.

    - A name is read that nothing has bound, or that is bound further down.
    - A local name is that of a module, function, class or constant of the file, or a builtin's.
    - A number (a parameter that is annotated as one, or a loop's variable) is bound again.
    - Two definitions of the file, or of a class, have one name.
    """
    checker = _Checker()
    checker.module(tree)
    return checker.found


class _Checker:
    def __init__(self) -> None:
        self.found: list[str] = []
        self.globals: set[str] = set()

    def fault(self, node: ast.AST, text: str) -> None:
        self.found.append(f"line {getattr(node, 'lineno', 0)}: {text}")

    def module(self, tree: ast.Module) -> None:
        for node in _own(tree):
            for name in _bound(node):
                if name in self.globals:
                    self.fault(node, f"'{name}' is defined twice")
                self.globals.add(name)
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                self.klass(node)
            elif isinstance(node, _FUNCTIONS):
                self.function(node, frozenset())

    def klass(self, node: ast.ClassDef) -> None:
        names: set[str] = set()
        for inner in node.body:
            if not isinstance(inner, _FUNCTIONS):
                continue
            assert not isinstance(inner, ast.Lambda)
            if inner.name in names and not inner.decorator_list:
                self.fault(inner, f"'{inner.name}' is defined twice in the class {node.name}")
            names.add(inner.name)
            self.function(inner, frozenset())

    def function(self, node: ast.AST, around: frozenset[str]) -> None:
        """One function; `around` are the names of those that it stands in."""
        assert isinstance(node, _FUNCTIONS)
        given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        given += [one for one in (node.args.vararg, node.args.kwarg) if one]
        numbers = {one.arg for one in given if _is_number(one.annotation)}
        bound = {one.arg: (0, 0) for one in given}  # where each name has a value for the first time
        own = list(_own(node))
        defaults = {id(statement) for inner in own for statement in _defaults(inner)}
        loops: set[str] = set()
        for inner in own:
            is_loop = isinstance(inner, ast.For | ast.comprehension)
            for name in _bound(inner):
                if is_loop:
                    loops.add(name)
                elif name in numbers and id(inner) not in defaults:
                    self.fault(inner, f"the number '{name}' is bound again")
                bound[name] = min(bound.get(name, _NOWHERE), _place(inner))
            if is_loop:
                self.inner_loops(inner)
        plain = {one.arg for one in given}
        plain.update(name for inner in own if not isinstance(inner, ast.For | ast.comprehension)
                     for name in _bound(inner))  # fmt: skip
        for name in sorted(loops & plain):
            self.fault(node, f"a loop binds '{name}' again")
        for name in sorted(bound):
            if name in self.globals or name in _BUILTINS or name in around:
                self.fault(node, f"'{name}' hides a name from outside")
        self.reads(own, bound, around)
        known = around | bound.keys()
        for inner in own:
            if isinstance(inner, _FUNCTIONS):
                self.function(inner, known)

    def inner_loops(self, loop: ast.AST) -> None:
        """No loop within a loop has a variable of the same name."""
        if not isinstance(loop, ast.For):
            return
        names = set(_targets(loop.target)) - {"_"}
        for statement in loop.body:
            for inner in ast.walk(statement):
                if isinstance(inner, ast.For | ast.comprehension):
                    for name in names & set(_targets(inner.target)):
                        self.fault(statement, f"a loop within its loop binds '{name}' again")

    def reads(
        self, own: list[ast.AST], bound: dict[str, tuple[int, int]], around: frozenset[str]
    ) -> None:
        outside = self.globals | around | _BUILTINS
        for node in own:
            if not isinstance(node, ast.Name) or not isinstance(node.ctx, ast.Load):
                continue
            if node.id not in bound:
                if node.id not in outside:
                    self.fault(node, f"'{node.id}' is bound nowhere")
            elif bound[node.id] > (node.lineno, node.col_offset):
                self.fault(node, f"'{node.id}' is read before it is bound")


def _own(scope: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a scope; of functions and classes within it only their heads.

    Annotations are left out: they are not evaluated.
    """
    pending: list[ast.AST] = []
    if isinstance(scope, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef):
        pending += scope.body
    elif isinstance(scope, ast.Lambda):
        pending.append(scope.body)
    while pending:
        node = pending.pop()
        yield node
        if isinstance(node, ast.ClassDef):
            pending += [*node.bases, *node.decorator_list]
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            pending += [*node.args.defaults, *(d for d in node.args.kw_defaults if d)]
            pending += node.decorator_list
        elif isinstance(node, ast.Lambda):
            pending += node.args.defaults
        elif isinstance(node, ast.AnnAssign):
            pending += [node.target, *([node.value] if node.value else [])]
        else:
            pending += ast.iter_child_nodes(node)


def _bound(node: ast.AST) -> list[str]:
    """Names that a node binds by itself."""
    if isinstance(node, ast.Assign):
        return [name for target in node.targets for name in _targets(target)]
    if isinstance(node, _WITH_TARGET):
        return _targets(node.target)
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [(alias.asname or alias.name).split(".")[0] for alias in node.names]
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.ExceptHandler):
        return [node.name] if node.name else []
    if isinstance(node, ast.withitem):
        return _targets(node.optional_vars) if node.optional_vars else []
    return []


_WITH_TARGET = ast.AnnAssign | ast.AugAssign | ast.NamedExpr | ast.For | ast.comprehension


def _targets(target: ast.AST) -> list[str]:
    if isinstance(target, ast.Name):
        return [target.id]
    if isinstance(target, ast.Tuple | ast.List):
        return [name for part in target.elts for name in _targets(part)]
    return _targets(target.value) if isinstance(target, ast.Starred) else []


def _is_number(annotation: ast.AST | None) -> bool:
    """Whether a parameter is annotated as a number, a truth value, or a tuple of them."""
    if annotation is None:
        return False
    words = {node.id for node in ast.walk(annotation) if isinstance(node, ast.Name)}
    return bool(words) and words <= {"int", "float", "bool", "tuple"}


def _defaults(node: ast.AST) -> list[ast.stmt]:
    """What gives a parameter its value where none was passed: `if name is None: name = …`."""
    match node:
        case ast.If(
            test=ast.Compare(
                left=ast.Name(id=name), ops=[ast.Is()], comparators=[ast.Constant(value=None)]
            ),
            body=[ast.Assign(targets=[ast.Name(id=assigned)]) as statement],
        ) if name == assigned:
            return [statement]
    return []


_NOWHERE = (2**31, 0)


def _place(node: ast.AST) -> tuple[int, int]:
    """Where a name has its value: behind what gives it, and within a loop's body."""
    if isinstance(node, ast.For):
        node = node.target
    elif isinstance(node, ast.comprehension):  # its variable stands before it
        return (0, 0)
    elif isinstance(node, ast.ExceptHandler):
        return (node.lineno, node.col_offset)
    return (getattr(node, "end_lineno", None) or 0, getattr(node, "end_col_offset", None) or 0)
