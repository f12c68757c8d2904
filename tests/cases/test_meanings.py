"""Small specs whose programs once meant something else than the graph, or could not be made."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from xgraph import backend, interpreter
from xgraph.backend import Compilation
from xgraph.compile import analyse, emit

HEAD = "xgraph: 1\nname: case\ninput: {shape: [8, 8, 3]}\n"
CONV = "{conv: {filters: 4, kernel: 1}}"
TAIL = "global_avg_pool, {dense: 3}"

#: A list that an expression writes out is a tuple in the program, as a list that is given is.
LISTS = {
    "equal": "$l == [1, 2]",
    "not_equal": "$l != [1, 2]",
    "among": "$l in [[1, 2], [3, 4]]",
    "holds": "[1, 2] in [$l]",
    "of_parameters": "$l == [$one, 2]",
    "not_of_parameters": "not $l == [$one, $one]",
    "nested": "[[1, 2]] == [$l]",
}
SPECS = {
    name: (
        "params: {one: 1}\n"
        f'blocks: {{u: {{params: {{l}}, body: [{CONV}, {{if: "{condition}", then: relu, '
        f"else: sigmoid}}]}}}}\ngraph: [{{u: {{l: [1, 2]}}}}, {{u: {{l: [2, 3]}}}}, {TAIL}]\n"
    )
    for name, condition in LISTS.items()
}
SPECS |= {
    "list_as_units": "params: {l: [3, 5]}\ngraph: [global_avg_pool, "
    "{dense: '3 if $l == [3, 5] else 4'}]\n",
    "empty_list": f"blocks: {{u: {{params: {{k}}, body: [{CONV}, "
    '{if: "$k == []", then: relu, else: sigmoid}]}}\n'
    f"graph: [{{u: {{k: []}}}}, {{u: {{k: [1]}}}}, {TAIL}]\n",
    "empty_list_and_none": f"blocks: {{u: {{params: {{k: null}}, body: [{CONV}, "
    '{if: "$k == 0", then: relu, else: sigmoid}]}}\n'
    f"graph: [{{u: {{k: []}}}}, u, {{u: 0}}, {TAIL}]\n",
    # A block's parameter that is called as one of the spec is.
    "hidden_and_not_needed": "params: {g: 2}\nblocks:\n"
    "  u: {params: {f}, body: [{conv: {filters: $f, kernel: 1}}]}\n"
    "  v: {params: {g: 3}, body: [{u: 3}]}\n"
    f"graph: [v, {{conv: {{filters: $g, kernel: 1}}}}, {TAIL}]\n",
    "hidden_and_passed_on": "params: {g: 2}\nblocks:\n"
    "  u: {body: [{conv: {filters: $g, kernel: 1}}]}\n"
    "  v: {params: {g}, body: [{conv: {filters: $g, kernel: 1}}, u]}\n"
    f"graph: [{{v: 3}}, {{v: 4}}, {TAIL}]\n",
    "hidden_and_a_default": "params: {g: 2}\nblocks:\n"
    "  u: {params: {f, h: $g}, body: [{conv: {filters: $f + $h, kernel: 1}}]}\n"
    "  v: {params: {g}, body: [{u: $g}]}\n"
    f"graph: [{{v: 3}}, {{v: 4}}, {TAIL}]\n",
    "handed_on_by_its_name": "params: {g: 4}\nblocks:\n"
    "  u: {params: {g}, body: [{conv: {filters: $g, kernel: 1}}, relu]}\n"
    f"graph: [{{u: $g}}, {{u: $g * 2}}, {TAIL}]\n",
    # What a comparison does not need is not looked at.
    "comparison_that_stops": "params: {a: 1, l: [3, 4]}\n"
    'graph: [global_avg_pool, {dense: "5 if 2 < $a < $l // 2 else 6"}]\n',
}
#: Other values of a parameter, for which the program is made again.
SETTINGS = {"handed_on_by_its_name": ["g=6"], "list_as_units": ["l=[1, 2]"]}


@pytest.mark.parametrize("target", ["torch", "keras", "flax"])
@pytest.mark.parametrize("name", SPECS)
def test_the_program_is_the_graph(name: str, target: str, tmp_path: Path) -> None:
    path = tmp_path / "case.yaml"
    path.write_text(HEAD + SPECS[name])
    for settings in ([], SETTINGS.get(name)):
        if settings is None:
            continue
        analysis = analyse(str(path), settings)
        chosen = backend.get(target)
        program = chosen.load(emit(Compilation(analysis, None), chosen))
        images = np.random.default_rng(0).normal(size=(2, 8, 8, 3))
        weights = interpreter.random_weights(analysis.graph, analysis.types)
        program.set_weights(weights)
        expected = interpreter.run(analysis.graph, images, weights)
        received = program.run(images)
        assert len(received) == len(analysis.graph.outputs)
        for output, found in zip(analysis.graph.outputs, received, strict=True):
            np.testing.assert_allclose(found, expected[output.node], rtol=1e-9, atol=1e-12)


def test_a_parameter_that_is_handed_on_is_still_offered(tmp_path: Path) -> None:
    path = tmp_path / "case.yaml"
    path.write_text(HEAD + SPECS["handed_on_by_its_name"])
    files = emit(Compilation(analyse(str(path)), None), backend.get("torch"))
    assert "g: int = 4" in files["model.py"]
