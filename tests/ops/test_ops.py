"""What ops say: shapes, errors, weights, costs, windows, attributes' kinds, the registry."""

from __future__ import annotations

import dataclasses
import inspect
import math
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest

from xgraph import ops
from xgraph.ir.types import TensorType, Weight
from xgraph.ops import kinds
from xgraph.ops.base import Case, Composite, Op, ShapeProblem, Window
from xgraph.ops.kinds import Kind, Nullable

CONV = {"filters": 4, "kernel": 3}
CASES = [(name, case) for name in ops.names() for case in ops.get(name).cases()]
each_op = pytest.mark.parametrize("name", ops.names())
each_case = pytest.mark.parametrize(
    ("name", "case"), CASES, ids=[f"{name}-{case}" for name, case in CASES]
)


def types(*shapes):
    return tuple(TensorType(shape) for shape in shapes)


# ------------------------------------------------------------------------------------ registry
def test_names():
    """Every file of the folder that holds an op of its name, but for the input."""
    modules = {path.stem: path for path in Path(ops.__file__).parent.glob("[a-z]*.py")}
    named = {
        name
        for name, path in modules.items()
        if f'    name: ClassVar[str] = "{name}"\n' in path.read_text(encoding="utf-8")
    }
    assert list(ops.names()) == sorted(named - {"input"})
    assert len(ops.names()) > 20


@each_op
def test_get(name):
    cls = ops.get(name)
    assert issubclass(cls, Op)
    assert cls.name == name
    assert ops.get(name) is cls


@pytest.mark.parametrize("name", ["input", "base", "kinds", "pooling", "Conv", "no_such", "../x"])
def test_get_unknown(name):
    with pytest.raises(KeyError):
        ops.get(name)


def test_importing_every_op_imports_no_numpy():
    program = (
        "import sys; from xgraph import ops; [list(ops.get(n).cases()) for n in ops.names()];"
        "print(sorted({'numpy', 'torch', 'tensorflow', 'keras', 'jax'} & set(sys.modules)))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "[]"


# ---------------------------------------------------------------------- what every op must have
@each_op
def test_every_op_is_declared_in_full(name):
    cls = ops.get(name)
    assert cls.__doc__
    assert cls.__dataclass_params__.frozen
    assert inspect.getmodule(cls).__name__ == f"xgraph.ops.{name}"
    least, greatest = cls.arity
    assert least >= 1
    assert greatest is None or greatest >= least
    for field in dataclasses.fields(cls):
        kind = field.metadata["kind"]
        assert isinstance(kind, Kind)
        assert kind.expected
        assert field.metadata["doc"]
        assert kind.schema()


@each_op
def test_defaults_are_normalized(name):
    for field in dataclasses.fields(ops.get(name)):
        if field.default is not dataclasses.MISSING:
            default = field.metadata["kind"].convert(field.default)
            assert default == field.default
            assert type(default) is type(field.default)


@each_op
def test_cases_cover_every_attribute(name):
    cls = ops.get(name)
    cases = list(cls.cases())
    assert cases
    assert len(set(map(str, cases))) == len(cases), "a case is there twice"
    for field in dataclasses.fields(cls):
        given = {str(case.attributes.get(field.name, field.default)) for case in cases}
        if isinstance(field.metadata["kind"], kinds.Boolean):
            assert given == {"True", "False"}, field.name
        elif isinstance(field.metadata["kind"], kinds.Choice):
            assert given >= set(field.metadata["kind"].options), field.name
        elif field.name != "kernel_initializer":  # it does not change what an op computes
            assert len(given) > 1, field.name


@each_case
def test_cases_are_well_formed(make, name, case):
    cls = ops.get(name)
    least, greatest = cls.arity
    assert least <= len(case.inputs) <= (greatest or len(case.inputs))
    op = make(name, **case.attributes)
    assert hash(op) == hash(make(name, **case.attributes))
    inputs = types(*case.inputs)
    output = op.infer(inputs)
    assert all(size >= 1 for size in output.shape)
    for weight in op.weights(inputs):
        if weight.decayed:
            given = op.kernel_initializer
            assert kinds.INITIALIZER.convert(given) == given == weight.initializer
        else:
            assert weight.constant is not None
    names = [weight.name for weight in op.weights(inputs)]
    assert len(set(names)) == len(names)
    assert op.macs(inputs, output) >= 0


class Traced(int):
    """A channel count that remembers that it came from a spec."""

    def _keep(name):  # type: ignore[misc]
        plain = getattr(int, name)

        def method(self, other):
            return Traced(plain(int(self), int(other)))

        return method

    __add__ = __radd__ = _keep("__add__")
    __mul__ = __rmul__ = _keep("__mul__")
    __floordiv__ = _keep("__floordiv__")


@each_case
def test_channel_arithmetic_can_be_traced(make, name, case):
    """`infer` uses plain operators on channels, so an int subclass goes through it."""
    given = {
        key: Traced(value) if key in ("filters", "units", "multiplier", "channels") else value
        for key, value in case.attributes.items()
    }
    op = make(name, **case.attributes)
    op = dataclasses.replace(
        op, **{key: value for key, value in given.items() if isinstance(value, Traced)}
    )
    inputs = types(*((*shape[:-1], Traced(shape[-1])) for shape in case.inputs))
    output = op.infer(inputs)
    assert isinstance(output.channels, Traced)
    assert output == make(name, **case.attributes).infer(types(*case.inputs))
    for key in ("filters", "units", "channels"):
        if key in given:
            assert output.channels is given[key]
    if name in ("relu", "add", "max_pool", "global_avg_pool", "batch_norm", "zero_pad"):
        assert output.channels is inputs[0].channels


# ---------------------------------------------------------------------------------- shape rules
@pytest.mark.parametrize(
    ("name", "attributes", "inputs", "expected"),
    [
        ("conv", {"filters": 8, "kernel": 3}, [(299, 299, 3)], (297, 297, 8)),
        ("conv", {"filters": 8, "kernel": 3, "stride": 2}, [(299, 299, 3)], (149, 149, 8)),
        ("depthwise_conv", {"kernel": 3, "multiplier": 5}, [(5, 4, 3)], (3, 2, 15)),
        (
            "separable_conv",
            {"filters": 7, "kernel": 3, "stride": 2, "padding": "same"},
            [(5, 4, 3)],
            (3, 2, 7),
        ),
        ("max_pool", {"kernel": 3, "stride": 2, "padding": "same"}, [(147, 147, 64)], (74, 74, 64)),
        ("max_pool", {"kernel": 2}, [(7, 6, 1)], (3, 3, 1)),
        (
            "avg_pool",
            {"kernel": [3, 1], "stride": 1, "padding": [[1, 1], [0, 0]]},
            [(7, 6, 2)],
            (7, 6, 2),
        ),
        ("global_avg_pool", {}, [(7, 6, 2)], (2,)),
        ("global_max_pool", {"keep_dims": True}, [(7, 6, 2)], (1, 1, 2)),
        ("dense", {"units": 1000}, [(2048,)], (1000,)),
        ("flatten", {}, [(7, 6, 2)], (84,)),
        ("flatten", {}, [(7,)], (7,)),
        ("concat", {}, [(7, 6, 2), (7, 6, 3), (7, 6, 5)], (7, 6, 10)),
        ("multiply", {}, [(1, 1, 8), (7, 6, 8)], (7, 6, 8)),
        ("zero_pad", {"padding": [[1, 2], [3, 4]]}, [(7, 6, 2)], (10, 13, 2)),
        ("softmax", {}, [(10,)], (10,)),
        ("space_to_depth", {"block": 2}, [(4, 6, 3)], (2, 3, 12)),
        ("depth_to_space", {"block": 3}, [(4, 6, 18)], (12, 18, 2)),
        ("resize", {"scale": [2, 3]}, [(4, 6, 3)], (8, 18, 3)),
        ("resize", {"size": 5}, [(4, 6, 3)], (5, 5, 3)),
        ("conv_transpose", {"filters": 8, "kernel": 3, "stride": 2}, [(4, 6, 3)], (9, 13, 8)),
        ("conv_transpose", {"filters": 8, "kernel": 2, "stride": 3}, [(4, 6, 3)], (12, 18, 8)),
        (
            "conv_transpose",
            {"filters": 8, "kernel": 3, "stride": 2, "padding": "same"},
            [(4, 6, 3)],
            (8, 12, 8),
        ),
        (
            "conv_transpose",
            {**CONV, "stride": 2, "padding": [[1, 1], [2, 0]], "output_padding": [1, 0]},
            [(4, 6, 3)],
            (8, 11, 4),
        ),
        ("local_response_norm", {"size": 5}, [(4, 6, 3)], (4, 6, 3)),
        ("adaptive_avg_pool", {"size": 7}, [(4, 6, 3)], (7, 7, 3)),
        ("adaptive_max_pool", {"size": [1, 2]}, [(4, 6, 3)], (1, 2, 3)),
        ("max_pool", {"kernel": 3, "stride": 2, "ceil_mode": True}, [(6, 7, 3)], (3, 3, 3)),
        ("max_pool", {"kernel": 1, "stride": 4, "ceil_mode": True}, [(6, 4, 3)], (2, 1, 3)),
        ("avg_pool", {"kernel": 4, "stride": 2, "ceil_mode": True}, [(3, 4, 3)], (1, 1, 3)),
    ],
)
def test_infer(make, name, attributes, inputs, expected):
    assert make(name, **attributes).infer(types(*inputs)).shape == expected


def problem(op, *shapes) -> ShapeProblem:
    with pytest.raises(ShapeProblem) as caught:
        op.infer(types(*shapes))
    return caught.value


@pytest.mark.parametrize(
    ("name", "attributes"),
    [
        ("conv", {"filters": 8, "kernel": 3}),
        ("depthwise_conv", {"kernel": 3}),
        ("separable_conv", {"filters": 8, "kernel": 3}),
        ("max_pool", {"kernel": 3}),
        ("avg_pool", {"kernel": 3}),
        ("global_avg_pool", {}),
        ("global_max_pool", {}),
        ("zero_pad", {"padding": [[1, 1], [1, 1]]}),
        ("space_to_depth", {"block": 2}),
        ("depth_to_space", {"block": 2}),
        ("resize", {"scale": 2}),
        ("conv_transpose", {"filters": 8, "kernel": 3}),
        ("local_response_norm", {"size": 3}),
        ("adaptive_avg_pool", {"size": 2}),
        ("adaptive_max_pool", {"size": 2}),
    ],
)
def test_an_image_is_needed(make, name, attributes):
    said = problem(make(name, **attributes), (10,))
    assert said.message.endswith("needs an image")
    assert said.expected == "an input of shape (height, width, channels)"
    assert said.received == "shape (10,)"


@pytest.mark.parametrize(
    ("name", "attributes"),
    [
        ("conv", {"filters": 8}),
        ("depthwise_conv", {}),
        ("separable_conv", {"filters": 8}),
        ("max_pool", {}),
        ("avg_pool", {}),
    ],
)
def test_window_larger_than_image(make, name, attributes):
    said = problem(make(name, kernel=[3, 5], **attributes), (3, 4, 2))
    assert said.message == "the window spans 3×5 pixels, more than its input has"
    assert said.received == "3×4 pixels with padding valid"
    assert "padding: same" in said.hint
    assert make(name, kernel=[3, 5], padding="same", **attributes).infer(types((1, 1, 2)))


def test_conv_groups(make):
    op = make("conv", filters=8, kernel=1, groups=4)
    said = problem(op, (5, 5, 6))
    assert said.message == "groups must divide the input channels"
    assert said.received == "6 input channels"
    said = problem(make("conv", filters=6, kernel=1, groups=4), (5, 5, 8))
    assert said.message == "groups must divide the filters"


@pytest.mark.parametrize("name", ["max_pool", "avg_pool"])
@pytest.mark.parametrize(
    ("kernel", "padding", "legal"),
    [
        (2, [[1, 1], [1, 1]], True),
        (2, [[2, 0], [0, 0]], False),
        (2, [[0, 0], [0, 2]], False),
        ([3, 1], [[2, 2], [0, 0]], True),
        ([3, 1], [[2, 2], [1, 0]], False),
        (1, [[0, 1], [0, 0]], False),
    ],
)
def test_pool_padding_is_smaller_than_the_kernel(make, name, kernel, padding, legal):
    op = make(name, kernel=kernel, stride=1, padding=padding)
    if legal:
        assert op.infer(types((5, 5, 2)))
        return
    said = problem(op, (5, 5, 2))
    assert said.message == f"{name}: some windows would hold nothing but padding"
    assert "smaller than the kernel" in said.expected
    assert "zero_pad" in said.hint


@pytest.mark.parametrize("name", ["max_pool", "avg_pool"])
def test_pool_steps_by_its_kernel_unless_told(make, name):
    assert make(name, kernel=[2, 3]).stride is None
    assert make(name, kernel=[2, 3]).step == (2, 3)
    assert make(name, kernel=[2, 3], stride=None).step == (2, 3)
    assert make(name, kernel=[2, 3], stride=1).step == (1, 1)


@pytest.mark.parametrize(
    ("name", "attributes", "message", "received"),
    [
        ("space_to_depth", {"block": 2}, "space_to_depth needs whole blocks", "5×6 pixels"),
        (
            "depth_to_space",
            {"block": 2},
            "depth_to_space needs channels for whole blocks",
            "3 channels",
        ),
        ("resize", {}, "resize needs a scale or a size", "neither"),
        ("resize", {"scale": 2, "size": 7}, "resize needs a scale or a size", "both"),
        (
            "conv_transpose",
            {**CONV, "stride": 2, "padding": "same", "output_padding": 1},
            "output_padding goes with valid or explicit padding",
            "output_padding (1, 1)",
        ),
        (
            "conv_transpose",
            {**CONV, "stride": [2, 1], "output_padding": 1},
            "output_padding must be smaller than the stride",
            "output_padding (1, 1)",
        ),
        (
            "conv_transpose",
            {**CONV, "padding": [[4, 3], [0, 0]]},
            "padding takes away all that comes out",
            "5×6 pixels with padding ((4, 3), (0, 0))",
        ),
        ("local_response_norm", {"size": 4}, "local_response_norm needs an odd size", "size 4"),
        (
            "max_pool",
            {"kernel": 7, "stride": 1, "ceil_mode": True},
            "the window spans 7×7 pixels, more than its input has",
            "5×6 pixels with padding ((0, 0), (0, 0))",
        ),
    ],
)
def test_what_does_not_fit(make, name, attributes, message, received):
    said = problem(make(name, **attributes), (5, 6, 3))
    assert said.message == message
    assert said.expected
    assert said.received == received


def test_dense_needs_a_vector(make):
    said = problem(make("dense", units=10), (7, 6, 2))
    assert said.message == "dense needs a vector"
    assert said.received == "shape (7, 6, 2)"
    assert said.hint == "add flatten or global_avg_pool before it"


def test_add_names_the_two_that_disagree(make):
    said = problem(make("add"), (7, 6, 2), (7, 6, 2), (7, 6, 3))
    assert said.message == "add: inputs 1 and 3 of 3 disagree"
    assert said.expected == "shape (7, 6, 2), as input 1 has shape (7, 6, 2)"
    assert said.received == "input 3 of shape (7, 6, 3)"
    assert problem(make("add"), (7, 6, 2), (1, 1, 2))
    assert problem(make("add"), (7, 6, 2), (2,))
    assert problem(make("add"), (6, 2), (7,))


def test_multiply_names_the_two_that_disagree(make):
    said = problem(make("multiply"), (7, 6, 2), (1, 1, 2), (1, 1, 3))
    assert said.message == "multiply: inputs 1 and 3 of 3 disagree"
    assert said.expected.startswith("shape (7, 6, 2) or (1, 1, 2)")
    assert said.hint is None
    said = problem(make("multiply"), (1, 1, 2), (7, 6, 2), (7, 5, 2))
    assert said.message == "multiply: inputs 2 and 3 of 3 disagree"
    said = problem(make("multiply"), (7, 6, 2), (2,))
    assert "keep_dims: true" in said.hint
    for other in ((1, 6, 2), (7, 1, 2), (7, 6, 1), (1, 1, 1)):
        assert problem(make("multiply"), (7, 6, 2), other)
    assert problem(make("multiply"), (1, 1, 2), (1, 1, 3))


def test_concat_names_the_two_that_disagree(make):
    said = problem(make("concat"), (7, 6, 2), (7, 6, 3), (7, 5, 2))
    assert said.message == "concat: inputs 1 and 3 of 3 disagree"
    assert said.expected == "shape (7, 6, channels), as input 1 has shape (7, 6, 2)"
    said = problem(make("concat"), (4,), (7, 6, 3))
    assert said.expected.startswith("shape (channels,)")


# -------------------------------------------------------------------------------- kinds' verdicts
HUGE = 10**30


@pytest.mark.parametrize(
    ("kind", "given", "normalized"),
    [
        (kinds.COUNT, 1, 1),
        (kinds.COUNT, kinds.LARGEST, kinds.LARGEST),
        (kinds.PAIR, 3, (3, 3)),
        (kinds.PAIR, [3, 5], (3, 5)),
        (kinds.OPTIONAL_PAIR, None, None),
        (kinds.OPTIONAL_PAIR, 2, (2, 2)),
        (kinds.OPTIONAL_PAIR, [2, 1], (2, 1)),
        (kinds.BOOLEAN, False, False),
        (kinds.RATE, 0, 0.0),
        (kinds.RATE, 0.999, 0.999),
        (kinds.POSITIVE, 1.2e-38, 1.2e-38),
        (kinds.NUMBER, -3, -3.0),
        (kinds.PADDING, "same", "same"),
        (kinds.PADDING, [[0, 1], [2, 3]], ((0, 1), (2, 3))),
        (kinds.EXPLICIT_PADDING, [[0, 1], [2, 3]], ((0, 1), (2, 3))),
        (kinds.EXPLICIT_PADDING, 0, ((0, 0), (0, 0))),
        (kinds.PADDING, 1, ((1, 1), (1, 1))),
        (kinds.PADDING, [1, 2], ((1, 1), (2, 2))),
        (kinds.PADDING, [1, [2, 3]], ((1, 1), (2, 3))),
        (kinds.INITIALIZER, "he_normal", "he_normal"),
        (kinds.INITIALIZER, {"truncated_normal": 1}, "truncated_normal(1.0)"),
        (kinds.INITIALIZER, {"constant": -1}, "constant(-1.0)"),
        (kinds.Choice(("a", "b")), "b", "b"),
        (kinds.Choice(("a", "b"), optional=True), None, None),
    ],
)
def test_good_values(kind, given, normalized):
    value = kind.convert(given)
    assert value == normalized
    assert type(value) is type(normalized)
    assert hash(value) == hash(normalized)


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        *((kinds.COUNT, bad) for bad in (0, -1, True, 1.0, "1", None, [1], {}, HUGE, 2**31)),
        *((kinds.PAIR, bad) for bad in (0, True, [1], [1, 2, 3], [1, True], [0, 1], None, "3")),
        *((kinds.PAIR, bad) for bad in (HUGE, [1, HUGE], 2.0, {"height": 1})),
        *((kinds.OPTIONAL_PAIR, bad) for bad in (0, False, [], [None, None], "null", HUGE)),
        *((kinds.BOOLEAN, bad) for bad in (0, 1, "true", None, [])),
        *((kinds.RATE, bad) for bad in (1, -0.1, True, "0.5", None, math.nan, math.inf, HUGE)),
        *((kinds.POSITIVE, bad) for bad in (0, -1, True, math.inf, math.nan, 10**400, 1e-39, 1e39)),
        *((kinds.NUMBER, bad) for bad in (True, math.nan, -math.inf, 10**400, "1", None, [1])),
        *((kinds.PADDING, bad) for bad in ("SAME", "full", -1, None, [1], [[1, 1]], True, 1.5)),
        *((kinds.PADDING, bad) for bad in ([[1, -1], [0, 0]], [[1, True], [0, 0]])),
        *((kinds.PADDING, bad) for bad in ([[1, 1, 1], [0, 0]], [[HUGE, 0], [0, 0]], ["ab", "cd"])),
        *((kinds.EXPLICIT_PADDING, bad) for bad in ("same", [1, 1, 1], [1, "1"], None)),
        *((kinds.INITIALIZER, bad) for bad in ("normal", None, 0, {}, {"truncated_normal": 0})),
        *((kinds.INITIALIZER, bad) for bad in ({"zeros": 1}, {"truncated_normal": True})),
        *((kinds.INITIALIZER, bad) for bad in ({"constant": "x"}, {"constant": None})),
        *((kinds.Choice(("a", "b")), bad) for bad in (None, "c", 0, ["a"], {"a": 1})),
    ],
    ids=repr,
)
def test_bad_values(kind, given):
    with pytest.raises(ValueError, match=r"^$"):
        kind.convert(given)
    assert kind.expected


def test_words_of_an_optional_kind():
    assert kinds.OPTIONAL_PAIR.expected == f"{kinds.PAIR.expected}, or null"
    schema = Nullable(kinds.COUNT).schema()
    assert schema == {"anyOf": [kinds.COUNT.schema(), {"type": "null"}]}


@pytest.mark.parametrize(
    ("name", "attributes"),
    [
        ("leaky_relu", {"negative_slope": -0.1}),
        ("elu", {"alpha": 0}),
        ("gelu", {"approximation": "none"}),
        ("dropout", {"rate": 1}),
        ("batch_norm", {"momentum": 1}),
        ("batch_norm", {"epsilon": 0}),
        ("batch_norm", {"scale": 1}),
        ("dense", {"units": True}),
        ("zero_pad", {"padding": "same"}),
        ("separable_conv", {**CONV, "depthwise_activation": "softmax"}),
    ],
)
def test_bad_attributes(make, name, attributes):
    with pytest.raises(ValueError, match=r"^$"):
        make(name, **attributes)


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("conv", "filters"),
        ("separable_conv", "filters"),
        ("depthwise_conv", "kernel"),
        ("max_pool", "kernel"),
        ("avg_pool", "kernel"),
        ("dense", "units"),
        ("dropout", "rate"),
        ("zero_pad", "padding"),
        ("gelu", "approximation"),
    ],
)
def test_the_short_form_sets(name, first):
    assert dataclasses.fields(ops.get(name))[0].name == first


# ------------------------------------------------------------------------------ weights and costs
def test_batch_norm_weights(make):
    weights = make("batch_norm").weights(types((5, 5, 7)))
    assert weights == (
        Weight("gamma", (7,), "ones"),
        Weight("beta", (7,), "zeros"),
        Weight("moving_mean", (7,), "zeros", trainable=False),
        Weight("moving_variance", (7,), "ones", trainable=False),
    )
    assert not any(weight.decayed for weight in weights)
    bare = make("batch_norm", scale=False, center=False).weights(types((7,)))
    assert [weight.name for weight in bare] == ["moving_mean", "moving_variance"]


def test_depthwise_conv_weights(make):
    op = make("depthwise_conv", kernel=[3, 5], multiplier=2, kernel_initializer="he_normal")
    assert op.weights(types((9, 9, 7))) == (
        Weight("depthwise_kernel", (3, 5, 7, 2), "he_normal"),
        Weight("bias", (14,), "zeros"),
    )


def test_initializer_reaches_both_kernels(make):
    op = make("separable_conv", **CONV, kernel_initializer={"truncated_normal": 0.01})
    depthwise, pointwise, bias = op.weights(types((9, 9, 7)))
    assert depthwise.initializer == pointwise.initializer == "truncated_normal(0.01)"
    assert bias.initializer == "zeros"


@pytest.mark.parametrize(
    ("name", "attributes", "shape", "macs", "parameters"),
    [
        # VGG-16's first layer, Inception's 1×1, Xception's middle flow and classifier
        ("conv", {"filters": 64, "kernel": 3, "padding": "same"}, (224, 224, 3), 86_704_128, 1792),
        ("conv", {"filters": 8, "kernel": 3, "groups": 2, "bias": False}, (5, 5, 4), 1296, 144),
        (
            "depthwise_conv",
            {"kernel": 3, "padding": "same", "bias": False},
            (19, 19, 728),
            2_365_272,
            6552,
        ),
        (
            "separable_conv",
            {"filters": 728, "kernel": 3, "padding": "same", "bias": False},
            (19, 19, 728),
            2_365_272 + 191_324_224,
            6552 + 529_984,
        ),
        (
            "separable_conv",
            {"filters": 5, "kernel": 3, "multiplier": 2},
            (4, 5, 3),
            6 * 6 * 9 + 6 * 30,
            89,
        ),
        ("dense", {"units": 1000}, (2048,), 2_048_000, 2_049_000),
        ("batch_norm", {}, (19, 19, 728), 0, 4 * 728),
        ("max_pool", {"kernel": 3}, (19, 19, 728), 0, 0),
        ("relu", {}, (19, 19, 728), 0, 0),
    ],
)
def test_costs_by_hand(make, name, attributes, shape, macs, parameters):
    op, inputs = make(name, **attributes), types(shape)
    assert op.macs(inputs, op.infer(inputs)) == macs
    assert sum(weight.size for weight in op.weights(inputs)) == parameters


@pytest.mark.parametrize(
    ("name", "attributes", "expected"),
    [
        ("conv", {**CONV, "stride": [2, 1], "dilation": [1, 2]}, Window((3, 5), (2, 1))),
        ("depthwise_conv", {"kernel": 3, "dilation": 2}, Window((5, 5), (1, 1))),
        ("separable_conv", {**CONV, "stride": 2}, Window((3, 3), (2, 2))),
        ("separable_conv", {"filters": 4, "kernel": 1}, None),
        ("max_pool", {"kernel": [3, 2]}, Window((3, 2), (3, 2))),
        ("avg_pool", {"kernel": 3, "stride": 1}, Window((3, 3), (1, 1))),
        ("global_avg_pool", {}, Window((9, 8), (1, 1))),
        ("global_max_pool", {"keep_dims": True}, Window((9, 8), (1, 1))),
        ("relu", {}, None),
        ("batch_norm", {}, None),
        ("zero_pad", {"padding": [[1, 1], [1, 1]]}, None),
        ("space_to_depth", {"block": 2}, Window((2, 2), (2, 2))),
        ("depth_to_space", {"block": 2}, Window((1, 1), (Fraction(1, 2), Fraction(1, 2)))),
        ("resize", {"scale": [1, 2]}, Window((1, 1), (1, Fraction(1, 2)))),
        ("resize", {"size": [9, 5], "method": "bilinear"}, Window((1, 2), (1, Fraction(8, 5)))),
        (
            "conv_transpose",
            {**CONV, "kernel": [3, 4], "stride": 2},
            Window((2, 2), (Fraction(1, 2), Fraction(1, 2))),
        ),
        ("adaptive_avg_pool", {"size": [2, 4]}, Window((5, 2), (Fraction(9, 2), 2))),
    ],
)
def test_windows(make, name, attributes, expected):
    assert make(name, **attributes).window(types((9, 8, 3))) == expected


# ---------------------------------------------------------------------------------- composition
def test_separable_conv_decomposes(make):
    op = make("separable_conv", filters=728, kernel=3, padding="same", stride=2, dilation=1)
    depthwise, pointwise = op.decompose()
    assert isinstance(op, Composite)
    assert depthwise.op == make("depthwise_conv", kernel=3, padding="same", stride=2, bias=False)
    assert pointwise.op == make("conv", filters=728, kernel=1)
    assert [(w.name, w.shape) for w in op.weights(types((19, 19, 728)))] == [
        ("depthwise_kernel", (3, 3, 728, 1)),
        ("pointwise_kernel", (1, 1, 728, 728)),
        ("bias", (728,)),
    ]


def test_separable_conv_with_an_activation_between(make):
    plain = make("separable_conv", **CONV)
    between = make("separable_conv", **CONV, depthwise_activation="relu6")
    steps = between.decompose()
    assert [step.name for step in steps] == ["depthwise", "activation", "pointwise"]
    assert steps[1].op == make("relu6")
    inputs = types((9, 9, 3))
    assert between.weights(inputs) == plain.weights(inputs)
    assert between.macs(inputs, between.infer(inputs)) == plain.macs(inputs, plain.infer(inputs))


@pytest.mark.parametrize(
    ("case", "said"),
    [
        (Case(((8, 8, 3),), {"kernel": 3}), "8x8x3-kernel=3"),
        (Case(((4,), (4,))), "4,4-"),
    ],
)
def test_case_names(case, said):
    assert str(case) == said


def test_the_short_form_of_a_group_norm_says_its_groups():
    """Its other attributes are its base's, which come first in a dataclass of one base."""
    assert [field.name for field in dataclasses.fields(ops.get("group_norm"))] == [
        "groups",
        "epsilon",
        "scale",
        "center",
    ]
