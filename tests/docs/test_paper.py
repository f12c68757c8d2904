"""What docs/reproducing-the-paper.md states: each count, setting and quotient, and the verdicts."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
from collections import Counter

import pytest

from tests.docs.markdown import ROOT, fenced
from xgraph.compile import analyse
from xgraph.diagnostics import Source
from xgraph.recipe.kinds import Period, Resize
from xgraph.recipe.library import load_recipe
from xgraph.report import summary
from xgraph.spec import loading

DOCUMENT = ROOT / "docs" / "reproducing-the-paper.md"
TEXT = DOCUMENT.read_text(encoding="utf-8")
VERDICTS = ("exact", "measured", "out of reach")
#: | claim | verdict | how |
ROWS = re.findall(rf"^\| (.*) \| ({'|'.join(VERDICTS)}) \| (.*) \|$", TEXT, re.MULTILINE)

#: `xgraph summary SPEC …`: 1,234 parameters, 5,678 MACs
COUNTS = re.findall(
    r"`xgraph summary ([^`]+)`:((?: [\d,]+ (?:parameters|trainable|MACs)\b,?)+)", TEXT
)
KEYS = {"parameters": "parameters", "trainable": "trainable", "MACs": "macs"}
#: | `xgraph summary spectrum --set segments=N` | parameters | MACs | … |
SPECTRUM = re.findall(r"^\| `xgraph summary (spectrum .*)` \| ([\d,]+) \| ([\d,]+) \|", TEXT, re.M)
#: recipe `NAME`: `setting = value`, `setting = value`; spec `NAME`: `op.attribute = value`
SETTINGS = [
    (kind, name, *setting.split(" = "))
    for kind, name, settings in re.findall(
        r"(recipe|spec) `(\w+)`: ((?:`[^`]+ = [^`]+`(?:, )?)+)", TEXT
    )
    for setting in re.findall(r"`([^`]+)`", settings)
]
#: `A / B = C`, C to the digits that it has
QUOTIENTS = re.findall(r"`([\d.,]+) ([/-]) ([\d.,]+) = ([\d.]+)`", TEXT)


def number(text: str) -> int:
    return int(text.replace(",", ""))


@pytest.fixture(autouse=True)
def with_the_files_of_the_page(tmp_path, monkeypatch):
    for block in fenced(DOCUMENT):
        if "file" in block.options:
            (tmp_path / block.options["file"]).write_text(block.text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)


def totals(command: str) -> dict[str, int]:
    spec, *options = shlex.split(command)
    assert options[::2] == ["--set"] * len(options[::2])
    return summary.summary_json(summary.measured(analyse(spec, options[1::2])))["totals"]


def test_the_verdicts_are_counted():
    said = dict(re.findall(r"^\| ([a-z ]+) \| (\d+) \| ", TEXT, re.MULTILINE))
    assert {name: int(n) for name, n in said.items()} == Counter(verdict for _, verdict, _ in ROWS)


def test_every_row_of_claims_has_a_verdict():
    tables = TEXT.split("| claim | verdict | how |\n|---|---|---|\n")[1:]
    assert len(tables) > 3
    for table in tables:
        rows, _, _ = table.partition("\n\n")
        assert re.findall(r"^\| .* \|$", rows, re.MULTILINE) == rows.strip().splitlines()
        for row in rows.splitlines():
            cells = row.strip("|").split(" | ")
            assert len(cells) == 3, row
            assert cells[1] in VERDICTS, row


@pytest.mark.parametrize(("command", "counts"), COUNTS)
def test_counts(command, counts):
    found = totals(command)
    for count, word in re.findall(r"([\d,]+) (parameters|trainable|MACs)", counts):
        assert number(count) == found[KEYS[word]]


@pytest.mark.parametrize(("command", "parameters", "macs"), SPECTRUM)
def test_counts_along_the_spectrum(command, parameters, macs):
    found = totals(command)
    assert (number(parameters), number(macs)) == (found["parameters"], found["macs"])


@pytest.mark.parametrize(("kind", "name", "setting", "value"), SETTINGS)
def test_settings(kind, name, setting, value):
    expected = loading.load(Source("value", value)).plain()
    if kind == "recipe":
        assert plain(reached(load_recipe(name), setting)) == expected
        return
    op, attribute = setting.split(".")
    nodes = [node for node in analyse(name).graph.nodes if node.op.name == op]
    assert nodes
    assert {getattr(node.op, attribute) for node in nodes} == {expected}


def reached(value: object, setting: str) -> object:
    """A setting of a recipe by its name in docs/recipes.md; names of parts lead to the part."""
    for word in setting.split("."):
        inside = value if isinstance(value, tuple) else [value, *hidden(value)]
        for part in inside:
            if hasattr(part, word):
                value = getattr(part, word)
                break
            if getattr(part, "name", None) == word:
                value = part
                break
        else:
            raise AssertionError(f"no {word} of {setting}")
    return value


def hidden(value: object) -> list[object]:
    """What recipes write one level above: augmentations in `train`, pixels in `images`."""
    augmentations = getattr(value, "augmentations", ())
    return [*augmentations, *([value.pixels] if hasattr(value, "pixels") else [])]


def plain(value: object) -> object:
    """A value of a recipe as YAML has it."""
    if isinstance(value, Period):
        return {value.unit: value.count}
    if isinstance(value, Resize):
        return {value.how: value.ratio}
    if isinstance(value, tuple):
        return [plain(each) for each in value]
    return value.name if dataclasses.is_dataclass(value) else value


@pytest.mark.parametrize(("a", "sign", "b", "result"), QUOTIENTS)
def test_arithmetic(a, sign, b, result):
    left, right = (float(text.replace(",", "")) for text in (a, b))
    found = left / right if sign == "/" else left - right
    assert f"{found:.{len(result.partition('.')[2])}f}" == result


def test_no_count_in_the_tables_goes_unchecked():
    checked = {count for _, counts in COUNTS for count in re.findall(r"[\d,]+\d", counts)}
    checked |= {count for _, *counts in SPECTRUM for count in counts}
    checked |= {
        f"{int(n):,}" for _, _, _, value in SETTINGS for n in re.findall(r"\b\d{6,}\b", value)
    }
    flat = next(b.text for b in fenced(DOCUMENT) if "--flat" in b.text)  # a console block
    checked |= {*re.findall(r"\d+(?:,\d{3})+", flat)}
    for row in ROWS:
        for count in re.findall(r"\d+(?:,\d{3})+", " ".join(row)):
            assert number(count) < 100_000 or count in checked, row


def test_what_is_exact_is_shown():
    """By a fact that is checked here, a test that there is, or a link to where it is shown."""
    for claim, verdict, how in ROWS:
        if verdict == "exact":
            assert re.search(r"`xgraph summary |(recipe|spec) `\w+`: `| = |\]\(|`pytest ", how), (
                claim
            )
        for path in re.findall(r"`pytest ([^` ]+)`", how):
            assert (ROOT / path).exists(), path


def test_the_modules_of_inception_v3():
    nodes = analyse("inception_v3").graph.nodes
    inner = {index for node in nodes if node.op.name == "concat" for index in node.inputs}
    merges = [n for i, n in enumerate(nodes) if n.op.name == "concat" and i not in inner]
    assert Counter(len(node.inputs) for node in merges) == {4: 9, 3: 2}


def test_the_two_recipes_for_imagenet_differ_in_l2_alone():
    one, other = (load_recipe(name) for name in ("imagenet", "imagenet_inception"))
    settings = {field.name for field in dataclasses.fields(one) if field.repr}
    different = {name for name in settings if getattr(one, name) != getattr(other, name)}
    assert different == {"name", "doc", "regularization"}


def test_batch_norms_and_convolutions_of_xception():
    ops = Counter(node.op.name for node in analyse("xception").graph.nodes)
    assert (ops["separable_conv"], ops["conv"], ops["batch_norm"]) == (34, 2 + 4, 40)


def test_the_lines_of_specs():
    said = re.search(
        r"has (\d+) lines that .*?, (\d+) of them .*? has (\d+) and (\d+)", TEXT
    ).groups()
    found = []
    for name in ("xception", "inception_v3"):
        text = (ROOT / "specs" / f"{name}.yaml").read_text(encoding="utf-8")
        for part in (text, text[text.index("\nblocks:") :]):
            lines = [line.strip() for line in part.splitlines()]
            found.append(sum(bool(line) and not line.startswith("#") for line in lines))
    assert [int(n) for n in said] == found


def test_the_runs_with_activations():
    """From the logs that docs/runs.md shows."""
    runs = {}
    for name in ("none", "relu", "elu"):
        log = (ROOT / "docs" / "activations" / name / "metrics.jsonl").read_text(encoding="utf-8")
        runs[name] = [line for line in map(json.loads, log.splitlines()) if "split" in line]
    early, late = (
        [f"{100 * run[epoch - 1]['top1']:.2f} %" for run in runs.values()] for epoch in (2, 6)
    )
    assert "{} with nothing, {} with ReLU, {} with ELU".format(*early) in TEXT
    assert "{}, {} and {} of 360 images".format(*late) in TEXT
    assert [round(360 * (1 - run[-1]["top1"])) for run in runs.values()] == [1, 4, 2]
    none, relu, elu = (f"{run[-1]['loss']:.4f}" for run in runs.values())
    assert f"ELU's, {elu}, before {none} with nothing and {relu} with ReLU" in TEXT


def test_the_times_of_steps_are_those_of_the_equality_page():
    equality = (ROOT / "docs" / "equality.md").read_text(encoding="utf-8")
    times = re.findall(r"^(flax|keras|torch): .* steps ([\d.]+) s\)", equality, re.MULTILINE)[:6]
    xception, inception = dict(times[:3]), dict(times[3:])
    for name, title in (("keras", "Keras"), ("flax", "Flax"), ("torch", "PyTorch")):
        assert f"{xception[name]} s and {inception[name]} s in {title}" in TEXT
