"""What the command over public zoos counts, keeps and says; of networks, one is imported."""

from __future__ import annotations

import ast
import json
import sys

import pytest
import yaml

from benchmarks.zoo import (
    __main__,
    hand,
    networks,
    numbers,
    one,
    page,
    programs,
    results,
    table,
    texts,
)
from xgraph.compile import analyse
from xgraph.importing.command import Compared
from xgraph.importing.network import Refused, of_spec

TEXT = """\
xgraph: 1
name: small
doc: Of this no word counts.
params: {n: 8}
input: {shape: [8, 8, 3]}
defaults: {conv: {kernel: 3}}
blocks:
  unit:
    params: {filters}
    body: [{conv: $filters // 2}, relu]
graph:
- {repeat: 2, body: {unit: $n}}
- {residual: [{conv: {filters: 4, padding: same}}, relu]}
sizes:
  smaller: {params: {n: 4}}
"""


@pytest.fixture
def spec(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(TEXT)
    return path


def test_sizes_of_a_text(spec):
    program = analyse(str(spec)).elaborated.program
    found = texts.size(15, yaml.safe_load(TEXT), program)
    # In the block conv, relu; in the graph a loop and its call, a fork, its path of two, its merge.
    assert found == texts.Size(lines=15, items=2 + 2 + 4, tokens=26, blocks=1, loops=1)


def test_tokens_do_not_depend_on_lines():
    spread = yaml.safe_dump(yaml.safe_load(TEXT), default_flow_style=False)
    assert spread.count("\n") > 2 * TEXT.count("\n")
    assert texts.tokens(yaml.safe_load(spread)) == texts.tokens(yaml.safe_load(TEXT)) == 26


@pytest.mark.parametrize(
    ("said", "count"),
    [
        ("$filters * 4", 3),
        ("[[1, 2], [3, 4]]", 4),
        ("{conv: {filters: $n // 4}}", 5),
        ("1.5e-3", 1),
    ],
)
def test_tokens(said, count):
    assert texts.tokens({"graph": yaml.safe_load(f"[{said}]")}) == count


def test_which_spec_by_hand_a_network_is():
    known = hand.index()
    network = of_spec(analyse("resnet18", ["input.shape=[97, 97, 3]"]))
    name, size = hand.spec_of(network, known)
    assert name == "resnet18"
    assert size.blocks >= 1
    smaller = of_spec(analyse("resnet18", ["params.classes=10"]))
    assert hand.spec_of(smaller, known) is None


FILE = ast.parse('''
"""A library's file."""
import torch
SIZES = [1, 2]
OTHERS = [3]
class Some_Weights:
    V1 = "url"
class Block(torch.nn.Module):
    """Words."""
    def forward(self, x): return (x +
        helper(x))
class Unused: pass
def helper(x: Unused) -> Unused:
    # a comment
    return x
@register(OTHERS)
def network(sizes=SIZES, weights=None):
    weights = Some_Weights.V1
    return Block(sizes)
def another(): return network()
''')


def test_what_of_a_file_a_network_needs():
    found = programs.behind("network", FILE)
    assert [ast.unparse(one).splitlines()[0] for one in found.body] == [
        "SIZES = [1, 2]", "class Block(torch.nn.Module):", "def helper(x: Unused) -> Unused:",
        "@register(OTHERS)",
    ]  # fmt: skip
    assert programs.lines(found) == 1 + 3 + 2 + 4


def test_lines_of_a_model_and_of_its_file(spec):
    made = programs.generated(TEXT, "torch")
    assert 10 < made < 60
    assert programs.published("onnx:resnet50") is None
    assert 50 < programs.published("keras:ResNet50") < 150


def test_code_is_told_by_what_is_in_it(tmp_path):
    (tmp_path / "xgraph").mkdir()
    (tmp_path / "xgraph" / "a.py").write_text("1")
    first = results.code(tmp_path)
    assert results.code(tmp_path) == first
    (tmp_path / "xgraph" / "a.py").write_text("2")
    assert results.code(tmp_path) != first
    assert len(results.code()) == len(first)


def test_networks_that_are_listed():
    names = networks.names()
    assert len({*names}) == len(names) > 200
    assert [len(networks.names(zoo)) for zoo in networks.ZOOS] == [40, 68, 108, 9]
    assert all(networks.onnx_file(name).is_file() for name in networks.names("onnx"))


def test_of_a_file_some_are_chosen():
    assert networks.chosen(["a"]) == ["a"]
    assert networks.chosen(["a", "b", "c"]) == ["a", "c"]
    assert networks.chosen(list("abcdefghijklmno")) == ["a", "h", "o"]


def test_others_are_drawn_by_a_seed(monkeypatch):
    few = {"resnet": ["resnet10t", *(f"r{k}" for k in range(30))]}
    monkeypatch.setattr(networks, "convolutional", lambda: few)
    drawn = networks.unseen(3)
    assert drawn == networks.unseen(3) != networks.unseen(4)
    assert len({*drawn}) == 10
    assert "timm:resnet10t" not in {name for seed in range(50) for name in networks.unseen(seed)}


# -- the command ----------------------------------------------------------------------------------

DONE = {
    "network": "onnx:resnet50", "layers": 176, "lines": 28, "items": 28, "tokens": 118,
    "blocks": 1, "loops": 2, "seconds": {"made": 0.1, "read": 0.1, "recovered": 0.4},
    "hand": {"spec": "r", "lines": 94, "items": 21, "tokens": 180, "blocks": 2, "loops": 2},
}  # fmt: skip
COMPARED = {
    "network": "onnx:resnet50", "layers": 176, "seconds": 31.0, "notes": ["it draws at random"],
    "measurements": [
        {"right": "torch", "quantity": "evaluation output", "distance": 2e-15, "agree": True},
        {"right": "flax", "quantity": "evaluation output", "distance": 3e-15, "agree": True},
        {"right": "flax", "quantity": "gradients of weights", "distance": 4e-14, "agree": True},
    ],
}  # fmt: skip
REFUSED = {
    "network": "timm:nf_resnet50",
    "failed": "reading",
    "why": ["stem: aten.conv2d whose kernel is computed of weights alone, as by …"],
}
FAULT = {"network": "timm:b", "failed": "recovering", "why": ["no spec says this: a | b"]}


@pytest.fixture
def run(tmp_path, monkeypatch):
    """The command, whose networks are two and are not really imported; and which it took."""
    taken = []

    def taking(module, name, specs, seconds):
        taken.append(name)
        return {**(COMPARED if module == "benchmarks.zoo.numbers" else DONE), "network": name}

    monkeypatch.setattr(__main__, "_one", taking)
    monkeypatch.setattr(networks, "names", lambda zoo: ["onnx:a", "onnx:b"])
    monkeypatch.setattr(hand, "index", dict)
    path = tmp_path / "zoo.jsonl"

    def run(*arguments):
        taken.clear()
        assert __main__.main([*arguments, "--results", str(path)]) == 0
        return sorted(taken)

    run.path = path
    return run


def test_what_is_done_is_left_alone(run, monkeypatch, capsys):
    assert run() == ["onnx:a", "onnx:b"]
    assert "2 of 2 imported" in capsys.readouterr().out
    assert run() == []
    assert run("--again", "--jobs", "2") == ["onnx:a", "onnx:b"]
    kept = results.read(run.path)
    assert {*kept} == {"onnx:a", "onnx:b"}
    results.keep(run.path, {**kept["onnx:a"], "code": "of yesterday"})
    assert run() == ["onnx:a"]
    results.keep(run.path, {**kept["onnx:a"], "code": "of yesterday"})
    assert run("--failed") == []
    results.keep(run.path, {"network": "onnx:b", "code": "", "failed": "time", "why": [""]})
    assert run("--failed") == ["onnx:b"]
    assert run("--table") == []


def test_networks_that_end_badly(tmp_path, monkeypatch):
    """A crash and time count as failures, and are told from each other."""
    specs = tmp_path / "specs.json"  # which is not there
    found = __main__._one("benchmarks.zoo.one", "onnx:resnet50", specs, 300)
    assert found["failed"] == "crash"
    assert "exit status 1: FileNotFoundError" in found["why"][0]
    endless = tmp_path / "endless"
    endless.write_text("#!/bin/sh\nexec sleep 60\n")
    endless.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(endless))
    assert __main__._one("benchmarks.zoo.one", "onnx:resnet50", specs, 0.2) == {
        "failed": "time",
        "why": ["more than 0.2 s"],
    }


def test_one_network():
    """Of the package onnx, for which no other library is needed."""
    found = one.measured("onnx:squeezenet", hand.index())
    assert "failed" not in found, found
    assert found["image"] == [224, 224, 3]
    assert found["weights"] == 1_235_496  # as torchvision's
    assert found["hand"]["spec"] == "squeezenet1_1"
    assert found["lines"] < found["hand"]["lines"]
    assert json.loads(json.dumps(found)) == found


def test_refusals_are_counted_by_what_there_is_no_op_for():
    assert table.absent(REFUSED) == "a kernel that is computed of weights"
    assert table.absent(FAULT) is None
    assert table.absent(DONE) is None


def test_the_table():
    found = [{**DONE, "model": 81, "published": 162}, REFUSED, FAULT]
    first, by_hand, written, failed = table.written(found).split("\n\n")
    assert "| onnx | 81 | 162 | 0.50 (0.50 to 0.50) | 1 of 1, 100 % |" in written
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in first.splitlines()]
    assert [row[:4] for row in rows[2:]] == [
        ["onnx", "1", "1 of 1, 100 %", "1 of 1, 100 %"],
        ["timm", "2", "0 of 2, 0 %", "0 of 1, 0 %"],
        ["all", "3", "1 of 3, 33 %", "1 of 2, 50 %"],
    ]
    assert "| lines | 28 | 94 | 1 of 1, 100 % |" in by_hand
    assert "| items | 28 | 21 | 0 of 1, 0 % |" in by_hand
    assert "| no op for a kernel that is computed of weights | 1 | timm:nf_resnet50 |" in failed
    assert "| recovering: a / b | 1 | timm:b |" in failed


# -- numbers --------------------------------------------------------------------------------------


def test_the_smallest_of_each_family(monkeypatch):
    files = {"keras:ResNet50": "resnet", "keras:ResNet101": "resnet"}
    monkeypatch.setattr(numbers, "family", lambda name: (files.get(name, name),))
    found = {
        "keras:ResNet101": {"weights": 44_000_000},
        "keras:ResNet50": {"weights": 25_000_000},
        "keras:Other": {"failed": "reading", "why": [""]},
    }
    names = [*found, "keras:NotYet"]
    assert numbers.smallest(names, found) == ["keras:ResNet50"]


def test_what_tells_a_family():
    families = {name: numbers.family(f"keras:{name}") for name in
                ("ResNet50", "ResNet152", "ResNet50V2", "NASNetMobile", "NASNetLarge")}  # fmt: skip
    assert families["ResNet50"] == families["ResNet152"] != families["ResNet50V2"]
    assert families["NASNetMobile"] == families["NASNetLarge"]
    assert numbers.family("onnx:vgg19") != numbers.family("onnx:resnet50")


def test_one_network_in_numbers(monkeypatch):
    """Of those of the package onnx, whose comparison stands elsewhere."""
    given = []

    def compare(found, source, network, own):
        given.append((found.analysis.name, own))
        return Compared("", [{"quantity": "evaluation output", "distance": 1e-15}], ["a note"])

    monkeypatch.setattr(numbers, "compare_imported", compare)
    found = numbers.compared("onnx:squeezenet")
    assert given == [("squeezenet", False)]
    assert found["image"] == [224, 224, 3]
    assert numbers.furthest(found) == {"evaluation output": 1e-15}
    assert found["notes"] == ["a note"]
    assert json.loads(json.dumps(found)) == found

    def refuse(*given):
        raise Refused("its numbers are others")

    monkeypatch.setattr(numbers, "compare_imported", refuse)
    assert numbers.compared("onnx:squeezenet") == {
        "failed": "numbers",
        "why": ["its numbers are others"],
    }


def test_numbers_go_on_where_they_were_stopped(run, monkeypatch, capsys):
    kept = {f"onnx:{name}": {"network": f"onnx:{name}", "weights": 3} for name in "ab"}
    path = run.path.with_name("imported.jsonl")
    for result in kept.values():
        results.keep(path, result)
    monkeypatch.setattr(results, "RESULTS", path)
    assert run("--numbers") == ["onnx:a", "onnx:b"]
    assert run("--numbers") == []
    assert "2 of 2 compared" in capsys.readouterr().out


def test_the_table_of_numbers():
    refused = {"network": "onnx:b", "failed": "numbers", "why": ["others | at y", "more"]}
    row, more = numbers.written([COMPARED, refused]).split("\n")[2:4]
    cells = [cell.strip() for cell in row.split("|")[1:-1]]
    assert cells == ["onnx", "2", "1 of 2, 50 %", "3.0e-15 (1)", "", "4.0e-14 (1)", "", ""]
    assert more == ""
    told = numbers.written([COMPARED, refused]).split("\n\n")[1]
    assert "| onnx:resnet50 | it draws at random |" in told
    assert "| onnx:b | others / at y |" in told
    assert numbers.said(COMPARED) == (
        "evaluation output 3.0e-15, gradients of weights 4.0e-14, in 31 s"
    )
    assert numbers.said(refused) == "failed (numbers): others | at y"


def test_numbers_that_are_others_do_not_agree():
    made = [{**COMPARED["measurements"][0], "agree": False}, *COMPARED["measurements"][1:]]
    assert "| 0 of 1, 0 % |" in numbers.written([{**COMPARED, "measurements": made}])


def test_tables_of_a_page(monkeypatch, tmp_path):
    path = tmp_path / "numbers.jsonl"
    results.keep(path, COMPARED)
    monkeypatch.setitem(page._WRITTEN, "numbers", (path, numbers.written))
    told = page.filled("a\n<!-- tables of numbers -->\nold\n<!-- end -->\nb")
    assert told == (
        f"a\n<!-- tables of numbers -->\n\n{numbers.written([COMPARED])}\n\n<!-- end -->\nb"
    )
