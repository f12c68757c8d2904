"""Fenced blocks of a Markdown file, and the commands and specs in them brought to life."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from xgraph.cli import main

ROOT = Path(__file__).parents[2]
#: What a list of items stands in: a small spec around it.
FRAME = "xgraph: 1\nname: example\ninput: {shape: [32, 32, 3]}\ngraph:\n"
#: A line that stands for any number of lines of output.
ELLIPSIS = "…"


@dataclass(frozen=True)
class Block:
    """A fenced block. `info` is what follows the opening fence: "yaml fragment=items"."""

    info: str
    text: str
    line: int

    @property
    def language(self) -> str:
        return self.info.split()[0] if self.info else ""

    @property
    def options(self) -> dict[str, str]:
        parts = (word.partition("=") for word in self.info.split()[1:])
        return {key: value for key, _, value in parts}


def fenced(path: Path) -> list[Block]:
    """The fenced blocks of a file, in order."""
    blocks, info, lines, start = [], "", [], 0
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("```") and not start:
            info, lines, start = line[3:].strip(), [], number
        elif line == "```":
            blocks.append(Block(info, "\n".join(lines) + "\n", start))
            start = 0
        elif start:
            lines.append(line)
    assert not start, f"{path}:{start}: this fence is never closed"
    return blocks


def spec_text(block: Block) -> str:
    """A whole spec: the block's text, or its items in the frame."""
    return FRAME + block.text if block.options.get("fragment") == "items" else block.text


def commands(block: Block) -> list[tuple[str, list[str]]]:
    """Each command after a `$` with the lines that it prints."""
    found: list[tuple[str, list[str]]] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        else:
            found[-1][1].append(line)
    return found


def check_command(command: str, expected: list[str], capsys) -> int:
    """Run an `xgraph` command of a console block here; what it prints must be what is shown."""
    program, *arguments = shlex.split(command)
    assert program == "xgraph"
    capsys.readouterr()
    status = main(arguments)
    captured = capsys.readouterr()
    printed = (captured.out + captured.err).splitlines()
    if expected:
        assert matches(expected, printed), "\n".join(
            [f"$ {command}", "shown:", *expected, "printed:", *printed]
        )
    return status


def matches(expected: list[str], printed: list[str]) -> bool:
    """Whether lines are as shown, where columns may be wider and `…` stands for any lines."""
    wanted = [_plain(line) for line in expected if line.strip()]
    given = [_plain(line) for line in printed if line.strip()]
    pattern = "".join(
        "(?:.*\n)*" if line == ELLIPSIS else re.escape(line) + "\n" for line in wanted
    )
    return re.fullmatch(pattern, "".join(line + "\n" for line in given)) is not None


def _plain(line: str) -> str:
    return re.sub(r"─+", "─", re.sub(r"\s+", " ", line)).strip()
