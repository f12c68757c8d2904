"""What functions of JAX become when they are traced, found again in programs.

JAX writes down the steps of `gelu` or `softmax`, and nothing of their names; a name could be
anybody's besides. So each function is traced here, too, and where a program has the very same steps
they are that function.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax

from xgraph.importing.readers.flax_program import Operand, Program, Ref, Step, of_function


@dataclass(frozen=True)
class Idiom:
    """A function of an array, or of several, and of numbers.

    Attributes:
        name: what it is called here.
        function: of arrays of one shape, then of numbers.
        arrays: how many of its arguments are arrays.
        numbers: what the others are called.
        given: what it says besides.
        ranks: of how many axes its arrays are.
    """

    name: str
    function: Callable[..., Any]
    numbers: Sequence[str] = ()
    arrays: int = 1
    given: Sequence[tuple[str, Any]] = ()
    ranks: Sequence[int] = (4, 3, 2)


@dataclass(frozen=True)
class Found:
    """An idiom in its place.

    Attributes:
        idiom: which it is.
        arrays: what it is of.
        numbers: by their names; weights may be among them.
        steps: what it is made of.
    """

    idiom: Idiom
    arrays: Sequence[Operand]
    numbers: Mapping[str, Operand]
    steps: Sequence[Step]

    @property
    def reads(self) -> list[Ref]:
        """Values that it takes."""
        return [one for one in (*self.arrays, *self.numbers.values()) if isinstance(one, Ref)]


def _halves(x: jax.Array, one_plus: jax.Array) -> Iterator[jax.Array]:
    """x · one_plus / 2, as it may be written."""
    yield x * 0.5 * one_plus
    yield 0.5 * (x * one_plus)
    yield x * (one_plus * 0.5)
    yield x * one_plus / 2
    yield x / 2 * one_plus


def _erf(x: jax.Array) -> Iterator[jax.Array]:
    for inner in (x / math.sqrt(2), x * math.sqrt(0.5)):
        yield from _halves(x, 1 + lax.erf(inner))


def _tanh(x: jax.Array) -> Iterator[jax.Array]:
    factor = math.sqrt(2 / math.pi)
    for cube in (x**3, x * x * x):
        yield from _halves(x, 1 + jnp.tanh(factor * (x + 0.044715 * cube)))


def _each(
    name: str, function: Callable[[jax.Array], Iterator[jax.Array]], *given: tuple[str, Any]
) -> Iterator[Idiom]:
    """An idiom for each of the ways in which a function is written."""
    count = sum(1 for _ in function(jnp.zeros(1)))
    for number in range(count):
        yield Idiom(name, functools.partial(_nth, function, number), given=given)


def _nth(function: Callable[[jax.Array], Iterator[jax.Array]], number: int, x: jax.Array) -> Any:
    return list(function(x))[number]


def _response(x: jax.Array, k: jax.Array, factor: jax.Array, beta: jax.Array) -> jax.Array:
    """Local response normalization; the window is another one where it is found."""
    window = (1,) * (x.ndim - 1) + (3,)
    total: jax.Array = lax.reduce_window(x * x, 0.0, lax.add, window, (1,) * x.ndim, "SAME")
    return x / (k + factor * total) ** beta


def _softmax_by_hand(x: jax.Array, axis: int) -> jax.Array:
    y = jnp.exp(x)
    return y / y.sum(axis, keepdims=True)


def _less_sum(x: jax.Array, axis: int) -> jax.Array:
    return x - jax.nn.logsumexp(x, axis, keepdims=True)


_OVER_AXES: Sequence[tuple[str, Callable[..., jax.Array]]] = (
    ("softmax", jax.nn.softmax),
    ("softmax", _softmax_by_hand),
    ("log_softmax", jax.nn.log_softmax),
    ("log_softmax", _less_sum),
)


def _normalized(rank: int) -> Iterator[Idiom]:
    """Softmax over each axis, and its logarithm."""
    for axis in range(rank):
        for name, function in _OVER_AXES:
            made = functools.partial(function, axis=axis)
            yield Idiom(name, made, given=(("axis", axis),), ranks=(rank,))


def _greater(x: jax.Array, y: jax.Array) -> jax.Array:
    """The greater of two, which share the gradient where they are equal."""
    return jnp.where(x > y, x, jnp.where(x < y, y, (x + y) / 2))


#: The first that a step is the last of is what it is.
IDIOMS = (
    Idiom("hard_swish", jax.nn.hard_swish),
    Idiom("hard_sigmoid", jax.nn.hard_sigmoid),
    Idiom("clip", lambda x, low, high: jnp.minimum(jnp.maximum(x, low), high), ("low", "high")),
    Idiom("clip", lambda x, low, high: jnp.maximum(jnp.minimum(x, high), low), ("low", "high")),
    Idiom("mish", jax.nn.mish),
    Idiom("silu", jax.nn.silu),
    Idiom("gelu", lambda x: jax.nn.gelu(x, approximate=True), given=(("approximation", "tanh"),)),
    Idiom("gelu", lambda x: jax.nn.gelu(x, approximate=False), given=(("approximation", "exact"),)),
    *_each("gelu", _erf, ("approximation", "exact")),
    *_each("gelu", _tanh, ("approximation", "tanh")),
    Idiom("elu", nnx.elu, ("alpha",)),
    Idiom("relu", lambda x: jnp.where(x > 0, x, 0)),
    Idiom("leaky_relu", lambda x, slope: jnp.where(x >= 0, x, slope * x), ("slope",)),
    Idiom("leaky_relu", lambda x, slope: jnp.where(x > 0, x, slope * x), ("slope",)),
    Idiom("maximum", _greater, arrays=2),
    Idiom("response", _response, ("k", "factor", "beta"), ranks=(4,)),
    *(idiom for rank in (2, 3, 4) for idiom in _normalized(rank)),
)


@functools.cache
def _patterns(rank: int) -> Mapping[str, Sequence[tuple[Idiom, Program]]]:
    """The programs of idioms, by the kind of their last step."""
    found: dict[str, list[tuple[Idiom, Program]]] = {}
    for idiom in IDIOMS:
        if rank in idiom.ranks:
            shapes = [(2, 3, 4, 5)[:rank]] * idiom.arrays + [()] * len(idiom.numbers)
            pattern = of_function(idiom.function, *shapes)
            (end,) = pattern.outputs
            assert isinstance(end, Ref)
            found.setdefault(pattern.makers[end].kind, []).append((idiom, pattern))
    return found


def find(program: Program, step: Step) -> Found | None:
    """The idiom whose last step this is."""
    if len(step.made) != 1:
        return None
    for idiom, pattern in _patterns(len(step.shapes[0])).get(step.kind, ()):
        (end,) = pattern.outputs
        for match in _matched(pattern, end, program, step.made[0], _Match({}, ())):
            values = [match.values[one] for one in pattern.inputs if isinstance(one, Ref)]
            arrays, numbers = values[: idiom.arrays], values[idiom.arrays :]
            named = dict(zip(idiom.numbers, numbers, strict=True))
            of_weights = [word for word, one in named.items() if isinstance(one, Ref)]
            if all(isinstance(one, Ref) for one in arrays) and of_weights in ([], ["slope"]):
                return Found(idiom, arrays, named, match.steps)
    return None


@dataclass(frozen=True)
class _Match:
    values: Mapping[Ref, Operand]  # of the pattern's inputs
    steps: tuple[Step, ...]


_COMMUTATIVE = frozenset({"add", "max", "min", "mul"})
#: What steps say that is not their operands' shape.
_SAYS = ("axes", "broadcast_dimensions", "y")


def _matched(
    pattern: Program, wanted: Operand, program: Program, given: Operand, match: _Match
) -> Iterator[_Match]:
    """The ways in which a value is that of a pattern."""
    if not isinstance(wanted, Ref):
        if not isinstance(given, Ref) and _is_same(wanted, given):
            yield match
        return
    if wanted in pattern.inputs:
        if wanted not in match.values:
            yield _Match({**match.values, wanted: given}, match.steps)
        elif _is_same(match.values[wanted], given):
            yield match
        return
    one = pattern.makers[wanted]
    other = program.makers.get(given) if isinstance(given, Ref) else None
    if (
        other is None
        or one.kind != other.kind
        or len(one.given) != len(other.given)
        or len(other.made) > 1
        or any(one.params.get(word) != other.params.get(word) for word in _SAYS)
    ):
        return
    found = _Match(match.values, (*match.steps, other))
    orders = [list(other.given)]
    if one.kind in _COMMUTATIVE:
        orders.append(orders[0][::-1])
    for order in orders:
        yield from _all_matched(pattern, one.given, program, order, found)


def _all_matched(
    pattern: Program,
    wanted: Sequence[Operand],
    program: Program,
    given: Sequence[Operand],
    match: _Match,
) -> Iterator[_Match]:
    if not wanted:
        yield match
        return
    for found in _matched(pattern, wanted[0], program, given[0], match):
        yield from _all_matched(pattern, wanted[1:], program, given[1:], found)


def _is_same(one: Operand, other: Operand) -> bool:
    """Whether two values are one, or the same number."""
    if isinstance(one, Ref) or isinstance(other, Ref):
        return one is other or one == other
    here, there = number(one), number(other)
    return here is not None and there is not None and math.isclose(here, there, rel_tol=1e-6)


def number(array: Any) -> float | None:
    """The number that a constant is everywhere."""
    if array.size == 0 or array.dtype.kind not in "fiub":
        return None
    first = array[(0,) * array.ndim]
    repeated = all(step == 0 or n == 1 for step, n in zip(array.strides, array.shape, strict=True))
    return float(first) if repeated or np.all(array == first) else None
