"""What an op is: attributes, shape rule, weights, cost, NumPy reference and test cases.

An op is a frozen dataclass; an instance is the op with its attributes bound, as a layer is in
Keras. Adding an op is adding one file `xgraph/ops/<name>.py` that holds one subclass of `Op`
whose `name` is the file's name. Its spelling in each framework lives in the backends.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar

from xgraph.ir.types import TensorType, Weight
from xgraph.ops.kinds import Kind

if TYPE_CHECKING:  # NumPy costs more to import than compiling a spec takes
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]
else:
    Array = Any

Types = tuple[TensorType, ...]
Stride = int | Fraction


class ShapeProblem(Exception):  # a problem of the spec, not of the program
    """Inputs do not fit an op. The shapes pass turns it into a located diagnostic."""

    def __init__(
        self,
        message: str,
        *,
        expected: str | None = None,
        received: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.expected = expected
        self.received = received
        self.hint = hint


@dataclass(frozen=True)
class Window:
    """Extent and step of a sliding window per spatial axis, for the receptive field."""

    size: tuple[int, int]  # dilated extent
    stride: tuple[Stride, Stride]  # below 1 where an image becomes larger


@dataclass(frozen=True)
class Case:
    """One row of an op's case table: attributes as a spec would give them, and input shapes.

    Every backend runs every case against the NumPy reference in float64. Shapes are without the
    batch axis.
    """

    inputs: tuple[tuple[int, ...], ...]
    attributes: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __str__(self) -> str:
        shapes = ",".join("x".join(map(str, shape)) for shape in self.inputs)
        given = ",".join(f"{key}={value}" for key, value in self.attributes.items())
        return f"{shapes}-{given}".replace(" ", "")


def attribute(kind: Kind, default: Any = dataclasses.MISSING, *, doc: str) -> Any:
    """Declare an attribute: its kind checks and normalizes what a spec says.

    Without a default the attribute is required. The first attribute of an op is the one that
    the short form `{conv: 64}` sets. Defaults are given normalized.
    """
    return dataclasses.field(default=default, metadata={"kind": kind, "doc": doc})


@dataclass(frozen=True)
class Op:
    """Base of all ops. Shapes are channels last, without the batch axis."""

    name: ClassVar[str] = ""
    #: least and greatest number of inputs; None: no bound
    arity: ClassVar[tuple[int, int | None]] = (1, 1)
    #: whether it computes without rounding what it is given in few binary digits, weights too
    exact: ClassVar[bool] = False
    #: whether its slope jumps nowhere, as that of a maximum does where two values are equal
    smooth: ClassVar[bool] = False
    #: whether which of several entries is the greatest decides, rather than where one of them lies
    compares: ClassVar[bool] = False
    #: whether it takes numbers from each other, so that of equal ones nothing but rounding is left
    cancels: ClassVar[bool] = False
    #: whether it adds up products or takes functions such as exp, which frameworks compute many at
    #: once, and those that are left at the end of a row in another way
    vectorized: ClassVar[bool] = False
    #: whether its weights are for images of one height and width alone
    sized: ClassVar[bool] = False

    @property
    def uniform(self) -> bool:
        """Whether what is equal in it is computed alike everywhere, and so to the last bit."""
        return not self.vectorized

    @property
    def remembers(self) -> bool:
        """Whether a pass in training leaves something behind that the next one goes on from."""
        return False

    @property
    def draws(self) -> bool:
        """Whether a pass in training draws a mask."""
        return False

    def infer(self, inputs: Types) -> TensorType:
        """Output type for these input types.

        Raises:
            ShapeProblem: the inputs do not fit.
        """
        raise NotImplementedError

    def weights(self, inputs: Types) -> tuple[Weight, ...]:
        """Weights in canonical order and layout."""
        return ()

    def macs(self, inputs: Types, output: TensorType) -> int:
        """Multiply-accumulates for one example: convolutions, dense layers and attention."""
        return 0

    def window(self, inputs: Types) -> Window | None:
        """The sliding window, or None where each position sees only itself."""
        return None

    def reference(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], training: bool = False
    ) -> Array:
        """The op in NumPy: inputs and result with a batch axis first, channels last.

        `training` selects batch statistics in batch norm, and dropout. What dropout's mask follows
        from is then among the weights.
        """
        raise NotImplementedError

    def updated_weights(
        self, inputs: Sequence[Array], weights: Mapping[str, Array]
    ) -> dict[str, Array]:
        """Non-trainable weights after one training-mode forward pass; empty for most ops."""
        return {}

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """The case table."""
        raise NotImplementedError


@dataclass(frozen=True)
class Step:
    """One primitive of a composite op's decomposition.

    `inputs` index into (the composite's inputs + the earlier steps' outputs); None takes the value
    before. `weights` renames the primitive's weights to the composite's.
    """

    name: str
    op: Op
    weights: Mapping[str, str] = dataclasses.field(default_factory=dict)
    inputs: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Composite(Op):
    """An op defined by decomposition into primitives; everything else follows from that.

    A backend may register a native spelling; without one the steps are spelled one by one.
    """

    def decompose(self) -> tuple[Step, ...]:
        """The primitives, in order; the last one's output is the composite's."""
        raise NotImplementedError

    def resolved(self, inputs: Types) -> Iterator[tuple[Step, Types, TensorType]]:
        """Each step with its input types and output type."""
        values = list(inputs)
        for step in self.decompose():
            taken = tuple(values[i] for i in step.inputs) if step.inputs else (values[-1],)
            output = step.op.infer(taken)
            values.append(output)
            yield step, taken, output

    @property
    def remembers(self) -> bool:
        return any(step.op.remembers for step in self.decompose())

    @property
    def draws(self) -> bool:
        return any(step.op.draws for step in self.decompose())

    def infer(self, inputs: Types) -> TensorType:
        *_, (_, _, output) = self.resolved(inputs)
        return output

    def weights(self, inputs: Types) -> tuple[Weight, ...]:
        return tuple(
            dataclasses.replace(weight, name=step.weights.get(weight.name, weight.name))
            for step, taken, _ in self.resolved(inputs)
            for weight in step.op.weights(taken)
        )

    def macs(self, inputs: Types, output: TensorType) -> int:
        return sum(step.op.macs(taken, made) for step, taken, made in self.resolved(inputs))

    def window(self, inputs: Types) -> Window | None:
        size, stride = (1, 1), (1, 1)
        for step, taken, _ in self.resolved(inputs):
            window = step.op.window(taken)
            if window is not None:
                size = tuple(  # type: ignore[assignment]  # two axes in, two axes out
                    s + (k - 1) * j for s, k, j in zip(size, window.size, stride, strict=True)
                )
                stride = tuple(  # type: ignore[assignment]
                    a * b for a, b in zip(stride, window.stride, strict=True)
                )
        return None if size == stride == (1, 1) else Window(size, stride)

    def reference(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], training: bool = False
    ) -> Array:
        *_, (_, _, _, output) = self._run(inputs, weights, training)
        return output

    def updated_weights(
        self, inputs: Sequence[Array], weights: Mapping[str, Array]
    ) -> dict[str, Array]:
        return {
            step.weights.get(name, name): value
            for step, taken, own, _ in self._run(inputs, weights, training=True)
            for name, value in step.op.updated_weights(taken, own).items()
        }

    def _run(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], training: bool
    ) -> Iterator[tuple[Step, list[Array], dict[str, Array], Array]]:
        """Each step with its inputs, its weights under its own names, and its output."""
        values = list(inputs)
        for step in self.decompose():
            taken = [values[i] for i in step.inputs] if step.inputs else [values[-1]]
            own = {own: weights[ours] for own, ours in step.weights.items() if ours in weights}
            below = f"{step.name}."  # of what no step renames, the keys of dropout
            own |= {n.removeprefix(below): weights[n] for n in weights if n.startswith(below)}
            output = step.op.reference(taken, {**weights, **own}, training)
            values.append(output)
            yield step, taken, {**weights, **own}, output
