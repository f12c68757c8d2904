"""Texts and names of good specs cannot become code of the generated program."""

from __future__ import annotations

import ast
import io
import json
import tokenize

import pytest

from xgraph import backend
from xgraph.compile import compile_spec

LEAK = "leaked_marker"
TEXTS = [
    f'"""\nimport {LEAK}\n"""',
    f"'''\n{LEAK}()\n'''",
    f'" + {LEAK}() + "',
    f'\\"\\"\\" {LEAK}()',
    f"ends in a backslash {LEAK} \\",
    f'ends in a quote {LEAK} "',
    f'ends in quotes {LEAK} """',
    f"\\N{{BULLET}} \\x41 \\u0041 \\777 \\q {LEAK}",
    f"{{{{ {LEAK} }}}} {{% for x in y %}} {{# {LEAK} #}}",
    f"{{{LEAK}}} %s %({LEAK})s $({LEAK})",
    f"\r\n{LEAK} = 1\r\n",
    f"# {LEAK}\t\\\n{LEAK}()",
    f"тест ☃ 🐍 全角 {LEAK} ﬁ",
    f"<!-- --> */ {LEAK} \\end{{document}}",
    (f"{LEAK} " * 400),
    f'"""{LEAK}',
    f'{LEAK}"""',
    '"' * 50 + LEAK,
    "\\" * 51 + LEAK,
]
#: Words that are names in Python, in the generated programs, or both.
NAMES = [
    "class", "def", "import", "self", "super", "x", "nn", "torch", "forward", "model", "print",
    "lambda", "none", "list", "type", "create_model", "load_weights", "train", "f", "math", "np",
    "match", "case", "path", "seed", "async", "os", "sys", "weight", "training", "modules",
    "state_dict",
]  # fmt: skip


def spec(text: str) -> str:
    """A spec that says `text` wherever a text may stand; JSON's strings are YAML's."""
    said = json.dumps(text, ensure_ascii=False)
    note = f"doc: {said}, source: {said}"
    return f"""\
xgraph: 1
name: texts
doc: {said}
source: {said}
params: {{classes: 10}}
input: {{shape: [32, 32, 3], doc: {said}}}
blocks:
  unit:
    {note.replace(", source", chr(10) + "    source")}
    params: {{filters}}
    body:
    - {{conv: {{filters: $filters, kernel: 3}}, name: first, {note}}}
    - {{residual: [{{batch_norm: , {note}}}], {note}}}
graph:
  stem:
    {note.replace(", source", chr(10) + "    source")}
    body: [{{unit: 8, {note}}}, {{repeat: 2, body: [relu], {note}}}]
  head: [global_avg_pool, {{dense: $classes, {note}}}]
outputs: {{logits: {{from: head, {note}}}}}
"""


def check(files) -> None:
    assert "model.py" in files
    for name, text in files.items():
        if not name.endswith(".py"):
            continue
        tree = ast.parse(text, name)
        for node in ast.walk(tree):
            for word in (
                getattr(node, field, None) for field in ("id", "attr", "name", "arg", "module")
            ):
                assert not isinstance(word, str) or LEAK not in word, (name, word)
        kinds = {
            token.type
            for token in tokenize.generate_tokens(io.StringIO(text).readline)
            if LEAK in token.string
        }
        assert kinds <= {tokenize.STRING, tokenize.COMMENT}, name
        compile(text, name, "exec", dont_inherit=True)  # not run: no escape is malformed either


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_texts(text, tmp_path):
    path = tmp_path / "texts.yaml"
    path.write_text(spec(text), encoding="utf-8")
    _, files = compile_spec(str(path), backend.get("torch"), recipe="imagenet")
    check(files)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", NAMES)
def test_names(name, tmp_path):
    path = tmp_path / "names.yaml"
    path.write_text(
        f"xgraph: 1\nname: {name}\nparams: {{{name}: 8}}\ninput: {{shape: [32, 32, 3]}}\n"
        f"blocks:\n  {name}: {{params: {{filters}}, body: "
        f"[{{conv: {{filters: $filters, kernel: 3}}, name: {name}}}, relu]}}\n"
        f"graph:\n  {name}:\n  - {{{name}: ${name}, name: {name}}}\n"
        f"  - {{branches: {{{name}: [relu], b: [elu]}}, merge: concat}}\n"
        f"  - [global_avg_pool, {{dense: 10}}]\noutputs: {{{name}: {name}}}\n",
        encoding="utf-8",
    )
    _, files = compile_spec(str(path), backend.get("torch"), recipe="imagenet")
    for file, text in files.items():
        if file.endswith(".py"):
            compile(text, file, "exec", dont_inherit=True)
