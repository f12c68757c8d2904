"""Whatever the terminal can say, and whatever a path is called: no traceback, nothing hidden."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from xgraph.cli import main

SPEC = """\
xgraph: 1
name: example
doc: "×, é and 漢"
params: {unused: 1}
input: {shape: [8, 8, 3]}
graph: [relu]
"""
#: Bytes that are no text, some that are, and one that drives a terminal.
NAME = b"a\xff\xc3\xa9\x1b[31m"

#: Runs several commands in one process and says how each ended.
RUN = """
import json, os, sys
from xgraph.cli import main
for words in json.loads(os.environ["WORDS"]):
    try:
        status = main(words)
    except SystemExit as done:
        status = done.code
    print("status", status, flush=True)
"""


@pytest.mark.parametrize(
    "surroundings",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1"},
        {"LC_ALL": "C"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "utf-8"},
    ],
    ids=" ".join,
)
def test_any_encoding_and_any_path(tmp_path, surroundings):
    spec = os.fsencode(tmp_path) + b"/" + NAME + b".yaml"
    with open(spec, "wb") as file:
        file.write(SPEC.encode())
    commands = [
        (["check", "SPEC"], 0),
        (["check", "SPEC", "--strict"], 1),
        (["check", "SPEC", "--set", "unused=\udcff"], 1),
        (["summary", "SPEC", "--json"], 0),
        (["compile", "SPEC", "--backend", "all", "-o", "out\udcff\x1b[2J"], 0),
        (["compile", "SPEC", "--recipe", "no\udcff.yaml"], 1),
        (["compile", "SPEC", "-o", "SPEC/inside"], 1),
        (["compile", "SPEC", "--check"], 1),
        (["list", "."], 0),
        (["list", "--ops"], 0),
        (["explain", "XG905"], 0),
        (["explain", "\x1b\udcff"], 2),
        (["check", "nothing\x1b\udcff.yaml"], 1),
        (["nothing\x1b\udcff"], 2),
        (["check", "SPEC", "--\x1b\udcff"], 2),
    ]
    code = f"import os; SPEC = os.fsdecode({spec!r})\n" + RUN.replace(
        'json.loads(os.environ["WORDS"])',
        f"[[w.replace('SPEC', SPEC) for w in words] for words in {[c for c, _ in commands]!r}]",
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("LC_", "PYTHONIO"))}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**environment, **surroundings},
        cwd=tmp_path,
        capture_output=True,
    )
    assert b"Traceback" not in done.stderr, done.stderr.decode(errors="replace")
    assert done.returncode == 0
    found = [int(line.split()[1]) for line in done.stdout.splitlines() if b"status " in line]
    assert found == [status for _, status in commands]
    assert b"\x1b" not in done.stdout + done.stderr


FORGED = "forged: everything was current"


def test_a_path_with_line_breaks_adds_no_line(tmp_path, monkeypatch, capsys):
    """Whoever reads what xgraph says can tell one path from another."""
    monkeypatch.chdir(tmp_path)
    folder = f"out\n{FORGED}\nx"
    spec = tmp_path / folder / f"a\n{FORGED}.yaml"
    spec.parent.mkdir()
    spec.write_text(SPEC)
    for words in (
        ["compile", str(spec), "--backend", "all", "-o", folder],
        ["compile", str(spec), "--backend", "all", "-o", folder, "--check"],
        ["compile", str(spec), "--recipe", "none", "-o", f"other\n{FORGED}", "--check"],
        ["compile", str(spec), "-o", f"{folder}/torch"],
        ["compile", str(spec), "-o", f"other\n{FORGED}", "--check"],
        ["compile", str(spec), "-o", str(spec)],
        ["list", "."],
        ["check", str(spec)],
        ["check", f"nothing\n{FORGED}"],
        ["table", f"nothing\n{FORGED}"],
        ["explain", f"\n{FORGED}"],
    ):
        main(words)
        said = capsys.readouterr()
        lines = (said.out + said.err).splitlines()
        assert lines, words
        assert not [line for line in lines if line.strip().startswith("forged")], words
    (tmp_path / folder / "torch" / "model.py").write_text("mine")
    main(["compile", str(spec), "-o", f"{folder}/torch"])
    said = capsys.readouterr().err
    assert "XG701" in said
    assert not [line for line in said.splitlines() if line.strip().startswith("forged")]
