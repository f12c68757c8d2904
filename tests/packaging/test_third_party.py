"""Anybody can ship a backend: a distribution of its own, installed, found and proved by pip alone.

The environment here is a new one. It sees the packages of the running one, so that nothing is
downloaded, but the distributions of `tests/third_party` are installed there by pip.
"""

import json
import os
import shutil
import site
import subprocess
import sysconfig
import textwrap
import venv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from xgraph import conformance, ops

HERE = Path(__file__).parents[1] / "third_party"
#: With `--dist loadgroup` the environment is built once, otherwise once in each process.
pytestmark = pytest.mark.xdist_group("third_party")


@dataclass(frozen=True)
class Environment:
    """A Python that has the distributions, and the folder where commands run."""

    python: Path
    folder: Path

    def run(self, *arguments, cwd=None):
        """Run its Python with these arguments; one thread, since networks here are tiny."""
        return subprocess.run(
            [str(self.python), *map(str, arguments)],
            cwd=cwd or self.folder,
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
        )

    def succeed(self, *arguments, cwd=None):
        """What a command prints that must end well."""
        done = self.run(*arguments, cwd=cwd)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    folder = tmp_path_factory.mktemp("third_party")
    venv.create(folder / "environment", with_pip=False, symlinks=True)
    paths = {"base": str(folder / "environment"), "platbase": str(folder / "environment")}
    packages = Path(sysconfig.get_path("purelib", "venv", paths))
    # addsitedir rather than a bare path: it reads .pth files too, and with them editable installs.
    lines = [f"import site; site.addsitedir({path!r})\n" for path in site.getsitepackages()]
    (packages / "running_environment.pth").write_text("".join(lines))
    made = Environment(Path(sysconfig.get_path("scripts", "venv", paths)) / "python", folder)
    names = ("xgraph_numpy", "xgraph_broken")
    for name in names:  # copies: building leaves files beside the source
        shutil.copytree(
            HERE / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
        )
    offline = ("--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check")
    made.succeed("-m", "pip", "install", "-q", *offline, *(folder / name for name in names))
    return made


@pytest.fixture(scope="module")
def program(environment):
    """The folder of xception_mini's program in NumPy."""
    return compiled(environment, "numpy")


def compiled(environment, backend):
    folder = environment.folder / f"mini_{backend}"
    environment.succeed(
        *("-m", "xgraph.cli", "compile", "xception_mini", "--backend", backend, "-o", folder)
    )
    return folder


def script(text):
    return ["-c", textwrap.dedent(text)]


def test_it_is_installed_and_listed(environment):
    where = environment.succeed("-c", "import xgraph_numpy; print(xgraph_numpy.__file__)").strip()
    assert Path(where).is_relative_to(environment.folder / "environment")
    listed = json.loads(environment.succeed("-m", "xgraph", "list", "--backends", "--json"))
    titles = {entry["name"]: entry["title"] for entry in listed}
    assert titles["torch"] == "PyTorch"
    assert titles["numpy"]
    assert (
        titles["gone"] is titles["angry"] is None
    )  # it cannot be loaded, and the others are listed all the same
    assert "numpy" in environment.succeed("-m", "xgraph", "list", "--backends").split()


def test_listing_imports_no_backend(environment):
    """A broken one cannot harm it either."""
    imported = environment.succeed(
        *script("""
            import sys
            from xgraph import backend
            broken = {"absent", "angry", "frameless", "gone", "plain"}
            assert {"numpy", *broken} <= set(backend.names())
            print(*(name for name in sys.modules if name.startswith(("xgraph_", "numpy"))))
        """)
    )
    assert not imported.split()


def test_the_same_logits_as_pytorch(environment, program, tmp_path):
    """One safetensors file, two programs; neither needs xgraph."""
    images = np.random.default_rng(0).standard_normal((2, 32, 32, 3))
    np.save(tmp_path / "images.npy", images)
    run_torch = script("""
        import sys, numpy as np, torch
        from model import create_model, save_weights
        folder = sys.argv[1]
        images = torch.from_numpy(np.load(f"{folder}/images.npy")).permute(0, 3, 1, 2)
        model = create_model(seed=1).double()
        with torch.no_grad():
            model.train()(images)  # moving statistics other than 0 and 1
            logits = model.eval()(images)
        save_weights(model, f"{folder}/weights.safetensors")
        np.save(f"{folder}/torch.npy", logits.numpy())
    """)
    run_numpy = script("""
        import sys, numpy as np
        from model import INPUT_SHAPE, create_model, load_weights
        folder = sys.argv[1]
        images = np.load(f"{folder}/images.npy")
        assert images.shape[1:] == INPUT_SHAPE
        model = create_model()
        load_weights(model, f"{folder}/weights.safetensors")
        np.save(f"{folder}/numpy.npy", model(images))
        print(*(name for name in sys.modules if name.split(".")[0] in ("xgraph", "xgraph_numpy")))
    """)
    environment.succeed(*run_torch, tmp_path, cwd=compiled(environment, "torch"))
    imported = environment.succeed(*run_numpy, tmp_path, cwd=program)
    assert not imported.split()
    expected, received = np.load(tmp_path / "torch.npy"), np.load(tmp_path / "numpy.npy")
    assert expected.shape == received.shape == (2, 10)
    assert np.abs(expected).max() > 1e-3
    assert np.abs(expected - received).max() / np.abs(expected).max() <= 1e-10


def test_a_composite_is_a_class_of_its_steps(program):
    model = (program / "model.py").read_text(encoding="utf-8")
    assert model.count("class SeparableConv(nn.Module):") == 1
    start = model.index("class SeparableConv(")
    written = model[start : model.index("\n\n\n", start)]
    assert "self.depthwise = nn.DepthwiseConv(" in written
    assert "self.pointwise = nn.Conv(" in written
    assert '"depthwise.depthwise_kernel": "depthwise_kernel"' in written
    assert '"pointwise.kernel": "pointwise_kernel"' in written


def test_a_program_holds_only_the_layers_that_it_uses(program):
    layers = (program / "layers.py").read_text(encoding="utf-8")
    assert "class DepthwiseConv(" in layers
    assert "class Dropout(" in layers
    assert "def avg_pool(" not in layers


def test_its_programs_are_checked_like_any_other(environment, program):
    """`--check` compares with what the backend writes, and sees an edit."""
    check = ("-m", "xgraph", "compile", "xception_mini", "--backend", "numpy", "--check", "-o")
    assert "current" in environment.succeed(*check, program)
    copy = shutil.copytree(program, environment.folder / "edited")
    (copy / "model.py").write_text("pass\n")
    done = environment.run(*check, copy)
    assert done.returncode == 1
    assert "model.py: edited" in done.stdout


#: Structure that no single op has: variants, a loop, parameters, formulas, and names that mean
#: something in NumPy programs.
NET = """
xgraph: 1
name: net
input: {shape: [9, 10, 3]}
params: {width: 0.7, n: 2}
defaults: {separable_conv: {kernel: 3, padding: same}}
blocks:
  unit: {params: {filters, act: relu, stride: 1, kernel: 3}, body: [
    {separable_conv: {filters: $filters, stride: $stride, depthwise_activation: $act}},
    {batch_norm: {}, name: train},
    {max_pool: {kernel: $kernel, stride: 1, padding: same}, name: pair}]}
graph:
  weights: [{conv: {filters: "make_divisible(12 * $width, 4)", kernel: 1}, name: nn}, relu6]
  a: [{separable_conv: 4}, {separable_conv: {filters: 5, kernel: 5, bias: false}}, hard_swish]
  b: [{unit: 4}, {unit: {filters: 6, act: elu, kernel: [1, 2]}},
      {repeat: $n, body: [{unit: 6}]}, {unit: {filters: "ceil($n / 3) + 6", stride: 2}}]
  head: [global_avg_pool, {dropout: 0.5}, {dense: 3}]
outputs: {logits: head, value: a}
"""


def test_the_conformance_suite(environment, tmp_path):
    """Every case of what it spells and a network with structure, by name in that environment."""
    (tmp_path / "net.yaml").write_text(NET)
    report = environment.succeed(
        *script("""
            import json, sys
            from pathlib import Path
            from xgraph import backend, conformance

            folder = Path(sys.argv[1])
            numpy = backend.get("numpy")
            cases = conformance.cases(numpy)
            worst = [conformance.check_case(*case, numpy, numpy.load, folder) for case in cases]
            net = (folder / "net.yaml").read_text()
            sizes = ((0, 0), (1, 2))
            worst.append(conformance.check_spec(net, numpy, numpy.load, folder, grow=sizes))
            print(json.dumps([max(worst), sorted({op for op, case in cases})]))
        """),
        tmp_path,
    )
    worst, run = json.loads(report)
    assert worst <= conformance.TOLERANCE
    assert "separable_conv" in run  # which is spelled by its steps
    assert len(run) >= 27
    assert set(run) <= set(ops.names())


def test_an_op_that_it_does_not_spell(environment):
    """A backend need not keep up with the ops: what it lacks is one located error."""
    path = environment.folder / "lacking.yaml"
    path.write_text(
        "xgraph: 1\nname: lacking\ninput: {shape: [8, 8, 3]}\n"
        "graph: [{conv: {filters: 4, kernel: 3}}, mish, global_avg_pool]\n"
    )
    done = environment.run(
        *("-m", "xgraph", "compile", path, "--backend", "numpy"),
        *("-o", environment.folder / "lacking"),
    )
    assert done.returncode == 1
    assert "error[XG703]: the backend 'numpy' has no spelling for 'mish'" in done.stderr
    assert "lacking.yaml:4" in done.stderr


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("absent", "xgraph_broken:ABSENT", "ABSENT"),
        ("frameless", "xgraph_broken.frameless:BACKEND", "a_framework_that_nobody_has"),
        ("angry", "xgraph_broken.angry:BACKEND", "RuntimeError: not with this version"),
        ("gone", "xgraph_gone:BACKEND", "xgraph_gone"),
        ("plain", "xgraph_broken:PLAIN", "dict"),
    ],
)
def test_a_broken_entry_point_is_named(environment, tmp_path, name, value, reason):
    """One message, no traceback: which backend, where it should be, and what is wrong with it."""
    done = environment.run(
        *("-m", "xgraph", "compile", "xception_mini", "--backend", name, "-o", tmp_path / "made")
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    for text in (f"'{name}'", value, reason):
        assert text in done.stderr
    assert not (tmp_path / "made").exists()


def test_a_bundled_name_is_not_taken_over(environment):
    """The broken distribution has an entry point `torch` too."""
    where = environment.succeed(
        "-c", "from xgraph import backend; print(backend.get('torch').program)"
    )
    assert where.startswith("xgraph_backends.pytorch")
