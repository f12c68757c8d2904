"""weights.py: names, files, the start of training, and that PyTorch's program has the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from tests.training.conftest import Program as TorchProgram
from tests.training.conftest import render as render_torch

from .conftest import KERNELS, Program, render


@pytest.fixture(scope="module")
def weights(program: Program):
    return program.module("weights")


@pytest.fixture
def model(program: Program):
    return program.module("model").create_model(3)


@pytest.fixture(scope="module")
def torch_program(tmp_path_factory) -> TorchProgram:
    return TorchProgram(render_torch(tmp_path_factory.mktemp("program") / "torch"))


def canonical(weights, model) -> dict[str, np.ndarray]:
    return {name: np.array(v.value) for name, v in weights.canonical_weights(model).items()}


def test_the_start_is_that_of_pytorch(weights, model, torch_program: TorchProgram) -> None:
    theirs = torch_program.module("weights").canonical_weights(
        torch_program.module("model").create_model(3)
    )
    ours = canonical(weights, model)
    assert ours.keys() == {w.name for w in theirs}
    assert {name for name in ours if weights.is_kernel(name)} == KERNELS.keys()
    for w in theirs:
        assert np.array_equal(ours[w.name], w.view.numpy()), w.name
    other = canonical(weights, model)
    weights.initialize(model, 4)
    assert not np.array_equal(other["stem.kernel"], canonical(weights, model)["stem.kernel"])


def test_files_of_one_load_in_the_other(
    weights, model, program: Program, torch_program: TorchProgram, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    for variable in weights.canonical_weights(model).values():
        variable.assign(rng.uniform(0.1, 0.5, variable.shape))
    theirs, create = torch_program.module("weights"), torch_program.module("model").create_model
    twin, back = create(0), program.module("model").create_model(0)
    weights.save_weights(model, tmp_path / "ours.safetensors")
    theirs.load_weights(twin, tmp_path / "ours.safetensors")
    theirs.save_weights(twin, tmp_path / "theirs.safetensors")
    weights.load_weights(back, tmp_path / "theirs.safetensors")
    one, other = canonical(weights, model), canonical(weights, back)
    assert all(np.array_equal(one[name], other[name]) for name in one)
    with safe_open(tmp_path / "ours.safetensors", "numpy") as file:
        assert file.metadata() == {"format": "xgraph 1"}
    names = ["ours.safetensors", "theirs.safetensors"]
    assert sorted(p.name for p in tmp_path.iterdir()) == names
    assert len({p.read_bytes() for p in tmp_path.iterdir()}) == 1

    import torch

    images = rng.normal(size=(2, 16, 16, 3)).astype(np.float32)
    with torch.inference_mode():
        expected = twin.eval()(torch.from_numpy(images).permute(0, 3, 1, 2)).numpy()
    assert np.allclose(model.predict(images, verbose=0), expected, rtol=1e-3, atol=1e-4)


def test_types_are_converted(weights, model, tmp_path: Path) -> None:
    path = tmp_path / "double.safetensors"
    values = {name: value.astype(np.float64) for name, value in canonical(weights, model).items()}
    save_file(values, path)
    weights.initialize(model, 9)
    weights.load_weights(model, path)
    found = canonical(weights, model)
    assert found["stem.kernel"].dtype == np.float32
    assert all(np.array_equal(found[name], values[name]) for name in values)


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


def test_only_what_the_model_uses_is_emitted(tmp_path: Path) -> None:
    text = (render(tmp_path / "a", initializers={"c.kernel": "zeros"}) / "weights.py").read_text()
    for absent in ("glorot", "fans", "uniform", "math", "EXCEPTIONS", "depthwise", "RENAMED"):
        assert absent not in text
    several = {"a.kernel": "he_normal", "b.kernel": "he_normal", "c.kernel": "ones"}
    text = (render(tmp_path / "b", initializers=several) / "weights.py").read_text()
    assert 'EXCEPTIONS = {\n    "c.kernel": ones,\n}' in text
    assert "draw = EXCEPTIONS.get(name, he_normal)" in text
