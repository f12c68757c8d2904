"""What ops with several inputs share: naming the two inputs that disagree."""

from __future__ import annotations

from xgraph.ops.base import ShapeProblem, Types


def disagreement(
    what: str, inputs: Types, first: int, other: int, *, expected: str, hint: str | None = None
) -> ShapeProblem:
    """The problem that inputs number `first` and `other` (from 0) do not go together.

    Args:
        what: the op's name.
        inputs: types of all its inputs.
        first: the input that sets the measure.
        other: the input that does not meet it.
        expected: what the other's shape should have been.
        hint: what might help.
    """
    return ShapeProblem(
        f"{what}: inputs {first + 1} and {other + 1} of {len(inputs)} disagree",
        expected=f"{expected}, as input {first + 1} has shape {inputs[first].shape}",
        received=f"input {other + 1} of shape {inputs[other].shape}",
        hint=hint,
    )
