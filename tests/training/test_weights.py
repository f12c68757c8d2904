"""weights.py: names, layouts, files and the start of training."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import nn

from .conftest import KERNELS, Program, render

NORMAL_CUT = 0.87962566103423978  # standard deviation of a standard normal cut at ±2


@pytest.fixture(scope="module")
def weights(program: Program):
    return program.module("weights")


@pytest.fixture
def model(program: Program):
    return program.module("model").create_model(3)


def canonical(weights, model) -> dict[str, np.ndarray]:
    return {w.name: w.view.numpy().copy() for w in weights.canonical_weights(model)}


def test_names_and_layouts(weights, model) -> None:
    found = {w.name: tuple(w.view.shape) for w in weights.canonical_weights(model)}
    block = {
        "sepconv.depthwise_kernel": (3, 3, 16, 2),
        "sepconv.pointwise_kernel": (1, 1, 32, 16),
        "sepconv.bias": (16,),
        "norm.beta": (16,),
        "norm.moving_mean": (16,),
        "norm.moving_variance": (16,),
    }
    assert found == {
        "stem.kernel": (3, 3, 3, 16),
        **{f"stem_norm.{word}": (16,) for word in ("gamma", "beta")},
        **{f"stem_norm.moving_{word}": (16,) for word in ("mean", "variance")},
        **{f"blocks.{i}.{name}": shape for i in (0, 1) for name, shape in block.items()},
        "grouped.kernel": (3, 3, 8, 24),
        "grouped.bias": (24,),
        "depthwise.depthwise_kernel": (3, 3, 24, 1),
        "depthwise.bias": (24,),
        "classifier.kernel": (24, 4),
        "classifier.bias": (4,),
    }
    named = {id(w.tensor) for w in weights.canonical_weights(model)}
    assert all(id(p) in named for p in model.parameters())


def test_axes(weights, model) -> None:
    values = canonical(weights, model)
    rng = np.random.default_rng(0)
    h, w, i, m, o = (rng.integers(n) for n in (3, 3, 16, 2, 24))
    depthwise = model.blocks[0].sepconv.depthwise.weight
    got = values["blocks.0.sepconv.depthwise_kernel"][h, w, i, m]
    assert got == depthwise[i * 2 + m, 0, h, w].item()
    assert values["grouped.kernel"][h, w, i % 8, o] == model.grouped.weight[o, i % 8, h, w].item()
    assert values["classifier.kernel"][o % 24, 1] == model.classifier.weight[1, o % 24].item()


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_round_trip(weights, program: Program, tmp_path: Path, memory_format) -> None:
    create = program.module("model").create_model
    model = create(1).to(memory_format=memory_format)
    for w in weights.canonical_weights(model):
        w.view.copy_(torch.randn(w.view.shape))
    path = tmp_path / "weights.safetensors"
    weights.save_weights(model, path)
    other = create(2)
    weights.load_weights(other, path)
    for (name, a), (_, b) in zip(
        model.state_dict().items(), other.state_dict().items(), strict=True
    ):
        assert torch.equal(a, b), name
    with safe_open(path, "pt") as file:
        assert file.metadata() == {"format": "xgraph 1"}
        assert set(file.keys()) == set(canonical(weights, model))
    assert [p.name for p in tmp_path.iterdir()] == ["weights.safetensors"]
    before = path.read_bytes()
    for _ in range(8):
        weights.save_weights(other, path)
        assert path.read_bytes() == before


def test_types_are_kept_and_converted(weights, model, program: Program, tmp_path: Path) -> None:
    path = tmp_path / "double.safetensors"
    weights.save_weights(model.double(), path)
    with safe_open(path, "pt") as file:
        assert file.get_tensor("stem.kernel").dtype == torch.float64
    single = program.module("model").create_model(9)
    weights.load_weights(single, path)
    assert single.stem.weight.dtype == torch.float32
    assert torch.equal(single.stem.weight, model.stem.weight.float())


def test_a_misfit_is_refused_whole(weights, model, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    path = tmp_path / "weights.safetensors"
    weights.save_weights(model, path)
    tensors = load_file(path)
    for name in [n for n in tensors if "norm" in n]:
        del tensors[name]
    tensors["classifier.kernel"] = torch.zeros(24, 5)
    tensors["extra.kernel"] = torch.zeros(1)
    save_file(tensors, path)
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
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1))

    with pytest.raises(TypeError, match="Odd has no canonical weights"):
        weights.canonical_weights(nn.Sequential(Odd()))


def test_start_is_glorot_uniform_from_philox(weights, model) -> None:
    values = canonical(weights, model)
    for name in KERNELS:
        *window, fan_in, fan_out = values[name].shape
        limit = math.sqrt(6 / (math.prod(window) * (fan_in + fan_out)))
        word = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
        raw = np.random.Philox(key=np.array([3, word], np.uint64)).random_raw(values[name].size)
        expected = limit * (2 * ((raw >> np.uint64(11)) * 2.0**-53) - 1)
        expected = expected.reshape(values[name].shape).astype(np.float32)
        assert np.array_equal(values[name], expected), name
    for name, value in values.items():
        word = name.rpartition(".")[2]
        if word in ("gamma", "moving_variance"):
            assert (value == 1).all()
        elif not word.endswith("kernel"):
            assert (value == 0).all()


def test_start_depends_on_seed_and_name_alone(weights) -> None:
    def build(reverse: bool) -> nn.Module:
        torch.manual_seed(int(reverse))
        names = ["first", "second", "third"]
        made = {n: nn.Conv2d(3, 5, 3) for n in (reversed(names) if reverse else names)}
        model = nn.Module()
        for name in reversed(names) if reverse else names:
            model.add_module(name, made[name])
        return model

    one, other, third = build(False), build(True), build(False)
    for model, seed in ((one, 7), (other, 7), (third, 8)):
        weights.initialize(model, seed)
    assert torch.equal(one.second.weight, other.second.weight)
    assert not torch.equal(one.first.weight, one.second.weight)
    assert not torch.equal(one.second.weight, third.second.weight)


@pytest.mark.parametrize(
    ("text", "deviation", "cut"),
    [
        ("glorot_uniform", math.sqrt(2 / 900), math.sqrt(6 / 900)),
        ("he_uniform", math.sqrt(2 / 450), math.sqrt(6 / 450)),
        ("lecun_uniform", math.sqrt(1 / 450), math.sqrt(3 / 450)),
        ("glorot_normal", math.sqrt(2 / 900), 2 * math.sqrt(2 / 900) / NORMAL_CUT),
        ("he_normal", math.sqrt(2 / 450), 2 * math.sqrt(2 / 450) / NORMAL_CUT),
        ("lecun_normal", math.sqrt(1 / 450), 2 * math.sqrt(1 / 450) / NORMAL_CUT),
        ("truncated_normal(0.1)", 0.1 * NORMAL_CUT, 0.2),
    ],
)
def test_initializers(tmp_path: Path, text: str, deviation: float, cut: float) -> None:
    program = Program(render(tmp_path, initializers={"0.kernel": text}))
    layer = nn.Sequential(nn.Conv2d(50, 50, 3, bias=False))
    program.module("weights").initialize(layer, 0)
    drawn = layer[0].weight.detach().double().numpy()
    assert abs(drawn.mean()) < 4 * deviation / math.sqrt(drawn.size)
    assert drawn.std() == pytest.approx(deviation, rel=0.02)
    assert np.abs(drawn).max() <= cut * (1 + 1e-7)
    assert np.abs(drawn).max() > 0.98 * cut
    if "normal" in text:
        from scipy.stats import kstest, truncnorm

        scale = cut / 2
        assert kstest(drawn.ravel() / scale, truncnorm(-2, 2).cdf).pvalue > 1e-3


def test_only_what_the_model_uses_is_emitted(tmp_path: Path) -> None:
    folder = render(tmp_path / "a", initializers={"c.kernel": "zeros"})
    text = (folder / "weights.py").read_text()
    for absent in ("glorot", "from layers", "fans", "uniform", "math", "EXCEPTIONS", "Depthwise"):
        assert absent not in text
    several = {"a.kernel": "he_normal", "b.kernel": "he_normal", "c.kernel": "ones"}
    text = (render(tmp_path / "b", initializers=several) / "weights.py").read_text()
    assert 'EXCEPTIONS = {\n    "c.kernel": ones,\n}' in text
    assert "draw = EXCEPTIONS.get(name, he_normal)" in text
