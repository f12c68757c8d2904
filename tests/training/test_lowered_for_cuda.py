"""What an update of the Flax program is on a GPU, as far as it shows without one.

JAX lowers a program for any platform anywhere; what a layer chooses by platform is chosen then.
"""

import re
from collections import Counter

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from xgraph import backend
from xgraph.compile import compile_spec
from xgraph.programs import import_files

SHORT = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}
#: Of its products: types of both operands and of the result.
PRODUCT = re.compile(
    r"stablehlo\.(?:convolution|dot_general).* : \(tensor<[\dx]*x(\w+)>, tensor<[\dx]*x(\w+)>\) "
    r"-> tensor<[\dx]*x(\w+)>"
)
DONATED = re.compile(r"tf\.aliasing_output|jax\.buffer_donor")


@pytest.fixture(scope="module", params=list(SHORT))
def lowered(request):
    """Of xception_mini: (precision, state of training, separable convolutions, update as text)."""
    precision = request.param
    settings = () if precision == "float32" else (f"recipe.precision={precision}",)
    analysis, files = compile_spec("xception_mini", backend.get("flax"), settings)
    with jax.enable_x64(False):  # other tests of the process compute in float64
        modules = import_files(files)
        train, model = modules["train"], modules["model"].create_model()
        if precision != "float32":
            modules["parts"].set_precision(model, jnp.dtype(precision))
        training = train.Training(model)
        images, labels = jnp.zeros((4, 32, 32, 3)), jnp.zeros(4, jnp.int32)
        traced = train.update.trace(training, 0, images, labels, 0.1)
        text = traced.lower(lowering_platforms=("cuda",)).as_text()
    ops = [node.op.name for node in analysis.graph.nodes]
    return precision, nnx.state(training), ops.count("separable_conv"), text


def test_products_are_in_the_type_of_the_recipe(lowered):
    precision, _, _, text = lowered
    count = text.count("stablehlo.convolution(") + text.count("stablehlo.dot_general")
    found = Counter(match.groups() for match in PRODUCT.finditer(text))
    assert found == {(SHORT[precision],) * 3: count}
    assert "f64>" not in text


def test_a_depthwise_convolution_is_one_on_a_gpu(lowered):
    """Forward and for both gradients; on a CPU it would be a sum over the window."""
    _, _, separable, text = lowered
    grouped = re.findall(r"(?:feature|batch)_group_count = (\d+)", text)
    assert sum(int(count) > 1 for count in grouped) == 3 * separable


def test_the_state_stays_where_it_is(lowered):
    """Each array of it gives its memory to what it becomes; the batch is not changed."""
    _, state, _, text = lowered
    assert len(DONATED.findall(text)) == len(jax.tree.leaves(state))


def test_the_host_is_not_asked(lowered):
    *_, text = lowered
    assert "custom_call" not in text
    assert "infeed" not in text
    assert "outfeed" not in text
