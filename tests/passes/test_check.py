"""`xgraph check` says all that `xgraph compile` would say."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from xgraph import backend
from xgraph.cli import main
from xgraph.compile import check, compile_spec
from xgraph.diagnostics import SpecError

TOP = "xgraph: 1\nname: example\ninput: {shape: [8, 8, 4]}\n"
FIVE = TOP.replace("4]", "$c]")
RECIPE = Path(__file__).parents[2] / "specs" / "recipes" / "digits.yaml"


def found(run) -> set[str]:
    try:
        run()
    except SpecError as error:
        return {diagnostic.code for diagnostic in error.diagnostics}
    return set()


@pytest.mark.parametrize(
    ("text", "recipe", "codes"),
    [
        ("graph: [{conv: {filters: 4, kernel: 3}}]", "imagenet", {"XG706"}),
        ("graph: [global_avg_pool, {dense: 4}, softmax]", "imagenet", {"XG706"}),
        ("graph: [global_avg_pool, {dense: 4}]\nrecipe: nothing", None, {"XG604"}),
        ("graph: [relu]\nrecipe: nothing", None, {"XG604", "XG706"}),
        ("graph: [global_avg_pool, {dense: 4}]\nparams: {c: 5}", "imagenet", {"XG603"}),
        ("graph: [{conv: {filters: 4, kernel: 3}}]", None, set()),
        ("graph: [relu, global_avg_pool]", "imagenet", {"XG707"}),  # there is nothing to train
        ("graph: [relu, global_avg_pool]", None, set()),
    ],
)
def test_check_says_what_compile_says(tmp_path, text, recipe, codes):
    path = tmp_path / "spec.yaml"
    path.write_text((FIVE if "{c: 5}" in text else TOP) + text)
    assert found(lambda: check(str(path), (), recipe)) == codes
    for name in backend.names():
        target = backend.get(name)
        assert found(lambda b=target: compile_spec(str(path), b, (), recipe)) == codes


def test_all_backends_are_asked(tmp_path, monkeypatch):
    path = tmp_path / "spec.yaml"
    path.write_text(TOP + "recipe: digits\ngraph: [relu, {elu: 2}]")
    get = backend.get
    short = {"torch": {"relu"}, "keras": {"elu"}, "flax": {"relu", "elu"}}
    monkeypatch.setattr(
        backend,
        "get",
        lambda name: dataclasses.replace(get(name), spelled=get(name).spelled - short[name]),
    )
    with pytest.raises(SpecError) as caught:
        check(str(path))
    messages = [d.message for d in caught.value.diagnostics if d.code == "XG703"]
    assert len(messages) == 4
    assert "XG706" in {d.code for d in caught.value.diagnostics}
    with pytest.raises(SpecError) as caught:
        check(str(path), names=["torch"])
    assert [d.code for d in caught.value.diagnostics].count("XG703") == 1


def test_a_broken_package_is_no_fault_of_the_spec(tmp_path, monkeypatch, capsys):
    installed = {**backend._installed(), "broken": "nowhere_to_be_found:BACKEND"}
    monkeypatch.setattr(backend, "_installed", lambda: installed)
    path = tmp_path / "spec.yaml"
    path.write_text(TOP + "graph: [relu]")
    assert main(["check", str(path)]) == 0
    assert "warning[XG708]" in capsys.readouterr().err
    assert main(["check", str(path), "--backend", "broken"]) == 1
    assert "error[XG708]" in capsys.readouterr().err


def test_without_a_recipe_the_model_is_all_there_is(tmp_path, capsys):
    path = tmp_path / "spec.yaml"
    path.write_text(TOP + "graph: [{conv: {filters: 4, kernel: 3, stride: 2, padding: same}}]")
    for name in backend.names():
        _, files = compile_spec(str(path), backend.get(name))
        assert {"model.py", "weights.py"} <= set(files) <= {"model.py", "layers.py", "weights.py"}
    assert main(["compile", str(path), "--json", "-o", str(tmp_path / "out")]) == 0
    [printed] = json.loads(capsys.readouterr().out)
    assert "train.py" not in printed["new"]


def test_a_recipe_that_is_dropped_takes_its_files_along(tmp_path, capsys):
    path = tmp_path / "spec.yaml"
    path.write_text(TOP.replace("4]", "1]") + "graph: [global_avg_pool, {dense: 4}]")
    out = tmp_path / "out"
    assert main(["compile", str(path), "--recipe", str(RECIPE), "-o", str(out)]) == 0
    assert (out / "train.py").is_file()
    assert main(["compile", str(path), "-o", str(out)]) == 0
    assert sorted(p.name for p in out.iterdir()) == ["model.py", "weights.py", "xgraph.json"]
    gone = (
        "arguments.py, checkpoint.py, data.py, event_file.py, inference.py, loader.py, parts.py, "
        "run.py, train.py removed"
    )
    assert gone in capsys.readouterr().out


def test_what_does_not_depend_on_each_other_is_said_together(tmp_path):
    path = tmp_path / "spec.yaml"
    path.write_text(FIVE + "params: {c: 5}\nrecipe: imagenet\ngraph: [relu]")
    assert found(lambda: check(str(path))) == {"XG603", "XG706"}
