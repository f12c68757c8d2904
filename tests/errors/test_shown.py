"""No character of a spec, a recipe, a file or an argument drives the terminal or hides on it."""

from __future__ import annotations

import contextlib
import json
import os

import pytest

from tests.errors.payload_fields import document, said
from tests.errors.payload_trial import unsafe_characters
from xgraph import cli

#: Escapes, an invisible filler, a bidirectional control, a character of 8-bit control sequences.
HOSTILE = "\x1b[31mred\x1b]0;title\x07 \u3164\u202e\u2066\u00ad\ufe0f\x9b2J\r\b"
#: Those of them that a spec may have.
ADMITTED = "a \u3164\u2800\u115f\ufe0f b"
SPEC = {
    "xgraph": 1,
    "name": "tiny",
    "doc": ADMITTED,
    "source": ADMITTED,
    "params": {"word": ADMITTED},
    "input": {"shape": [4, 4, 3]},
    "graph": ["global_avg_pool", {"dense": 3}],
}
FOLDER = "out \x1b[31m\u3164\u202e"


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / f"{FOLDER}.yaml").write_text(document(SPEC), encoding="utf-8")
    bad = {**SPEC, HOSTILE: HOSTILE, "graph": [{HOSTILE: None}, {"conv": {HOSTILE: HOSTILE}}]}
    (tmp_path / "bad.yaml").write_text(document(bad), encoding="utf-8")
    raw = f"xgraph: 1\nname: tiny # {HOSTILE}\n".replace("\r", "")
    (tmp_path / "raw.yaml").write_text(raw, encoding="utf-8")
    (tmp_path / "recipe.yaml").write_text(
        f"xgraph_recipe: 1\n{said(HOSTILE)}: 1\nloss: {said(HOSTILE)}\n", encoding="utf-8"
    )


def shown(capsys, *words: str) -> str:
    """What a command prints, which is checked."""
    with contextlib.suppress(SystemExit):
        cli.main(list(words))
    captured = capsys.readouterr()
    text = captured.out + captured.err
    assert text
    assert not unsafe_characters(text), words
    return text


SPECS = (f"{FOLDER}.yaml", "bad.yaml", "raw.yaml", f"no {HOSTILE}.yaml", HOSTILE)


@pytest.mark.parametrize("as_json", [False, True], ids=("text", "json"))
@pytest.mark.parametrize("spec", SPECS, ids=("good", "bad", "raw", "missing", "name"))
@pytest.mark.parametrize("command", ["check", "summary", "compile"])
def test_specs(command, spec, as_json, capsys):
    text = shown(capsys, command, spec, *(["--json"] if as_json else []))
    if as_json:
        out = text[text.index("{" if command != "compile" or "ok" in text else "[") :]
        json.JSONDecoder().raw_decode(out)
        assert text.isascii() or "warning" in text


@pytest.mark.parametrize(
    "words",
    [
        ("check", f"{FOLDER}.yaml", "--set", f"word={HOSTILE}"),
        ("check", f"{FOLDER}.yaml", "--set", f"{HOSTILE}=1"),
        ("check", f"{FOLDER}.yaml", "--set", HOSTILE),
        ("compile", f"{FOLDER}.yaml", "--recipe", "recipe.yaml"),
        ("compile", f"{FOLDER}.yaml", "--recipe", HOSTILE),
        ("compile", f"{FOLDER}.yaml", "--recipe", f"{HOSTILE}.yaml"),
        ("compile", f"{FOLDER}.yaml", "--backend", HOSTILE),
        ("compile", f"{FOLDER}.yaml", "-o", f"{FOLDER}.yaml/{HOSTILE}"),
        ("list", "."),
        ("list", HOSTILE),
        ("explain", HOSTILE),
        (HOSTILE,),
        ("check", f"{FOLDER}.yaml", f"--{HOSTILE}"),
        ("fuzz", "--seed", HOSTILE),
    ],
    ids=range(14),
)
def test_arguments(words, capsys):
    shown(capsys, *words)


def test_files_that_were_edited(capsys):
    compiled = ("compile", f"{FOLDER}.yaml", "-o", FOLDER)
    shown(capsys, *compiled)
    shown(capsys, *compiled, "--check")
    with open(os.path.join(FOLDER, "model.py"), "a", encoding="utf-8") as file:
        file.write(f"# {HOSTILE}\n")
    assert "XG701" in shown(capsys, *compiled)
    shown(capsys, *compiled, "--json")
    shown(capsys, *compiled, "--check")
    shown(capsys, *compiled, "--force")
