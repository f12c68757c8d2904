"""Programs among settings that a user may have: the same network, trained the same way.

The lists of what is fixed and what is left to the user are in docs/semantics.md.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.mutants.networks import IMAGENET_LIKE, TRAINED
from xgraph import backend
from xgraph.cli import main
from xgraph.compile import compile_spec

SAME_CONV = (Path(__file__).parents[1] / "cases/same_conv.yaml").read_text(encoding="utf-8")
#: What Keras reads from `keras.json`; the variable KERAS_BACKEND has the last word on the backend.
KERAS_FILE = {
    "image_data_format": "channels_first",
    "floatx": "float64",
    "epsilon": 0.5,
    "backend": "torch",
}
PREAMBLES = {
    "torch": "import torch\n"
    "torch.use_deterministic_algorithms(True)\n"
    'torch.set_float32_matmul_precision("medium")\n',
    "keras": "",
    "flax": "",
}
ENVIRONMENTS = {
    "torch": {"CUBLAS_WORKSPACE_CONFIG": ":4096:8"},
    "keras": {"KERAS_BACKEND": "tensorflow", "TF_DETERMINISTIC_OPS": "1"},
    "flax": {"JAX_ENABLE_X64": "1", "JAX_DEFAULT_MATMUL_PRECISION": "highest"},
}
TRAIN = """
import sys, train
sys.argv = ["train.py", "--synthetic", "--max-steps", "2", "--batch-size", "4", "--output", "run"]
train.main()
"""
MODEL = """
import json, model, numpy as np
from keras import ops
from weights import canonical_weights
made = model.create_model()
images = np.random.default_rng(0).standard_normal((2, 32, 32, 3)).astype("float32")
shapes = {name: list(weight.shape) for name, weight in canonical_weights(made).items()}
print(json.dumps([shapes, ops.convert_to_numpy(made(images)).tolist()]))
"""


@pytest.fixture(scope="module")
def keras_home(tmp_path_factory):
    home = tmp_path_factory.mktemp("keras_home")
    (home / "keras.json").write_text(json.dumps(KERAS_FILE))
    return str(home)


def program(folder, text, name, recipe):
    """The files of a spec's program."""
    spec = folder / "spec.yaml"
    spec.write_text(text)
    _, files = compile_spec(str(spec), backend.get(name), (), recipe)
    for file, content in files.items():
        (folder / file).write_text(content)


def python(code, folder, environment):
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_training_is_the_same_everywhere(tmp_path, keras_home):
    """Each program under settings of its framework's own; all three end at the same weights."""
    recipe = tmp_path / "some.recipe.yaml"
    recipe.write_text(IMAGENET_LIKE)
    found = {}
    for name, settings in ENVIRONMENTS.items():
        folder = tmp_path / name
        folder.mkdir()
        program(folder, TRAINED, name, str(recipe))
        python(PREAMBLES[name] + TRAIN, folder, {**settings, "KERAS_HOME": keras_home})
        found[name] = load_file(folder / "run/weights.safetensors")
    for name in ("keras", "flax"):
        assert found[name].keys() == found["torch"].keys()
        for weight, value in found["torch"].items():
            assert found[name][weight].dtype == np.float32
            close = np.allclose(found[name][weight], value, rtol=1e-3, atol=1e-5)
            assert close, (name, weight)


def test_keras_file_makes_no_other_network(tmp_path, keras_home):
    """On TensorFlow, JAX and PyTorch."""
    program(tmp_path, SAME_CONV, "keras", "imagenet")
    found = {}
    for framework in ("tensorflow", "jax", "torch"):
        given = {"KERAS_BACKEND": framework, "KERAS_HOME": keras_home}
        shapes, outputs = json.loads(python(MODEL, tmp_path, given).splitlines()[-1])
        assert sum(int(np.prod(shape)) for shape in shapes.values()) == 274
        found[framework] = shapes, np.array(outputs)
    for framework in ("jax", "torch"):
        assert found[framework][0] == found["tensorflow"][0]
        assert np.allclose(found[framework][1], found["tensorflow"][1], rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_float64_is_refused_where_keras_has_none(tmp_path, capsys, monkeypatch):
    """In float32 the same programs are judged."""
    spec = tmp_path / "spec.yaml"
    spec.write_text(SAME_CONV)
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    command = ["parity", str(spec), "--backends", "keras,torch"]
    assert main(command) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("xgraph: Keras on jax computes float64 in float32: compare with --dtype")
    assert main([*command, "--dtype", "float32", "--recipe", "imagenet"]) == 0
    assert main(["fuzz", "--graphs", "2", "--jobs", "1", "--backends", "keras"]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == said
