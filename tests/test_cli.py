"""The commands: output, exit status, and that no framework is imported."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from xgraph import backend
from xgraph.cli import main

XCEPTION = {"parameters": 22_910_480, "trainable": 22_855_952, "non_trainable": 54_528,
            "macs": 8_357_403_496}  # fmt: skip

BAD = "xgraph: 1\nname: bad\ninput: {shape: [8, 8, 3]}\ngraph: [{con: 3}, {conv: {filters: x}}]\n"


def run(capsys, *arguments):
    status = main(arguments)
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.fixture
def bad(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text(BAD)
    return str(path)


def test_summary_json(capsys):
    status, out, _ = run(capsys, "summary", "xception", "--json")
    assert status == 0
    summary = json.loads(out)
    assert {key: summary["totals"][key] for key in XCEPTION} == XCEPTION
    assert {"name", "op", "shape", "parameters", "macs"} <= summary["nodes"][0].keys()
    assert sum(node["parameters"] for node in summary["nodes"]) == XCEPTION["parameters"]
    assert sum(node["macs"] for node in summary["nodes"]) == XCEPTION["macs"]
    assert len(summary["nodes"]) == 134
    assert summary["nodes"][-1] == {
        "name": "head.classifier", "op": "dense", "shape": [1000], "parameters": 2_049_000,
        "trainable": 2_049_000, "non_trainable": 0, "macs": 2_048_000, "activation_bytes": 4000,
        "receptive_field": [1371, 1371],
    }  # fmt: skip


def test_summary_set(capsys):
    _, out, _ = run(capsys, "summary", "xception", "--set", "classes=10", "--json")
    assert json.loads(out)["totals"]["parameters"] == 20_881_970


def test_summary_table_folds_repeats(capsys):
    _, out, _ = run(capsys, "summary", "xception")
    assert "middle ×8" in out
    assert "22,910,480" in out
    assert "8,357,403,496" in out
    assert out.count("sepconv_bn") < 6


def test_summary_names_iterations_as_nodes_are_named(tmp_path, capsys):
    """A line that stands for the whole loop bears no number; others bear theirs."""
    path = tmp_path / "spec.yaml"
    path.write_text(
        "xgraph: 1\nname: net\ninput: {shape: [16, 16, 3]}\n"
        "blocks: {unit: {params: {stride}, body: [{max_pool: {kernel: 1, stride: $stride}}]}}\n"
        "graph:\n"
        "- {for: {s: [2, 1, 1]}, body: [{unit: $s}, {repeat: 2, body: relu}]}\n"
        "- {repeat: 3, body: elu}\n"
        "- {repeat: 1, body: tanh}\n",
        encoding="utf-8",
    )
    _, out, _ = run(capsys, "summary", str(path), "--depth", "1")
    table = out.split("─\n")[1].splitlines()[1:]
    names = [line.split("  ")[0] for line in table if not line.startswith("─")]
    assert names == ["unit.0", "relu.0 ×2", "unit.1-2 ×2", "relu.1-2 ×4", "elu ×3", "tanh.0"]
    _, out, _ = run(capsys, "summary", str(path), "--flat")
    assert "unit.2.max_pool " in out
    assert "relu.0.1 " in out


def test_summary_counts_what_is_trainable(capsys):
    _, out, _ = run(capsys, "summary", "xception", "--depth", "1")
    [line] = [line for line in out.splitlines() if line.startswith("trainable")]
    assert line.split() == ["trainable", f"{XCEPTION['trainable']:,}"]


def test_summary_depth_and_flat(capsys):
    _, sections, _ = run(capsys, "summary", "xception", "--depth", "1")
    assert "module2" not in sections
    _, deep, _ = run(capsys, "summary", "xception", "--depth", "4")
    assert "sepconv_bn ×3" in deep
    _, flat, _ = run(capsys, "summary", "xception", "--flat")
    assert "middle_flow.middle.7.sepconv_bn.2.batch_norm" in flat


def test_folded_rows_add_up(capsys):
    """Sections of the table sum to the total, however deep it is opened."""
    _, out, _ = run(capsys, "summary", "inception_v3", "--depth", "1")
    rows = [line.split() for line in out.splitlines() if (line and "×" in line) or " " in line]
    figures = [row for row in rows if len(row) > 4 and row[0] not in ("input", "name", "total")]
    shown = [int(row[2].replace(",", "")) for row in figures if row[2].replace(",", "").isdigit()]
    assert sum(shown) == 23_851_784


def test_check(capsys, bad):
    assert run(capsys, "check", "xception")[0] == 0
    status, out, err = run(capsys, "check", bad)
    assert status == 1
    assert out == ""
    assert "error[XG206]" in err
    assert "did you mean 'conv'" in err
    assert "Traceback" not in err


def test_check_json(capsys, bad):
    status, out, _ = run(capsys, "check", bad, "--json")
    assert status == 1
    report = json.loads(out)
    assert report["ok"] is False
    assert report["diagnostics"][0]["line"] == 4
    assert report["diagnostics"][0]["code"] == "XG206"
    status, out, _ = run(capsys, "check", "xception", "--json")
    assert status == 0
    assert json.loads(out)["ok"] is True


def test_unknown_spec(capsys):
    status, _, err = run(capsys, "summary", "xceptoin")
    assert status == 1
    assert "did you mean 'xception'" in err


def test_list(capsys):
    status, out, _ = run(capsys, "list", "--json")
    assert status == 0
    specs = {spec["name"]: spec for spec in json.loads(out)}
    assert {"xception", "xception_mini", "inception_v3"} <= specs.keys()
    assert {key: specs["xception"]["totals"][key] for key in XCEPTION} == XCEPTION
    assert all(spec["path"].endswith(".yaml") for spec in specs.values())
    _, table, _ = run(capsys, "list")
    assert "inception_v3" in table


@pytest.mark.parametrize("what", ["--ops", "--backends", "--recipes"])
def test_list_of_other_things(capsys, what):
    status, out, _ = run(capsys, "list", what)
    assert status == 0
    assert {"--ops": "separable_conv", "--backends": "torch", "--recipes": "imagenet"}[what] in out
    assert json.loads(run(capsys, "list", what, "--json")[1])


def test_list_of_a_folder_with_specs_at_fault(capsys, tmp_path, monkeypatch):
    """A family that stands there twice, and what is no spec: the rest is listed."""
    monkeypatch.chdir(tmp_path)
    spec = (
        "xgraph: 1\nname: NAME\nparams: {n: 4}\ninput: {shape: [8, 8, 3]}\n"
        "graph: [{conv: {filters: $n, kernel: 3}}]\nsizes: {big: {params: {n: 8}}}\n"
    )
    Path("family.yaml").write_text(spec.replace("NAME", "family"))
    Path("copy.yaml").write_text(spec.replace("NAME", "copied"))
    Path("broken.yaml").write_text("xgraph: 1\nname: broken\n")
    assert main(["list", "."]) == 1
    out, err = capsys.readouterr()
    assert "family" in out
    assert "copied" in out
    assert "the size 'big' is declared in two files" in err
    assert "broken.yaml:" in err
    assert main(["list", ".", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["ok"] is False


def test_list_of_backends(capsys):
    _, out, _ = run(capsys, "list", "--backends")
    rows = {line[:28].strip(): line[28:].split() for line in out.splitlines()}
    assert rows["layout"] == ["NHWC", "NHWC", "NCHW"]
    assert rows["strided same padding"] == ["yes", "yes", "no"]
    listed = json.loads(run(capsys, "list", "--backends", "--json")[1])
    assert [entry["name"] for entry in listed] == ["flax", "keras", "torch"]
    assert listed[2]["conventions"]["running_variance"] == "unbiased"


def test_list_of_backends_with_one_that_cannot_be_loaded(capsys, monkeypatch):
    found = backend.get

    def get(name):
        return found(name if name != "keras" else "no_such_backend")

    monkeypatch.setattr(backend, "get", get)
    status, out, _ = run(capsys, "list", "--backends")
    assert status == 0
    assert "cannot be loaded" in out
    assert json.loads(run(capsys, "list", "--backends", "--json")[1])[1]["conventions"] is None


def test_explain(capsys):
    status, out, _ = run(capsys, "explain", "xg206")
    assert status == 0
    assert "XG206" in out
    status, _, err = run(capsys, "explain", "XG999")
    assert status == 2
    assert "no error code" in err


@pytest.mark.parametrize(
    "arguments", [[], ["frobnicate"], ["check"], ["summary", "x", "--depth", "a"]]
)
def test_usage(capsys, arguments):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_compile_check_and_edit(capsys, tmp_path):
    folder = tmp_path / "out"
    where = ["-o", str(folder)]
    assert run(capsys, "compile", "xception_mini", *where, "--check")[0] == 1
    assert not folder.exists()
    assert run(capsys, "compile", "xception_mini", *where)[0] == 0
    assert run(capsys, "compile", "xception_mini", *where, "--check")[0] == 0
    model = folder / "model.py"
    edited = model.read_text().replace("import torch", "import torch  # mine", 1)
    model.write_text(edited)
    status, out, _ = run(capsys, "compile", "xception_mini", *where, "--check")
    assert status == 1
    assert "model.py: edited" in out
    status, _, err = run(capsys, "compile", "xception_mini", *where)
    assert status == 1
    assert "error[XG701]" in err
    assert "-import torch  # mine" in err
    assert model.read_text() == edited
    assert run(capsys, "compile", "xception_mini", *where, "--force")[0] == 0
    assert (folder / "model.py.bak").read_text() == edited
    assert run(capsys, "compile", "xception_mini", *where, "--check")[0] == 0


def test_compile_errors(capsys, tmp_path, bad):
    status, _, err = run(capsys, "compile", bad, "-o", str(tmp_path / "out"))
    assert status == 1
    assert not (tmp_path / "out").exists()
    status, _, err = run(
        capsys, "compile", "xception", "--backend", "troch", "-o", str(tmp_path / "o")
    )
    assert status == 1
    assert "did you mean 'torch'" in err
    status, _, err = run(
        capsys, "compile", "xception", "--recipe", "imagnet", "-o", str(tmp_path / "o")
    )
    assert status == 1
    assert "imagenet" in err
    assert list(tmp_path.iterdir()) == [tmp_path / "bad.yaml"]


def test_default_folder_is_below_generated(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(capsys, "compile", "xception_mini", "--backend", "all", "--set", "classes=3")[0] == 0
    assert (tmp_path / "generated" / "xception_mini" / "torch" / "model.py").is_file()
    manifest = json.loads((tmp_path / "generated/xception_mini/torch/xgraph.json").read_text())
    assert manifest["settings"] == ["classes=3"]


@pytest.mark.parametrize(
    "command", ["check xception", "summary xception", "list", "list --ops", "schema",
                "explain XG206", "compile xception --check", "format . --check"],
)  # fmt: skip
def test_no_framework_is_imported(command, tmp_path):
    """Nor NumPy, nor networkx: they would take longer than the work itself."""
    code = (
        "import sys; from xgraph.cli import main\n"
        f"main({command.split()!r})\n"
        "slow = {'torch', 'tensorflow', 'keras', 'jax', 'numpy', 'networkx'}\n"
        "heavy = slow & sys.modules.keys()\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr


def test_python_m_xgraph():
    done = subprocess.run(
        [sys.executable, "-m", "xgraph", "--version"], capture_output=True, text=True
    )
    assert done.stdout.startswith("xgraph ")


def test_a_closed_pipe_is_no_error():
    command = f"{sys.executable} -m xgraph summary xception --flat | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert done.stdout == "xception\n"
    assert done.stderr == ""
