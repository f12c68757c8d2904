"""The last gate alone: the door for texts is broken in many ways, and no program gets out.

Each leak lets texts of the spec or recipe into programs raw, or half escaped. Whatever text is
tried, the gate refuses the program, or the program is still the one that was planned.
"""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import sys
import textwrap
from collections.abc import Callable

import pytest

from tests.errors.payload_fields import document
from tests.errors.payload_trial import BACKENDS, difference, identifiers
from tests.errors.payloads import MARK, PAYLOADS
from xgraph import backend, cli, text, twin
from xgraph.compile import emit, prepare
from xgraph.diagnostics import SpecError
from xgraph.emit import assemble, names, render, source, symbols
from xgraph.emit.gate import LeakError, is_inert
from xgraph.emit.planning import classes
from xgraph.recipe import facts, train_values
from xgraph.spec import expressions
from xgraph.text import Text

from ..turns import by_turns

RUN = f"{MARK}()"
#: Texts that act where they stand raw in a string, a docstring, a comment, a class or a call.
ACTING = (
    f'"""\n{RUN}\n"""',
    f'"; {RUN}; "',
    f'", {RUN}: "',
    f"\\\\u\n{RUN} #",
    "x" * 96 + " " + RUN,
    f"{RUN} #\\",
    f"Foo(Base):\n    {RUN}\nclass Bar",
    "coding: utf-7",
    "a" * 81 + "\\Users \\",
    "C:\\Users",
    f"' a b '+{RUN}+' c d'",
    f"A b\n{RUN}\nc d",
    f'\\", {RUN}: "',
    "\\" * 197 + "Users",
    "a" + "\\" * 197 + "Users",
    "a\0b",
    f"{RUN}",
    "x y",
    "(x, y",
)


def spec(said: str) -> str:
    """A spec that says a text wherever one may reach a program."""
    rows = [{"filters": 2, said + " ": 2}, {"filters": 3, said + " ": 4}]
    return document(
        {
            "xgraph": 1,
            "name": "tiny",
            "doc": said,
            "source": said,
            "params": {"n": 2, "word": "A"},
            "input": {"shape": [4, 4, 3]},
            "blocks": {
                "unit": {
                    "doc": said,
                    "source": said,
                    "params": {"filters": None, "act": "Zulu"},
                    "body": [
                        {"conv": {"filters": "$filters", "kernel": 1}},
                        {"relu": None, "when": "$act == 'Zulu'"},
                    ],
                },
                "table": {
                    "params": {"rows": None},
                    "body": [
                        {
                            "for": {"row": "$rows"},
                            "body": [
                                {"conv": {"filters": "$row.filters", "kernel": 1}},
                            ],
                        }
                    ],
                },
            },
            "graph": [
                {"unit": {"filters": 2, "act": said + " "}},
                {"unit": {"filters": 2}},
                {"table": {"rows": rows}},
                {"table": {"rows": [*rows, {"filters": 4, said + " ": 2}]}},
                {
                    "conv": {
                        "filters": f"$n if $n != 3 or '{_within(said)} ' == 'Zulu' else 5",
                        "kernel": 1,
                    }
                },
                "global_avg_pool",
                {"dense": 3},
            ],
        }
    )


def _within(said: str) -> str:
    """A text as an expression may say it, which has no escapes."""
    return "".join(" " if c in "'\\\r\n" else c for c in said)[:300]


def recipe(said: str) -> str:
    return document(
        {
            "xgraph_recipe": 1,
            "name": "short",
            "doc": said,
            "source": said,
            "epochs": 6,
            "batch_size": 32,
            "optimizer": "sgd",
            "schedule": {"constant": 0.05},
            "loss": "softmax_cross_entropy",
            "images": {"normalize": "symmetric"},
        }
    )


def everywhere(monkeypatch: pytest.MonkeyPatch, old: Callable, new: Callable) -> None:
    """Replace a function under all names that it was imported by."""
    found = False
    for module in [m for name, m in sys.modules.items() if name.startswith("xgraph")]:
        for name, value in list(vars(module).items()):
            if value is old:
                monkeypatch.setattr(module, name, new)
                found = True
    assert found


def raw(said: Text | str) -> str:
    return said.raw if isinstance(said, Text) else said


def _words_of_variant(self, variant):
    return [value[1] for _, value in variant.key[1] if value[0] == "str"]


def _class_name(name, *words):
    return "".join(
        part[:1].upper() + part[1:] for word in (name, *words) for part in word.split("_")
    )


def _code_of(old):
    def code_of(value):
        if isinstance(value, dict):
            return "{" + ", ".join(f'"{k}": {code_of(v)}' for k, v in value.items()) + "}"
        if isinstance(value, tuple | list):
            inner = ", ".join(map(code_of, value))
            return f"({inner},)" if len(value) == 1 else f"({inner})"
        return value if isinstance(value, str) else old(value)

    return code_of


def _paste_doc(old, paste):
    def docstring(plan, *rest, **more):
        lines = old(plan, *rest, **more)
        return [*lines, *paste(raw(plan.doc))] if plan.doc else lines

    return docstring


def _header(paste):
    def header(name, digest, settings, recipe=None):
        return "\n".join([f"# Generated from {name}.", *(line for one in settings
                                                           for line in paste(one))])  # fmt: skip

    return header


def _told(change):
    """The values of train.py with the recipe's words pasted in."""
    old = train_values.train_values

    def values(recipe, facts):
        found = dict(old(recipe, facts))
        change(found, raw(recipe.doc))
        return found

    return old, values


def _outputs_doc(old):
    def outputs_doc(analysis, shape):
        return [*old(analysis, shape), raw(analysis.elaborated.program.doc)]

    return outputs_doc


def _declared(old, program):
    return lambda parameter: f'{old(parameter).split(" = ")[0]} = "{raw(program.doc)}"'


def _facts(old):
    def model_facts(analysis):
        return dataclasses.replace(old(analysis), name=raw(analysis.elaborated.program.doc))

    return model_facts


def _to_python(old):
    return lambda expression, spell, quote=repr: old(expression, spell, _quoted)


def _function(old, new):
    return lambda patch, _: everywhere(patch, old, new)


def _values(change):
    return lambda patch, _: everywhere(patch, *_told(change))


def _quoted(said: str) -> str:
    return f'"{said}"'


_wrap = textwrap.wrap
LEAKS: dict[str, Callable] = {
    "literal: raw": _function(text.literal, _quoted),
    "literal: bare": _function(text.literal, lambda said: said),
    "literal: quotes alone are escaped": _function(
        text.literal, lambda said: _quoted(said.replace('"', '\\"'))
    ),
    "literal: backslashes alone are escaped": _function(
        text.literal, lambda said: _quoted(said.replace("\\", "\\\\"))
    ),
    "literal: line breaks are not escaped": _function(
        text.literal, lambda said: _quoted(said.replace("\\", "\\\\").replace('"', '\\"'))
    ),
    "prose: raw, and docstrings too": lambda patch, _: (
        everywhere(patch, text.docstring_lines, lambda said, width: raw(said).split("\n")),
        everywhere(patch, text.prose, raw),
    ),
    "prose: quotes": _function(text.prose, lambda said: " ".join(raw(said).split())),
    "docstring_lines: raw": _function(
        text.docstring_lines, lambda said, width: raw(said).splitlines() or [""]
    ),
    "docstring_lines: no escapes": _function(
        text.docstring_lines, lambda said, width: _wrap(text.prose(said), width)
    ),
    "docstring_lines: cut within a pair": _function(
        text.docstring_lines,
        lambda said, width: _wrap(text.prose(said).replace("\\", "\\\\"), width - 1),
    ),
    "comment_lines: raw": _function(
        text.comment_lines, lambda said, width: [f"# {raw(said)}"]
    ),
    "comment_lines: only the first is one": _function(
        text.comment_lines,
        lambda said, width: _wrap(f"# {raw(said)}", width, break_long_words=False),
    ),
    "comment_lines: cookies": _function(
        text.comment_lines, lambda said, width: [f"# {' '.join(raw(said).split())}"]
    ),
    "class names of variants": lambda patch, _: (
        patch.setattr(classes.Classes, "words_of_variant", _words_of_variant),
        everywhere(patch, names.class_name, _class_name),
        everywhere(patch, names.identifier, lambda name: name),
    ),
    "any text is a word": lambda patch, _: (
        everywhere(patch, names.is_word, lambda said: True),
        everywhere(patch, names.class_name, _class_name),
        everywhere(patch, names.identifier, lambda name: name),
    ),
    "code_of: keys and texts": lambda patch, _: (
        everywhere(patch, symbols.code_of, _code_of(symbols.code_of)),
        everywhere(patch, text.literal, _quoted),
    ),
    "expressions: quotes of a text": _function(
        expressions.to_python, _to_python(expressions.to_python)
    ),
    "header: settings": _function(render.header, _header(lambda one: [f"# With {one}"])),
    "header: settings in a docstring": _function(
        render.header, _header(lambda one: ['"""', one, '"""'])
    ),
    "header: settings as constants": _function(
        render.header, _header(lambda one: [f"{one.replace('=', ' = ', 1)}"])
    ),
    "a comment that goes on": lambda patch, _: everywhere(
        patch, source.docstring,
        _paste_doc(source.docstring, lambda doc: _wrap(f"# {doc}", 90, initial_indent="    ",
                                                       subsequent_indent="    ")),
    ),
    "a string behind a docstring": lambda patch, _: everywhere(
        patch, source.docstring,
        _paste_doc(source.docstring, lambda doc: [f'    "{doc}"']),
    ),
    "a single-quoted string behind a docstring": lambda patch, _: everywhere(
        patch, source.docstring,
        _paste_doc(source.docstring, lambda doc: [f"    '{doc}'"]),
    ),
    "a line of its own": lambda patch, _: everywhere(
        patch, source.docstring,
        _paste_doc(source.docstring, lambda doc: _wrap(doc, 90, initial_indent="    ",
                                                       subsequent_indent="    ")),
    ),
    "the model's docstring": lambda patch, _: everywhere(
        patch, assemble.outputs_doc, _outputs_doc(assemble.outputs_doc)
    ),
    "a default in a signature": lambda patch, program: everywhere(
        patch, source.declared, _declared(source.declared, program)
    ),
    "the model's name": lambda patch, program: everywhere(
        patch, facts.model_facts, _facts(facts.model_facts)
    ),
    "train.py: title": _values(
        lambda found, doc: found.update(opening=[f'"""{doc}', *found["opening"][1:]])
    ),
    "train.py: docstring": _values(
        lambda found, doc: found.update(opening=[*found["opening"], *doc.split("\n")])
    ),
    "train.py: cadence": _values(
        lambda found, doc: found.update(cadence=[f'{found["cadence"][0]}, "{doc}"'])
    ),
}  # fmt: skip


class Plans:
    """Compilations of texts that are legal in all places at once, and what was planned for them."""

    def __init__(self, folder):
        self.folder = folder
        self.compilations = {}
        self.programs = {}

    def compilation(self, said):
        if said not in self.compilations:
            self.compilations[said] = self._prepared(said)
        return self.compilations[said]

    def _prepared(self, said):
        path, other = self.folder / "spec.yaml", self.folder / "recipe.yaml"
        path.write_text(spec(said), encoding="utf-8")
        other.write_text(recipe(said), encoding="utf-8")
        for settings in ([f"word={said}"], []):
            with contextlib.suppress(SpecError):
                return prepare(str(path), settings, str(other))
        return None

    def program(self, said, name):
        if (said, name) not in self.programs:
            target = backend.get(name)
            self.programs[said, name] = emit(self.compilation(said), target)
        return self.programs[said, name]


@pytest.fixture(scope="module")
def plans(tmp_path_factory):
    return Plans(tmp_path_factory.mktemp("plans"))


def tried(leak, name, plans, monkeypatch, texts):
    """What the gate says to each text: True where it stops the program."""
    for said in texts:
        compilation = plans.compilation(said)
        if compilation is None:
            continue
        planned = plans.program(said, name)
        with monkeypatch.context() as patch:
            LEAKS[leak](patch, compilation.analysis.elaborated.program)
            try:
                files = emit(compilation, backend.get(name))
            except LeakError:
                yield True
                continue
        for file, written in files.items():
            was, tree = ast.parse(planned[file].encode()), ast.parse(written.encode())
            found = difference(was, tree, "\0", "\0")
            # The leak may add strings; what is said in them names nothing.
            assert found is None or MARK not in set(identifiers(tree)), (said, file, found)
        yield False


@pytest.mark.parametrize(("leak", "name"), by_turns(LEAKS, always=()))
def test_leak_is_stopped(leak, name, plans, monkeypatch):
    assert any(tried(leak, name, plans, monkeypatch, ACTING))


@pytest.mark.slow
@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("leak", LEAKS)
def test_leak_of_every_text(leak, name, plans, monkeypatch):
    assert any(list(tried(leak, name, plans, monkeypatch, (*ACTING, *PAYLOADS))))


def test_nothing_is_written(tmp_path, monkeypatch, capsys):
    everywhere(monkeypatch, text.literal, _quoted)
    path = tmp_path / "spec.yaml"
    path.write_text(spec(f'", {RUN}: "'), encoding="utf-8")
    out = tmp_path / "out"
    status = cli.main(["compile", str(path), "--backend", "all", "-o", str(out)])
    said = capsys.readouterr()
    assert status == 3
    assert not out.exists()
    assert said.out == ""
    assert "Traceback" not in said.err
    last = said.err.splitlines()[-1]  # warnings come before
    assert last.startswith("xgraph: internal error: ")
    assert last.endswith("; please report it")


#: Plain words and settings, and prose, that act where they stand raw; and how they may stand.
PLAIN_ACTING = (
    "raise", "return", "break", "pass", "exit", "breakpoint", "main", "seed=7", "os.unlink",
    "torch.relu=torch.tanh", "os.unlink=os.rmdir", "two words; print(", "one two exit",
    "rates=[1, 2]",
)  # fmt: skip
PLANTS = {
    "a line": "\n{said}\n",
    "a line of a function": "\ndef planted():\n    while True:\n        {said}\n",
    "a callee": "\n{said}()\n",
    "a value": "\nPLANTED = {said}\n",
    "wrapped": "\n{wrapped}\n)\n",
    "wrapped, and a callee": "\n{wrapped}(1)\n",
}
TINY = "xgraph: 1\nname: tiny\ninput: {shape: [4, 4, 3]}\n"
#: Where a spec may say it: each a spec, and settings.
PLACES = {
    "a doc": ("doc: {said}\ngraph: [relu, global_avg_pool, {{dense: 3}}]\n", ()),
    "an argument": (
        "blocks: {{unit: {{params: {{act: a b}}, body: [{{relu: , when: $act != 'x'}}]}}}}\n"
        "graph: [{{unit: {{act: '{said}'}}}}, unit, global_avg_pool, {{dense: 3}}]\n",
        (),
    ),
    "a setting": (
        "params: {{word: b}}\ngraph: [relu, global_avg_pool, {{dense: 3}}]\n",
        ("{said}",),
    ),
}


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("said", PLAIN_ACTING)
def test_plain_texts_that_act_are_stopped(said, where, tmp_path):
    text, settings = PLACES[where]
    path = tmp_path / "spec.yaml"
    path.write_text(TINY + text.format(said=said), encoding="utf-8")
    compilation = prepare(str(path))
    if settings:  # as if there were such a parameter, for each of them might be one's name
        said_so = tuple(one.format(said=said) for one in settings)
        compilation = dataclasses.replace(
            compilation, analysis=dataclasses.replace(compilation.analysis, settings=said_so)
        )
    target = backend.get("torch")
    emit(compilation, target)
    acted = 0
    for plant in PLANTS.values():

        def leaking(compilation, plant=plant):
            told = _told_in(where, compilation)
            files = dict(target.emit(compilation))
            files["weights.py"] += plant.format(said=told, wrapped=told.replace(" ", "\n"))
            return files

        with pytest.raises(LeakError, match=r"a text of the spec|is not Python"):
            emit(compilation, dataclasses.replace(target, emit=leaking))
        with contextlib.suppress(SyntaxError):
            ast.parse(leaking(compilation)["weights.py"])
            acted += 1
    assert acted, "none of the plants is Python"


def _told_in(where, compilation):
    """What a spec of `PLACES` says."""
    program = compilation.analysis.elaborated.program
    if where == "a doc":
        return program.doc.raw
    if where == "a setting":
        return compilation.analysis.settings[0]
    [argument] = program.sections[0].block.body[0].arguments
    return argument.value.content


WORDS = """
blocks:
  unit:
    params: {filters: , act: swish}
    body:
    - {conv: {filters: $filters, kernel: 1}}
    - {relu: , when: $act == 'max'}
    - {elu: , when: $act == 'a_b'}
graph:
- {unit: 2}
- {unit: {filters: 2, act: max}}
- {unit: {filters: 2, act: a_b}}
- {unit: {filters: 2, act: exit}}
- {unit: {filters: 2, act: x1}}
- {unit: {filters: 2, act: same}}
- [global_avg_pool, {dense: 3}]
"""


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("doc", ["max", "exit", "pass", "'it is \"quoted\"'", "$act"])
def test_words_that_name_classes_are_no_leak(name, doc, tmp_path):
    path = tmp_path / "spec.yaml"
    path.write_text(f"{TINY}doc: {doc}\n{WORDS}", encoding="utf-8")
    files = emit(prepare(str(path)), backend.get(name))
    assert "max" in files["model.py"].lower()


def test_plain_words_and_settings_need_no_twin(monkeypatch):
    """Or a spec with words of its own would cost twice as much."""
    monkeypatch.setattr(twin, "neutral", lambda compilation: pytest.fail("a twin is made"))
    for settings in ([], ["classes=10"], ["input.shape=[128, 128, 3]"]):
        compilation = prepare("xception", settings)
        for name in BACKENDS:
            emit(compilation, backend.get(name))


def test_what_is_inert():
    for said in ("Chollet 2016, arXiv 1610.02357, Figure 5", "two words; three more",
                 "The model's words (Figure 5) say nothing"):  # fmt: skip
        assert is_inert(said), said
    for said in (
        "import os", "a; b", "f(x)", "x = y", "' a b '+f()+' c d'", "f'x y'or f()", "a b f() c d",
        "a b\nc", 'a "b c"', "a b # c", "a b \\", "a {b c}", "raise a b", "a b pass c d", "@a b c",
        "a b if c: d e", "A", "a b exec(c)d e", "coding=utf-7 a b", "relu", "classes=10",
        "two words; print(", "a b c[", "a b; c", "a b exit",
    ):  # fmt: skip
        assert not is_inert(said), said
