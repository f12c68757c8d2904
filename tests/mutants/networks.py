"""The specs and recipes that faults are looked for with."""

from __future__ import annotations

#: Of the network of all features: a block of several results, and where it and loops of branches
#: are used.
_SEVERAL = """\
  thirds:
    params: {filters}
    results: [last, first, second]
    body:
    - {conv: {filters: $filters, kernel: 1}, name: first}
    - {conv: {filters: 2, kernel: 1}, name: second}
    - {conv: {filters: 3, kernel: 1}, name: last}
"""
_GATHERED = """\
  - [{thirds: 4}, tanh, sigmoid, {concat: , from: [sigmoid, thirds.first, thirds.last]}]
  - [{thirds: 5}, {concat: , from: [thirds_2.second, thirds_2, thirds_2.first]}]
  - branches: {repeat: $repeats, index: i, body: {conv: {filters: 2 + $i, kernel: 1}}}
    merge: concat
  - {branches: {repeat: $repeats, body: {conv: {filters: 3, kernel: 1}}}, merge: concat}
  - {branches: {repeat: $repeats, body: [{unit: 5}, tanh]}, merge: average}
"""

#: Every op; blocks with parameters, a loop, residuals, branches, an auxiliary output; odd sizes.
FEATURES = (
    """\
xgraph: 1
name: features
params: {width: 4, repeats: 2, rate: 0.3}
input: {shape: [13, 11, 3]}
defaults:
  batch_norm: {momentum: 0.9, epsilon: 2e-3}
blocks:
  unit:
    params: {filters, kernel: 3, stride: 1}
    body:
    - conv: {filters: $filters, kernel: $kernel, stride: $stride, padding: same, bias: false}
    - [batch_norm, relu]
  separated:
    params: {filters, slope: 0.3}
    body:
    - residual: [{separable_conv: {filters: $filters, kernel: 3, padding: same, multiplier: 2}},
        {leaky_relu: $slope}]
      shortcut: [{conv: {filters: $filters, kernel: 1}, name: shortcut}]
  gate:
    body:
    - residual: [{global_avg_pool: {keep_dims: true}},
        {conv: {filters: $input.channels, kernel: 1}}, hard_sigmoid]
      merge: multiply
  maybe:
    params: {filters}
    body:
    - residual: [{conv: {filters: $filters, kernel: 1}}, tanh]
      skip: $filters == $input.channels
"""
    + _SEVERAL
    + """\
graph:
  stem:
  - {zero_pad: [[1, 0], [2, 1]]}
  - {unit: {filters: $width, stride: 2}}
  - {repeat: $repeats, body: [{residual: [{unit: $width}, tanh]}]}
  middle:
  - branches:
      left:
      - {unit: {filters: 3, kernel: [1, 5]}}
      - {max_pool: {kernel: 3, stride: 2, padding: same}}
      right:
      - {avg_pool: {kernel: 3, stride: 2, padding: same}}
      - {separable_conv: {filters: 2, kernel: 3, padding: same, depthwise_activation: elu}}
      other:
      - {depthwise_conv: {kernel: 3, stride: 2, padding: same, multiplier: 2}}
      - {conv: {filters: 4, kernel: 3, padding: same, dilation: 2, groups: 2}}
    merge: concat
  - [{elu: 0.5}, {separated: 6}, hard_swish, {separated: {filters: 4, slope: 0.1}}, silu]
  - [gate, {maybe: 4}, {maybe: 5}]
"""
    + _GATHERED
    + """\
  - [{gelu: tanh}, {conv: {filters: 6, kernel: 3, padding: [[1, 0], [0, 1]]}}, gelu, relu6]
  - {for: {size: [3, 4]}, body: [{conv: {filters: $size, kernel: 1}}, sigmoid]}
  - {for: {way: [same, valid]}, body: [{conv: {filters: 4, kernel: 2, padding: $way}}, tanh]}
  attention:
  - [{conv: {filters: 4, kernel: 1}, from: middle}, softmax]
  - {multiply: , from: [middle, softmax]}
  auxiliary: [{max_pool: 2, from: stem}, flatten, {dense: 5, name: scores}]
  tail:
  - {global_avg_pool: , from: attention, name: average}
  - {global_max_pool: , from: attention, name: greatest}
  - {concat: , from: [average, greatest]}
  - [identity, {dropout: $rate}, {dense: 5, name: classifier}]
outputs:
  logits: tail
  auxiliary: {from: auxiliary, loss_weight: 0.3}
"""
)

#: The same with a part in which sigmoids make what they are given almost one value, and batch norm
#: takes that away: gradients are known to a few digits only, and training is chaotic. It is no
#: deeper than that takes: where nothing can be told, no verdict can be wrong.
_FEWER = FEATURES.replace(_SEVERAL, "").replace(_GATHERED, "")
ILL_CONDITIONED = _FEWER.replace("name: features", "name: ill_conditioned", 1).replace(
    """\
  attention:
  - [{conv: {filters: 4, kernel: 1}, from: middle}, softmax]
  - {multiply: , from: [middle, softmax]}
""",
    """\
  squeeze:
  - {repeat: 10, body: [{conv: {filters: 4, kernel: 1}}, sigmoid]}
  - {batch_norm: {epsilon: 1.0e-16}}
  attention:
  - [{conv: {filters: 4, kernel: 1}, from: squeeze}, softmax]
  - {multiply: , from: [squeeze, softmax]}
""",
)

FEATURES_RECIPE = """\
xgraph_recipe: 1
name: features
epochs: 4
batch_size: 4
optimizer: {sgd: {momentum: 0.9, nesterov: true}}
schedule: {cosine: {initial: 0.1, final: 0.01, warmup: {steps: 3}}}
regularization: {l2: 0.02}
ema: {decay: 0.8, warmup: false}
loss: {softmax_cross_entropy: {label_smoothing: 0.1}}
images:
  train: {resize: {stretch: 1.25}, crop: random, flip: true}
  evaluate: {resize: {stretch: 1.0}}
  normalize: symmetric
every: {log: {steps: 1}, evaluate: {steps: 7}, checkpoint: {steps: 3}}
"""

#: Parameters of all kinds; many numbers in it are equal by chance.
SETTINGS = """\
xgraph: 1
name: settings
params: {width: 4, depth: 2, growth: 2, stride: 1, once: 1, wide: 2 * $width, units: 5}
input: {shape: [11, 9, 3]}
blocks:
  layer:
    params: {growth}
    body:
    - branches: {kept: [], fresh: [{conv: {filters: $growth, kernel: 3, padding: same}}]}
      merge: concat
  dense_block: {params: {depth, growth}, body: [{repeat: $depth, body: [{layer: $growth}]}]}
  mixing:
    inputs: [one, other]
    params: {filters: $other.channels + 1, inner: $one.channels * $growth}
    body:
    - {conv: {filters: $inner, kernel: 1}, from: one}
    - {concat: , from: [conv, other]}
    - {conv: {filters: $filters, kernel: 1}}
  stretch:
    params: {base}
    body: [{for: {factor: [1, 2]}, body: [{conv: {filters: $base * $factor, kernel: 1}}]}]
  unit: {params: {flag}, body: [{conv: {filters: 4, kernel: 1, bias: $flag}}]}
graph:
  stem:
  - {conv: {filters: 4, kernel: 3, stride: $stride, padding: same}}
  - {repeat: $once, body: [{conv: {filters: $width, kernel: 1}}]}
  grown: [{dense_block: {depth: $depth, growth: $growth}}, batch_norm]
  stretched: [{for: {base: [2, 3]}, body: [{stretch: $base * $width}, batch_norm]}]
  deep:
  - repeat: $depth
    index: i
    body:
    - {depthwise_conv: {kernel: 3, padding: same, kernel_initializer: he_normal}}
    - {conv: {filters: $wide + $i, kernel: 1}}
  - {repeat: $once, index: j, body: [{unit: {flag: $j > 0}}]}
  joined: [{concat: , from: [deep, stem]}, {conv: {filters: 4, kernel: 1}}]
  mixed: [{mixing: , from: [joined, stem]}, {mixing: {inner: 3}, from: [mixing, deep]}]
  parallel:
  - {branches: {repeat: $depth, body: {conv: {filters: $growth, kernel: 1}}}, merge: concat}
  - {branches: {repeat: $stride, body: {conv: {filters: 4, kernel: 1}}}, merge: add}
  head: [global_avg_pool, {dense: $units}]
"""

#: Settings of it that are given.
GIVEN = (
    {"width": 3},
    {"depth": 3, "growth": 1},
    {"stride": 2, "once": 2},
    {"wide": 5, "units": 2},
)

#: Small enough that the harness trains it by formulas.
TRAINED = """\
xgraph: 1
name: trained
input: {shape: [8, 12, 3]}
graph:
  stem:
  - {conv: {filters: 4, kernel: 3, stride: 2, padding: same}}
  - [{batch_norm: {momentum: 0.8}}, tanh]
  head:
  - {depthwise_conv: {kernel: 3, padding: same}}
  - {separable_conv: {filters: 5, kernel: 3, padding: same}}
  - [global_avg_pool, {dense: 4, name: classifier}]
  auxiliary: [{avg_pool: 2, from: stem}, flatten, {dense: 4, name: scores}]
outputs:
  logits: head
  auxiliary: {from: auxiliary, loss_weight: 0.3}
"""

#: Small faults of its PyTorch program trained by `FEATURES_RECIPE`: file, what becomes what, after
#: how many steps, and a quantity that tells.
SABOTAGE = (
    ("model.py", "eps=0.001,", "eps=0.001000001,", 0, "training output"),
    ("model.py", "momentum=0.2", "momentum=0.2000001", 0, "moving statistics"),
    ("train.py", "LABEL_SMOOTHING = 0.1", "LABEL_SMOOTHING = 0.1000001", 0, "loss"),
    ("train.py", "MOMENTUM = 0.9", "MOMENTUM = 0.9000001", 3, "weights after steps"),
    ("train.py", "EMA_DECAY = 0.8", "EMA_DECAY = 0.8000001", 3, "EMA after steps"),
)

IMAGENET_LIKE = """\
xgraph_recipe: 1
name: staircase
epochs: 4
batch_size: 4
optimizer: {sgd: {momentum: 0.9}}
schedule: {exponential: {initial: 0.05, rate: 0.5, every: {epochs: 1}}}
regularization: {l2: 0.05}
ema: {decay: 0.9999, warmup: true}
loss: softmax_cross_entropy
images: {normalize: unit}
"""

#: The same with a layer whose name is the beginning of another one's.
TUNED = TRAINED.replace("name: trained", "name: tuned").replace(
    "{depthwise_conv: {kernel: 3, padding: same}}",
    "{depthwise_conv: {kernel: 3, padding: same}, name: class}",
)
#: Parts in parts, of which the innermost counts.
PARTS = {
    "frozen": ("head", "stem.conv"),
    "rates": {"head.class": 0.5, "auxiliary": 2.0, "stem": 0.25, "stem.batch_norm": 3.0},
}
CLASS_WEIGHTS = (0.5, 2.0, 0.0, 1.25)
TUNED_RECIPE = """\
xgraph_recipe: 1
name: tuned
epochs: 4
batch_size: 4
optimizer: {sgd: {momentum: 0.9}}
schedule: {cosine: {initial: 0.1, final: 0.01, warmup: {steps: 3}}}
regularization: {decoupled: 0.3}
ema: {decay: 0.8, warmup: false}
tune:
  freeze: [head, stem.conv]
  rates: {head.class: 0.5, auxiliary: 2, stem: 0.25, stem.batch_norm: 3}
loss: {softmax_cross_entropy: {label_smoothing: 0.1, class_weights: [0.5, 2, 0, 1.25]}}
images: {normalize: symmetric}
"""
#: A batch norm among what is frozen.
FROZEN_RECIPE = TUNED_RECIPE.replace(
    """\
  freeze: [head, stem.conv]
  rates: {head.class: 0.5, auxiliary: 2, stem: 0.25, stem.batch_norm: 3}
""",
    """\
  freeze: [stem]
  rates: {head: 0.5}
""",
)
#: Updates in parts.
ACCUMULATED_RECIPE = """\
xgraph_recipe: 1
name: accumulated
epochs: 4
batch_size: 8
accumulation: 4
optimizer: {sgd: {momentum: 0.9}}
schedule: {exponential: {initial: 0.1, rate: 0.5, every: {steps: 7}}}
clip: {norm: 0.05}
ema: {decay: 0.8, warmup: true}
loss: softmax_cross_entropy
images: {normalize: symmetric}
"""
#: Updates by two devices.
SHARED_RECIPE = """\
xgraph_recipe: 1
name: shared
epochs: 4
batch_size: {size}
precision: float64
devices: {statistics}
optimizer: {{sgd: {{momentum: 0.9}}}}
schedule: {{exponential: {{initial: 0.1, rate: 0.5, every: {{steps: 7}}}}}}
loss: softmax_cross_entropy
images: {{normalize: symmetric}}
every: {{log: {{steps: 1}}}}
"""
#: Of workers that do not wait for each other.
WORKERS_RECIPE = """\
xgraph_recipe: 1
name: workers
epochs: 4
batch_size: 9
precision: float64
asynchronous: {}
optimizer: {sgd: {momentum: 0.9}}
schedule: {exponential: {initial: 0.1, rate: 0.5, every: {steps: 7}}}
ema: {decay: 0.9}
loss: softmax_cross_entropy
images: {normalize: symmetric}
every: {log: {steps: 1}}
"""
#: Updates that may overflow.
SCALED_RECIPE = """\
xgraph_recipe: 1
name: scaled
epochs: 4
batch_size: 3
precision: float16
optimizer: adam
schedule: {constant: 0.1}
loss: softmax_cross_entropy
images: {normalize: symmetric}
"""
#: Fine-tuning that is refused: parts, and whether something is.
REFUSED = (
    ("{freeze: [stem, head.class]}", False),
    ("{rates: {head.classifier: 0.5}, freeze: [head]}", False),
    ("{freeze: [stem, head], rates: {head.class: 1}}", False),
    ("{freeze: [ste]}", True),
    ("{freeze: [head.clas]}", True),
    ("{rates: {head.classifier.kernel: 2}}", True),
    ("{freeze: [stem, head, auxiliary]}", True),
    ("{freeze: [stem], rates: {stem: 1}}", True),
)
#: Images that are mixed, and class weights that are counted.
MIXED_RECIPE = (
    FEATURES_RECIPE.replace("name: features", "name: mixed")
    .replace(
        "{softmax_cross_entropy: {label_smoothing: 0.1}}",
        "{softmax_cross_entropy: {label_smoothing: 0.1, class_weights: balanced}}",
    )
    .replace("flip: true}", "flip: true, mixup: 0.4, cutmix: {alpha: 1, probability: 0.6}}")
)
#: α and the share of batches, in the order in which chance takes them.
WAYS = ((1.0, 0.6), (0.4, 0.4))


def starts(initializers: dict[str, str]) -> str:
    """A chain of convolutions, each of which starts in its own way."""
    items = [
        f"- conv: {{filters: {5 + k}, kernel: [2, 1], kernel_initializer: {text}}}\n  name: {name}"
        for k, (name, text) in enumerate(initializers.items())
    ]
    return "\n".join(
        [
            "xgraph: 1",
            "name: starts",
            "input: {shape: [20, 20, 3]}",
            "graph:",
            *items,
            "- {depthwise_conv: {kernel: 3, multiplier: 2}, name: depthwise}",
            "- {separable_conv: {filters: 7, kernel: 3}, name: separable}",
            "- batch_norm",
            "- [global_avg_pool, {dense: 4, name: classifier}]",
        ]
    )


DROPPED = """\
xgraph: 1
name: dropped
input: {shape: [40, 40, 3]}
graph: [{dropout: 0.2, name: dropped}, global_avg_pool, {dense: 3, name: scores}]
outputs: {logits: scores, value: {from: dropped}}
"""

NORMED = """\
xgraph: 1
name: normed
input: {shape: [9, 8, 3]}
graph: [{batch_norm: {}, name: normed}, global_avg_pool, {dense: 3, name: scores}]
outputs: {logits: scores, value: {from: normed}}
"""

#: What pads evenly, or not at all, in one use of a block only.
PADDED = """\
xgraph: 1
name: padded
input: {shape: [10, 8, 3]}
blocks:
  unit:
    params: {stride: 1, by: 0, pooled: false}
    body:
    - {conv: {filters: 4, kernel: 3, stride: $stride, padding: [[2 - $stride, 1], [2, 2]]}}
    - {conv: {filters: 4, kernel: 3, padding: [[$by, $by], [$by, $by]]}}
    - {residual: [tanh, {conv: {filters: 4, kernel: 1}}], shortcut: {max_pool: 2, when: $pooled}}
graph: [unit, {unit: {stride: 2}}, {unit: {by: 1}}, global_avg_pool, {dense: 3}]
"""

#: Its flat graph is known: see `WIRES`.
#: Layers and blocks that are applied again: at other sizes, in a loop, in what is shared itself.
SHARED = """\
xgraph: 1
name: shared
params: {turns: 2}
input: {shape: [13, 11, 3]}
blocks:
  unit:
    params: {filters}
    body: [{depthwise_conv: {kernel: 3, padding: same}}, {conv: {filters: $filters, kernel: 1}},
      {batch_norm: {momentum: 0.7}}, relu]
  twice: {params: {filters}, body: [{unit: $filters, name: one}, {share: one}]}
  both:
    inputs: [a, b]
    results: [more, less]
    body:
    - {conv: {filters: 4, kernel: 1}, from: a, name: left}
    - {share: left, from: b, name: right}
    - {add: , from: [left, right], name: more}
    - {subtract: , from: [left, right], name: less}
graph:
- {conv: {filters: 4, kernel: 3, stride: 2, padding: [[1, 0], [1, 0]]}, name: enter}
- {conv: {filters: 4, kernel: 3, padding: [[2, 0], [1, 1]]}, name: padded}
- {share: padded}
- {twice: 4, name: t}
- {repeat: $turns, body: [{share: t}, {conv: {filters: 4, kernel: 1}, name: own}, {share: own}]}
- {max_pool: 2}
- {share: t, name: coarse}
- {both: , from: [coarse, max_pool], name: b}
- {share: b, from: [b.less, b.more], name: c}
- {residual: [{conv: {filters: 4, kernel: 1}, name: main}, relu], shortcut: [{share: main}]}
- {concat: , from: [add, c, c.less]}
- [global_avg_pool, {dense: 5}]
"""
UNORDERED = """\
xgraph: 1
name: unordered
input: {shape: [8, 8, 3]}
graph:
- [{batch_norm: , name: near}, relu]
- {share: near, from: input, name: far}
- [{add: , from: [relu, far]}, global_avg_pool, {dense: 5}]
"""
#: Whose weights the first of its nodes have, of those that share some.
SHARES = {"padded_2": "padded", "t.one_2.conv": "t.one.conv", "t_2.0.one.conv": "t.one.conv",
          "t_2.1.one_2.conv": "t.one.conv", "own_2.1": "own.1", "coarse.one.conv": "t.one.conv",
          "c.right": "b.left", "main_2": "main"}  # fmt: skip
SHARED_PARAMETERS = 481

WIRED = """\
xgraph: 1
name: wired
params: {deep: true}
input: {shape: [6, 6, 4]}
defaults: {leaky_relu: {negative_slope: 0.1}}
blocks:
  twice:
    params: {slope: 0.25}
    body: [{repeat: 2, body: [{leaky_relu: $slope}]}]
  both:
    results: [late, early]
    body: [{sigmoid: , name: early}, {tanh: , name: late}]
graph:
  first:
  - residual: [relu, {twice: {}}]
  - {residual: [tanh, {leaky_relu: {}, when: $deep}], shortcut: [{elu: 0.5}]}
  second:
  - {branches: {a: [sigmoid], b: [], c: [silu]}, merge: concat}
  - {add: , from: [concat, concat]}
  - {branches: {for: {slope: [0.5, 1]}, body: {leaky_relu: $slope}}, merge: add}
  - {repeat: 2, body: [{both: , name: both}]}
  - {subtract: , from: [both, both.early]}
  - [{elu: 2, when: not $deep}, global_max_pool]
"""
#: Name → what it takes, in the order of computing.
WIRES = {
    "input": (),
    "first.relu": ("input",),
    "first.twice.leaky_relu.0": ("first.relu",),
    "first.twice.leaky_relu.1": ("first.twice.leaky_relu.0",),
    "first.add": ("first.twice.leaky_relu.1", "input"),
    "first.tanh": ("first.add",),
    "first.leaky_relu": ("first.tanh",),
    "first.elu": ("first.add",),
    "first.add_2": ("first.leaky_relu", "first.elu"),
    "second.a_sigmoid": ("first.add_2",),
    "second.c_silu": ("first.add_2",),
    "second.concat": ("second.a_sigmoid", "first.add_2", "second.c_silu"),
    "second.add": ("second.concat", "second.concat"),
    "second.leaky_relu.0": ("second.add",),
    "second.leaky_relu.1": ("second.add",),
    "second.add_2": ("second.leaky_relu.0", "second.leaky_relu.1"),
    "second.both.0.early": ("second.add_2",),
    "second.both.0.late": ("second.both.0.early",),
    "second.both.1.early": ("second.both.0.late",),
    "second.both.1.late": ("second.both.1.early",),
    "second.subtract": ("second.both.1.late", "second.both.1.early"),
    "second.global_max_pool": ("second.subtract",),
}

#: A spec, and what is laid over it by names of items.
LAID_ON = """\
xgraph: 1
name: laid_on
input: {shape: [6, 6, 4]}
blocks:
  unit:
    body:
    - [{tanh: , name: first}, {relu: , name: gone}]
    - {branches: [{relu: , name: one}, elu], merge: concat}
    - {repeat: 2, body: {residual: sigmoid, name: sum}}
graph: {s: [unit, {relu: , name: first}]}
"""
LAID_OVER = """\
xgraph: 1
name: laid_over
extends: laid_on.yaml
blocks: {unit: {items: {first: silu, gone: null, one: [tanh, mish], sum: {gelu: tanh}}}}
graph: {s: {items: {first: {elu: 0.5}}}}
"""
LAID = ("input", "s.unit.first", "s.unit.tanh", "s.unit.mish", "s.unit.elu", "s.unit.concat",
        "s.unit.sum.0", "s.unit.sum.1", "s.first")  # fmt: skip
LAID_ENDS = ("s.unit.mish", "s.unit.elu")
LAID_OPS = ("silu", "tanh", "mish", "elu", "concat", "gelu", "gelu", "elu")

#: Names and texts of specs that would hide what is read, or act, if they were code as they are.
NAMED = (
    """\
xgraph: 1
name: hidden
params: {list: 4, seed: 3, model: 2}
input: {shape: [8, 8, 3]}
blocks:
  unit:
    params: {kind, name, rngs: 3, filters: 4}
    body:
    - branches:
        kind: {conv: {filters: $name, kernel: 1}}
        filters:
        - {conv: {filters: $name, kernel: $rngs, padding: same}}
        - [{if: $kind == 1, then: relu}, {if: $filters > 3, then: tanh}]
      merge: add
  convolved:
    params: {x, inputs: 2}
    body: [{for: {x2: [1, 2]}, body: {conv: {filters: $x * $x2, kernel: $inputs, padding: same}}}]
graph:
  self:
  - [{convolved: 2}, {conv: {filters: $list, kernel: 1}}]
  - {repeat: $model, index: i, body: {unit: {kind: $i, name: $list}}}
  super: [{conv: {filters: $seed, kernel: 1}}, {add: , from: [conv, conv], name: channels}]
  channels: [{conv: {filters: $list, kernel: 1}, name: width}, {concat: , from: [self, width]}]
  path: [global_avg_pool, {dense: 10}]
""",
    r"""
xgraph: 1
name: acting
doc: 'C:\Users and "quotes" and {braces}'
input: {shape: [16, 16, 3]}
blocks:
  unit:
    params: {filters, act: relu}
    body: [{conv: {filters: $filters, kernel: 3, padding: same}}, {relu, when: $act == 'relu'}]
graph:
- {unit: {filters: 8, act: "X:\n    raise SystemExit('a text was executed')\n    #"}}
- {unit: {filters: 8, act: hard-swish}}
- {unit: {filters: 8, act: class}}
- {unit: {filters: 8}}
- for: {row: [{filters: 4, 'a " b \ c': 1}, {filters: 5, 'a " b \ c': 2}]}
  body: {conv: {filters: $row.filters, kernel: 1}}
- [global_avg_pool, {dense: 10}]
""",
)

#: A text that could act anywhere.
TELLING = """\
xgraph: 1
name: telling
doc: boom()
source: Chollet 2016, arXiv 1610.02357, Figure 5
input: {shape: [4, 4, 3]}
graph: [{conv: {filters: 2, kernel: 1}}, global_avg_pool, {dense: 3}]
"""
#: Texts that are something to Python.
ACTING = (
    "import os", "a; b", "f(x)", "x = y", "' a b '+f()+' c d'", "a b f() c d", "a b\nc", 'a "b c"',
    "a b # c", "a b \\", "a {b c}", "raise a b", "a b pass c d", "@a b c", "a b if c: d e", "A",
)  # fmt: skip

#: Programs in which a name is another one than is meant, each in a way of its own.
MISNAMED = (
    "def f(a):\n    return b",
    "def f():\n    y = z\n    z = 1\n    return y",
    "import math\n\ndef f(math):\n    return math",
    "def g():\n    return 1\n\ndef f():\n    g = 2\n    return g",
    "def f(list):\n    return list",
    "def f(a):\n    def g(a):\n        return a\n    return g",
    "def f(kind: int):\n    kind = kind + 1\n    return kind",
    "def f(kind: tuple[int, ...]):\n    kind = ()\n    return kind",
    "def f(a):\n    for a in (1, 2):\n        pass\n    return a",
    "def f():\n    a = 1\n    return [a for a in (1, 2)]",
    "def f(n):\n    for i in n:\n        for i in n:\n            n(i)",
    "def f(n):\n    for i in n:\n        n([i for i in n])",
    "class A:\n    pass\n\nclass A:\n    pass",
    "def f():\n    return 1\n\nf = 2",
    "class A:\n    def f(self):\n        return 1\n\n    def f(self):\n        return 2",
    "class A:\n    def f(self):\n        return nowhere",
    "def f(a, b=nowhere):\n    return lambda c: a + b + c + d",
)
WELL_NAMED = (
    "def f(a: int | None = None):\n    if a is None:\n        a = 1\n    return a",
    "def f(n):\n    for i in n:\n        n(i)\n    for i in n:\n        n(i)",
    "import math\n\ndef f(x):\n    x = math.ceil(x)\n    return [y for y in range(x)]",
    "class A:\n    def f(self, x):\n        a, *b = x\n        return a, b",
)

#: Specs, and settings that they admit of all their parameters.
LIVE = (
    (SETTINGS, (*GIVEN, {"once": 0}, {"width": 6, "depth": 1})),
    (
        """\
xgraph: 1
name: after_for
params: {classes: 10, width: 0.5}
input: {shape: [8, 8, 3]}
graph:
  stem: [{conv: {filters: make_divisible(16 * $width), kernel: 1}}]
  body:
  - for: {stage: [{filters: 16}, {filters: 32}]}
    body: {conv: {filters: make_divisible($stage.filters * $width), kernel: 1}}
  head: [global_avg_pool, {dense: $classes}]
""",
        ({"width": 1.0}, {"classes": 3}, {"width": 2, "classes": 4}),
    ),
    (
        """\
xgraph: 1
name: dense_net
params: {growth: 4, depths: [2, 3]}
input: {shape: [12, 12, 3]}
blocks:
  layer:
    params: {growth}
    body:
    - branches: {kept: [], fresh: [batch_norm, {conv: {filters: $growth, kernel: 1}}]}
      merge: concat
  dense_block: {params: {depth, growth}, body: [{repeat: $depth, body: [{layer: $growth}]}]}
graph:
  stem: [{conv: {filters: 2 * $growth, kernel: 1}}]
  body:
  - for: {depth: $depths}
    body: [{dense_block: {depth: $depth, growth: $growth}}, batch_norm, {avg_pool: 2}]
  head: [batch_norm, global_avg_pool, {dense: 5}]
""",
        ({"growth": 3}, {"depths": [1, 2, 1]}, {"growth": 2, "depths": [2]}),
    ),
    (
        """\
xgraph: 1
name: conditions
params: {n: 2, width: 4, k: 3}
input: {shape: [12, 12, 3]}
blocks:
  choice:
    params: {i, n}
    body:
    - if: $i < $n - 1
      then: {conv: {filters: 4, kernel: 1}}
      else: {conv: {filters: 5, kernel: 1}}
    - batch_norm
graph:
  stem: [{conv: {filters: $width, kernel: $k, padding: same}}]
  body: [{repeat: $n, index: i, body: [{conv: {filters: 4 + $i, kernel: 1}}]}]
  chosen: [{repeat: $n, index: i, body: {choice: {i: $i, n: $n}}}]
  head: [global_avg_pool, {dense: 2}]
""",
        ({"n": 3}, {"n": 1, "width": 5}, {"k": 2}, {"n": 0, "width": 6, "k": 1}),
    ),
)

#: Only `units` may be offered: all else decides the size of what is flattened.
FLAT = """\
xgraph: 1
name: flat
params: {half: 6, height: 2 * $half, a: 1, b: 2, units: 3}
input: {shape: [$height, 12, 3]}
blocks: {pool: {params: {k}, body: [{conv: {filters: 4, kernel: 1}}, {max_pool: 2, when: $k > 1}]}}
graph: [{conv: {filters: $half, kernel: 1}}, {pool: $a}, {pool: $b}, flatten, {dense: $units}]
"""
#: Attributes that ops have by default follow from parameters.
DEFAULTS = """\
xgraph: 1
name: defaults
params: {slope: 0.2, kernel: 3}
input: {shape: [12, 12, 3]}
defaults: {leaky_relu: {negative_slope: $slope}, conv: {kernel: $kernel, padding: same}}
graph: [{conv: {filters: 4}}, leaky_relu, {conv: {filters: 5}}, global_avg_pool, {dense: 3}]
"""
#: Only `depth` and `units` may be offered: embeddings are of two sizes, by `height`.
PLACED = """\
xgraph: 1
name: placed
params: {height: 12, depth: 2, units: 3}
input: {shape: [$height, 12, 3]}
blocks: {place: {body: [{max_pool: 2}, position_embedding]}}
graph:
  low: [place, {repeat: $depth, body: [{residual: {attention: 1}}]}]
  high: [place, global_avg_pool, {dense: $units}]
"""
LIVE = (
    *LIVE,
    (FLAT, ({"units": 4},)),
    (PLACED, ({"units": 4}, {"depth": 1})),
    (DEFAULTS, ({"slope": 0.3}, {"kernel": 2, "slope": 0.0})),
)

#: What follows from `width` has as many channels, by chance, as what does not.
BY_CHANCE = """\
xgraph: 1
name: by_chance
params: {width: 4, depth: 2}
input: {shape: [12, 12, 3]}
graph:
  stem: [{conv: {filters: 4, kernel: 1}}]
  body: [{repeat: $depth, body: [{conv: {filters: $width, kernel: 1}}]}]
  head: [global_avg_pool, {dense: 2}]
"""

# Specs in a layout of their own, and in the one that all have.
LAID_OUT = (
    (
        "# head\n\nname: a\nxgraph: 1\nparams:   {b: 1, a: $b}  # two\ngraph: [{name: c, relu}]\n",
        "# head\n\nxgraph: 1\nname: a\nparams: {b: 1, a: $b}  # two\ngraph:\n- {relu, name: c}\n",
    ),
    (
        "xgraph: 1\ngraph:\n- {name: &n a, relu}\n- {from: *n, elu: 1e-3}\n",
        "xgraph: 1\ngraph:\n- {name: &n a, relu}\n- {from: *n, elu: 1e-3}\n",
    ),
    (
        "xgraph: 1\ngraph:\n- repeat: 2\n  body:\n    - relu\n    # end\n  from: a\n",
        "xgraph: 1\ngraph:\n- repeat: 2\n  body:\n  - relu\n  # end\n  from: a\n",
    ),
    (
        "xgraph: 1\ngraph:\n- [elu, # in\n   relu]\n",
        "xgraph: 1\ngraph:\n- - elu  # in\n  - relu\n",
    ),
)
