"""weights.py: names, layouts, files and the start of training, the same in every framework."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from xgraph import backend

from .programs import FRAMEWORKS, SMALL, Program, files, render

NORMAL_CUT = 0.87962566103423978  # standard deviation of a standard normal cut at ±2
BLOCK = {
    "sepconv.depthwise_kernel": (3, 3, 8, 2),
    "sepconv.pointwise_kernel": (1, 1, 16, 8),
    "sepconv.bias": (8,),
    "norm.beta": (8,),
    "norm.moving_mean": (8,),
    "norm.moving_variance": (8,),
}
SHAPES = {
    "stem.kernel": (3, 3, 3, 8),
    **{f"stem_norm.{word}": (8,) for word in ("gamma", "beta", "moving_mean", "moving_variance")},
    **{
        name.replace(".", f".{turn}.", 1): shape for turn in (0, 1) for name, shape in BLOCK.items()
    },
    "grouped.kernel": (3, 3, 4, 12),
    "grouped.bias": (12,),
    "depthwise.depthwise_kernel": (3, 3, 12, 1),
    "depthwise.bias": (12,),
    "classifier.kernel": (12, 4),
    "classifier.bias": (4,),
}
KERNELS = [name for name in SHAPES if name.endswith("kernel")]


@pytest.fixture
def weights(framework: str, programs: dict[str, Program]) -> Any:
    return programs[framework].module("weights")


@pytest.fixture
def model(framework: str, programs: dict[str, Program]) -> Any:
    return create(programs[framework], 3)


def create(program: Program, seed: int) -> Any:
    return program.module("model").create_model(seed)


def canonical(weights: Any, model: Any) -> dict[str, np.ndarray]:
    """Copies of all weights, whatever a framework's `canonical_weights` gives."""
    found = weights.canonical_weights(model)
    if isinstance(found, Mapping):
        if "keras" in type(model).__module__:
            return {name: np.array(variable.value) for name, variable in found.items()}
        return {name: np.array(variable[...]) for name, variable in found.items()}
    return {weight.name: weight.view.detach().numpy().copy() for weight in found}


def test_names_and_shapes(weights: Any, model: Any) -> None:
    assert {name: a.shape for name, a in canonical(weights, model).items()} == SHAPES


def test_all_that_trains_has_a_name(framework: str, weights: Any, model: Any) -> None:
    named = sum(array.size for array in canonical(weights, model).values())
    if framework == "torch":
        floats = [t for t in model.state_dict().values() if t.is_floating_point()]
        held = sum(tensor.numel() for tensor in floats)
    elif framework == "keras":
        held = sum(math.prod(variable.shape) for variable in model.weights)
    else:
        import jax
        from flax import nnx

        state = nnx.state(model, (nnx.Param, nnx.BatchStat))
        held = sum(array.size for array in jax.tree.leaves(state))
    assert held == named == sum(math.prod(shape) for shape in SHAPES.values())


def test_axes_of_pytorch(programs: dict[str, Program]) -> None:
    """Keras' axes of PyTorch's weights; Keras and Flax hold theirs in that order."""
    model = create(programs["torch"], 3)
    values = canonical(programs["torch"].module("weights"), model)
    rng = np.random.default_rng(0)
    h, w, i, m, o = (int(rng.integers(n)) for n in (3, 3, 8, 2, 12))
    held = dict(model.named_parameters())
    depthwise = held["sepconv.0.depthwise.weight"]
    assert values["sepconv.0.depthwise_kernel"][h, w, i, m] == depthwise[i * 2 + m, 0, h, w].item()
    grouped = held["grouped.weight"]
    assert values["grouped.kernel"][h, w, i % 4, o] == grouped[o, i % 4, h, w].item()
    assert values["classifier.kernel"][o, 1] == held["classifier.weight"][1, o].item()


def test_start_is_glorot_uniform_from_philox(weights: Any, model: Any) -> None:
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
        assert value.dtype == np.float32
        if word in ("gamma", "moving_variance"):
            assert (value == 1).all(), name
        elif not word.endswith("kernel"):
            assert (value == 0).all(), name


def test_start_depends_on_the_seed(weights: Any, model: Any) -> None:
    before = canonical(weights, model)
    weights.initialize(model, 4)
    after = canonical(weights, model)
    assert all(not np.array_equal(before[name], after[name]) for name in KERNELS)
    assert not np.array_equal(
        after["sepconv.0.depthwise_kernel"], after["sepconv.1.depthwise_kernel"]
    )


@pytest.mark.parametrize("other", FRAMEWORKS)
def test_files_of_one_load_in_the_other(
    other: str, framework: str, programs: dict[str, Program], tmp_path: Path
) -> None:
    """In bytes, for two programs write the same file of the same weights; nothing else is left."""
    rng = np.random.default_rng(0)
    given = tmp_path / "given.safetensors"
    arrays = {name: rng.normal(size=s).astype(np.float32) for name, s in SHAPES.items()}
    save_file(arrays, given)
    written = []
    for name in (framework, other, framework):
        program = programs[name]
        model = create(program, len(written))
        program.module("weights").load_weights(model, written[-1] if written else given)
        written.append(tmp_path / f"{len(written)}.safetensors")
        program.module("weights").save_weights(model, written[-1])
        found = canonical(program.module("weights"), model)
        assert all(np.array_equal(found[n], a) for n, a in arrays.items())
    assert len({path.read_bytes() for path in written}) == 1
    assert len(list(tmp_path.iterdir())) == 4
    with safe_open(written[0], "numpy") as file:
        assert file.metadata() == {"xgraph": '{"format": 1}'}


def test_types_are_kept_and_converted(
    framework: str, weights: Any, model: Any, tmp_path: Path
) -> None:
    """A file has the type of the model that wrote it, a model its own whatever it reads."""
    path = tmp_path / "double.safetensors"
    double = backend.get(framework).load(files(framework), "float64")
    double.set_weights({name: value + 1e-12 for name, value in double.weights().items()})
    double.modules["weights"].save_weights(double.model, path)
    held, wanted = load_file(path), double.weights()
    assert all(a.dtype == np.float64 and np.array_equal(a, wanted[n]) for n, a in held.items())
    weights.initialize(model, 9)
    weights.load_weights(model, path)
    for name, array in canonical(weights, model).items():
        assert array.dtype == np.float32
        assert np.array_equal(array, wanted[name].astype(np.float32)), name


def test_names_are_the_specs(framework: str, tmp_path: Path) -> None:
    """Also where a framework has the word for itself, and a program an underscore after it."""
    spec = SMALL.replace("name: stem}", "name: train}").replace("name: norm}", "name: eval}")
    program = Program(render(tmp_path / framework, framework=framework, spec=spec))
    text = (program.folder / "model.py").read_text()
    assert ("self.train_ = " in text) == ("self.eval_ = " in text) == (framework != "keras")
    found = canonical(program.module("weights"), create(program, 0))
    own = {"train.kernel", "eval.gamma", "eval.beta", "eval.moving_mean", "eval.moving_variance"}
    assert found.keys() == own | {"classifier.kernel", "classifier.bias"}


def test_channels_last_memory_saves_the_same(programs: dict[str, Program], tmp_path: Path) -> None:
    import torch

    weights, one = programs["torch"].module("weights"), create(programs["torch"], 1)
    other = create(programs["torch"], 1).to(memory_format=torch.channels_last)
    for number, model in enumerate((one, other)):
        weights.save_weights(model, tmp_path / str(number))
    assert (tmp_path / "0").read_bytes() == (tmp_path / "1").read_bytes()


def test_a_misfit_is_refused_whole(weights: Any, model: Any, tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    weights.save_weights(model, path)
    arrays = load_file(path)
    for name in [n for n in arrays if "norm" in n]:
        del arrays[name]
    arrays["classifier.kernel"] = np.zeros((12, 5), np.float32)
    arrays["extra.kernel"] = np.zeros(1, np.float32)
    save_file(arrays, path)
    before = canonical(weights, model)
    with pytest.raises(ValueError, match="does not fit the model") as caught:
        weights.load_weights(model, path)
    message = str(caught.value)
    assert "missing: norm.0.beta, " in message
    assert "and 5 more" in message
    assert "unexpected: extra.kernel" in message
    assert "of another shape: classifier.kernel (expected (12, 4), received (12, 5))" in message
    after = canonical(weights, model)
    assert all(np.array_equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("dtype", [np.complex64, np.int32, np.bool_])
def test_other_numbers_are_no_weights(
    dtype: type, weights: Any, model: Any, tmp_path: Path
) -> None:
    path = tmp_path / "weights.safetensors"
    weights.save_weights(model, path)
    arrays = load_file(path)
    arrays["classifier.kernel"] = arrays["classifier.kernel"].astype(dtype)
    save_file({**arrays, "a\x1b": arrays["classifier.kernel"]}, path)
    with pytest.raises(ValueError, match="does not fit the model") as caught:
        weights.load_weights(model, path)
    name = np.dtype(dtype).name
    assert f"of another type: classifier.kernel ({name})" in str(caught.value)
    assert "unexpected: a?" in str(caught.value)


def test_not_a_weights_file(weights: Any, model: Any, tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"nonsense")
    with pytest.raises(ValueError, match="is not a safetensors file"):
        weights.load_weights(model, path)


def test_a_failed_save_leaves_the_old_file(
    weights: Any, model: Any, tmp_path: Path, monkeypatch
) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_text("old")

    def fail(*arguments: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(weights, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        weights.save_weights(model, path)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["weights.safetensors"]


def test_weights_without_a_canonical_name_are_an_error(programs: dict[str, Program]) -> None:
    import jax.numpy as jnp
    import torch
    from flax import nnx

    class OddTorch(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = torch.nn.Parameter(torch.ones(1))

    class OddFlax(nnx.Module):
        def __init__(self) -> None:
            self.scale = nnx.Param(jnp.ones(1))

    for name, model in (
        ("torch", torch.nn.Sequential(OddTorch())),
        ("flax", nnx.List([OddFlax()])),
    ):
        with pytest.raises(TypeError, match="has no canonical weights"):
            programs[name].module("weights").canonical_weights(model)


INITIALIZERS = [
    ("glorot_uniform", math.sqrt(2 / 900), math.sqrt(6 / 900)),
    ("he_uniform", math.sqrt(2 / 450), math.sqrt(6 / 450)),
    ("lecun_uniform", math.sqrt(1 / 450), math.sqrt(3 / 450)),
    ("glorot_normal", math.sqrt(2 / 900), 2 * math.sqrt(2 / 900) / NORMAL_CUT),
    ("he_normal", math.sqrt(2 / 450), 2 * math.sqrt(2 / 450) / NORMAL_CUT),
    ("lecun_normal", math.sqrt(1 / 450), 2 * math.sqrt(1 / 450) / NORMAL_CUT),
    ("{truncated_normal: 0.1}", 0.1 * NORMAL_CUT, 0.2),
    ("he_uniform_fan_out", math.sqrt(2 / 1800), math.sqrt(6 / 1800)),
    ("he_normal_fan_out", math.sqrt(2 / 1800), 2 * math.sqrt(2 / 1800) / NORMAL_CUT),
]
WIDE = """\
xgraph: 1
name: wide
input: {shape: [16, 16, 3]}
graph:
- {conv: {filters: 50, kernel: 1, kernel_initializer: zeros}, name: thin}
- {conv: {filters: 50, kernel: 3, kernel_initializer: INITIALIZER}, name: wide}
- {global_avg_pool: , name: pooled}
- {dense: {units: 4, kernel_initializer: zeros}, name: logits}
outputs: {logits: logits}
"""


@pytest.mark.parametrize(("text", "deviation", "cut"), INITIALIZERS)
def test_initializers(text: str, deviation: float, cut: float, tmp_path: Path) -> None:
    """By their moments and limits; the functions are one text in all frameworks."""
    spec = WIDE.replace("INITIALIZER", text)
    if "fan_out" in text:
        spec = spec.replace("filters: 50, kernel: 3", "filters: 200, kernel: 3")
    program = Program(render(tmp_path, spec=spec))
    drawn = canonical(program.module("weights"), create(program, 0))["wide.kernel"].astype(float)
    assert abs(drawn.mean()) < 4 * deviation / math.sqrt(drawn.size)
    assert drawn.std() == pytest.approx(deviation, rel=0.02)
    assert np.abs(drawn).max() <= cut * (1 + 1e-7)
    assert np.abs(drawn).max() > 0.98 * cut
    if "normal" in text:
        from scipy.stats import kstest, truncnorm

        scale = cut / 2
        assert kstest(drawn.ravel() / scale, truncnorm(-2, 2).cdf).pvalue > 1e-3


@pytest.mark.parametrize("number", [0.25, -1.5e-3, 0])
def test_a_constant_kernel(number: float, framework: str, tmp_path: Path) -> None:
    spec = WIDE.replace("INITIALIZER", f"{{constant: {number}}}")
    program = Program(render(tmp_path, framework=framework, spec=spec))
    drawn = canonical(program.module("weights"), create(program, 0))["wide.kernel"]
    assert np.array_equal(drawn, np.full(drawn.shape, number, np.float32))


def test_only_what_the_model_uses_is_emitted(framework: str) -> None:
    zeros = SMALL.replace("bias: false}", "bias: false, kernel_initializer: zeros}")
    zeros = zeros.replace("dense: $classes", "dense: {units: $classes, kernel_initializer: zeros}")
    text = files(framework, spec=zeros)["weights.py"]
    for absent in ("glorot", "fans", "uniform", "math", "EXCEPTIONS", "Depthwise", "RENAMED"):
        assert absent not in text
    text = files(framework, spec=WIDE.replace("INITIALIZER", "he_normal"))["weights.py"]
    assert "EXCEPTIONS = {" in text
    assert "he_normal" in text
