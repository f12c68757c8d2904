"""Cells: parts of a network that take several values become blocks with several inputs."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from xgraph.compile import analyse
from xgraph.importing.equal import match
from xgraph.importing.network import of_spec
from xgraph.importing.recover import recover
from xgraph.importing.structure.decompose import decompose
from xgraph.importing.structure.generalize import generalize
from xgraph.importing.structure.hints import words_of
from xgraph.importing.structure.strands import points, settled
from xgraph.importing.structure.tree import ANY, INPUT, Fork, Hole, Ref, Tangle

from .hash_seeds import printed_for_seeds

HEAD = ["global_avg_pool", {"dense": 2}]


def flat(path):
    return of_spec(analyse(str(path)))


def spec_of(tmp_path, graph, blocks=None, shape=(8, 8, 4), outputs=None):
    path = tmp_path / "small.yaml"
    spec = {"xgraph": 1, "name": "small", "input": {"shape": list(shape)}, "graph": graph}
    spec |= {"blocks": blocks} if blocks else {}
    spec |= {"outputs": outputs} if outputs else {}
    path.write_text(json.dumps(spec))
    return path


def again(path):
    """The text that is recovered of a spec's flat network, and the network that it says."""
    network = flat(path)
    found = recover(network, "small")
    assert not match(of_spec(found.analysis), network).differences
    return found.text


def conv(filters, kernel=3, **more):
    return {"conv": {"filters": filters, "kernel": kernel, "padding": "same"}, **more}


def sum_of(one, other, name):
    return {"branches": [one, other], "merge": "add", "name": name}


#: A cell of what came last and what came before that, as in NASNet and PNASNet.
CELL = [
    {"if": "$fit", "then": [{**conv("$filters", 1), "from": "previous"}, "relu"],
     "else": [{"avg_pool": {"kernel": 3, "stride": 1, "padding": "same"}, "from": "previous"},
              conv("$filters", 1)]},
    {"identity": {}, "name": "p"},
    {**conv("$filters", 1), "from": "current", "name": "h"},
    sum_of([{**conv("$filters", 5), "from": "h"}], [{**conv("$filters"), "from": "p"}], "a"),
    sum_of([{"max_pool": {"kernel": 3, "stride": 1, "padding": "same"}, "from": "h"}],
           {"identity": {}, "from": "p"}, "b"),
    sum_of([{**conv("$filters", 7), "from": "p"}], {"identity": {}, "from": "h"}, "c"),
    {"concat": {}, "from": ["a", "b", "c"]},
]  # fmt: skip
BLOCKS = {
    "cell": {
        "inputs": ["current", "previous"],
        "params": {"filters": None, "fit": True},
        "body": CELL,
    }
}
BLOCKS["cell"]["params"] = {"filters": 4, "fit": True}


def chain(sizes, fits):
    """Cells one after the other, each of the two before it."""
    names = ["first", "second", *(f"cell{k}" for k in range(len(sizes)))]
    return [
        conv(4, name="first"),
        {"relu": {}, "name": "second"},
        *(
            {"cell": {"filters": size, "fit": fit}, "from": [names[k + 1], names[k]],
             "name": names[k + 2]}
            for k, (size, fit) in enumerate(zip(sizes, fits, strict=True))
        ),
        *HEAD,
    ]  # fmt: skip


def test_cells_are_blocks_with_several_inputs(tmp_path):
    text = again(spec_of(tmp_path, chain([4, 6, 8, 10], [True] * 4), BLOCKS))
    assert re.search(r"inputs: \[(previous, current|current, previous)\]", text), text
    assert text.count("concat") == 1, text
    assert len(re.findall(r"\{\w+: \d+, from: \[\w+, \w+\]", text)) == 4, text


def test_cells_that_differ_in_a_strand_are_one_block(tmp_path):
    fits = [True, False, True, False, True]
    text = again(spec_of(tmp_path, chain([4, 6, 8, 10, 12], fits), BLOCKS))
    assert text.count("concat") == 1, text
    assert "if: $" in text, text
    assert "else:" in text, text
    assert len(re.findall(r"\w+: false\b", text)) >= 2, text


def test_a_cell_may_take_one_value_twice(tmp_path):
    graph = chain([4, 6, 8], [True] * 3)
    graph[2]["from"] = ["second", "second"]
    assert again(spec_of(tmp_path, graph, BLOCKS)).count("concat") == 1


def test_a_single_cell_stays_as_it_is(tmp_path):
    text = again(spec_of(tmp_path, chain([4], [True]), BLOCKS))
    assert "inputs:" not in text, text


def test_nasnet():
    network = flat("nasnet_mobile")
    found = recover(network, "nasnet_mobile")
    assert not match(of_spec(found.analysis), network).differences
    assert len(found.text.splitlines()) <= 92, found.text
    assert found.text.count("inputs: [previous, current]") == 2
    for part in ("  normal:\n", "  reduce:\n", "{halve: $filters // 2, name: n1}"):
        assert part in found.text, found.text


def test_several_outputs_have_blocks_and_residuals(tmp_path):
    unit = {"residual": [conv(4), "relu", conv(4), "relu"]}
    graph = [conv(4), unit, unit, {**conv(3, 1), "name": "side"}, conv(4), unit, *HEAD]
    graph[-1]["name"] = "end"
    path = spec_of(tmp_path, graph, outputs={"end": "end", "side": "side"})
    text = again(path)
    assert "residual:" in text, text
    assert text.count("relu") <= 2, text


def test_what_a_merge_takes_is_in_one_order_wherever_it_stands(tmp_path):
    """The longer path from the nearest values first, not that from the images."""
    graph = [
        conv(4, name="a"),
        {**conv(4), "name": "b"},
        sum_of([{"relu": {}, "from": "a"}, "relu"], {"identity": {}, "from": "b"}, "s"),
        {"concat": {}, "from": ["a", "b", "s"]},
    ]
    network = flat(spec_of(tmp_path, graph))
    layers = list(network.layers)
    (place,) = (k for k, one in enumerate(layers) if one.op.name == "add")
    turned = replace(layers[place], inputs=layers[place].inputs[::-1])
    layers[place] = turned
    end = len(layers) - 1
    assert settled(layers, [end]) == settled(list(network.layers), [end])
    assert settled(layers, [end]) == list(network.layers)


def test_points(tmp_path):
    """What is side by side between two values is a fork of a path, and has no name."""
    graph = [
        conv(4, name="a"),
        {"residual": ["relu", conv(4)], "name": "r"},
        {"sigmoid": {}, "name": "s"},
        {"concat": {}, "from": ["a", "r", "s"]},
    ]
    layers = flat(spec_of(tmp_path, graph)).layers
    first, residual, last, end = points(layers, [len(layers) - 1])
    assert [len(one.paths) for one in (first, residual, last, end)] == [1, 1, 1, 3]
    (item,) = residual.paths[0][1]
    assert isinstance(item, Fork)
    assert end.merge is not None
    (_, tangle) = decompose(layers, len(layers) - 1)
    assert isinstance(tangle, Tangle)


# -- numbers --------------------------------------------------------------------------------------


def holes(*rows):
    return [[Hole("channels", "filters", value) for value in row] for row in rows]


def test_channels_of_the_input():
    general = generalize(holes([48, 16], [96, 24], [144, 40]), inputs=[8, 16, 24])
    (filters,) = general.columns
    assert general.values == (Ref(INPUT, times=6), Ref(filters.symbol))


def test_what_comes_out_is_a_parameter_but_of_what_scales_its_input():
    uses, inputs = holes([2, 8], [4, 16], [6, 24]), [8, 16, 24]
    assert generalize(uses, inputs).values[-1] != Ref(INPUT)
    assert generalize(uses, inputs, gates=True).values == (Ref(INPUT, over=4), Ref(INPUT))


def test_parts_that_are_not_there_together_are_related_to_what_is_always_there():
    """Not to each other, which would make one parameter of two that mean different things."""
    general = generalize(
        holes([44, ANY, 44], [ANY, 44, 88], [ANY, 88, 176], [ANY, 22, 44], [8, ANY, 8])
    )
    (filters,) = general.columns
    one = filters.symbol
    assert general.values == (Ref(one), Ref(one, over=2), Ref(one))


def test_blocks_say_what_follows_from_their_input():
    """As their authors do: how wide a block is within, and what it squeezes to."""
    text = recover(flat("efficientnet_b0"), "again").text
    for part in (
        "squeeze_excite:\n    params: {inner}\n",
        "mbconv:\n    params: {filters, expand: true, kernel: 5, stride: 1, place: 0}\n",
        "{conv_bn_silu: $input.channels * 6, when: $expand}",
        "{squeeze_excite: $input.channels // 4}",
        "{mbconv: {filters: 16, expand: false, kernel: 3}}",
    ):
        assert part in text, text


# -- names ----------------------------------------------------------------------------------------


def renamed(network, name):
    layers = [replace(one, name=name(one.name, k)) for k, one in enumerate(network.layers)]
    return replace(network, layers=layers)


def test_names_of_a_source_are_for_blocks_that_have_none(tmp_path):
    network = flat(spec_of(tmp_path, chain([4, 6, 8, 10], [True] * 4), BLOCKS))
    text = recover(renamed(network, lambda old, k: f"net.mosaic{k}.conv"), "small").text
    assert "  mosaic:\n" not in text  # all layers are called so
    named = renamed(network, lambda old, k: old.replace("cell", "Mosaic"))
    assert "  mosaic:\n" in recover(named, "small").text


HOSTILE = [
    "x: {relu: }\n- y", "{{7*7}}", "$(id)", "*a", "&b", "!!python/object", "input", "if",
    "for.repeat.when", "conv", "../../etc/passwd", "é̀", "\x00\x1b[31m", "a" * 500, "null", "",
    "__import__('os')", "name", "shortcut.cell",
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_names_are_words_or_nothing(name, tmp_path):
    network = flat(spec_of(tmp_path, chain([4, 6, 8, 10], [True] * 4), BLOCKS))
    bad = renamed(network, lambda old, k: f"{name}.{old}" if k % 2 else f"{old}.{name}{k}")
    found = recover(bad, "small")
    assert not match(of_spec(found.analysis), network).differences
    assert all(re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", one) for one in found.blocks)
    plain = recover(network, "small").text
    assert len(found.text.splitlines()) == len(plain.splitlines())


def test_words():
    assert words_of("features.denseblock1.denselayer3.conv1") == ("denseblock", "denselayer")
    assert words_of("Mixed_5b.branch1x1.conv") == ("mixed",)
    assert words_of("\x00$(rm -rf /)") == ()


def test_the_text_does_not_depend_on_the_seed_of_hashes():
    code = (
        "from xgraph.compile import analyse\n"
        "from xgraph.importing.network import of_spec\n"
        "from xgraph.importing.recover import recover\n"
        "print(recover(of_spec(analyse('nasnet_mobile')), 'nasnet_mobile').text)"
    )
    assert len(printed_for_seeds(code)) == 1
