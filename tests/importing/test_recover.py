"""Networks as specs: the same network, in a text that an author would have written."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from xgraph import interpreter
from xgraph.cli import main
from xgraph.compile import analyse
from xgraph.fuzz.generate import random_spec
from xgraph.fuzz.run import graph_seed
from xgraph.fuzz.trees import to_yaml
from xgraph.importing import recover as recovering
from xgraph.importing.arrays import read_safetensors
from xgraph.importing.authored import folded, forms
from xgraph.importing.equal import match
from xgraph.importing.network import of_spec
from xgraph.importing.recover import NotTheSame, recover, spec_name
from xgraph.importing.structure.decompose import decompose
from xgraph.spec.library import spec_files

from .hash_seeds import printed_for_seeds

#: Lines of what is recovered of a spec's flat network, at most; those by hand have as many or more.
LINES = {
    "xception": 23,
    "resnet50": 23,
    "densenet121": 22,
    "mobilenet_v2": 30,
    "mobilenet": 14,
    "squeezenet1_1": 23,
    "vgg16": 12,
    "vit_tiny": 15,
    "inception_v3": 78,
    "efficientnet_b0": 49,
    "hrnet_w18_small": 93,
    "inception_v3_slides": 82,
}
NAMES = sorted(path.stem for path in spec_files())
#: These take seconds.
LARGE = ("hrnet_w18", "nasnet_mobile")


def _is_quick(number, name):
    return name in LINES or (number % 4 == 0 and name not in LARGE)


def flat(spec):
    return of_spec(analyse(str(spec)))


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if _is_quick(k, name) else [pytest.mark.slow])
        for k, name in enumerate(NAMES)
    ],
)
def test_specs_are_recovered_from_their_flat_networks(name):
    network = flat(name)
    found = recover(network, name)
    assert not match(of_spec(found.analysis), network).differences
    lines = len(found.text.splitlines())
    assert lines <= LINES.get(name, len(network.layers) + 20), found.text


@pytest.mark.parametrize(
    "graph", [pytest.param(k, marks=[pytest.mark.slow] if k >= 40 else []) for k in range(1000)]
)
def test_random_networks_are_recovered(graph, tmp_path):
    path = tmp_path / "random.yaml"
    path.write_text(to_yaml(random_spec(graph_seed(77, graph))))
    network = flat(path)
    found = recover(network, "random")
    assert not match(of_spec(found.analysis), network).differences


def test_the_text_is_the_same_for_any_hash_seed():
    code = (
        "from xgraph.compile import analyse\n"
        "from xgraph.importing.network import of_spec\n"
        "from xgraph.importing.recover import recover\n"
        "print(recover(of_spec(analyse('ghostnet')), 'ghostnet').text)"
    )
    assert len(printed_for_seeds(code)) == 1


def test_the_example_of_the_docs():
    page = (Path(__file__).parents[2] / "docs" / "importing.md").read_text(encoding="utf-8")
    assert f"```yaml\n{recover(flat('xception'), 'again', 'xgraph:xception').text}```" in page


def test_a_text_as_an_author_would_write_it():
    text = recover(flat("resnet50_torchvision"), "resnet50").text
    for part in (
        "bottleneck:",
        "params: {filters, stride: 1, project: false}",
        "if: $project",
        "for: {filters: [64, 128, 256, 512], stride: [1, 2, 2, 2], count: [2, 3, 5, 2]}",
        "{repeat: $count, body: {bottleneck: $filters}}",
        "{dense: $classes, name: classifier}",
    ):
        assert part in text, text


def spec_of(tmp_path, graph, shape=(8, 8, 4)):
    path = tmp_path / "small.yaml"
    spec = {"xgraph": 1, "name": "small", "input": {"shape": list(shape)}, "graph": graph}
    path.write_text(json.dumps(spec))
    return path


CONV = {"conv": {"filters": 4, "kernel": 3, "padding": "same"}}
POINT = {"conv": {"filters": 6, "kernel": 1, "padding": "same"}}


@pytest.mark.parametrize(
    ("graph", "ops"),
    [
        (["identity", CONV, {"dropout": 0}], ["conv"]),
        ([{"conv": {"filters": 8, "kernel": 3, "groups": 4}}], ["depthwise_conv"]),
        (
            [
                {"depthwise_conv": {"kernel": 3, "bias": False}},
                {"conv": {"filters": 6, "kernel": 1}},
            ],
            ["separable_conv"],
        ),
        (["relu", {"zero_pad": 1}, {"max_pool": 3}], ["relu", "max_pool"]),
        ([{"zero_pad": 1}, {"max_pool": 3}], ["zero_pad", "max_pool"]),
        ([{"zero_pad": 1}, {"conv": {"filters": 4, "kernel": 3}}], ["conv"]),
        ([CONV, {"residual": ["sigmoid"], "merge": "multiply"}], ["conv", "silu"]),
        ([{"global_avg_pool": True}, "flatten", {"dense": 3}], ["global_avg_pool", "dense"]),
        ([{"rescale": 1.0}, {"normalize": {"mean": 0, "std": 1}}, "relu"], ["relu"]),
        (["global_avg_pool", {"dense": 3}, "softmax"], ["global_avg_pool", "dense"]),
    ],
    ids=str,
)
def test_in_fewer_words(graph, ops, tmp_path):
    network = flat(spec_of(tmp_path, graph))
    for form in forms(network):
        assert [layer.op.name for layer in form.layers[1:]] == ops
    assert not match(of_spec(recover(network, "small").analysis), network).differences


@pytest.mark.parametrize(
    ("size", "said"),
    [([16, 24], "[2, 3]"), ([16, 16], "2"), ([12, 16], "{size: [12, 16]}")],
)
def test_a_multiple_of_a_size_is_a_scale(size, said, tmp_path):
    network = flat(spec_of(tmp_path, [{"resize": {"size": size}}]))
    found = recover(network, "small")
    assert f"resize: {said}" in found.text
    assert found.analysis.types[-1].shape == (*size, 4)


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (9.999999747378752e-6, "1.0e-5"),  # 1e-5 in float32
        (0.10000000149011612, "0.1"),
        (0.1297084242105484, "0.12970842"),
        (0.123456789012345, "0.123456789012345"),
        (1 / 3, "0.333333333333333"),
        (0.25, "0.25"),
    ],
)
def test_numbers_have_the_digits_that_they_need(number, said, tmp_path):
    network = flat(spec_of(tmp_path, ["relu", {"leaky_relu": number}]))
    text = recover(network, "small").text
    assert f"{{leaky_relu: {said}}}" in text, text


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (57.120000000000005, "57.12"),  # 0.224 · 255
        (0.48500001430511475, "0.485000014305115"),  # 0.485 in float32
        (0.25, "0.25"),
    ],
)
def test_numbers_that_images_are_scaled_by_are_kept(number, said, tmp_path):
    """All that follows is as exact as that."""
    network = flat(spec_of(tmp_path, ["relu", {"rescale": {"scale": number}}]))
    text = recover(network, "small").text
    assert f"{{rescale: {said}}}" in text, text


def test_a_long_path_comes_first(tmp_path):
    graph = [{"branches": ["relu", [CONV, "relu", CONV]], "merge": "add"}]
    form = next(forms(flat(spec_of(tmp_path, graph))))
    (fork,) = decompose(form.layers, form.outputs[0][1]) or ()
    assert [len(path) for path in fork.paths] == [3, 1]


def test_what_grows_is_nested(tmp_path):
    """As DenseNet keeps all that it has made so far in a list."""
    graph = [
        {**CONV, "name": "a"},
        {**CONV, "name": "b"},
        {"concat": {}, "from": ["a", "b"], "name": "ab"},
        {**CONV, "name": "c"},
        {"concat": {}, "from": ["a", "b", "c"]},
    ]
    text = recover(flat(spec_of(tmp_path, graph)), "grown").text
    assert "{repeat: 2, body: {branches: [[], [{conv: 4}]], merge: concat}}" in text


def test_a_tangle_is_a_block_with_names_of_its_own(tmp_path):
    """One-shot aggregation, as in VoVNet: a concat of what each layer of a chain gives."""
    cell = [
        {**CONV, "name": "a"},
        {**CONV, "name": "b"},
        {**CONV, "name": "c"},
        {"concat": {}, "from": ["a", "b", "c"]},
        {"conv": {"filters": 4, "kernel": 1}},
    ]
    graph = [{"repeat": 4, "body": [{"cell": {}}]}, {"global_avg_pool": {}}, {"dense": 2}]
    path = spec_of(tmp_path, graph)
    spec = json.loads(path.read_text())
    path.write_text(json.dumps({**spec, "blocks": {"cell": {"body": cell}}}))
    network = flat(path)
    text = recover(network, "tangled").text
    assert "  cell:\n" in text, text
    assert "repeat: 4" in text, text
    assert "{concat, from: [input, n1, n2]}" in text, text


def test_layers_with_one_set_of_weights(tmp_path):
    network = flat(spec_of(tmp_path, [{**CONV, "name": "first"}, "relu", {"share": "first"}]))
    found = recover(network, "shared")
    assert "share: n1" in found.text
    assert found.notes


def test_what_is_not_the_network_is_never_written(tmp_path, monkeypatch):
    real = recovering.compress

    def wrong(way):
        return real((way[0][:-1], way[1]))

    monkeypatch.setattr(recovering, "compress", wrong)
    network = flat(spec_of(tmp_path, [CONV, "relu", CONV, "elu"]))
    with pytest.raises(NotTheSame):
        recover(network, "small")


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("ResNet-50.v2", "resnet_50_v2"),
        ("50 nets", "net_50_nets"),
        ("Ü", "network"),
        ("NULL", "net_null"),
        ("input", "net_input"),
        ("a" * 90, "a" * 64),
    ],
)
def test_names(title, name):
    assert spec_name(title) == name


def test_folded():
    assert not folded(flat("resnet50"))
    assert not folded(flat("vgg16"))
    assert folded(flat("repvgg_a0")) is False


@pytest.mark.parametrize(
    ("graph", "part"),
    [
        (["identity"], "- identity"),
        ([{"residual": ["relu"], "skip": False}], "relu"),
        (["relu", {"zero_pad": 3}, {"max_pool": 2}], "{zero_pad: 3}"),
        (
            [{"conv": {"filters": 8, "kernel": 3, "groups": 4, "kernel_initializer": "he_normal"}}],
            "kernel_initializer: he_normal",
        ),
        (
            [
                {"depthwise_conv": {"kernel": 3, "bias": False, "kernel_initializer": "he_normal"}},
                {"conv": {"filters": 6, "kernel": 1}},
            ],
            "{depthwise_conv: {kernel: 3, bias: false, kernel_initializer: he_normal}}",
        ),
    ],
    ids=str,
)
def test_small_networks(graph, part, tmp_path):
    text = recover(flat(spec_of(tmp_path, graph)), "small").text
    assert part in text, text


def test_answers_and_what_they_are_of(tmp_path):
    """A softmax is left out at the end, and said to be; but not beside what it is of."""
    path = spec_of(tmp_path, ["global_avg_pool", {"dense": 3, "name": "d"}, "softmax"])
    found = recover(flat(path), "small")
    assert "softmax" not in found.text
    assert found.notes == ["softmax at the end is left out: what comes out are logits"]
    spec = json.loads(path.read_text())
    spec["graph"][-1] = {"from": "d", "softmax": {}, "name": "s"}
    path.write_text(json.dumps({**spec, "outputs": {"probs": "s", "logits": "d"}}))
    found = recover(flat(path), "small")
    assert "{softmax, name:" in found.text, found.text
    assert not found.notes


def test_pixels_that_become_same_are_told(tmp_path):
    graph = [{"zero_pad": [[0, 1], [0, 1]]}, {"conv": {"filters": 4, "kernel": 3, "stride": 2}}]
    found = recover(flat(spec_of(tmp_path, graph)), "small")
    assert "padding: same" in found.text
    (note,) = found.notes
    assert note.startswith("padding of pixels is written as `same`, which it is at this size")


def test_deep_nests_are_said_with_names(tmp_path):
    graph = [CONV]
    for _ in range(24):
        graph = [{"residual": [*graph, "relu"]}]
    path = spec_of(tmp_path, graph)
    assert "cell:" in recover(flat(path), "nested").text


def test_outputs_have_names_that_they_may_have(tmp_path):
    network = flat("inception_v3_slides")
    renamed = replace(
        network, outputs=[("Out-1", network.outputs[0][1]), ("if", network.outputs[1][1])]
    )
    found = recover(renamed, "named")
    assert "outputs: {out_1: " in found.text
    assert "net_if: " in found.text
    assert "the output if is called net_if" in found.notes


def test_what_only_training_sees_is_compared(tmp_path, monkeypatch):
    real = recovering.spec_of
    graph = [CONV, {"dropout": 0.25}, "relu", CONV, {"dropout": 0.75}]
    network = flat(spec_of(tmp_path, graph))
    assert recover(network, "small")
    monkeypatch.setattr(recovering, "spec_of", lambda *g: _with_rates(real(*g)))
    with pytest.raises(NotTheSame, match="only training sees"):
        recover(network, "small")


def _with_rates(plain):
    """The same spec with its rates of dropout exchanged."""
    text = json.dumps(plain).replace("0.25", "first").replace("0.75", "0.25")
    return json.loads(text.replace("first", "0.75"))


# -- the command ----------------------------------------------------------------------------------

MODULE = """
import torch
from torch import nn


class Unit(nn.Module):
    def __init__(self, channels, filters, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, filters, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(filters)
        self.down = None
        if stride > 1 or channels != filters:
            conv = nn.Conv2d(channels, filters, 1, stride, bias=False)
            self.down = nn.Sequential(conv, nn.BatchNorm2d(filters))

    def forward(self, x):
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + (x if self.down is None else self.down(x)))


def build():
    torch.manual_seed(0)
    sizes = [(3, 4, 1), (4, 4, 1), (4, 8, 2), (8, 8, 1), (8, 16, 2), (16, 16, 1)]
    units = [Unit(*size) for size in sizes]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.1), nn.Linear(16, 5)]
    model = nn.Sequential(*units, *head)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -1, 1)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return model
"""


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    (tmp_path / "small_resnet.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "small_resnet", raising=False)
    return tmp_path


def test_a_module_becomes_a_spec_and_its_weights(folder, capsys):
    import torch

    arguments = ["torch:small_resnet:build", "--input", "16,16,3", "-o", "mine.yaml"]
    assert main(["import", *arguments, "--weights", "mine.safetensors"]) == 0
    said = capsys.readouterr().out
    assert "mine.yaml: " in said
    assert "the network of torch:small_resnet:build, layer by layer" in said
    assert "flax, keras, torch compute what it does, in float64: evaluation output " in said
    assert "gradients of weights" in said
    analysis = analyse("mine.yaml")
    text = Path("mine.yaml").read_text()
    assert "name: mine\n" in text
    assert text.count("conv:") <= 4  # in one block
    assert main(["format", "--check", "mine.yaml"]) == 0

    import small_resnet

    model = small_resnet.build().double().train(False)
    images = np.random.default_rng(0).standard_normal((2, 16, 16, 3))
    with torch.no_grad():
        meant = model(torch.from_numpy(images.transpose(0, 3, 1, 2).copy())).numpy()
    weights = {
        name: one.astype(np.float64)
        for name, one in read_safetensors(Path("mine.safetensors")).items()
    }
    made = interpreter.run(analysis.graph, images, weights)[analysis.graph.outputs[0].node]
    assert np.abs(made - meant).max() <= 1e-12 * np.abs(meant).max()


def test_as_json(folder, capsys):
    arguments = ["xgraph:xception_mini", "-o", "again.yaml", "--json"]
    assert main(["import", *arguments]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["ok"]
    assert told["spec"] == "again"
    assert told["lines"] == len(Path("again.yaml").read_text().splitlines())
    assert told["notes"] == told["compared"] == []


def test_a_spec_that_is_there_is_kept(folder, capsys):
    Path("mine.yaml").write_text("precious")
    arguments = ["import", "xgraph:vgg16", "-o", "mine.yaml"]
    assert main(arguments) != 0
    assert "mine.yaml is there already; --force writes over it" in capsys.readouterr().err
    assert Path("mine.yaml").read_text() == "precious"
    assert main([*arguments, "--force"]) == 0
    assert Path("mine.yaml").read_text().startswith("xgraph: 1\nname: mine\n")


def test_files_that_are_there_are_kept(folder, capsys):
    Path("kept.safetensors").write_text("precious")
    arguments = ["import", "torch:small_resnet:build", "--input", "16,16,3"]
    assert main([*arguments, "-o", "a.yaml", "--weights", "kept.safetensors"]) != 0
    assert Path("kept.safetensors").read_text() == "precious"
    assert not Path("a.yaml").exists()
    Path("link.yaml").symlink_to("nowhere.yaml")
    assert main([*arguments, "-o", "link.yaml"]) != 0
    assert Path("link.yaml").is_symlink()
    assert "is there already" in capsys.readouterr().err


def test_a_long_name(folder):
    name = "a" * 245
    assert main(["import", "xgraph:vgg16", "-o", f"{name}.yaml"]) == 0
    assert analyse(f"{name}.yaml").name == "a" * 64


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["xgraph:vgg16", "-o", "mine.txt"], "mine.txt: a spec is a file named .yaml"),
        (["torch:small_resnet:build", "-o", "a.yaml"], "does not say what images it is for"),
        (["torch:typo:build", "-o", "a.yaml"], "torch:typo:build needs typo: No module named"),
        (["flax:typo:build", "-o", "a.yaml"], "flax:typo:build needs typo: No module named"),
        (["xgraph:vgg16", "-o", "no/a.yaml"], "there is no folder no"),
        (["nothing.onnx", "-o", "a.yaml"], "there is no file nothing.onnx"),
        (["xgraph:vgg16", "-o", "a.yaml", "--weights", "w.safetensors"], "has no weights"),
        (["xgraph:vgg16", "-o", "a.yaml", "--weights", "w.h5"], "w.h5"),
        (["xgraph:vgg16", "-o", "a.yaml", "--input", "16,16"], "expected H,W,C"),
    ],
)
def test_refused(arguments, reason, folder, capsys):
    before = sorted(Path().iterdir())
    try:
        status = main(["import", *arguments])
    except SystemExit as end:
        status = end.code
    assert status
    assert reason in capsys.readouterr().err
    assert sorted(Path().iterdir()) == before or sorted(Path().iterdir()) == sorted(
        [*before, Path("__pycache__")]
    )
