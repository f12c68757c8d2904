"""Every example of the documents runs, and what they say of it is so."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
from xgraph_backends.pytorch import model_values

from tests.docs.markdown import ROOT, Block, check_command, commands, fenced, spec_text
from tests.golden.op_table import with_op_table
from xgraph import backend
from xgraph.compile import analyse, compile_spec
from xgraph.diagnostics import Source, Span, SpecError
from xgraph.report import summary
from xgraph.spec import expressions, formatter, loading, schema

REFERENCE = ROOT / "docs" / "spec-language.md"
DOCUMENTS = sorted((ROOT / "docs").glob("*.md"))
CLAIMS = ("text nodes", "text wiring", "text outputs", "text totals")


@dataclasses.dataclass(frozen=True)
class Example:
    """A spec, what the document says of it, and the files that stand above it."""

    document: str
    block: Block
    claims: tuple[Block, ...]
    files: tuple[Block, ...]

    def __str__(self) -> str:
        return f"{self.document}:{self.block.line}"


def examples() -> list[Example]:
    found = []
    for document in DOCUMENTS:
        files: list[Block] = []
        blocks = fenced(document)
        for position, block in enumerate(blocks):
            if block.language != "yaml" or block.options.get("fragment") == "recipe":
                continue
            claims = itertools.takewhile(lambda b: b.info in CLAIMS, blocks[position + 1 :])
            found.append(Example(document.name, block, tuple(claims), tuple(files)))
            if "file" in block.options:
                files.append(block)
    return found


EXAMPLES = examples()
GOOD = [example for example in EXAMPLES if "bad" not in example.block.options]


def write(example: Example, folder) -> str:
    for block in example.files:
        (folder / block.options["file"]).write_text(block.text, encoding="utf-8")
    path = folder / example.block.options.get("file", "example.yaml")
    path.write_text(spec_text(example.block), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_example(example, tmp_path):
    path = write(example, tmp_path)
    if "bad" in example.block.options:
        with pytest.raises(SpecError) as caught:
            analyse(path)
        assert {d.code for d in caught.value.diagnostics} == {
            *example.block.options["bad"].split(",")
        }
        return
    analysis = analyse(path)
    for claim in example.claims:
        check_claim(claim, analysis)


def test_what_is_formatted():
    blocks = fenced(REFERENCE)
    found = [
        (before.text, after.text)
        for before, after in itertools.pairwise(blocks)
        if "formatted" in after.options
    ]
    assert found
    for before, after in found:
        assert formatter.formatted(Source("spec.yaml", before)) == after


def check_claim(claim: Block, analysis) -> None:
    kind = claim.info.split()[1]
    nodes = analysis.graph.nodes
    if kind == "nodes":
        actual = [f"{n.name} {t}" for n, t in zip(nodes[1:], analysis.types[1:], strict=True)]
    elif kind == "wiring":
        actual = [f"{n.name} ← {', '.join(nodes[i].name for i in n.inputs)}" for n in nodes[1:]]
    elif kind == "outputs":
        actual = [
            f"{o.name}: {nodes[o.node].name}, "
            + ("no loss" if o.loss_weight is None else f"loss weight {o.loss_weight:g}")
            for o in analysis.graph.outputs
        ]
    else:
        totals = summary.summary_json(summary.measured(analysis))["totals"]
        actual = [f"{key} {totals[key]:,}" for key in ("parameters", "trainable", "macs")]
        actual = [line for line in actual if line.split()[0] in claim.text]
    assert claim.text.splitlines() == [" ".join(line.split()) for line in actual]


@pytest.mark.parametrize("example", GOOD, ids=str)
def test_good_examples_compile(example, tmp_path):
    path = write(example, tmp_path)
    analysis = analyse(path)
    model, _ = model_values(analysis)
    compile("\n".join(model["classes"]), "model.py", "exec")
    if analysis.types[analysis.graph.outputs[0].node].rank == 1:  # logits: it can be trained
        _, files = compile_spec(path, backend.get("torch"))
        for name, text in files.items():
            compile(text, name, "exec")


@pytest.mark.parametrize("example", GOOD, ids=str)
def test_good_examples_fit_the_schema(example):
    import jsonschema

    tree = loading.load(Source("example.yaml", spec_text(example.block))).plain()
    jsonschema.Draft202012Validator(schema.schema()).validate(tree)


def blocks_of(kind: str) -> list[Block]:
    return [block for block in fenced(REFERENCE) if block.info == f"text {kind}"]


def test_expressions():
    [block] = blocks_of("expressions")
    first, *rows = block.text.splitlines()
    parameters = value_of(first.removeprefix("params: "))
    assert rows
    for row in filter(str.strip, rows):
        text, result = (part.strip() for part in row.split("→"))
        span = Span(Source("expression", text), 1, 1)
        value = expressions.evaluate(expressions.parse(text, span), parameters)
        expected = value_of(result)
        assert (value, type(value)) == (expected, type(expected)), row


def test_functions_are_all_described():
    [block] = blocks_of("expressions")
    for name in expressions._FUNCTIONS:
        assert f"{name}(" in block.text
        assert f"`{name}(" in REFERENCE.read_text(encoding="utf-8")


def test_scalars():
    [block] = blocks_of("scalars")
    for row in block.text.splitlines():
        text, kind = row.rsplit("→", 1)
        value = value_of(text.strip())
        names = {bool: "boolean", int: "integer", float: "number", str: "text", type(None): "null"}
        expected, _, stated = kind.strip().partition(" ")
        assert names[type(value)] == expected, row
        if stated:
            assert str(value) == stated, row


def value_of(text: str):
    return loading.load(Source("value", text)).plain()


def test_op_table():
    text = REFERENCE.read_text(encoding="utf-8")
    assert text == with_op_table(text), "run: python -m tests.golden.regenerate ops"


CONSOLE = [
    (document, block)
    for document in DOCUMENTS
    for block in fenced(document)
    if block.language == "console" and document.name != "runs.md"  # test_runs has its logs
]


@pytest.mark.parametrize(
    ("document", "block"), CONSOLE, ids=[f"{d.name}:{b.line}" for d, b in CONSOLE]
)
def test_console(document, block, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for file in fenced(document):
        if "file" in file.options and file.line < block.line:
            (tmp_path / file.options["file"]).write_text(file.text, encoding="utf-8")
    for command, expected in commands(block):
        check_command(command, expected, capsys)
