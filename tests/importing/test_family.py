"""Several networks as one spec with sizes, each of which is its network."""

from __future__ import annotations

import contextlib
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from xgraph.cli import main
from xgraph.compile import analyse
from xgraph.diagnostics import SpecError, printable
from xgraph.fuzz.generate import random_spec
from xgraph.fuzz.run import graph_seed
from xgraph.fuzz.trees import to_yaml
from xgraph.importing import family as families
from xgraph.importing.command import Compared
from xgraph.importing.equal import match
from xgraph.importing.family import Member, recover_family, size_name, title_name
from xgraph.importing.family_command import import_family
from xgraph.importing.network import Refused, of_spec, without_unread
from xgraph.importing.recover import NotTheSame
from xgraph.importing.structure.align import Apart, side_by_side
from xgraph.importing.structure.settings import settings_of
from xgraph.importing.structure.tree import Each, Fork, Leaf, Tree, Turns, leaf
from xgraph.importing.structure.vary import Lists, Vary, is_whole, scaled
from xgraph.spec.form import is_name
from xgraph.spec.loading import load, read

from .hash_seeds import printed_for_seeds


def networks(*specs):
    """The networks of specs, each with its settings behind it: `mobilenet_v2 width=0.5`."""
    split = [spec.split(" ") for spec in specs]
    return [flat(name, settings) for name, *settings in split]


def flat(spec, settings=()):
    return of_spec(analyse(str(spec), settings))


def family(*specs):
    names = ["mine", *(f"size{k}" for k in range(1, len(specs)))]
    sources = networks(*specs)
    found = recover_family(
        [Member(f"xgraph:{s}", n, k) for s, n, k in zip(specs, sources, names, strict=True)]
    )
    for analysis, source, name in zip(found.analyses, sources, names, strict=True):
        assert analysis.name == name
        assert not match(of_spec(analysis), source).differences
    return found


def plain(text, tmp_path):
    path = tmp_path / "plain.yaml"
    path.write_text(text)
    return load(read(path, path.name)).plain()


# -- families -------------------------------------------------------------------------------------

#: Specs; the parameters of the first, and what each other says; parts of the text; lines at most.
FAMILIES = {
    "depths": (
        ["resnet50", "resnet101", "resnet152"],
        {"depths": [3, 4, 6, 3], "classes": 1000},
        [{"depths": [3, 4, 23, 3]}, {"depths": [3, 8, 36, 3]}],
        ["depth: $depths}", "{repeat: $depth - 1, body: {bottleneck: $filters}}"],
        31,
    ),
    "the deepest first": (
        ["resnet152", "resnet50"],
        {"depths": [3, 8, 36, 3], "classes": 1000},
        [{"depths": [3, 4, 6, 3]}],
        ["{repeat: $depth - 1, body: {bottleneck: $filters}}"],
        28,
    ),
    "basic blocks": (
        ["resnet18", "resnet34"],
        {"depths": [2, 2, 2], "depth": 2, "classes": 1000},
        [{"depths": [4, 6, 3], "depth": 3}],
        ["{repeat: $depth, body: {basic_block: 64}}", "for: {filters: [128, 256, 512], times:"],
        32,
    ),
    "runs of plain layers": (
        ["vgg16", "vgg19"],
        {"depths": [2, 2, 3, 3, 3], "classes": 1000},
        [{"depths": [2, 2, 4, 4, 4]}],
        ["for: {count: $depths, filters: [64, 128, 256, 512, 512]}"],
        17,
    ),
    "widths beside depths": (
        ["densenet121", "densenet169", "densenet201"],
        {"depths": [6, 12, 24], "widths": [128, 256, 512], "depth": 16, "classes": 1000},
        [
            {"depths": [6, 12, 32], "widths": [128, 256, 640], "depth": 32},
            {"depths": [6, 12, 48], "widths": [128, 256, 896], "depth": 32},
        ],
        ["for: {count: $depths, filters: $widths}"],
        34,
    ),
    "a factor": (
        ["mobilenet_v2", "mobilenet_v2 width=0.5", "mobilenet_v2 width=1.4"],
        {"width": 1.0, "classes": 1000},
        [{"width": 0.5}, {"width": 1.4}],
        [
            "filters: [16, 24, 32, 64, 96, 160]",
            "{conv: make_divisible($filters * $width)}",
            '{conv_bn_relu6: "make_divisible(1280 * max($width, 1))"}',
        ],
        39,
    ),
    "a factor that none is 1 of": (
        ["mobilenet_v2 width=0.35", "mobilenet_v2 width=0.5 classes=10", "mobilenet_v2 width=0.75"],
        {"width": 0.35, "classes": 1000},
        [{"width": 0.5, "classes": 10}, {"width": 0.75}],
        ["filters: [16, 24, 32, 64, 96, 160]", "{conv_bn_relu6: 1280}"],
        39,
    ),
    "a factor of a list": (
        ["mobilenet", "mobilenet width=0.25"],
        {"width": 1.0, "classes": 1000},
        [{"width": 0.25}],
        ["filters: [64, 128, 128, 256,", "conv: {filters: make_divisible($filters * $width)"],
        21,
    ),
    "multiples": (
        ["convnext_tiny", "convnext_small", "convnext_base"],
        {"width": 96, "depths": [3, 9, 3], "classes": 1000},
        [{"depths": [3, 27, 3]}, {"width": 128, "depths": [3, 27, 3]}],
        ["for: {filters: [$width * 2, $width * 4, $width * 8], count: $depths}"],
        31,
    ),
    "stages of one unit": (
        ["regnet_y_400mf", "regnet_y_800mf", "regnet_y_1_6gf"],
        {
            "widths": [48, 104, 208, 440],
            "groups_2": [6, 13, 26, 55],
            "widths_2": [8, 12, 26, 52],
            "depths": [0, 2, 5, 5],
            "classes": 1000,
        },
        [
            {
                "widths": [64, 144, 320, 784],
                "groups_2": [4, 9, 20, 49],
                "widths_2": [8, 16, 36, 80],
                "depths": [0, 2, 7, 1],
            },
            {
                "widths": [48, 120, 336, 888],
                "groups_2": [2, 5, 14, 37],
                "widths_2": [8, 12, 30, 84],
                "depths": [1, 5, 16, 1],
            },
        ],
        ["for: {filters: $widths, groups: $groups_2, inner: $widths_2, count: $depths}"],
        51,
    ),
    "stages of other depths": (
        ["regnet_x_400mf", "regnet_x_800mf", "regnet_x_1_6gf"],
        {
            "widths": [32, 64, 160, 400],
            "groups_2": [2, 4, 10, 25],
            "depths": [1, 2, 7, 12],
            "classes": 1000,
        },
        [
            {
                "widths": [64, 128, 288, 672],
                "groups_2": [4, 8, 18, 42],
                "depths": [1, 3, 7, 5],
            },
            {
                "widths": [72, 168, 408, 912],
                "groups_2": [3, 7, 17, 38],
                "depths": [2, 4, 10, 2],
            },
        ],
        ["for: {filters: $widths, groups: $groups_2, depth: $depths}"],
        32,
    ),
    "options alone": (
        ["xception classes=7", "xception", "xception classes=10"],
        {"classes": 7},
        [{"classes": 1000}, {"classes": 10}],
        ["{dense: $classes, name: classifier}"],
        32,
    ),
    "numbers that are no channels": (
        ["resnet50", "resnet50 epsilon=1e-3"],
        {"epsilon": 1.001e-5, "classes": 1000},
        [{"epsilon": 1e-3}],
        ["batch_norm: {epsilon: $epsilon}"],
        31,
    ),
}


@pytest.mark.parametrize("title", FAMILIES)
def test_a_family(title, tmp_path):
    specs, params, others, parts, lines = FAMILIES[title]
    found = family(*specs)
    spec = plain(found.text, tmp_path)
    assert spec["params"] == params, found.text
    sizes = list(spec["sizes"].values())
    assert [one["params"] for one in sizes] == others, found.text
    assert [one["source"] for one in sizes] == [f"xgraph:{one}" for one in specs[1:]]
    for part in parts:
        assert part in found.text
    assert len(found.text.splitlines()) <= lines, found.text


def test_the_example_of_the_docs():
    """The bundled ResNets are those of Keras."""
    page = (Path(__file__).parents[2] / "docs" / "importing.md").read_text(encoding="utf-8")
    names = ["resnets", "resnet101", "resnet152"]
    titles = ["keras:ResNet50", "keras:ResNet101", "keras:ResNet152"]
    sources = networks("resnet50", "resnet101", "resnet152")
    found = recover_family(list(map(Member, titles, sources, names)))
    assert f"```yaml\n{found.text}```" in page
    with pytest.raises(Refused) as refused:
        family("vgg16", "squeezenet1_1")
    assert "".join(f"xgraph: {line}\n" for line in refused.value.lines) in page


def test_efficientnets(tmp_path):
    """Rates that follow from a block's place are lists, as long as there are blocks in the size."""
    found = family("efficientnet_b0", "efficientnet_b1", "efficientnet_b2", "efficientnet_b4")
    spec = plain(found.text, tmp_path)
    assert spec["params"]["width"] == 1.0
    assert spec["params"]["dropout"] == 0.2
    assert spec["input"] == {"shape": [224, 224, 3]}
    b1, b2, b4 = spec["sizes"].values()
    assert "width" not in b1["params"]
    assert (b2["params"]["width"], b4["params"]["width"]) == (1.1, 1.4)
    assert [one["input"]["shape"][0] for one in (b1, b2, b4)] == [240, 260, 380]
    lists = [key for key in b1["params"] if key.startswith("rates")]
    assert len(lists) >= 5
    assert all(len(b4["params"][key]) >= len(spec["params"][key]) for key in lists)
    assert "make_divisible(80 * $width)" in found.text
    assert "$input.channels * 6" in found.text


def test_images_of_another_size_alone(tmp_path):
    found = family("resnet18", "resnet18 input.shape=[64,64,3]")
    assert plain(found.text, tmp_path)["sizes"]["size1"] == {
        "source": "xgraph:resnet18 input.shape=[64,64,3]",
        "input": {"shape": [64, 64, 3]},
    }


PIXELS = """
xgraph: 1
name: pixels
input: {{shape: [{side}, {side}, 3]}}
graph:
- {{conv: {{filters: 8, kernel: 3, stride: 2, padding: {first}}}}}
- relu
- {{conv: {{filters: 8, kernel: 3, stride: 2, padding: {second}}}}}
- [relu, global_avg_pool, {{dense: 5}}]
"""


def test_the_same_padding_in_pixels_at_two_sizes(tmp_path):
    """Sources that pad by hand what `same` has at their size: another number at each."""
    even, odd = "[[0, 1], [0, 1]]", "[[1, 1], [1, 1]]"
    specs = []
    for side, first, second in ((32, even, even), (33, odd, odd), (31, odd, even)):
        path = tmp_path / f"pixels{side}.yaml"
        path.write_text(PIXELS.format(side=side, first=first, second=second))
        specs.append(str(path))
    found = family(*specs)
    assert "padding: same" in found.text
    assert "params" not in plain(found.text, tmp_path)["sizes"]["size1"]
    assert any("padding of pixels is written as `same`" in note for note in found.notes)


@pytest.mark.slow
@pytest.mark.parametrize(
    "specs",
    [
        ["efficientnet_b0", *(f"efficientnet_b{k}" for k in range(1, 8))],
        ["efficientnet_lite0", "efficientnet_lite2", "efficientnet_lite4"],
        ["regnet_x_400mf", "regnet_x_800mf"],
        ["resnet50_v2", "resnet101_v2", "resnet152_v2"],
        ["shufflenet_v2", "shufflenet_v2_x0_5", "shufflenet_v2_x1_5"],
        ["xception41", "xception65"],
        ["squeezenet1_0", "squeezenet1_1"],
    ],
    ids=lambda specs: specs[0],
)
def test_more_families(specs):
    family(*specs)


def test_the_text_is_the_same_for_any_hash_seed():
    code = (
        "from xgraph.compile import analyse\n"
        "from xgraph.importing.family import Member, recover_family\n"
        "from xgraph.importing.network import of_spec\n"
        "names = ['efficientnet_b0', 'efficientnet_b2']\n"
        "found = recover_family([Member(n, of_spec(analyse(n)), n) for n in names])\n"
        "print(found.text, found.notes)"
    )
    assert len(printed_for_seeds(code)) == 1


def one_output(network):
    """The same network without its other outputs."""
    return without_unread(replace(network, outputs=network.outputs[:1]))


@pytest.mark.parametrize(
    "graph", [pytest.param(k, marks=[pytest.mark.slow] if k >= 16 else []) for k in range(200)]
)
def test_random_networks(graph, tmp_path):
    """A network with images of another size, and another network: a family, or refused."""
    members = []
    for number in (graph, graph + 1):
        path = tmp_path / f"random{number}.yaml"
        path.write_text(to_yaml(random_spec(graph_seed(91, number))))
        members.append(Member(f"xgraph:{number}", one_output(flat(path)), path.stem))
    height, width, channels = members[0].network.types[0].shape
    with contextlib.suppress(SpecError):  # which takes no such images
        path = tmp_path / f"random{graph}.yaml"
        wider = flat(path, [f"input.shape=[{height}, {width + 2}, {channels}]"])
        members.append(Member("xgraph:wider", one_output(wider), "wider"))
    for several in (members[:2], members[::2]):
        if len(several) < 2:
            continue
        try:
            found = recover_family(several)
        except Refused:  # and nothing else
            continue
        for analysis, one in zip(found.analyses, several, strict=True):
            assert not match(of_spec(analysis), one.network).differences


# -- no families ----------------------------------------------------------------------------------

NO_FAMILIES = {
    "other blocks": (
        ["vgg16", "squeezenet1_1"],
        "xgraph:vgg16 and xgraph:squeezenet1_1 are no sizes of one family: they part behind "
        "2 layers, where one goes on with conv and the other with max_pool",
    ),
    "the third": (
        ["resnet18", "resnet34", "vgg16"],
        "xgraph:resnet18 and xgraph:vgg16 are no sizes of one family",
    ),
    "other units": (
        ["resnet50", "resnet34"],
        "xgraph:resnet50 and xgraph:resnet34 are no sizes of one family",
    ),
    "inside of a path": (
        ["resnet50", "seresnet50"],
        "are no sizes of one family: they part behind",
    ),
    "one network": (
        ["vgg16", "vgg19", "vgg16"],
        "xgraph:vgg16 and xgraph:vgg16 are one network; name it once",
    ),
    "several outputs": (
        ["retinanet_resnet50", "retinanet_resnet50"],
        "xgraph:retinanet_resnet50 has several outputs: import them apart, each without --family",
    ),
}


@pytest.mark.parametrize("title", NO_FAMILIES)
def test_no_family(title):
    specs, reason = NO_FAMILIES[title]
    with pytest.raises(Refused) as refused:
        family(*specs)
    assert reason in refused.value.lines[0]
    assert "import them apart" in " ".join(refused.value.lines) or title == "one network"


def test_layers_that_share_weights(tmp_path):
    path = tmp_path / "shared.yaml"
    conv = {"conv": {"filters": 4, "kernel": 3, "padding": "same"}, "name": "first"}
    graph = [conv, "relu", {"share": "first"}, "global_avg_pool", {"dense": 3}]
    spec = {"xgraph": 1, "name": "shared", "input": {"shape": [8, 8, 4]}, "graph": graph}
    path.write_text(json.dumps(spec))
    with pytest.raises(Refused, match="share weights: import them apart"):
        family(str(path), str(path))


def test_what_is_not_the_network_is_not_told(monkeypatch, tmp_path):
    """A fault of the recovery itself: the proof of one size fails, and nothing is written."""
    plainly = families.family_of

    def wrong(*arguments):
        spec, params = plainly(*arguments)
        params[1]["depths"][0] += 1
        return spec, params

    monkeypatch.setattr(families, "family_of", wrong)
    with pytest.raises(NotTheSame):
        family("vgg16", "vgg19")
    target = tmp_path / "vgg.yaml"
    arguments = ["xgraph:vgg16", "xgraph:vgg19", "--family", "-o", str(target)]
    assert main(["import", *arguments]) != 0
    assert not target.exists()


# -- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("keras:ResNet101", "resnet101"),
        ("torchvision:resnet50", "resnet50"),
        ("torch:my_package.models:build", "build"),
        ("models/Small-2.onnx", "small_2"),
        ("xgraph:specs/families/vgg16.yaml", "vgg16"),
        ("xgraph:regnet_y_1.6gf", "regnet_y_1_6gf"),
        ("keras:input", "net_input"),
        ("keras:../../etc/passwd", "passwd"),
        ("C:\\models\\big.h5", "big"),
        ("timm:101", "net_101"),
        ("timm:", "network"),
        ("torch:x:'; import os #\n{{ }}", "import_os"),
        ("timm:Ж\u202e\u0000", "network"),
    ],
)
def test_names_of_sizes(title, name):
    assert title_name(title) == name
    assert is_name(name)
    assert size_name(title, ["other"]) == name
    assert size_name(title, [name]) == f"{name}_2"
    assert size_name(title, [name, f"{name}_2"]) == f"{name}_3"


def test_a_long_name():
    name = title_name("timm:" + "a1" * 100)
    assert len(name) == 64
    assert is_name(name)
    other = size_name("timm:" + "a1" * 100, [name])
    assert len(other) <= 64
    assert is_name(other)
    assert other != name


def test_parameters_are_not_taken_for_those_of_blocks(tmp_path):
    """A parameter of the spec that is called as a block's own would mean that one in it."""
    found = family("squeezenet1_0", "squeezenet1_1")
    spec = plain(found.text, tmp_path)
    for block in spec["blocks"].values():
        assert not set(block.get("params", ())) & set(spec["params"])


def test_sources_with_hostile_names(tmp_path):
    vgg16, vgg19 = networks("vgg16", "vgg19")
    title = printable("torch:m:'; __import__('os') #\n- {}: ]\u2028$depth {{ x }}", 200)
    found = recover_family([Member("a: {b}", vgg16, "mine"), Member(title, vgg19, "other")])
    spec = plain(found.text, tmp_path)
    assert spec["source"] == "a: {b}"
    assert spec["sizes"]["other"]["source"] == title


# -- the command ----------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


VGGS = ["xgraph:vgg16", "xgraph:vgg19"]


def test_a_file_and_its_sizes(folder, capsys):
    assert main(["import", *VGGS, "--family", "-o", "vggs.yaml"]) == 0
    said = capsys.readouterr().out
    assert "vggs.yaml: 17 lines, 1 size\n" in said
    assert "vggs: the network of xgraph:vgg16, layer by layer (39 layers)\n" in said
    assert "vgg19: the network of xgraph:vgg19, layer by layer (45 layers)\n" in said
    assert main(["format", "--check", "vggs.yaml"]) == 0
    assert main(["check", "vggs.yaml"]) == 0
    for spec, source in (("vggs.yaml", "vgg16"), ("vgg19.yaml", "vgg19")):
        assert not match(of_spec(analyse(spec)), of_spec(analyse(source))).differences


def test_as_json(folder, capsys):
    assert main(["import", *VGGS, "--family", "-o", "vggs.yaml", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["ok"]
    assert told["spec"] == "vggs"
    assert told["lines"] == len(Path("vggs.yaml").read_text().splitlines())
    assert [one["name"] for one in told["sizes"]] == ["vggs", "vgg19"]
    assert [one["source"] for one in told["sizes"]] == VGGS
    assert [one["layers"] for one in told["sizes"]] == [39, 45]


def test_names_that_others_have_beside_it(folder, capsys):
    Path("vgg19.yaml").write_text("mine")
    Path("other.yaml").write_text("sizes: {vgg19_2: {}}")
    assert main(["import", *VGGS, "--family", "-o", "vggs.yaml"]) == 0
    assert "note: the size of xgraph:vgg19 is called vgg19_3\n" in capsys.readouterr().out
    assert not match(of_spec(analyse("vgg19_3.yaml")), of_spec(analyse("vgg19"))).differences
    assert Path("vgg19.yaml").read_text() == "mine"


def test_a_family_over_itself_keeps_its_names(folder, capsys):
    arguments = ["import", *VGGS, "--family", "-o", "vggs.yaml"]
    assert main(arguments) == 0
    text = Path("vggs.yaml").read_text()
    assert main(arguments) != 0
    assert "vggs.yaml is there already; --force writes over it" in capsys.readouterr().err
    assert main([*arguments, "--force"]) == 0
    assert Path("vggs.yaml").read_text() == text


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([*VGGS, "-o", "a.yaml"], "one network is imported at a time; --family makes one spec"),
        ([VGGS[0], "--family", "-o", "a.yaml"], "a family is of two networks or more"),
        (
            [*VGGS, "--family", "-o", "a.yaml", "--weights", "w.safetensors"],
            "those of each size with xgraph weights import",
        ),
        (
            [*VGGS, "--family", "-o", "a.yaml", "--model", "keras:VGG16"],
            "--model is for one file of weights",
        ),
        ([*VGGS, "--family", "-o", "a.yml"], "a.yml: a spec with sizes is a file named .yaml"),
        ([*VGGS, "--family", "-o", "no/a.yaml"], "there is no folder no"),
        (["xgraph:vgg16", "xgraph:squeezenet1_1", "--family", "-o", "a.yaml"], "no sizes of one"),
    ],
)
def test_refused(arguments, reason, folder, capsys):
    assert main(["import", *arguments]) != 0
    assert reason in capsys.readouterr().err
    assert not list(folder.iterdir())


class Options:
    """What the command line gives."""

    source = ("xgraph:resnet152", "xgraph:resnet101", "xgraph:resnet50")
    output = "mine.yaml"
    name = weights = model = input = None
    force = refuse_folded = json = False


def test_what_is_compared_in_numbers(folder, capsys):
    """The first and the smallest, each of which is the size of what will be written."""
    seen = []

    def compare(found, source, network, own):
        seen.append((found.analysis.name, found.size_of, source.title, own))
        assert not match(of_spec(found.analysis), network).differences
        return Compared("told", ({"what": 1},), ("seen",))

    import_family(Options(), compare)
    assert seen == [
        ("mine", None, "xgraph:resnet152", False),
        ("resnet50", "mine", "xgraph:resnet50", False),
    ]
    said = capsys.readouterr().out
    assert "mine: told\n" in said
    assert "resnet50: told\n" in said
    assert "note: resnet50: seen\n" in said
    assert "resnet101: told" not in said


def test_nothing_is_written_where_numbers_are_others(folder):
    def compare(found, source, network, own):
        if found.size_of:
            raise Refused("others")
        return Compared()

    with pytest.raises(Refused, match="others"):
        import_family(Options(), compare)
    assert not list(folder.iterdir())


MODULE = """
import torch
from torch import nn


class Unit(nn.Module):
    def __init__(self, filters):
        super().__init__()
        self.conv = nn.Conv2d(filters, filters, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(filters)

    def forward(self, x):
        return torch.relu(x + self.norm(self.conv(x)))


def build(width, depth):
    units = [Unit(width) for _ in range(depth)]
    end = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 5)]
    return nn.Sequential(nn.Conv2d(3, width, 3, 2, 1), *units, *end)


def small():
    return build(4, 2)


def large():
    return build(6, 4)
"""


@pytest.mark.slow
def test_modules_are_compared_in_their_framework(folder, capsys, monkeypatch):
    Path("sized.py").write_text(MODULE)
    monkeypatch.delitem(sys.modules, "sized", raising=False)
    sources = ["torch:sized:large", "torch:sized:small"]
    arguments = [*sources, "--family", "--input", "16,16,3", "-o", "mine.yaml"]
    assert main(["import", *arguments]) == 0
    said = capsys.readouterr().out
    assert "mine: flax, keras, torch compute what it does, in float64: evaluation output " in said
    assert "small: flax, keras, torch compute what it does, in float64: evaluation" in said
    text = Path("mine.yaml").read_text()
    assert "params: {width: 6, depth: 4, classes: 5}" in text
    assert "params: {width: 4, depth: 2}" in text


# -- side by side ---------------------------------------------------------------------------------


def conv(filters, given=None):
    layer = next(one for one in networks("vgg16")[0].layers if one.op.name == "conv")
    made = leaf(layer)
    return Leaf("conv", (filters, *made.values[1:]), given)


RELU = Leaf("relu")
ADD = Leaf("add")


def unit(filters):
    return Fork(((conv(filters), RELU), ()), ADD)


def test_copies_are_turns_of_a_loop():
    one = (conv(8), RELU, conv(8), RELU, Leaf("flatten"))
    two = (conv(8), RELU, Leaf("flatten"))
    made = side_by_side([one, two])
    assert made == (Turns(Vary((2, 1)), (conv(8), RELU)), Leaf("flatten"))


def test_units_that_one_lacks():
    head = (conv(8), RELU, conv(8), RELU, conv(8), RELU, conv(8), RELU, Leaf("flatten"))
    made = side_by_side([(RELU, *head), (RELU, unit(4), unit(4), *head)])
    assert made[1] == Turns(Vary((0, 2)), (unit(4),))


def test_what_differs_varies():
    made = side_by_side([(conv(8, given=3), RELU), (conv(8, given=3), RELU), (conv(16, 3), RELU)])
    assert made[0].values[0] == Vary((8, 8, 16))
    assert made[0].values[1:] == conv(8).values[1:]
    assert made[0].given == 3


def test_networks_of_other_layers():
    with pytest.raises(Apart) as apart:
        side_by_side([(conv(8), RELU, ADD), (conv(8), RELU, Leaf("flatten"))])
    assert (apart.value.alike, apart.value.first, apart.value.second) == (2, "add", "flatten")


def test_turns_that_differ_by_their_place():
    def dropped(*rates):
        return tuple(Leaf("dropout", (rate,)) for rate in rates)

    body = (RELU, conv(8), RELU, conv(8), RELU)
    made = side_by_side([(*body, *dropped(0.1, 0.2)), (*body, *dropped(0.1, 0.2, 0.3))])
    (loop,) = (item for item in made if isinstance(item, Each))
    assert loop.variables[0].values == (Lists(((0.1, 0.2), (0.1, 0.2, 0.3))),)


def test_numbers_in_each_network():
    vary = Vary((8, 12))
    assert scaled(vary, 3) == Vary((24, 36))
    assert scaled(vary, 1, 4) == Vary((2, 3))
    assert scaled(Vary((8, 9)), 1, 8) == 1
    assert is_whole(vary, 4)
    assert not is_whole(vary, 8)
    assert not is_whole(Vary((8, 1.5)))
    assert not is_whole(True)


def test_no_name_twice():
    """A parameter is called otherwise where its name is that of a block's or a loop's."""
    tree = Tree((Leaf("dropout", (Vary((0.1, 0.2)),)), Turns(Vary((1, 2)), (RELU,))))
    made = settings_of(tree, {}, 2, {"dropout", "depth"}, lambda value, word: value)
    assert made.params == {"dropout_2": [0.1, 0.2], "depth_2": [1, 2]}
