"""One mask of dropout in three frameworks, as their programs have it; its statistics: tests/ops."""

from __future__ import annotations

import copy
import sys

import numpy as np
import pytest

from xgraph import backend
from xgraph.backend import Compilation
from xgraph.compile import analyse
from xgraph.ops.dropout import mask_bits, mask_key
from xgraph.recipe import load_recipe

NAMES = ("torch", "keras", "flax")
RATE = 0.3
#: Paths that frameworks may spell otherwise: in a loop, of a block, of a method's name.
SPEC = f"""
xgraph: 1
name: net
input: {{shape: [6, 5, 3]}}
blocks:
  unit: {{body: [{{dropout: {RATE}}}]}}
graph:
  train: [{{repeat: 2, body: [unit]}}, {{dropout: 0, name: forward}}]
  tail: [unit, {{dropout: {RATE}, name: eval}}]
  flat: [global_avg_pool, {{dropout: {RATE}}}]
outputs: {{flat: flat, image: tail}}
"""
LAYERS = ("train.unit.0.dropout", "train.unit.1.dropout", "tail.unit.dropout", "tail.eval")


def modules(name, folder, text=SPEC):
    """The program's own modules, and the spec."""
    path = folder / "spec.yaml"
    path.write_text(text)
    analysis = analyse(str(path))
    target = backend.get(name)
    program = target.load(target.emit(Compilation(analysis, load_recipe("imagenet"))), "float32")
    return program.modules, analysis


def forward(name, model, images, training=True):
    """{output: values} of a program's own model, in its own type, channels last."""
    if name == "torch":
        import torch

        given = torch.from_numpy(images).permute(0, 3, 1, 2)
        made = model.train(training)(given)
        made = {key: y.movedim(1, -1) for key, y in made.items()}
    elif name == "keras":
        made = model(images, training=training)
    else:
        set_mode = model.train if training else model.eval
        set_mode()
        made = model(images)
    return {key: np.array(y.detach() if name == "torch" else y) for key, y in made.items()}


def kept(layer, passes, shape, seed=0):
    """Where the mask of a layer is not zero."""
    drawn = mask_bits(mask_key(seed, layer), passes, int(np.prod(shape)))
    return (drawn >= int(RATE * 2**32)).reshape(shape)


def expected(passes, batch, seed=0):
    """Both outputs for images of ones."""
    image = np.ones((batch, 6, 5, 3))
    for layer in LAYERS:
        image = image * kept(layer, passes, image.shape, seed) / (1 - RATE)
    flat = image.mean(axis=(1, 2))
    return {"image": image, "flat": flat * kept("flat.dropout", passes, flat.shape, seed) / 0.7}


def assert_as_expected(made, passes, batch, seed=0):
    for key, value in expected(passes, batch, seed).items():
        assert np.array_equal(made[key] == 0, value == 0), key
        assert np.allclose(made[key], value, rtol=1e-5), key


@pytest.mark.parametrize("name", NAMES)
def test_the_same_bits(name, tmp_path):
    """In loops, in blocks, of images and of vectors, of any batch; evaluation does not count."""
    found, analysis = modules(name, tmp_path)
    assert {*LAYERS, "flat.dropout"} <= {node.name for node in analysis.graph.nodes}
    for seed in (0, 2**63 - 1):
        model = found["model"].create_model(seed)
        for passes, batch in enumerate((1, 3, 3)):
            images = np.ones((batch, 6, 5, 3), np.float32)
            made = forward(name, model, images, training=False)
            assert np.array_equal(made["image"], images)
            assert_as_expected(forward(name, model, images), passes, batch, seed)


@pytest.mark.parametrize("name", NAMES)
def test_a_run_goes_on(name, tmp_path):
    """What a checkpoint holds of a model is enough to go on with its next mask."""
    found, _ = modules(name, tmp_path)
    images = np.ones((2, 6, 5, 3), np.float32)
    model, other = found["model"].create_model(4), found["model"].create_model(5)
    for _ in range(3):
        forward(name, model, images)
    if name == "torch":
        other.load_state_dict(model.state_dict())
    elif name == "keras":
        for new, old in zip(other.variables, model.variables, strict=True):
            new.assign(old)
    else:
        from flax import nnx

        nnx.update(other, nnx.state(model))
    assert_as_expected(forward(name, other, images), 3, 2, seed=4)


@pytest.mark.parametrize("name", NAMES)
def test_loading_weights_changes_no_mask(name, tmp_path):
    text = SPEC.replace("flat: [", "flat: [{conv: {filters: 3, kernel: 1}}, ")
    found, _ = modules(name, tmp_path, text)
    images = np.ones((2, 6, 5, 3), np.float32)
    model, other = found["model"].create_model(4), found["model"].create_model(5)
    forward(name, model, images)
    found["model"].save_weights(model, tmp_path / "weights.safetensors")
    found["model"].load_weights(other, tmp_path / "weights.safetensors")
    made = forward(name, other, images)["image"]
    assert np.array_equal(made == 0, expected(0, 2, seed=5)["image"] == 0)


def test_in_half_precision_in_pytorch(tmp_path):
    import torch

    found, _ = modules("torch", tmp_path)
    images = torch.ones(2, 3, 6, 5)
    for dtype in (torch.bfloat16, torch.float16):
        model = found["model"].create_model().train()
        made = model.to(dtype)(images.to(dtype))
        assert made["image"].dtype == dtype
        made = {key: y.detach().float().movedim(1, -1).numpy() for key, y in made.items()}
        for key, value in expected(0, 2).items():
            assert np.array_equal(made[key] == 0, value == 0), key


def test_in_half_precision_in_flax(tmp_path):
    import jax.numpy as jnp

    found, _ = modules("flax", tmp_path)
    for dtype in (jnp.bfloat16, jnp.float16):
        made = forward("flax", found["model"].create_model(), jnp.ones((2, 6, 5, 3), dtype))
        assert made["image"].dtype == dtype
        for key, value in expected(0, 2).items():
            assert np.array_equal(made[key] == 0, value == 0), key


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_in_half_precision_in_keras(policy, tmp_path):
    import keras

    found, _ = modules("keras", tmp_path)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model = found["model"].create_model()
        made = model(np.ones((2, 6, 5, 3), np.float32), training=True)
        assert policy.endswith(keras.backend.standardize_dtype(made["image"].dtype))
    finally:
        keras.config.set_dtype_policy(before)
    for key, value in expected(0, 2).items():
        assert np.array_equal(keras.ops.convert_to_numpy(made[key] == 0), value == 0), key


def test_under_the_tracers_of_pytorch(tmp_path, monkeypatch, compiled_apart):
    """Captured whole, in training: counts go on, and the mask follows them at other batches."""
    import torch

    found, _ = modules("torch", tmp_path)
    for name in ("layers", "model"):  # where compiling looks for them
        monkeypatch.setitem(sys.modules, name, found[name])
    model = found["model"].create_model().train()
    compiled = torch.compile(copy.deepcopy(model), backend="aot_eager", fullgraph=True)
    example = torch.ones(2, 3, 6, 5)
    shapes = ({0: torch.export.Dim("batch", min=1)},)
    exported = torch.export.export(copy.deepcopy(model), (example,), dynamic_shapes=shapes)
    for run in (torch.fx.symbolic_trace(copy.deepcopy(model)), compiled, exported.module()):
        for passes, batch in enumerate((2, 2, 5)):
            made = run(torch.ones(batch, 3, 6, 5))
            made = {key: y.detach().movedim(1, -1).numpy() for key, y in made.items()}
            assert_as_expected(made, passes, batch)


def test_under_jit_in_flax(tmp_path):
    from flax import nnx

    found, _ = modules("flax", tmp_path)
    model = found["model"].create_model()
    step = nnx.jit(lambda model, images: model(images))
    for passes, batch in enumerate((2, 2, 5)):
        made = step(model, np.ones((batch, 6, 5, 3), np.float32))
        assert_as_expected({key: np.array(y) for key, y in made.items()}, passes, batch)


@pytest.mark.parametrize("name", NAMES)
def test_what_overflows_can_be_dropped(name, tmp_path):
    """Zero is chosen, not multiplied with: an infinite entry gives no NaN."""
    found, _ = modules(name, tmp_path)
    images = np.full((2, 6, 5, 3), np.inf, np.float32)
    made = forward(name, found["model"].create_model(), images)["image"]
    assert set(np.unique(made)) == {0, np.inf}
