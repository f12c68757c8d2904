"""`compare` and `xgraph parity`: they agree when they should, and say where when they do not."""

from __future__ import annotations

import dataclasses
import json

import pytest

from xgraph import backend
from xgraph.cli import main
from xgraph.parity import compare
from xgraph.parity.process import Worker, WorkerFailed

SPEC = """\
xgraph: 1
name: small
params: {width: 4}
input: {shape: [9, 8, 3]}
blocks:
  unit:
    params: {filters}
    body: [{conv: {filters: $filters, kernel: 3, padding: same, bias: false}}, batch_norm, relu]
graph:
  stem:
  - [{unit: $width}, {repeat: 2, body: [{residual: [{unit: $width}]}]}]
  - [{conv: {filters: 5, kernel: 1}}, {elu: 0.25}]
  head: [global_avg_pool, {dropout: 0.5}, {dense: 5}]
recipe: imagenet
"""


@pytest.fixture(scope="module")
def workers():
    started = {name: Worker(name) for name in ("torch", "keras", "flax")}
    yield started
    for worker in started.values():
        worker.close()


@pytest.fixture
def spec(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(SPEC)
    return str(path)


def sabotage(monkeypatch, name, old, new, file="model.py"):
    """From here on, the backend's programs have a fault."""
    whole = backend.get(name)

    def emit(compilation):
        files = dict(whole.emit(compilation))
        assert old in files[file]
        return {**files, file: files[file].replace(old, new)}

    broken = dataclasses.replace(whole, emit=emit)
    found = backend.get
    monkeypatch.setattr(backend, "get", lambda asked, *_: broken if asked == name else found(asked))


def test_all_agree(spec, workers):
    report = compare(spec, backends=list(workers), steps=7, workers=workers)
    assert report.agree, report
    assert len(report.measurements) == 3 * 12 + 3 * 4
    quantities = {m.quantity for m in report.measurements}
    assert {"initial weights", "gradient of images", "EMA after steps"} <= quantities
    assert all(m.distance <= 1e-11 for m in report.measurements)
    text = str(report)
    assert "torch, keras, flax and the graph agree" in text
    assert "torch – keras" in text
    assert "recipe imagenet" in text
    assert report.figures["flax"]["peak_memory"] > 0


def test_float32_is_judged_by_its_own_rounding(spec, workers):
    report = compare(
        spec, backends=["torch", "keras"], dtype="float32", steps=2, workers=workers, batch=3
    )
    assert report.agree, report
    gradients = next(m for m in report.measurements if m.quantity == "gradients of weights")
    assert 1e-9 < gradients.distance < 1e-3
    steps = next(m for m in report.measurements if m.quantity == "weights after steps")
    assert steps.limit is None


def test_another_size_batch_and_setting(spec, workers):
    """A batch is a micro-batch where a recipe makes an update of several."""
    report = compare(
        spec,
        backends=["torch", "keras"],
        size=(12, 7),
        batch=3,
        steps=2,
        settings=["width=3", "recipe.accumulation=2"],
        workers=workers,
    )
    assert report.agree
    assert report.shape == (12, 7, 3)
    assert report.batch == 6


@pytest.mark.parametrize(
    ("name", "old", "new", "node", "line", "quantity"),
    [
        ("torch", ", 0.25)", ", 0.3)", "stem.elu", 12, "evaluation output"),
        ("flax", "epsilon=0.001", "epsilon=0.002", "stem.unit.batch_norm", 8, "evaluation output"),
        (
            "keras",
            "momentum=0.99",
            "momentum=0.98",
            "stem.unit.batch_norm",
            8,
            "moving statistics",
        ),
    ],
)
def test_the_first_wrong_node_is_named(
    name, old, new, node, line, quantity, spec, workers, monkeypatch
):
    sabotage(monkeypatch, name, old, new)
    other = "torch" if name != "torch" else "keras"
    report = compare(spec, backends=[other, name], workers=workers)
    assert not report.agree
    (divergence,) = report.divergences
    assert divergence.quantity == quantity
    assert divergence.node == node
    assert divergence.place.startswith(f"{spec}:{line}:")
    assert f"'{node}'" in str(report)


@pytest.mark.parametrize("backends", [["torch"], ["torch", "keras"]])
def test_programs_that_are_wrong_alike_do_not_agree(backends, spec, workers, monkeypatch):
    assert compare(spec, backends=backends, steps=2, workers=workers).agree
    sabotage(monkeypatch, "torch", ", 0.25)", ", 0.3)")
    sabotage(monkeypatch, "keras", "layers.ELU(0.25", "layers.ELU(0.3")
    report = compare(spec, backends=backends, workers=workers)
    assert {(m.left, m.right) for m in report.failures} == {("the graph", b) for b in backends}
    assert {d.node for d in report.divergences} == {"stem.elu"}
    assert report.reason.startswith("evaluation output of the graph and torch is")
    assert "not the same" in str(report)
    assert ("There is no second backend" in str(report)) == (len(backends) == 1)


def test_a_wrong_gradient_is_named_though_all_values_agree(spec, workers, monkeypatch):
    sabotage(
        monkeypatch,
        "torch",
        "return self.dense(x)",
        "return self.dense(1.5 * x - 0.5 * x.detach())",
    )
    report = compare(spec, backends=["torch", "keras"], workers=workers)
    assert {m.quantity for m in report.failures} == {"gradients of weights", "gradient of images"}
    (divergence,) = report.divergences
    assert divergence.node.startswith("stem.")  # all before the last layer, which is right


def test_a_wrong_optimizer_is_found_after_steps_alone(spec, workers, monkeypatch):
    sabotage(monkeypatch, "torch", "MOMENTUM = 0.9", "MOMENTUM = 0.91", "train.py")
    report = compare(spec, backends=["torch", "keras"], steps=3, workers=workers)
    failed = {m.quantity for m in report.failures}
    assert "weights after steps" in failed
    assert "gradients of weights" not in failed
    assert not report.chaotic
    text = str(report)
    assert text.count("not the same") == 1
    assert text.endswith(f"not the same: {report.reason}")


#: Many layers of convolution and batch norm without shortcuts: roundings grow from step to step.
PLAIN = """\
xgraph: 1
name: plain
recipe: plain.recipe.yaml
input: {shape: [8, 8, 3]}
graph:
  body:
  - repeat: 24
    body: [{conv: {filters: 4, kernel: 3, padding: same, bias: false}}, batch_norm, relu]
  head: [global_avg_pool, {dense: 5}]
"""
PLAIN_RECIPE = """\
xgraph_recipe: 1
name: plain
epochs: 10
batch_size: 2
optimizer: {sgd: {momentum: 0.9}}
schedule: {constant: {rate: 0.01}}
ema: {decay: 0.3}
loss: softmax_cross_entropy
images: {normalize: symmetric}
"""


@pytest.fixture
def plain(tmp_path):
    path = tmp_path / "plain.yaml"
    path.write_text(PLAIN)
    path.with_name("plain.recipe.yaml").write_text(PLAIN_RECIPE)
    return str(path)


@pytest.mark.slow
def test_chaotic_steps_are_judged_one_at_a_time(plain, workers):
    report = compare(plain, backends=list(workers), steps=12, workers=workers)
    assert report.agree, report
    assert report.chaotic
    after = [m for m in report.measurements if m.quantity.endswith("steps")]
    assert {m.limit for m in after} == {None}
    assert max(m.distance for m in after) > 1e-7
    single = [m for m in report.measurements if m.quantity.endswith("step by step")]
    assert len(single) == 3 * 5
    assert all(1e-12 <= m.limit < 1e-7 and m.distance < 1e-10 for m in single)
    assert "This training is chaotic" in str(report)
    assert report.to_json()["chaotic"]


@pytest.mark.parametrize(
    ("old", "new", "quantity"),
    [
        pytest.param(
            "rate = plan.rate\n",
            "rate = plan.rate + 1e-7 * keras.ops.cast(step == 11, dtype)\n",
            "weights, step by step",
            marks=pytest.mark.slow,
        ),
        ("EMA_DECAY = 0.3", "EMA_DECAY = 0.30001", "EMA, step by step"),
    ],
)
def test_a_fault_is_found_in_chaos(old, new, quantity, plain, workers, monkeypatch):
    sabotage(monkeypatch, "keras", old, new, "train.py")
    report = compare(plain, backends=["torch", "keras"], steps=12, workers=workers)
    assert report.chaotic
    assert quantity in {m.quantity for m in report.failures}
    assert not [m for m in report.failures if m.quantity.endswith("after steps")]


#: Sigmoids make what they are given almost one value, of which batch norm takes the rest.
ILL = """\
xgraph: 1
name: ill
input: {shape: [6, 6, 3]}
graph:
- repeat: 12
  body: [{conv: {filters: 4, kernel: 1}}, sigmoid]
- {batch_norm: {epsilon: 1.0e-16, momentum: 0.9}}
- [{elu: 0.25}, {conv: {filters: 4, kernel: 3, padding: same}}, {max_pool: 2}, global_avg_pool]
- {dense: 5}
"""


@pytest.fixture
def ill(tmp_path):
    path = tmp_path / "ill.yaml"
    path.write_text(ILL)
    return str(path)


def test_an_ill_conditioned_network_agrees_and_is_called_so(ill, workers):
    report = compare(ill, backends=list(workers), workers=workers, recipe="imagenet")
    assert report.agree, report
    assert {"gradients of weights", "loss"} <= {m.quantity for m in report.measurements}
    assert "gradients of weights" in {m.quantity for m in report.ill_conditioned}
    assert max(m.distance for m in report.measurements) > 1e-9
    assert str(report).endswith("agree, as far as can be told")
    assert report.reason == ""
    report = compare(ill, backends=["torch", "flax"], workers=workers, recipe="imagenet", steps=4)
    assert report.agree, report
    assert report.chaotic


#: The logistic function is nearly 1 here, and its derivative s·(1 − s) all rounding of s, which no
#: change of what it is of can show.
SATURATED = """\
xgraph: 1
name: saturated
input: {shape: [12, 12, 2]}
graph: [{branches: [[], [], [], []], merge: add}, global_max_pool, sigmoid, {dense: 5}]
"""


@pytest.mark.parametrize("fault", ["", "(1 + 1e-6) * x - 1e-6 * x.detach()"])
def test_rounding_that_no_nudge_shows(fault, tmp_path, workers, monkeypatch):
    path = tmp_path / "saturated.yaml"
    path.write_text(SATURATED)
    if fault:
        sabotage(monkeypatch, "torch", "return self.dense(x)", f"return self.dense({fault})")
    far = []
    for seed in range(1, 4):
        report = compare(str(path), backends=["torch", "keras"], workers=workers, seed=seed)
        assert report.agree == (not fault), report
        assert not report.ill_conditioned
        far += [m.distance for m in report.measurements if m.quantity == "gradient of images"]
    assert max(far) > 1e-12


@pytest.mark.parametrize(
    ("name", "old", "new", "file"),
    [
        ("torch", ", 0.25)", ", 0.26)", "model.py"),
        pytest.param("torch", "eps=1e-16", "eps=1e-5", "model.py", marks=pytest.mark.slow),
        pytest.param("keras", "epsilon=1e-16", "epsilon=1e-5", "model.py", marks=pytest.mark.slow),
        ("keras", "momentum=0.9", "momentum=0.91", "model.py"),
        ("torch", "F.max_pool2d(x, 2)", "F.avg_pool2d(x, 2)", "model.py"),
        ("torch", "return self.dense(x)", "return self.dense(2 * x - x.detach())", "model.py"),
        ("torch", "MOMENTUM = 0.9", "MOMENTUM = 0.91", "train.py"),
        pytest.param("torch", "L2 = 1e-5", "L2 = 2e-5", "train.py", marks=pytest.mark.slow),
    ],
)
def test_a_fault_is_found_in_an_ill_conditioned_network(
    name, old, new, file, ill, workers, monkeypatch
):
    sabotage(monkeypatch, name, old, new, file)
    steps = 3 if file == "train.py" else 0
    report = compare(
        ill, backends=["torch", "keras"], workers=workers, recipe="imagenet", steps=steps
    )
    assert not report.agree, report
    assert report.reason


#: No classes, two inputs' worth of channels, an image and a vector as outputs.
MODULE = """\
xgraph: 1
name: module
input: {shape: [7, 6, 5]}
graph:
- [{conv: {filters: 4, kernel: 3, padding: same}}, batch_norm, {leaky_relu: 0.1}]
- {max_pool: {kernel: 3, stride: 2, padding: same}, name: pooled}
- {global_avg_pool: {}, name: average}
outputs: {features: pooled, average: {from: average}}
"""


def test_a_module_without_a_recipe_is_compared(tmp_path, workers, monkeypatch, capsys):
    path = tmp_path / "module.yaml"
    path.write_text(MODULE)
    report = compare(str(path), backends=list(workers), workers=workers)
    assert report.agree, report
    assert report.recipe is None
    quantities = {m.quantity for m in report.measurements}
    assert {"gradients of weights", "gradient of images", "moving statistics"} <= quantities
    assert main(["parity", str(path), "--steps", "2", "--backends", "torch,keras"]) == 1
    assert "cannot be trained as logits" in capsys.readouterr().err
    sabotage(monkeypatch, "torch", ", 0.1)", ", 0.2)")
    assert not compare(str(path), backends=["torch", "keras"], workers=workers).agree


def test_a_program_that_fails_says_where_and_why(spec, workers, monkeypatch):
    sabotage(monkeypatch, "torch", ", 0.25)", ', "no" + "pe" * 500)')
    with pytest.raises(WorkerFailed) as raised:
        compare(spec, backends=["torch", "keras"], workers=workers)
    message = raised.value.message
    assert message.startswith(f"{spec}:12:")
    assert "'stem.elu': the program of 'torch' fails: TypeError: elu()" in message
    assert "\n" not in message
    assert len(message) < 500


def test_progress_is_told_where_there_is_no_terminal(spec, capsys):
    assert main(["parity", spec, "--backends", "torch,keras"]) == 0
    said = capsys.readouterr().err
    assert "torch: " in said or "keras: " in said  # whichever is the first to say anything


def test_command(spec, capsys):
    assert main(["parity", spec, "--backends", "torch,keras", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["agree"]
    assert report["backends"] == ["torch", "keras"]
    assert report["input"] == [9, 8, 3]
    assert all(m["agree"] for m in report["measurements"])


def test_command_says_what_differs(spec, capsys, monkeypatch):
    sabotage(monkeypatch, "torch", ", 0.25)", ", 0.3)")
    assert main(["parity", spec, "--backends", "torch,keras"]) == 1
    text = capsys.readouterr().out
    assert "not the same:" in text
    assert "part at 'stem.elu' (elu)" in text
    assert "✗" in text


def test_mistakes_of_the_user(spec, capsys):
    assert main(["parity", spec, "--backends", "torch,cafe"]) == 1
    assert "there is no backend called 'cafe'" in capsys.readouterr().err
    assert main(["parity", "no_such_spec"]) == 1
    with pytest.raises(SystemExit):
        main(["parity", spec, "--size", "0"])
    assert "--size" in capsys.readouterr().err


def test_a_package_that_is_not_installed_is_named(spec, capsys, monkeypatch):
    def refuse(self):
        raise WorkerFailed("flax", "the backend 'flax' needs jax", "jax")

    monkeypatch.setattr(Worker, "answers", refuse)
    assert main(["parity", spec, "--backends", "torch,keras"]) == 2
    assert "needs jax" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["parity", "xception_mini"], ["fuzz", "--graphs", "1"]])
def test_all_backends_that_there_are_not_are_told_where_they_stand(command, capsys):
    assert main([*command, "--backends", "torch,torhc,,x"]) == 1
    err = capsys.readouterr().err
    for column, name in ((7, "torhc"), (14, "x")):
        said = f"--backends:1:{column}: error[XG702]: there is no backend called '{name}'"
        assert said in err
