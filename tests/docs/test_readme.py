"""The README shows what is there."""

from __future__ import annotations

import re

import pytest

from tests.docs.markdown import ROOT, check_command, commands, fenced
from xgraph import backend
from xgraph.compile import analyse, compile_spec
from xgraph.spec import library

README = ROOT / "README.md"
BLOCKS = fenced(README)
SET_UP = "python3.11 -m venv"


def blocks(info: str) -> list[str]:
    return [block.text for block in BLOCKS if block.info == info]


def test_the_excerpt_of_the_spec_is_in_the_spec():
    assert blocks("yaml")[0] in (ROOT / "specs/xception.yaml").read_text(encoding="utf-8")


def test_the_variant_is_shown_whole():
    path = ROOT / "specs/variants/xception_elu.yaml"
    modeline, _, rest = path.read_text(encoding="utf-8").partition("\n")
    assert modeline.startswith("#")
    assert blocks("yaml")[1] == rest


def test_the_class_is_what_compile_writes():
    _, files = compile_spec("xception", backend.get("torch"))
    shown = blocks("python")[0]
    assert shown.startswith("class ")
    assert shown in files["model.py"], "show the class as it is compiled now"


def test_the_weights_example_uses_what_model_offers():
    _, files = compile_spec("xception", backend.get("torch"))
    example = blocks("python")[1]
    for name in re.findall(r"\b(create_model|load_weights|save_weights)\(", example):
        assert f'"{name}"' in files["model.py"]
    assert "head.classifier" in {node.name for node in analyse("xception").graph.nodes}


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


def test_arguments_of_train_exist():
    _, files = compile_spec("xception", backend.get("torch"))
    for text in blocks("sh"):
        for argument in re.findall(r"python train\.py (.*)", text):
            for option in re.findall(r"--[a-z-]+", argument):
                assert f'"{option}"' in files["train.py"], option


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
