"""PyTorch's operations that take entries together: over pixels, over paths, over letters."""

from __future__ import annotations

import math
import string
from collections.abc import Sequence
from typing import Any

from xgraph.importing import axes as laid
from xgraph.importing.axes import Part
from xgraph.importing.readers import attention, shared
from xgraph.importing.readers.attention import Scores
from xgraph.importing.readers.common import Tensor
from xgraph.importing.readers.torch_operation import Meanings, Operation, Pooled, ready
from xgraph.importing.readers.torch_pairs import two
from xgraph.importing.readers.torch_program import is_learned, key

OPS = Meanings()

# -- over pixels or paths -------------------------------------------------------------------------

_MEAN, _MAXIMUM = "global_avg_pool", "global_max_pool"


@OPS.of("mean", "sum", "amax")
def _reduced(call: Operation) -> Any:
    kept = bool(call.given.get("keepdim"))
    return _over(call, call.given["self"], key(call.node), call.given.get("dim"), kept)


@OPS.of("max", "min")
def _extreme(call: Operation) -> Any:
    """Of two tensors, or over an axis; the second result then says where it is."""
    kind = key(call.node)
    if "other" in call.given:
        return two(call, f"{kind}imum", call.given["self"], call.given["other"])
    if kind == "min" or "dim" not in call.given:
        raise call.refused("over all entries" if kind == "max" else "of one tensor")
    made = _over(call, call.given["self"], "amax", call.given["dim"], call.given["keepdim"])
    return [made, None]


def _over(call: Operation, value: Any, what: str, axes: Any, kept: bool) -> Any:
    """A mean, sum or maximum over axes; None are all."""
    kind = _MAXIMUM if what == "amax" else _MEAN
    if not isinstance(value, Pooled) or value.kind != kind:
        value = call.settled(call.seen(value))
    rank = len(value.axes)
    axes = [axes] if isinstance(axes, int) else list(axes) if axes else list(range(rank))
    if any(not -rank <= axis < rank for axis in axes):
        raise call.refused(f"over axes {axes} of {rank}")
    chosen = {axis % rank for axis in axes}
    parts = [part for axis in chosen for part in value.axes[axis]]
    if len(axes) == 1 and isinstance(value, Tensor) and _are_paths(call, what, value, parts):
        return _over_paths(call, what, value, axes[0], kept)
    if any(part.letter not in "hw" for part in parts):
        raise call.refused(_not_all(axes, value))
    left = [() if k in chosen else axis for k, axis in enumerate(value.axes)]
    made = tuple(axis for k, axis in enumerate(left) if kept or k not in chosen)
    count = math.prod(part.size for part in parts)
    before = value if isinstance(value, Pooled) else None
    told = before.told if before else str(call.refused(_not_all(axes, value)))
    return ready(
        call,
        Pooled(
            image=before.image if before else value,
            kind=kind,
            axes=made,
            gone=laid.sorted_parts([*(before.gone if before else ()), *parts]),
            factor=(before.factor if before else 1.0) * (count if what == "sum" else 1),
            name=before.name if before else call.name,
            told=told,
        ),
    )


def _not_all(axes: Sequence[int], value: Tensor | Pooled) -> str:
    return f"over axes {list(axes)} of {laid.said(value.axes)}, not over paths, nor over all pixels"


def _are_paths(call: Operation, what: str, value: Tensor, parts: Sequence[Part]) -> bool:
    """Whether an axis holds parts of the channels beside others, such as a stack's.

    A sum of all channels is one of paths too; a mean of them is no op of ours.
    """
    if what == "sum":
        return bool(parts) and all(part.letter == "c" for part in parts)
    channels = call.shape(value.place)[-1]
    return len(parts) == 1 and all(
        one.letter == "c" and one.size * one.stride == channels and one.stride > 1 for one in parts
    )


_MERGES = {"sum": "add", "mean": "average", "amax": "maximum"}


def _over_paths(call: Operation, what: str, value: Tensor, axis: int, kept: bool) -> Tensor:
    parts = shared.entries(call, value, axis)
    if kept:
        raise call.refused("over an axis of paths, which is kept")
    return parts[0] if len(parts) == 1 else shared.merged(call, _MERGES[what], parts)


# -- logarithms of probabilities ------------------------------------------------------------------


@OPS.of("log_softmax", "_log_softmax")
def _log_softmax(call: Operation) -> Tensor:
    value = call.tensor()
    call.over_channels(value, call.given["dim"], ordered=True)
    return shared.log_softmax(call, value)


@OPS.of("log")
def _log(call: Operation) -> Tensor:
    return shared.log(call, call.tensor())


@OPS.of("glu")
def _glu(call: Operation) -> Any:
    """The first half of the channels, times the sigmoid of the second."""
    value = call.tensor()
    axis = call.axis(value, call.given["dim"])
    half = laid.size(value.axes[axis]) // 2
    one, gate = shared.split(call, value, axis, [half, half])
    return shared.merged(call, "multiply", [one, call.pointwise("sigmoid", gate)])


# -- by letters -----------------------------------------------------------------------------------


@OPS.of("einsum")
def _einsum(call: Operation) -> Any:
    """A sum over pixels, a dense layer or 1×1 convolution, or products as in attention."""
    terms, made = _letters(call)
    operands: Sequence[Any] = call.given["tensors"]
    for one, letters in zip(operands, terms, strict=True):
        if len({*letters}) != len(letters):
            raise call.refused(f"of one letter twice: {letters}")
        if isinstance(one, Scores) and len(one.query.axes) != len(letters):
            raise call.refused("of scores of attention with other axes")
    if len(operands) == 1:
        return _summed(call, operands[0], terms[0], made)
    if len(operands) != 2:
        raise call.refused(f"of {len(operands)} operands; read are one and two")
    if any(map(is_learned, operands)):
        first = is_learned(operands[0])
        weight, other = (0, 1) if first else (1, 0)
        if is_learned(operands[other]):
            raise call.refused("of weights alone")
        return _with_matrix(call, operands[other], terms[other], weight, terms[weight], made)
    return _multiplied(call, operands, terms, made)


def _letters(call: Operation) -> tuple[list[str], str]:
    """The letters of each operand, and of what is made, with some for an ellipsis."""
    equation = call.given["equation"].replace(" ", "")
    before, arrow, made = equation.partition("->")
    terms = before.split(",")
    free = [letter for letter in string.ascii_letters if letter not in equation]
    operands: Any = call.node.args[1]
    ranks = [len(value.meta["val"].shape) for value in operands]
    extra = {rank - len(term) + 3 for rank, term in zip(ranks, terms, strict=True) if "..." in term}
    if len(extra) > 1:
        raise call.refused("of operands whose ellipses are not of one length")
    dots = "".join(free[: max(extra, default=0)])
    if not arrow:
        once = sorted(c for c in {*before} - {*",."} if before.count(c) == 1)
        made = "..." * ("..." in before) + "".join(once)
    return [term.replace("...", dots) for term in terms], made.replace("...", dots)


def _in_order(value: Tensor, letters: str, wanted: str) -> Tensor:
    return Tensor(value.place, tuple(value.axes[letters.index(letter)] for letter in wanted))


def _summed(call: Operation, operand: Any, letters: str, made: str) -> Any:
    """Axes in another order, and a sum over pixels."""
    value = call.seen(operand)
    if gone := [letter for letter in letters if letter not in made]:
        left = "".join(letter for letter in letters if letter in made)
        if left != made:
            raise call.refused("of a sum whose axes are in another order")
        return _over(call, value, "sum", [letters.index(letter) for letter in gone], False)
    return _in_order(value, letters, made)


def _with_matrix(
    call: Operation, operand: Any, letters: str, weight: int, of_weight: str, made: str
) -> Tensor:
    """A weight of two axes, one of which it shares with the tensor."""
    inner = "".join(c for c in of_weight if c in letters)
    units = "".join(c for c in of_weight if c not in letters)
    left = letters.replace(inner, "") + units
    if len(inner) != 1 or len(units) != 1 or sorted(left) != sorted(made):
        raise call.refused(f"by {call.given['equation']}; read is a weight of units and channels")
    held = call.given["tensors"][weight].held
    kernel = held if of_weight[0] == inner else held.transposed(1, 0)
    value = _in_order(call.seen(operand), letters, letters.replace(inner, "") + inner)
    return _in_order(shared.linear(call, value, kernel), left, made)


def _multiplied(call: Operation, operands: Sequence[Any], terms: Sequence[str], made: str) -> Any:
    """Queries times keys, or scores times values; letters in all of them are batches and heads."""
    if isinstance(operands[1], Scores):
        operands, terms = operands[::-1], terms[::-1]
    one, other = terms
    inner = "".join(c for c in one if c in other and c not in made)
    batches = "".join(c for c in one if c in other and c in made)
    rows, columns = ("".join(c for c in term if c not in batches + inner) for term in terms)
    wanted = batches + rows + columns
    if {len(inner), len(rows), len(columns)} != {1} or sorted(wanted) != sorted(made):
        raise call.refused(f"by {call.given['equation']}; {attention.READ}")
    right = _in_order(call.seen(operands[1]), other, batches + inner + columns)
    left = operands[0]
    if isinstance(left, Scores):
        if one != batches + rows + inner:
            raise call.refused(f"by {call.given['equation']}; {attention.READ}")
    else:
        left = _in_order(call.seen(left), one, batches + rows + inner)
    found = attention.matmul(call, left, right)
    if isinstance(found, Tensor):
        return _in_order(found, wanted, made)
    if wanted != made:
        raise call.refused(f"by {call.given['equation']}; {attention.READ}")
    return found
