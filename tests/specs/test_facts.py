"""The bundled specs have exactly the published numbers of parameters and multiply-accumulates."""

from __future__ import annotations

import pytest

from xgraph.compile import analyse
from xgraph.passes.cost import Cost, measure, total


def cost(spec: str, *settings: str) -> Cost:
    analysis = analyse(spec, settings)
    return total(measure(analysis.graph, analysis.types))


# (spec, settings) -> total, trainable, non-trainable; None: not published
COUNTS = [
    # keras.applications.Xception; timm's legacy_xception
    (("xception",), (22_910_480, 22_855_952, 54_528)),
    (("xception", "classes=10"), (20_881_970, 20_827_442, 54_528)),
    # keras.applications.InceptionV3
    (("inception_v3",), (23_851_784, 23_817_352, 34_432)),
    # Table 3 of the paper's first version
    (("inception_v3", "classes=1001"), (23_853_833, None, None)),
    (("xception_table3",), (24_464_273, None, None)),  # our derivation
    # torchvision's inception_v3, without and with its auxiliary tower
    (("inception_v3", "bn_scale=true"), (None, 23_834_568, 34_432)),
    (("inception_v3", "bn_scale=true", "auxiliary=true"), (None, 27_161_264, None)),
    # keras.applications.VGG16 and torchvision's vgg16
    (("vgg16",), (138_357_544, 138_357_544, 0)),
    # keras.applications.ResNet50, ResNet101, ResNet152
    (("resnet50",), (25_636_712, 25_583_592, 53_120)),
    (("resnet101",), (44_707_176, 44_601_832, 105_344)),
    (("resnet152",), (60_419_944, 60_268_520, 151_424)),
    # torchvision's resnet50, resnet101, resnet152
    (("resnet50_torchvision",), (None, 25_557_032, None)),
    (("resnet50_torchvision", "depths=[3, 4, 23, 3]"), (None, 44_549_160, None)),
    (("resnet50_torchvision", "depths=[3, 8, 36, 3]"), (None, 60_192_808, None)),
    # the slides on CIFAR-10
    (("xception_slides",), (None, 20_825_402, None)),  # our derivation
    (("inception_v3", "classes=10", "bn_scale=true", "auxiliary=true"), (None, 24_371_444, None)),
]


@pytest.mark.parametrize(("arguments", "expected"), COUNTS, ids=lambda v: str(v)[:60])
def test_parameters(arguments, expected):
    found = cost(*arguments)
    for value, fact in zip(
        (found.parameters, found.trainable, found.non_trainable), expected, strict=True
    ):
        assert fact is None or value == fact


@pytest.mark.parametrize(
    ("spec", "macs"), [("xception", 8_357_403_496), ("inception_v3", 5_713_216_096)]
)
def test_multiply_accumulates(spec, macs):
    assert cost(spec).macs == macs


def test_spatial_sizes_of_xception():
    """299 → 149 → 147 → 74 → 37 → 19 → 10, as Figure 5 implies."""
    analysis = analyse("xception")
    sizes = [type_.shape[0] for type_ in analysis.types if type_.rank == 3]
    assert list(dict.fromkeys(sizes)) == [299, 149, 147, 74, 37, 19, 10]


def test_xception_has_36_convolutional_layers():
    """The paper counts convolutions in 14 modules, shortcuts left out."""
    graph = analyse("xception").graph
    names = [n.name for n in graph.nodes if n.op.name in ("conv", "separable_conv")]
    assert len([name for name in names if ".shortcut." not in name]) == 36


@pytest.mark.parametrize("variant", ["xception_relu", "xception_elu", "xception_no_residual"])
def test_variants_that_only_lose_or_gain_operations(variant):
    shortcuts = sum(  # four strided 1×1 convolutions with batch norm
        i * o + 4 * o for i, o in ((64, 128), (128, 256), (256, 728), (728, 1024))
    )
    expected = 22_910_480 - (shortcuts if variant == "xception_no_residual" else 0)
    assert cost(variant).parameters == expected


def test_fully_connected_layers():
    """Two layers of 4096 between the 2048 features and the classifier."""
    layers = 2048 * 4096 + 4096 + 4096 * 4096 + 4096 + (4096 - 2048) * 1000
    assert cost("xception_fc").parameters == 22_910_480 + layers


def test_mini_is_small():
    assert 100_000 <= cost("xception_mini").parameters <= 400_000
