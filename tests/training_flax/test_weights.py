"""weights.py: names, files and the start of training, the same as PyTorch's."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from .conftest import KERNELS, Program, render


@pytest.fixture(scope="module")
def weights(program: Program):
    return program.module("weights")


@pytest.fixture
def model(program: Program):
    return program.module("model").create_model(3)


@pytest.fixture(scope="module")
def torch_program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    return Program(render(tmp_path_factory.mktemp("program") / "torch", backend="torch"))


def canonical(weights, model) -> dict[str, np.ndarray]:
    return {n: np.array(v[...]) for n, v in weights.canonical_weights(model).items()}


def torch_canonical(program: Program, model) -> dict[str, np.ndarray]:
    found = program.module("weights").canonical_weights(model)
    return {w.name: w.view.numpy().copy() for w in found}


def test_names_and_start_are_pytorchs(weights, model, torch_program: Program) -> None:
    ours = canonical(weights, model)
    theirs = torch_canonical(torch_program, torch_program.module("model").create_model(3))
    assert list(ours) == list(theirs)
    for name, value in ours.items():
        assert value.dtype == theirs[name].dtype == np.float32
        assert np.array_equal(value, theirs[name]), name
    assert {name for name in ours if weights.is_kernel(name)} == set(KERNELS)


def test_all_that_trains_has_a_name(weights, model) -> None:
    named = sum(v.size for v in weights.canonical_weights(model).values())
    state = nnx.state(model, (nnx.Param, nnx.BatchStat))
    assert named == sum(x.size for x in jax.tree.leaves(state))


def test_files_are_read_by_either(
    weights, model, program: Program, torch_program: Program, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    for variable in weights.canonical_weights(model).values():
        variable.set_value(jnp.array(rng.normal(size=variable.shape), jnp.float32))
    ours, theirs = tmp_path / "flax.safetensors", tmp_path / "torch.safetensors"
    weights.save_weights(model, ours)
    twin = torch_program.module("model").create_model(4)
    torch_program.module("weights").load_weights(twin, ours)
    torch_program.module("weights").save_weights(twin, theirs)
    other = program.module("model").create_model(5)
    weights.load_weights(other, theirs)
    expected = canonical(weights, model)
    for name, value in canonical(weights, other).items():
        assert np.array_equal(value, expected[name]), name
    with safe_open(ours, "np") as file:
        assert file.metadata() == {"format": "xgraph 1"}
    assert sorted(p.name for p in tmp_path.iterdir()) == [ours.name, theirs.name]
    assert ours.read_bytes() == theirs.read_bytes()


def test_types_are_kept_and_converted(weights, model, program: Program, tmp_path: Path) -> None:
    path = tmp_path / "half.safetensors"
    stem = weights.canonical_weights(model)["stem.kernel"]
    stem.set_value(stem[...].astype(jnp.float16))
    weights.save_weights(model, path)
    assert load_file(path)["stem.kernel"].dtype == np.float16
    single = program.module("model").create_model(9)
    weights.load_weights(single, path)
    assert single.stem.kernel.dtype == jnp.float32
    assert np.array_equal(single.stem.kernel[...], stem[...].astype(jnp.float32))


def test_a_misfit_is_refused_whole(weights, model, tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    weights.save_weights(model, path)
    arrays = load_file(path)
    for name in [n for n in arrays if "norm" in n]:
        del arrays[name]
    arrays["classifier.kernel"] = np.zeros((24, 5))
    arrays["extra.kernel"] = np.zeros(1)
    save_file(arrays, path)
    before = canonical(weights, model)
    with pytest.raises(ValueError, match="does not fit the model") as caught:
        weights.load_weights(model, path)
    message = str(caught.value)
    assert "missing: blocks.0.norm.beta, " in message
    assert "and 5 more" in message
    assert "unexpected: extra.kernel" in message
    assert "of another shape: classifier.kernel (expected (24, 4), received (24, 5))" in message
    after = canonical(weights, model)
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_not_a_weights_file(weights, model, tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"nonsense")
    with pytest.raises(ValueError, match="is not a safetensors file"):
        weights.load_weights(model, path)


def test_a_failed_save_leaves_the_old_file(weights, model, tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_text("old")

    def fail(*arguments: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(weights, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        weights.save_weights(model, path)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["weights.safetensors"]


def test_weights_without_a_canonical_name_are_an_error(weights) -> None:
    class Odd(nnx.Module):
        def __init__(self) -> None:
            self.scale = nnx.Param(jnp.ones(1))

    with pytest.raises(TypeError, match="Odd has no canonical weights"):
        weights.canonical_weights(nnx.List([Odd()]))


def test_a_trailing_underscore_is_not_of_the_name(weights) -> None:
    class Net(nnx.Module):
        def __init__(self) -> None:
            self.train_ = nnx.Linear(2, 3, use_bias=False, rngs=nnx.Rngs(0))

    assert list(weights.canonical_weights(Net())) == ["train.kernel"]


def test_composites_go_by_their_own_words(tmp_path: Path) -> None:
    class Composite(nnx.Module):
        weight_names: ClassVar = {
            "depthwise.kernel": "depthwise_kernel",
            "pointwise.kernel": "pointwise_kernel",
            "pointwise.bias": "bias",
        }

        def __init__(self) -> None:
            rngs = nnx.Rngs(0)
            self.depthwise = nnx.Conv(1, 1, (1, 1), use_bias=False, rngs=rngs)
            self.pointwise = nnx.Conv(1, 1, (1, 1), rngs=rngs)

    class Net(nnx.Module):
        def __init__(self) -> None:
            self.first = Composite()

    found = Program(render(tmp_path, composites=True)).module("weights").canonical_weights(Net())
    assert list(found) == ["first.depthwise_kernel", "first.pointwise_kernel", "first.bias"]


def test_only_what_the_model_uses_is_emitted(tmp_path: Path) -> None:
    folder = render(tmp_path / "a", initializers={"c.kernel": "zeros"})
    text = (folder / "weights.py").read_text()
    for absent in ("glorot", "from layers", "fans", "uniform", "math", "EXCEPTIONS", "Depthwise"):
        assert absent not in text
    several = {"a.kernel": "he_normal", "b.kernel": "he_normal", "c.kernel": "ones"}
    text = (render(tmp_path / "b", initializers=several) / "weights.py").read_text()
    assert 'EXCEPTIONS = {\n    "c.kernel": ones,\n}' in text
    assert "draw = EXCEPTIONS.get(name, he_normal)" in text
    assert "values = draw(weight.shape, " in text
