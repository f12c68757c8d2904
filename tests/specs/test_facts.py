"""The bundled specs have exactly the published numbers of parameters and multiply-accumulates."""

from __future__ import annotations

import itertools

import pytest

from xgraph.compile import analyse
from xgraph.passes.cost import Cost, measure, total
from xgraph.spec.library import all_specs


def cost(spec: str, *settings: str) -> Cost:
    analysis = analyse(spec, settings)
    return total(measure(analysis.graph, analysis.types))


# (spec, settings) -> total, trainable, non-trainable, multiply-accumulates of convolutions, dense
# layers and attention at the spec's input; None: not published. Those of keras.applications,
# torchvision and timm were counted on their models, versions 3.15.1, 0.29.1 and 1.0.31.
COUNTS = [
    # keras.applications.Xception; timm's legacy_xception
    (("xception",), (22_910_480, 22_855_952, 54_528, 8_357_403_496)),
    (("xception", "classes=10"), (20_881_970, 20_827_442, 54_528, None)),
    # keras.applications.InceptionV3
    (("inception_v3",), (23_851_784, 23_817_352, 34_432, 5_713_216_096)),
    # Table 3 of the paper's first version
    (("inception_v3_table3",), (23_853_833, None, None, None)),
    (("xception_table3",), (24_464_273, None, None, None)),  # our derivation
    # torchvision's inception_v3, without and with its auxiliary tower
    (("inception_v3", "bn_scale=true"), (None, 23_834_568, 34_432, None)),
    (("inception_v3_torchvision",), (None, 27_161_264, None, None)),
    # the slides on CIFAR-10
    (("xception_slides",), (None, 20_825_402, None, None)),  # our derivation
    (("inception_v3_slides",), (None, 24_371_444, None, None)),
    # keras.applications; VGGs are torchvision's too
    (("vgg16",), (138_357_544, 138_357_544, 0, 15_470_264_320)),
    (("vgg19",), (143_667_240, 143_667_240, 0, 19_632_062_464)),
    (("resnet50",), (25_636_712, 25_583_592, 53_120, 3_857_973_248)),
    (("resnet101",), (44_707_176, 44_601_832, 105_344, 7_570_194_432)),
    (("resnet152",), (60_419_944, 60_268_520, 151_424, 11_282_415_616)),
    (("resnet50_v2",), (25_613_800, 25_568_360, 45_440, 3_482_255_360)),
    (("resnet101_v2",), (44_675_560, 44_577_896, 97_664, 7_194_476_544)),
    (("resnet152_v2",), (60_380_648, 60_236_904, 143_744, 10_906_697_728)),
    (("mobilenet",), (4_253_864, 4_231_976, 21_888, 568_740_352)),
    (("mobilenet", "width=0.5"), (1_342_536, 1_331_592, 10_944, 149_497_088)),
    (("densenet169",), (14_307_880, 14_149_480, 158_400, 3_359_843_328)),
    (("densenet201",), (20_242_984, 20_013_928, 229_056, 4_291_365_888)),
    (("convnext_small",), (50_223_688, 50_223_688, 0, 8_683_712_256)),
    (("convnext_base",), (88_591_464, 88_591_464, 0, 15_354_729_472)),
    (("convnext_large",), (197_767_336, 197_767_336, 0, 34_361_433_600)),
    (("inception_resnet_v2",), (55_873_736, 55_813_192, 60_544, 13_155_794_016)),
    (("nasnet_mobile",), (5_326_716, 5_289_978, 36_738, 563_638_816)),
    # keras.applications and torchvision
    (("mobilenet_v2",), (3_538_984, 3_504_872, 34_112, 300_774_272)),
    (("mobilenet_v2", "width=1.4"), (6_156_712, 6_108_776, 47_936, 582_195_824)),
    (("mobilenet_v3_small",), (2_554_968, 2_542_856, 12_112, 56_510_400)),
    (("mobilenet_v3_small", "width=0.75"), (2_051_552, 2_041_872, 9_680, 43_399_344)),
    (("mobilenet_v3_large",), (5_507_432, 5_483_032, 24_400, 216_589_760)),
    (("mobilenet_v3_large", "width=0.75"), (4_012_616, 3_993_528, 19_088, 154_560_624)),
    (("densenet121",), (8_062_504, 7_978_856, 83_648, 2_834_161_664)),
    (("convnext_tiny",), (28_589_128, 28_589_128, 0, 4_455_531_264)),
    # keras.applications, which count 7 more, not trained: mean, variance and number of images
    (("efficientnet_b0",), (5_330_564, 5_288_548, 42_016, 385_814_752)),
    (("efficientnet_b1",), (7_856_232, 7_794_184, 62_048, 686_802_832)),
    (("efficientnet_b2",), (9_177_562, 9_109_994, 67_568, 993_561_872)),
    (("efficientnet_b3",), (12_320_528, 12_233_232, 87_296, 1_827_141_392)),
    (("efficientnet_b4",), (19_466_816, 19_341_616, 125_200, 4_393_771_024)),
    (("efficientnet_b5",), (30_562_520, 30_389_784, 172_736, 10_266_384_752)),
    (("efficientnet_b6",), (43_265_136, 43_040_704, 224_432, 19_067_593_536)),
    (("efficientnet_b7",), (66_658_680, 66_347_960, 310_720, 37_745_884_192)),
    # torchvision
    (("resnet18",), (11_699_112, 11_689_512, 9_600, 1_814_073_344)),
    (("resnet34",), (21_814_696, 21_797_672, 17_024, 3_663_761_408)),
    (("resnet50_torchvision",), (None, 25_557_032, None, 4_089_184_256)),
    (("resnet101_torchvision",), (44_654_504, 44_549_160, 105_344, 7_801_405_440)),
    (("resnet152_torchvision",), (60_344_232, 60_192_808, 151_424, 11_513_626_624)),
    (("resnext50_32x4d",), (25_097_128, 25_028_904, 68_224, 4_230_479_872)),
    (("resnext101_32x8d",), (88_994_216, 88_791_336, 202_880, 16_414_015_488)),
    (("resnext101_64x4d",), (83_658_152, 83_455_272, 202_880, 15_460_270_080)),
    (("wide_resnet50_2",), (68_951_464, 68_883_240, 68_224, 11_398_021_120)),
    (("wide_resnet101_2",), (127_024_552, 126_886_696, 137_856, 22_753_050_624)),
    (("squeezenet1_0",), (1_248_424, 1_248_424, 0, 818_924_576)),
    (("squeezenet1_1",), (1_235_496, 1_235_496, 0, 349_151_936)),
    (("shufflenet_v2_x0_5",), (1_374_744, 1_366_792, 7_952, 40_476_448)),
    (("shufflenet_v2",), (2_294_784, 2_278_604, 16_180, 144_907_992)),
    (("shufflenet_v2_x1_5",), (3_527_064, 3_503_624, 23_440, 295_759_392)),
    (("shufflenet_v2_x2_0",), (7_427_712, 7_393_996, 33_716, 583_253_464)),
    (("regnet_x_400mf",), (5_533_832, 5_495_976, 37_856, 413_812_608)),
    (("regnet_x_800mf",), (7_296_968, 7_259_656, 37_312, 799_699_712)),
    (("regnet_x_1_6gf",), (9_233_640, 9_190_136, 43_504, 1_602_849_792)),
    (("regnet_x_3_2gf",), (15_359_112, 15_296_552, 62_560, 3_176_621_952)),
    (("regnet_x_8gf",), (39_663_112, 39_572_648, 90_464, 7_995_132_416)),
    (("regnet_x_16gf",), (54_389_704, 54_278_536, 111_168, 15_940_755_456)),
    (("regnet_x_32gf",), (107_973_576, 107_811_560, 162_016, 31_735_929_792)),
    (("regnet_y_400mf",), (4_371_296, 4_344_144, 27_152, 401_842_848)),
    (("regnet_y_800mf",), (6_462_944, 6_432_512, 30_432, 833_856_256)),
    (("regnet_y_1_6gf",), (11_255_102, 11_202_430, 52_672, 1_612_076_160)),
    (("regnet_y_3_2gf",), (19_502_498, 19_436_338, 66_160, 3_176_482_752)),
    (("regnet_y_8gf",), (39_468_000, 39_381_472, 86_528, 8_473_070_592)),
    (("regnet_y_16gf",), (83_712_956, 83_590_140, 122_816, 15_911_510_272)),
    (("regnet_y_32gf",), (145_205_058, 145_046_770, 158_288, 32_279_552_832)),
    (("regnet_y_128gf",), (645_227_966, 644_812_894, 415_072, 127_517_815_680)),
    (("googlenet",), (6_639_464, 6_624_904, 14_560, 1_498_376_192)),
    # trained batch norms included, which torchvision freezes where it loads trained weights
    (("retinanet_resnet50",), (34_121_239, 34_068_119, 53_120, 62_003_326_976)),
    # timm
    (("inception_v4",), (42_742_984, 42_679_816, 63_168, 12_253_974_624)),
    (("darknet53",), (41_645_640, 41_609_928, 35_712, 9_285_115_904)),
    (("cspdarknet53",), (27_677_512, 27_642_184, 35_328, 6_533_652_480)),
    (("cspresnet50",), (21_656_488, 21_616_168, 40_320, 4_517_240_832)),
    (("hrnet_w18_small",), (13_211_496, 13_187_464, 24_032, 1_601_508_352)),
    (("hrnet_w18",), (21_350_220, 21_299_004, 51_216, 4_283_537_072)),
    (("hrnet_w30",), (37_783_500, 37_712_220, 71_280, 8_105_781_680)),
    (("hrnet_w32",), (41_307_304, 41_232_680, 74_624, 8_921_133_056)),
    (("hrnet_w40",), (57_645_160, 57_557_160, 88_000, 12_691_997_440)),
    (("hrnet_w44",), (67_159_672, 67_064_984, 94_688, 14_883_104_960)),
    (("hrnet_w48",), (77_571_240, 77_469_864, 101_376, 17_277_996_032)),
    (("hrnet_w64",), (128_188_072, 128_059_944, 128_128, 28_895_395_840)),
    (("resnet50d",), (25_629_512, 25_576_264, 53_248, 4_328_824_832)),
    (("seresnet50",), (28_141_144, 28_088_024, 53_120, 4_091_699_200)),
    (("repvgg_a0",), (9_132_616, 9_108_968, 23_648, 1_512_581_120)),
    (("ghostnet",), (5_204_476, 5_182_508, 21_968, 141_150_512)),
    (("xception41",), (27_084_872, 26_969_560, 115_312, 9_204_134_312)),
    (("xception65",), (40_101_512, 39_916_312, 185_200, 13_852_682_216)),
    # timm's vit_tiny_patch16_224 with class_token=False, global_pool="avg"
    (("vit_tiny",), (5_717_032, 5_717_032, 0, 1_246_563_840)),
    # timm; TensorFlow's reference of lite0 has as many that are trained
    (("efficientnet_lite0",), (4_694_024, 4_652_008, 42_016, 385_187_552)),
    (("efficientnet_lite1",), (5_470_344, 5_416_680, 53_664, 600_185_232)),
    (("efficientnet_lite2",), (6_150_168, 6_092_072, 58_096, 859_736_272)),
    (("efficientnet_lite3",), (8_273_768, 8_197_096, 76_672, 1_383_321_872)),
    (("efficientnet_lite4",), (13_118_936, 13_006_568, 112_368, 2_553_034_336)),
]


@pytest.mark.parametrize(("arguments", "expected"), COUNTS, ids=lambda v: str(v)[:60])
def test_counts(arguments, expected):
    found = cost(*arguments)
    counts = (found.parameters, found.trainable, found.non_trainable, found.macs)
    for value, fact in zip(counts, expected, strict=True):
        assert fact is None or value == fact


def test_every_spec_of_a_family_is_counted():
    counted = {arguments[0] for arguments, _ in COUNTS}
    assert {path.stem for path in all_specs() if path.parent.name == "families"} <= counted


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


def test_jft_has_17000_classes():
    """Nothing else is different: a classifier of 2048 or 4096 features and a bias."""
    assert cost("xception_jft").parameters == 22_910_480 + 16_000 * 2049
    assert cost("xception_jft_fc").parameters == cost("xception_fc").parameters + 16_000 * 4097


def test_a_stack_of_separable_convolutions():
    """Kernels of 9 · in + in · out, batch norm of 4 · out, a classifier of 512 features."""
    filters = [3, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]
    layers = sum(9 * i + i * o + 4 * o for i, o in itertools.pairwise(filters))
    assert cost("vgg_separable").parameters == layers + 513 * 1000


@pytest.mark.parametrize(
    ("spec", "blocks", "added"),
    [
        ("efficientnet_b0", 16, [2, 4, 6, 7, 9, 10, 12, 13, 14]),
        ("efficientnet_b1", 23, [1, 3, 4, 6, 7, 9, 10, 11, 13, 14, 15, 17, 18, 19, 20, 22]),
    ],
)
def test_stochastic_depth_of_efficientnet(spec, blocks, added):
    """Its rate grows from block to block, also where there is none; as in keras.applications."""
    nodes = [n for n in analyse(spec).graph.nodes if n.op.name == "stochastic_depth"]
    assert [node.op.rate for node in nodes] == [0.2 * block / blocks for block in added]


def test_mini_is_small():
    assert 100_000 <= cost("xception_mini").parameters <= 400_000
