"""Flax' modules traced by JAX, and the steps of the programs that they become.

What is traced is the module's own code in evaluation mode, its calls of other functions inlined.
A normalization or a dropout of Flax is one step, with its weights as operands, so that its
attributes are read rather than guessed; all else is JAX's own primitives. Weights are operands, so
that what a step does to which weight is what the code does, whatever it is called.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.extend.core import Primitive

from xgraph.importing.network import Array, Refused, Shape

#: Images that the module is traced with; were it one, an axis of one could be any. By a second
#: number of them it is found out what computes with how many there are.
BATCH, OTHER = 3, 2
#: Flax' layers that are one step, and what they call their weights.
LAYERS: Mapping[type[nnx.Module], Sequence[str]] = {
    nnx.BatchNorm: ("scale", "bias", "mean", "var"),
    nnx.Dropout: (),
    nnx.GroupNorm: ("scale", "bias"),
    nnx.InstanceNorm: ("scale", "bias"),
    nnx.LayerNorm: ("scale", "bias"),
    nnx.RMSNorm: ("scale",),
}
#: What begins a scope that names a module.
_SCOPE = "@"


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer of Flax' own that is called.

    Attributes:
        kind: its class.
        module: itself, for its attributes.
        words: what it calls its weights, in the order of the step's operands.
        told: what it is called with beside its input.
    """

    kind: type[nnx.Module]
    module: Any
    words: Sequence[str]
    told: Mapping[str, Any]


@dataclass(frozen=True)
class Ref:
    """A value of a program by its number."""

    number: int


Operand = Ref | Array  # arrays are constants


@dataclass(frozen=True, eq=False)
class Step:
    """A primitive of JAX, or a layer.

    Attributes:
        kind: the primitive's name.
        given: what it takes.
        made: what comes out.
        shapes: of these.
        params: as JAX has them.
        path: the module whose code it is of, "stages.0".
        module: the class of that module.
    """

    kind: str
    given: Sequence[Operand]
    made: Sequence[Ref]
    shapes: Sequence[Shape]
    params: Mapping[str, Any]
    path: str = ""
    module: type | None = None


@dataclass
class Program:
    """Steps in order, and what each value is made by.

    Attributes:
        inputs: values that are given.
        outputs: what the program gives, which may be constants.
    """

    inputs: Sequence[Operand] = ()
    outputs: Sequence[Operand] = ()
    steps: list[Step] = field(default_factory=list)
    makers: dict[Ref, Step] = field(default_factory=dict)
    count: int = 0

    def new(self) -> Ref:
        self.count += 1
        return Ref(self.count - 1)

    def add(self, step: Step) -> None:
        self.steps.append(step)
        self.makers |= dict.fromkeys(step.made, step)


# -- programs of jaxprs ---------------------------------------------------------------------------

#: Calls whose body stands for them, and where that is.
_CALLS = {
    "checkpoint": "jaxpr", "closed_call": "call_jaxpr", "core_call": "call_jaxpr",
    "custom_jvp_call": "call_jaxpr", "custom_vjp_call": "call_jaxpr", "jit": "jaxpr",
    "pjit": "jaxpr", "remat": "jaxpr", "remat2": "jaxpr",
}  # fmt: skip
#: What gives its operand back as it is.
_SAME = frozenset({"copy", "optimization_barrier", "sharding_constraint", "stop_gradient"})
#: Numbers with fewer digits; what computes in these is not read.
_WIDE = (jnp.float32, jnp.float64)


def of_function(function: Callable[..., Any], *shapes: Shape) -> Program:
    """The program of a function of arrays of these shapes, in float64."""
    with exact():
        given = [_shaped(shape, jnp.float64) for shape in shapes]
        closed = jax.make_jaxpr(function)(*given)
        program = Program()
        program.inputs = [program.new() for _ in shapes]
        program.outputs = _inlined(program, closed.jaxpr, closed.consts, program.inputs, {}, "")
    return program


def _shaped(shape: Shape, dtype: Any) -> Any:
    made: Any = jax.ShapeDtypeStruct
    return made(shape, dtype)


@contextlib.contextmanager
def exact() -> Iterator[None]:
    """Numbers are float64, and calls of compiled functions are traced where they stand.

    What is compiled is kept by JAX, and must not be kept with anything of ours in it.
    """
    with jax.enable_x64(True), jax.disable_jit():
        yield


def _inlined(
    program: Program,
    jaxpr: Any,
    constants: Sequence[Any],
    given: Sequence[Operand],
    kinds: Mapping[str, type],
    outer: str,
) -> list[Operand]:
    """Add the steps of a jaxpr to a program, with the bodies of calls in their place."""
    known: dict[Any, Operand] = dict(zip(jaxpr.invars, given, strict=True))
    known |= zip(jaxpr.constvars, map(_constant, constants), strict=True)

    def operand(variable: Any) -> Operand:
        return _constant(variable.val) if hasattr(variable, "val") else known[variable]

    for eqn in jaxpr.eqns:
        kind, params = eqn.primitive.name, eqn.params
        taken = [operand(one) for one in eqn.invars]
        scopes = [one for one in str(eqn.source_info.name_stack).split("/") if one[:1] == _SCOPE]
        path = scopes[-1].removeprefix(_SCOPE) if scopes else outer
        platforms = params.get("branches_platforms")
        if platforms is not None and None in platforms:  # all compute the same
            body, taken = params["branches"][platforms.index(None)], taken[1:]
        else:
            body = params.get(_CALLS[kind]) if kind in _CALLS else None
        if body is not None:
            closed = hasattr(body, "consts")
            inner, held = (body.jaxpr, body.consts) if closed else (body, ())
            made: Sequence[Operand] = _inlined(program, inner, held, taken, kinds, path)
        elif kind in _SAME or _is_widened(eqn):
            made = taken
        elif kind == "iota" or (taken and not any(isinstance(one, Ref) for one in taken)):
            made = _computed(eqn, taken)
        else:
            made = refs = [program.new() for _ in eqn.outvars]
            shapes = [tuple(one.aval.shape) for one in eqn.outvars]
            program.add(Step(kind, taken, refs, shapes, params, path, kinds.get(path)))
        known |= zip(eqn.outvars, made, strict=True)
    return [operand(one) for one in jaxpr.outvars]


def _constant(value: Any) -> Any:
    """An array of NumPy; keys of random numbers, which NumPy has not, are as they are."""
    dtype = getattr(value, "dtype", None)
    is_key = dtype is not None and jnp.issubdtype(dtype, jax.dtypes.extended)
    return value if is_key else np.asarray(value)


def _is_widened(eqn: Any) -> bool:
    """Whether it makes floating-point numbers of others, none of few digits."""
    if eqn.primitive.name != "convert_element_type":
        return False
    dtypes = (eqn.invars[0].aval.dtype, eqn.outvars[0].aval.dtype)
    return all(dtype in _WIDE for dtype in dtypes) and not hasattr(eqn.invars[0], "val")


def _computed(eqn: Any, taken: Sequence[Any]) -> list[Operand]:
    """What follows from constants alone."""
    if eqn.primitive.name == "broadcast_in_dim":  # of one number, perhaps a large array
        (array,), shape = taken, eqn.outvars[0].aval.shape
        placed = [1] * len(shape)
        for axis, n in zip(eqn.params["broadcast_dimensions"], array.shape, strict=True):
            placed[axis] = n
        return [np.broadcast_to(array.reshape(placed), shape)]
    given = [jnp.asarray(one) if isinstance(one, np.ndarray) else one for one in taken]
    made = eqn.primitive.bind(*given, **eqn.params)
    return [_constant(one) for one in (made if eqn.primitive.multiple_results else [made])]


# -- modules --------------------------------------------------------------------------------------


def _primitive(name: str) -> Any:
    """One whose result is like the first of its operands."""
    made: Any = Primitive(name)
    made.def_abstract_eval(lambda first, *others, **told: first)
    return made


#: A normalization or a dropout, of its input and its weights.
_layer = _primitive("layer")
#: Attention, of queries, keys and values.
_attention = _primitive("attention")


def _as_attention(original: Callable[..., Any]) -> Callable[..., Any]:
    """`jax.nn.dot_product_attention` as one step; of its softmax it would tell the workings."""

    def call(query: Any, key: Any, value: Any, *more: Any, **told: Any) -> Any:
        words = {**dict(zip(("bias", "mask"), more, strict=False)), **told}
        scale = words.pop("scale", None)
        words.pop("implementation", None)
        words = {word: one for word, one in words.items() if one is not None and one is not False}
        if query.ndim != 4 or not query.shape == key.shape == value.shape:
            return original(query, key, value, *more, **told)
        scale = query.shape[-1] ** -0.5 if scale is None else float(scale)
        return _attention.bind(query, key, value, scale=scale, told=tuple(words))

    return call


@dataclass(frozen=True)
class Traced:
    """A module's program.

    Attributes:
        program: its inputs are the images, then the state in order.
        state: the parts of the module's state.
        outputs: names of what the program gives.
        title: the module's class.
    """

    program: Program
    state: Sequence[State]
    outputs: Sequence[str]
    title: str


@dataclass(frozen=True)
class State:
    """A part of a module's state: a variable, or an array that is none, by its name."""

    name: str
    leaf: Any
    variable: bool

    @property
    def is_weight(self) -> bool:
        return self.variable and bool(jnp.issubdtype(self.leaf.dtype, jnp.floating))

    @property
    def is_constant(self) -> bool:
        return not self.variable and isinstance(self.leaf, jax.Array | np.ndarray)


def state_of(module: nnx.Module) -> list[State]:
    """The state of a module, each part once, in the order in which JAX flattens it."""
    return parts_of(nnx.state(module, graph=True))


def parts_of(state: Any) -> list[State]:
    """The parts of a state, or of gradients that lie as it does."""
    found = []
    for path, leaf in jax.tree_util.tree_flatten_with_path(state)[0]:
        words = [str(part.key) for part in path if hasattr(part, "key")]
        found.append(State(".".join(words), leaf, len(words) < len(path)))
    return found


def traced(module: nnx.Module, input_shape: Shape, batch: int = BATCH) -> Traced:
    """What a module computes in evaluation mode for so many images (H, W, C); its own mode stays as
    it is.

    Raises:
        Refused: it cannot be traced.
    """
    graph, state = nnx.split(module, graph=True)
    leaves, tree = jax.tree.flatten(state)
    every = state_of(module)
    ends: list[str] = []
    kinds: dict[str, type] = {}

    def run(images: Any, *leaves: Any) -> list[Any]:
        copy: Any = nnx.merge(graph, jax.tree.unflatten(tree, leaves))
        copy.eval()  # what is read is evaluation
        paths = {id(one): ".".join(map(str, path)) for path, one in
                 nnx.iter_modules(copy, graph=True)}  # fmt: skip
        kinds.update((paths[id(one)], type(one)) for _, one in nnx.iter_modules(copy, graph=True))
        with _marked(copy, paths):
            found = list(named_outputs(copy(images)))
        ends.extend(name or f"output{number}" for number, (name, _) in enumerate(found))
        return [one for _, one in found]

    kind = type(module).__name__
    with exact():
        given = [_shaped((batch, *input_shape), jnp.float64)]
        given += [_shaped(leaf.shape, _precise(leaf.dtype)) for leaf in leaves]
        try:
            closed = jax.make_jaxpr(run)(*given)
        except Refused:
            raise
        except Exception as error:  # whatever the module's own code raises
            reason = str(error).strip().partition("\n")[0]
            hint = "; it is called with images (N, H, W, C) alone, in evaluation mode"
            said = f"{kind} cannot be traced: {type(error).__name__}: {reason}{hint}"
            raise Refused(said) from None
        program = Program()
        program.inputs = [program.new()]
        program.inputs += [
            np.asarray(one.leaf) if one.is_constant else program.new() for one in every
        ]
        program.outputs = _inlined(program, closed.jaxpr, closed.consts, program.inputs, kinds, "")
    return Traced(program, every, ends, kind)


def _precise(dtype: Any) -> Any:
    return jnp.float64 if jnp.issubdtype(dtype, jnp.floating) else dtype


def named_outputs(given: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Outputs, and the names that dictionaries and named tuples give them, in their order."""
    words: Sequence[Any]
    if given is None:
        return
    if isinstance(given, Mapping):
        words, parts = list(given), list(given.values())
    elif isinstance(given, tuple | list):
        words, parts = getattr(given, "_fields", [""] * len(given)), list(given)
    elif isinstance(given, jax.Array):
        yield name, given
        return
    else:
        raise Refused(f"the module gives a {type(given).__name__}; read are arrays, and tuples and "
                      "dictionaries of them")  # fmt: skip
    for word, part in zip(words, parts, strict=True):
        yield from named_outputs(part, ".".join(filter(None, (name, str(word)))))


@contextlib.contextmanager
def _marked(module: nnx.Module, paths: Mapping[int, str]) -> Iterator[None]:
    """While a module is called, layers are one step each, and other modules name their scopes."""
    found = {kind for _, one in nnx.iter_modules(module, graph=True) for kind in type(one).__mro__}
    kept = {kind: vars(kind)["__call__"] for kind in {*found, *LAYERS} if _is_module(kind)}
    attention = jax.nn.dot_product_attention
    try:
        jax.nn.dot_product_attention = _as_attention(attention)
        for kind, original in kept.items():
            call = _as_layer(kind) if kind in LAYERS else original
            # Of a class: an attribute of one of its objects is not what a call looks up.
            type.__setattr__(kind, "__call__", functools.wraps(original)(_scoped(call, paths)))
        yield
    finally:
        jax.nn.dot_product_attention = attention
        for kind, original in kept.items():
            type.__setattr__(kind, "__call__", original)


def _is_module(kind: type) -> bool:
    return issubclass(kind, nnx.Module) and "__call__" in vars(kind)


def _scoped(original: Any, paths: Mapping[int, str]) -> Callable[..., Any]:
    def call(self: Any, *given: Any, **told: Any) -> Any:
        bound = original.__get__(self, type(self))
        if id(self) not in paths:  # one that the module's code has made
            return bound(*given, **told)
        with jax.named_scope(_SCOPE + paths[id(self)].replace("/", ".")):
            return bound(*given, **told)

    return call


def _as_layer(kind: type[nnx.Module]) -> Callable[..., Any]:
    def call(self: Any, x: Any, *more: Any, **told: Any) -> Any:
        told |= {f"argument {number}": one for number, one in enumerate(more, 2)}
        every = {word: getattr(self, word) for word in LAYERS[kind]}
        held = {word: one[...] for word, one in every.items() if one is not None}
        return _layer.bind(x, *held.values(), layer=Layer(kind, self, tuple(held), told))

    return call
