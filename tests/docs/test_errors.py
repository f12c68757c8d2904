"""What docs/errors.md shows of the JSON form and the codes."""

import json
import re

from tests.docs.markdown import ROOT, fenced
from xgraph.cli import main

DOCUMENT = ROOT / "docs" / "errors.md"
BLOCKS = fenced(DOCUMENT)


def test_the_json_form(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    [spec] = [block for block in BLOCKS if block.options.get("file") == "broken.yaml"]
    (tmp_path / "broken.yaml").write_text(spec.text, encoding="utf-8")
    assert main(["check", "broken.yaml", "--json"]) == 1
    printed = json.loads(capsys.readouterr().out)
    [shown] = [json.loads(block.text) for block in BLOCKS if block.info == "json"]
    assert shown.keys() == printed.keys()
    assert shown["diagnostics"] == printed["diagnostics"][-1:]


def test_every_code_belongs_to_a_group():
    text = DOCUMENT.read_text(encoding="utf-8")
    groups = set(re.findall(r"^\| (XG\d)\.\. \|", text, re.MULTILINE))
    used = {
        code
        for path in (ROOT / "xgraph").rglob("*.py")
        for code in re.findall(r'"(XG\d{3})"', path.read_text(encoding="utf-8"))
    }
    assert {code[:3] for code in used} == groups


def test_every_code_that_the_documents_name_exists():
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "xgraph").rglob("*.py"))
    for document in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for code in re.findall(r"XG\d{3}", document.read_text(encoding="utf-8")):
            assert f'"{code}"' in sources, f"{document.name} names {code}"
