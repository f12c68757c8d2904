"""The specs and recipes that faults are looked for with."""

from __future__ import annotations

#: Every op; blocks with parameters, a loop, residuals, branches, an auxiliary output; odd sizes.
FEATURES = """\
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
    params: {channels}
    body:
    - residual: [{global_avg_pool: {keep_dims: true}}, {conv: {filters: $channels, kernel: 1}},
        hard_sigmoid]
      merge: multiply
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
  - {gate: 4}
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

#: The same with a part in which sigmoids make what they are given almost one value, and batch norm
#: takes that away: gradients are known to a few digits only, and training is chaotic.
ILL_CONDITIONED = FEATURES.replace("name: features", "name: ill_conditioned", 1).replace(
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
average: {decay: 0.8, warmup: false}
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
  - {separable_conv: {filters: 5, kernel: 3, padding: same}}
  - [global_avg_pool, {dense: 4, name: classifier}]
  auxiliary: [{avg_pool: 2, from: stem}, flatten, {dense: 4, name: scores}]
outputs:
  logits: head
  auxiliary: {from: auxiliary, loss_weight: 0.3}
"""

IMAGENET_LIKE = """\
xgraph_recipe: 1
name: staircase
epochs: 4
batch_size: 4
optimizer: {sgd: {momentum: 0.9}}
schedule: {exponential: {initial: 0.05, rate: 0.5, every: {epochs: 1}}}
regularization: {l2: 0.05}
average: {decay: 0.9999, warmup: true}
loss: softmax_cross_entropy
images: {normalize: unit}
"""


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

#: Its flat graph is known: see `WIRES`.
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
graph:
  first:
  - residual: [relu, {twice: {}}]
  - {residual: [tanh, {leaky_relu: {}, when: $deep}], shortcut: [{elu: 0.5}]}
  second:
  - {branches: {a: [sigmoid], b: [], c: [silu]}, merge: concat}
  - {add: , from: [concat, concat]}
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
    "second.global_max_pool": ("second.add",),
}
