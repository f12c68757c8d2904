"""What a spec declares and nothing uses: blocks, parameters, loop variables and defaults.

Only the text is looked at, so that switching a part off warns of nothing. What is used by something
unused counts as used: the other goes first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from xgraph.diagnostics import Diagnostic, Span, suggest
from xgraph.ir.structure import (
    Call,
    Item,
    Loop,
    Parameter,
    Program,
    values,
    walk,
)
from xgraph.passes.scope import mentioned


def unused(program: Program) -> list[Diagnostic]:
    """A warning for each block (XG901), parameter (XG902), loop variable (XG903) and default
    (XG904) that nothing uses.
    """
    return [
        *_blocks(program),
        *_parameters(program),
        *_block_parameters(program),
        *_loop_variables(program),
        *_defaults(program),
    ]


def _names(items: Iterable[Item]) -> set[str]:
    return {name for value in values(items) for name in mentioned(value)}


def _bodies(program: Program) -> Iterator[tuple[Item, ...]]:
    for section in program.sections:
        yield section.block.body
    for block in program.blocks.values():
        yield block.body


def _calls(program: Program) -> Iterator[Call]:
    for body in _bodies(program):
        yield from (item for item in walk(body) if isinstance(item, Call))


def _warning(code: str, message: str, span: Span, hint: str | None = None) -> Diagnostic:
    return Diagnostic(code, message, span, hint=hint, severity="warning")


def _blocks(program: Program) -> Iterator[Diagnostic]:
    called = {call.target for call in _calls(program)}
    for name, block in program.blocks.items():
        if name not in called:
            yield _warning(
                "XG901", f"nothing uses the block '{name}'", block.span, "call it, or take it out"
            )


def _needed(parameters: Iterable[Parameter], mentions: set[str]) -> set[str]:
    """Which parameters are used: mentioned, or mentioned in the default of one that is used."""
    needed = set(mentions)
    for parameter in reversed(tuple(parameters)):  # a default may mention those above it
        if parameter.name in needed:
            needed |= mentioned(parameter.default)
    return needed


def _parameters(program: Program) -> Iterator[Diagnostic]:
    mentions = set(mentioned(program.input_shape))
    for arguments in program.defaults.values():
        mentions.update(name for argument in arguments for name in mentioned(argument.value))
    for section in program.sections:
        mentions |= _names(section.block.body) | mentioned(section.condition)
    for output in program.outputs:
        mentions |= mentioned(output.condition) | mentioned(output.loss_weight)
    for block in program.blocks.values():
        known: set[str] = set()
        for parameter in block.parameters:  # a default is written in words of what is above it
            mentions |= mentioned(parameter.default) - known
            known.add(parameter.name)
        mentions |= _names(block.body) - known
    needed = _needed(program.parameters, mentions)
    names = {parameter.name for parameter in program.parameters}
    for parameter in program.parameters:
        if parameter.name not in needed:
            yield _warning(
                "XG902",
                f"nothing uses the parameter '{parameter.name}'",
                parameter.span,
                suggest(parameter.name, sorted(names - {parameter.name}))
                or f"mention it as ${parameter.name}, or take it out",
            )


def _block_parameters(program: Program) -> Iterator[Diagnostic]:
    for block in program.blocks.values():
        needed = _needed(block.parameters, _names(block.body))
        for parameter in block.parameters:
            if parameter.name not in needed:
                yield _warning(
                    "XG902",
                    f"nothing in block '{block.name}' uses its parameter '{parameter.name}'",
                    parameter.span,
                    f"mention it as ${parameter.name}, or take it out",
                )


def _loop_variables(program: Program) -> Iterator[Diagnostic]:
    for body in _bodies(program):
        for item in walk(body):
            if not isinstance(item, Loop):
                continue
            used = _names(item.body)
            for name, span in item.places.items():
                if name in used:
                    continue
                only = item.count is None and len(item.variables) == 1
                yield _warning(
                    "XG903",
                    f"nothing in this loop uses the variable '{name}'",
                    span,
                    "use repeat for a count" if only else f"mention it as ${name}, or take it out",
                )


def _defaults(program: Program) -> Iterator[Diagnostic]:
    given: dict[str, list[set[str | None]]] = {}  # what each call of an op says itself
    for call in _calls(program):
        own = {argument.key for argument in call.arguments}
        given.setdefault(call.target, []).append(own)
    for op, arguments in program.defaults.items():
        for argument in arguments:
            if op not in given:
                hint = f"there is no {op} in this spec"
            elif all(argument.key in own for own in given[op]):
                hint = f"every {op} of this spec gives its own"
            else:
                continue
            yield _warning(
                "XG904",
                f"nothing uses the default '{argument.key}' of {op}",
                argument.key_span,
                hint,
            )
