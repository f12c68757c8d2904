"""The README shows what is there."""

from __future__ import annotations

import ast
import inspect
import itertools
import re

import pytest

from tests.docs.markdown import ROOT, check_command, commands, fenced, matches
from xgraph import backend
from xgraph.cli import _parser
from xgraph.compile import analyse, compile_spec
from xgraph.parity import Measurement, ParityReport, compare
from xgraph.parity.distance import CLOSE, QUANTITIES
from xgraph.parity.report import GRAPH
from xgraph.spec import library

README = ROOT / "README.md"
BLOCKS = fenced(README)
SET_UP = "python3 -m venv"


def blocks(info: str) -> list[str]:
    return [block.text for block in BLOCKS if block.info == info]


def test_the_excerpt_of_the_spec_is_in_the_spec():
    assert blocks("yaml")[0] in (ROOT / "specs/xception.yaml").read_text(encoding="utf-8")


def test_the_variant_is_shown_whole():
    path = ROOT / "specs/variants/xception_elu.yaml"
    modeline, _, rest = path.read_text(encoding="utf-8").partition("\n")
    assert modeline.startswith("#")
    assert blocks("yaml")[1] == rest


BACKENDS = ("torch", "keras", "flax")


@pytest.mark.parametrize(("place", "name"), [*enumerate(BACKENDS)])
def test_an_excerpt_is_what_compile_writes(place, name):
    _, files = compile_spec("xception", backend.get(name))
    shown = blocks("python")[place]
    opening = {
        "torch": "class Downsample(",
        "keras": "def downsample(",
        "flax": "    def __call__(",
    }
    assert shown.startswith(opening[name])
    # The whole of it: what comes next begins another definition.
    before, found, rest = files["model.py"].partition(shown)
    assert found, "show it as it is compiled now"
    assert rest.startswith("\n\n")
    if name == "flax":
        assert re.findall(r"^class (\w+)", before, re.MULTILINE)[-1] == "Downsample"


@pytest.mark.parametrize("name", BACKENDS)
def test_the_weights_example_uses_what_model_offers(name):
    _, files = compile_spec("xception", backend.get(name))
    example = blocks("python")[3]
    names = re.findall(r"\b(create_model|load_weights|save_weights)\(", example)
    assert len(names) == 3
    for function in names:
        assert f'"{function}"' in files["model.py"]
    assert "head.classifier" in {node.name for node in analyse("xception").graph.nodes}


def test_the_parity_example_has_the_form_of_a_report():
    """Its figures are of one machine, and take a while; what stays is quantities and limits."""
    [text] = [text for text in blocks("text") if text.startswith("$ xgraph parity")]
    pairs = list(itertools.combinations(sorted(BACKENDS), 2))
    limits = {quantity.name: CLOSE for quantity in QUANTITIES} | {"initial weights": 0.0}
    rows = re.findall(r"^([A-Za-z ]+?)  +(.*)$", text, re.MULTILINE)[1:]
    assert [name for name, _ in rows] == ["initial weights", *(q.name for q in QUANTITIES)]
    found = []
    for name, cells in rows:
        columns = re.split("  +", cells)
        against = [(GRAPH, "flax")] * (len(columns) > len(pairs) + (limits[name] > 0))
        for pair, cell in zip([*against, *pairs], columns, strict=False):
            distance = 0.0 if cell == "same bits" else float(cell)
            found.append(Measurement(*pair, name, distance, "", limits[name]))
    report = ParityReport(
        "xception_mini", "float64", "cpu", tuple(sorted(BACKENDS)), 2, (32, 32, 3), 3, "digits",
        (*found,),
    )  # fmt: skip
    assert matches(text.splitlines()[1:], str(report).splitlines())


def test_the_library_example_calls_what_there_is():
    [example] = [text for text in blocks("python") if "xgraph.parity" in text]
    call = ast.parse(example).body[1].value
    inspect.signature(compare).bind(*call.args, **{word.arg: word.value for word in call.keywords})
    assert "agree" in vars(ParityReport)


def test_there_are_exactly_two_set_up_commands_and_ci_runs_the_second():
    found = [block.text.strip() for block in BLOCKS if SET_UP in block.text]
    assert len(found) == 2
    assert all(len(command.splitlines()) == 1 for command in found)
    assert found[0].endswith(".venv/bin/xgraph demo")
    assert found[1].endswith(".venv/bin/pytest")
    assert found[1] in (ROOT / ".ci/run").read_text().splitlines()
    assert README.read_text(encoding="utf-8").count(SET_UP) == 2
    assert found[1] in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize(
    "block",
    [b for b in BLOCKS if b.language == "console"],
    ids=lambda block: f"line-{block.line}",
)
def test_console(block, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT if block.options.get("cwd") == "root" else tmp_path)
    for file in BLOCKS:
        if "file" in file.options and file.line < block.line:
            (tmp_path / file.options["file"]).write_text(file.text, encoding="utf-8")
    for command, expected in commands(block):
        check_command(command, expected, capsys)


@pytest.mark.parametrize("name", BACKENDS)
def test_arguments_of_train_exist(name):
    _, files = compile_spec("xception", backend.get(name))
    shown = [line for text in blocks("sh") for line in re.findall(r"python train\.py (.*)", text)]
    assert shown
    for line in shown:
        for option in re.findall(r"--[a-z-]+", line):
            assert f'"{option}"' in files["arguments.py"] + files["train.py"], option


def test_commands_that_are_not_run_have_their_arguments():
    shown = [
        *re.findall(r"^\$ xgraph (.*)$", "".join(blocks("text")), re.MULTILINE),
        *re.findall(r"^xgraph (.*)$", "".join(blocks("sh")), re.MULTILINE),
    ]
    assert {line.split()[0] for line in shown} == {"parity", "fuzz", "weights"}
    for line in shown:
        _parser().parse_args(line.split())


DOCUMENTS = [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document):
    text = document.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("http"):
            continue
        path, _, anchor = target.partition("#")
        file = document.parent / path if path else document
        assert file.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}
            assert anchor in slugs, target


def test_bundled_specs_are_named_as_they_are():
    names = {path.stem for path in library.all_specs()}
    for name in ("xception", "xception_mini"):
        assert f"`{name}`" in README.read_text(encoding="utf-8")
        assert name in names
