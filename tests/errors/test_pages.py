"""Every diagnostic code has a page, and every page's example says what the page says it does.

`UPDATE_PAGES=1 pytest tests/errors/test_pages.py` writes into the pages what xgraph says now.
"""

from __future__ import annotations

import dataclasses
import os
import re
import shlex
from pathlib import Path

import pytest

from xgraph import backend, cli, codes
from xgraph.spec.loading import MAX_BYTES

ROOT = Path(__file__).parents[2]
HEADINGS = ("## Example", "## What xgraph says", "## How to mend it")
CHECK = "xgraph check spec.yaml"
#: What is legal, and probably not meant.
WARNINGS = ("XG901", "XG902", "XG903", "XG904", "XG905", "XG906", "XG907")


def used_codes() -> set[str]:
    """The codes that the source text mentions as a code."""
    found: set[str] = set()
    for folder in ("xgraph", "backends"):
        for path in (ROOT / folder).rglob("*.py"):
            found |= set(re.findall(r'"(XG\d{3})"', path.read_text(encoding="utf-8")))
    return found


@dataclasses.dataclass
class Part:
    """What stands below a heading: files by name, commands, and the text blocks."""

    files: dict[str, str]
    commands: list[str]
    texts: list[str]


def part(text: str) -> Part:
    found = Part({}, [], [])
    for info, body in re.findall(r"^```([^\n]*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        language, _, option = info.partition(" ")
        if language == "yaml":
            found.files[option.removeprefix("file=") or "spec.yaml"] = body
        elif language == "sh":
            found.commands += body.splitlines()
        else:
            assert language == "text", info
            found.texts.append(body.rstrip("\n"))
    return found


def parts(code: str) -> tuple[Part, Part, Part]:
    """Example, output and mended example."""
    text = codes.page(code)
    assert [line for line in text.splitlines() if line.startswith("## ")] == list(HEADINGS)
    _, example, said, mended = re.split("|".join(HEADINGS), text)
    return part(example), part(said), part(mended)


def write(files: dict[str, str]) -> None:
    for name, text in files.items():
        Path(name).write_text(text, encoding="utf-8")


def run(command: str, capsys) -> tuple[int, str]:
    """The exit status of a command, and its errors without the line that counts them."""
    words = shlex.split(command)
    assert words[0] == "xgraph"
    status = cli.main(words[1:])
    errors = capsys.readouterr().err
    return status, errors.rpartition("\n\n")[0]


def too_large() -> None:
    Path("spec.yaml").write_text("- relu\n" * 1_000_000, encoding="utf-8")
    assert Path("spec.yaml").stat().st_size > MAX_BYTES


def edited() -> None:
    with Path("out/model.py").open("a", encoding="utf-8") as file:
        file.write("# my own change\n")


#: Commands that are not xgraph's, done here.
OTHERS = {"python -c": too_large, "echo": edited}


@pytest.mark.parametrize("code", codes.codes())
def test_page(code, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    if code == "XG703":  # a backend that nobody has
        tiny = dataclasses.replace(
            backend.get("torch"), name="tiny", spelled=frozenset({"dense", "global_avg_pool"})
        )
        found = backend.get
        monkeypatch.setattr(backend, "get", lambda name: tiny if name == "tiny" else found(name))
    if code == "XG708":
        installed = {**backend._installed(), "broken": "nowhere_to_be_found:BACKEND"}
        monkeypatch.setattr(backend, "_installed", lambda: installed)
    example, said, mended = parts(code)
    write(example.files)
    status, errors = 0, ""
    for command in example.commands or [CHECK]:
        other = next((act for word, act in OTHERS.items() if command.startswith(word)), None)
        if other is not None:
            other()
            continue
        assert status == 0, "only the last command is at fault"
        status, errors = run(command, capsys)
    warned = code in WARNINGS
    assert status == (0 if warned else 1)
    if os.environ.get("UPDATE_PAGES"):
        page = ROOT / "xgraph" / "codes" / f"{code}.md"
        page.write_text(codes.page(code).replace(said.texts[0], errors), encoding="utf-8")
    else:
        assert [errors] == said.texts
    assert f"{'warning' if warned else 'error'}[{code}]" in errors

    write(mended.files)
    for command in mended.commands or example.commands or [CHECK]:
        if command.startswith("xgraph"):
            status, errors = run(command, capsys)
            assert status == 0, errors
            assert not warned or not errors, "mended"


def test_every_code_has_a_page_and_is_used():
    assert set(codes.codes()) == used_codes()


def test_form():
    for code in codes.codes():
        page = codes.page(code)
        assert page.startswith(f"# {code}: ")
        assert page.endswith("\n")
        assert "\t" not in page
        title = page.partition("\n")[0]
        assert not title.endswith(".")


def test_there_is_no_page_for_other_codes():
    for code in ("XG999", "xg206", "../README", ""):
        with pytest.raises(KeyError):
            codes.page(code)
