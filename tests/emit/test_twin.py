"""The neutral twin is the same program, whatever a spec says."""

from __future__ import annotations

import contextlib
import dataclasses

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.emit.test_gate import recipe, spec
from tests.errors.payload_trial import BACKENDS
from xgraph import backend, twin
from xgraph.compile import emit, prepare
from xgraph.diagnostics import SpecError
from xgraph.emit.gate import LeakError, is_inert
from xgraph.spec import library


def checked(path, text, changes=(), recipe=None):
    """Every program of a spec passes the gate, its twin being made even where it need not be."""
    path.write_text(text, encoding="utf-8")
    compilation = prepare(str(path), changes, recipe)
    silent = twin.neutral(compilation)
    assert [n.name for n in silent.analysis.graph.nodes] == [
        n.name for n in compilation.analysis.graph.nodes
    ]
    for name in BACKENDS:
        emit(compilation, backend.get(name))
        files = backend.get(name).emit(silent)
        assert files.keys() == backend.get(name).emit(compilation).keys()
    return silent


#: What texts of specs are made of: all that YAML can say, with what acts and what wraps in front.
TEXTS = st.text(
    st.one_of(
        st.sampled_from("\"'\\#{}()[],:;=@$ \n\tab_A1.%"),
        st.characters(exclude_categories=("Cs",), exclude_characters="\0"),
    ),
    min_size=1,
    max_size=120,
)


@settings(max_examples=25, deadline=None, derandomize=True,
          suppress_health_check=list(HealthCheck))  # fmt: skip
@given(TEXTS)
def test_random_texts(tmp_path_factory, said):
    folder = tmp_path_factory.mktemp("twin")
    (folder / "r.yaml").write_text(recipe(said), encoding="utf-8")
    with contextlib.suppress(SpecError):  # an expression has no escapes; two keys may be one
        checked(folder / "spec.yaml", spec(said), (), str(folder / "r.yaml"))


HEAD = "xgraph: 1\nname: tiny\ninput: {shape: [4, 4, 3]}\n"
TAIL = "- [global_avg_pool, {dense: 3}]\n"
LEGAL = {
    "a dollar in a doc": f"{HEAD}doc: costs $5 or $x\ngraph:\n- relu\n{TAIL}",
    "a doc that is an expression": f"{HEAD}doc: \"$a == 'x y'\"\ngraph:\n- relu\n{TAIL}",
    "a doc that is an op's option": f"{HEAD}doc: same\nsource: zeros\ngraph:\n- relu\n{TAIL}",
    "nothing to be seen": f'{HEAD}doc: "\\u3164"\nsource: "\\u200b"\ngraph:\n- relu\n{TAIL}',
    "keys that are read": (
        f"{HEAD}params: {{m: {{kernelSize: 1, N2: 2, Filters: 3, 'a b': 4}}}}\ngraph:\n"
        f"- {{conv: {{filters: $m.Filters + $m.N2, kernel: $m.kernelSize}}}}\n{TAIL}"
    ),
    "an expression as long as it may be": (
        f"{HEAD}params: {{a: A}}\ngraph:\n- {{relu: , when: \"$a in ["
        + ", ".join("'A'" for _ in range(96)) + f']"}}\n{TAIL}'
    ),
    "texts that are equal": (
        f"{HEAD}params: {{a: A b, b: A b, c: 'C'}}\ngraph:\n"
        f"- {{relu: , when: \"$a == $b and $a != $c and $a in ['A b', ' ']\"}}\n{TAIL}"
    ),
    "texts of one character": (
        f"{HEAD}params: {{a: ['#', '\"', \"'\", '\\', A, B, T, ' ', '', '  ', Te, '1', '-']}}\n"
        "blocks: {u: {params: {t}, body: [{relu: , when: \"$t == '#' or $t == 'T'\"}]}}\n"
        f"graph:\n- {{for: {{t: $a}}, body: [{{u: $t}}]}}\n{TAIL}"
    ),
    "options of ops by way of parameters": (
        f"{HEAD}params: {{p: same, i: {{truncated_normal: 0.1}}, k: he_normal}}\ngraph:\n"
        "- {conv: {filters: 2, kernel: 3, padding: $p, kernel_initializer: $i}}\n"
        "- {conv: {filters: 2, kernel: 3, padding: \"$p if 'x y' != 'z' else 'valid'\", "
        f"kernel_initializer: $k}}}}\n{TAIL}"
    ),
    "a text beside its own stand-in": (
        f"{HEAD}params: {{a: 'A text', b: 'Text__', c: Text, d: a setting}}\ngraph:\n"
        f"- {{relu: , when: $a != $b and $b != $c and $c != $d}}\n{TAIL}"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LEGAL)
def test_legal_texts(name, tmp_path):
    checked(tmp_path / "spec.yaml", LEGAL[name])


@pytest.mark.parametrize(
    "setting",
    ["word='a \"b'", "word=\"\\u3164\"", "word={a b: [c, '#']}", "word='coding: utf-7'",
     "word=\"x\\n\"", "word=[]", "word=' '", "word=hard-swish"],
)  # fmt: skip
def test_settings(setting, tmp_path):
    text = f"{HEAD}params: {{word: A}}\ngraph:\n- {{relu: , when: $word != 'A'}}\n{TAIL}"
    silent = checked(tmp_path / "spec.yaml", text, (setting,))
    assert setting not in silent.analysis.settings


def test_bundled_specs_need_no_twin():
    """Or the gate would cost as much as compiling."""
    for path in library.all_specs():
        compilation = prepare(str(path))
        assert all(is_inert(said) for said in twin.texts(compilation)), path


@pytest.mark.parametrize("name", BACKENDS)
def test_a_part_that_is_tuned_is_no_code(name, tmp_path):
    """Its name is a text of the recipe, for which another one stands."""
    path = tmp_path / "r.yaml"
    tune = "tune: {freeze: [entry_flow], rates: {entry_flow.module2: 0.5, head: 2}}\n"
    path.write_text(f"xgraph_recipe: 1\nname: tuned\nextends: imagenet\n{tune}")
    compilation = prepare("xception_mini", (), str(path))
    target = backend.get(name)
    emit(compilation, target)

    def leaking(compilation):
        files = dict(target.emit(compilation))
        part = compilation.recipe.tune.frozen[0]
        return {**files, "train.py": f"{files['train.py']}\n\n{part} = 1\n"}

    with pytest.raises(LeakError, match=r"part of the code of train\.py"):
        emit(compilation, dataclasses.replace(target, emit=leaking))
