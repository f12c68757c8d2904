# ruff: noqa: E501
"""Small specs, one for each structure of the language: text by name."""

from __future__ import annotations

import textwrap

HEAD = "xgraph: 1\nname: {name}\n"
SPECS: dict[str, str] = {}


def spec(name: str, text: str) -> None:
    body = textwrap.dedent(text).strip("\n") + "\n"
    if "input:" not in body:
        body = "input: {shape: [12, 12, 3]}\n" + body
    SPECS[name] = HEAD.format(name=name) + body


# ------------------------------------------------------------------------------------- sequences
spec("anonymous", "graph: [{conv: {filters: 4, kernel: 3}}, relu, global_avg_pool, {dense: 5}]")
spec("one_op", "graph: [{conv: {filters: 4, kernel: 1}}]")
spec("no_weights", "graph: [relu, global_max_pool, softmax]")
spec(
    "lists_in_lists",
    """
graph:
  stem: [[{conv: {filters: 4, kernel: 3}}, [relu, batch_norm]], {conv: {filters: 4, kernel: 3}}]
  head: [global_avg_pool, {dense: 5}]
""",
)
spec(
    "nothing_to_keep",
    """
blocks: {act: {body: [relu, tanh]}}
graph: {a: [act, identity, act], b: [global_avg_pool, {dense: 2}]}
""",
)
spec("identity_only", "graph: {a: [identity], b: [{conv: {filters: 2, kernel: 1}}]}")

# ----------------------------------------------------------------------------------------- loops
spec(
    "repeat_channel_change",
    """
blocks:
  unit: {params: {filters}, body: [{conv: {filters: $filters, kernel: 3, padding: same}}, relu]}
graph: [{repeat: 3, body: [{unit: 8}]}, global_avg_pool]
""",
)
spec(
    "repeat_growing_channels",
    """
blocks:
  dense_layer:
    params: {growth}
    body: [{branches: {kept: [], fresh: [{conv: {filters: $growth, kernel: 3, padding: same}}]},
            merge: concat}]
graph: [{repeat: 4, body: [{dense_layer: 3}]}, {conv: {filters: 2, kernel: 1}}]
""",
)
spec(
    "nested_repeats",
    """
params: {outer: 2, inner: 3}
blocks:
  unit: {params: {filters}, body: [{conv: {filters: $filters, kernel: 3, padding: same}}, relu]}
graph:
  body: [{repeat: $outer, body: [{repeat: $inner, body: [{unit: 4}]}, batch_norm]}]
""",
)
spec(
    "nested_repeats_plain_ops",
    """
graph: [{repeat: 2, body: [{conv: {filters: 4, kernel: 1}}, {repeat: 2, body: [
  {conv: {filters: 4, kernel: 1}}, relu, batch_norm]}]}]
""",
)
spec(
    "repeat_index",
    """
graph: [{repeat: 4, index: i, body: [{conv: {filters: 4 + 2 * $i, kernel: 3, padding: same}}]}]
""".replace("4 + 2 * $i", "'4 + 2 * $i'"),
)
spec(
    "repeat_index_in_block",
    """
blocks:
  unit:
    params: {filters, kernel: 3}
    body: [{conv: {filters: $filters, kernel: $kernel, padding: same}}, batch_norm]
graph:
  body: [{repeat: 3, index: i, body: [{unit: {filters: $i + 2, kernel: 2 * $i + 1}}]}]
""".replace("$i + 2,", "'$i + 2',").replace("2 * $i + 1}", "'2 * $i + 1'}"),
)
spec(
    "repeat_index_condition",
    """
graph:
  body:
  - repeat: 4
    index: i
    body: [{conv: {filters: 4, kernel: 3, padding: same}}, {max_pool: 2, when: $i % 2 == 1}]
""",
)
spec(
    "repeat_in_block_with_count",
    """
blocks:
  stage:
    params: {filters, depth}
    body: [{repeat: $depth, body: [{conv: {filters: $filters, kernel: 1}}, relu]}]
graph: [{stage: {filters: 4, depth: 2}}, {stage: {filters: 6, depth: 3}}]
""",
)
spec(
    "zero_iterations",
    """
params: {depth: 0}
blocks:
  stage:
    params: {filters, depth_here}
    body: [{conv: {filters: $filters, kernel: 1}},
           {repeat: $depth_here, body: [{conv: {filters: $filters, kernel: 1}}]}]
graph:
  first: [{repeat: $depth, body: [{conv: {filters: 4, kernel: 1}}]}, {conv: {filters: 3, kernel: 1}}]
  second: [{stage: {filters: 4, depth_here: 0}}, {stage: {filters: 5, depth_here: 2}}]
  third: [{for: {n: []}, body: [{conv: {filters: $n, kernel: 1}}]}, relu]
""",
)
spec(
    "zero_iterations_in_all",
    """
blocks:
  stage: {params: {depth}, body: [{repeat: $depth, body: [{conv: {filters: 4, kernel: 1}}]}, relu]}
graph: [{stage: 0}, {conv: {filters: 3, kernel: 1}}, {stage: 0}]
""",
)
spec(
    "branches_with_conditions",
    """
params: {third: true, fourth: false}
blocks:
  unit:
    params: {filters, pool: true, skip: false}
    body:
    - branches:
        main: {conv: {filters: $filters, kernel: 3, padding: same}}
        pool: {body: [{max_pool: {kernel: 3, stride: 1, padding: same}},
                      {conv: {filters: $filters, kernel: 1}}], when: $pool}
        skip: {body: [], when: $skip}
      merge: add
      name: joined
    - relu
    - {add: , from: [joined, input], when: $skip}
graph:
- {conv: {filters: 4, kernel: 1}}
- [{unit: 4}, {unit: {filters: 4, skip: true}}, {unit: {filters: 4, pool: false}}]
- {for: {p: [true, false, true], f: [4, 6, 6]}, body: [{unit: {filters: $f, pool: $p}}]}
- {repeat: 3, index: i, body: {branches: [relu, {body: elu, when: $i > 0}], merge: concat}}
- branches:
  - {body: [{conv: {filters: 4, kernel: 1}}], when: $third}
  - {body: [{conv: {filters: 4, kernel: 1}}], when: $fourth}
  merge: concat
  name: late
- {concat: , from: [late, late]}
""",
)
spec(
    "for_numbers",
    """
graph: [{for: {filters: [4, 6, 8]}, body: [{conv: {filters: $filters, kernel: 3}}, relu]}]
""",
)
spec(
    "for_once",
    """
graph:
  a: [{for: {n: [3]}, body: [{conv: {filters: $n, kernel: 1}}]}, {conv: {filters: 2, kernel: 1}}]
  b: [{for: {n: [2]}, body: [{conv: {filters: $n, kernel: 1}, name: last}]}, batch_norm]
""",
)
spec(
    "lists_that_choose_loops",
    """
blocks:
  tower: {params: {widths: []}, body: [{for: {n: $widths}, body: [{conv: {filters: $n, kernel: 1}},
    {relu, when: $n > 2}]}]}
  pair: {body: [{tower: {widths: [1]}}, tower]}
graph: [pair, {tower: {widths: [2, 3]}}]
""",
)
spec(
    "for_block",
    """
blocks:
  unit: {params: {filters, stride: 1}, body: [
    {conv: {filters: $filters, kernel: 3, stride: $stride, padding: same}}, batch_norm]}
graph: {entry: [{for: {filters: [4, 6], stride: [1, 2]}, body: [{unit: {filters: $filters,
  stride: $stride}}]}]}
""",
)
spec(
    "for_pairs",
    """
blocks:
  unit: {params: {filters, kernel}, body: [{conv: {filters: $filters, kernel: $kernel}}, relu]}
graph: {entry: [{for: {kernel: [[1, 5], [5, 1], 3]}, body: [{unit: {filters: 4, kernel: $kernel}}]}]}
""",
)
spec(
    "for_pairs_direct",
    """
graph: [{for: {setting: [[4, 1], [6, 3]]}, body: [
  {conv: {filters: '$setting[0]', kernel: '$setting[1]'}}]}]
""",
)
spec(
    "for_mappings",
    """
graph: [{for: {s: [{filters: 4, kernel: 1}, {filters: 6, kernel: 3}]}, body: [
  {conv: {filters: $s.filters, kernel: $s.kernel}}, batch_norm]}]
""",
)
spec(
    "for_mappings_to_block",
    """
blocks:
  unit: {params: {filters, kernel}, body: [{conv: {filters: $filters, kernel: $kernel}}, relu]}
graph:
  entry: [{for: {s: [{filters: 4, kernel: 1}, {filters: 6, kernel: 3}]}, body: [
    {unit: {filters: $s.filters, kernel: $s.kernel}}]}]
""",
)
spec(
    "for_words",
    """
graph: [{for: {act: [relu, elu, silu]}, body: [
  {separable_conv: {filters: 4, kernel: 3, padding: same, depthwise_activation: $act}}]}]
""",
)
spec(
    "for_words_to_block",
    """
blocks:
  unit:
    params: {filters, act}
    body: [{separable_conv: {filters: $filters, kernel: 3, padding: same,
                             depthwise_activation: $act}}, batch_norm]
graph: {entry: [{for: {act: [relu, elu], filters: [4, 6]}, body: [{unit: {filters: $filters,
  act: $act}}]}]}
""",
)
spec(
    "for_from_parameter",
    """
params: {widths: [4, 6, 8]}
blocks: {unit: {params: {filters}, body: [{conv: {filters: $filters, kernel: 3}}, relu]}}
graph: {entry: [{for: {filters: $widths}, body: [{unit: $filters}]}]}
""",
)
spec(
    "for_in_block_over_list",
    """
blocks:
  tower: {params: {widths}, body: [{for: {filters: $widths}, body: [
    {conv: {filters: $filters, kernel: 1}}, relu]}]}
graph: [{tower: [[4, 6]]}, {tower: [[3, 5, 7]]}]
""".replace("[[4, 6]]", "{widths: [4, 6]}").replace("[[3, 5, 7]]", "{widths: [3, 5, 7]}"),
)
spec(
    "for_nested",
    """
graph:
  entry: [{for: {filters: [4, 6], depth: [1, 2]}, body: [{repeat: $depth, body: [
    {conv: {filters: $filters, kernel: 1}}, relu]}, {max_pool: 2}]}]
""",
)
spec(
    "for_nested_block",
    """
blocks: {unit: {params: {filters}, body: [{conv: {filters: $filters, kernel: 3, padding: same}},
  batch_norm]}}
graph:
  entry: [{for: {filters: [4, 6], depth: [1, 2]}, body: [{repeat: $depth, body: [{unit: $filters}]},
    {max_pool: 2}]}]
""",
)
spec(
    "for_booleans",
    """
graph: [{for: {scaled: [true, false]}, body: [{conv: {filters: 4, kernel: 1}},
  {batch_norm: {scale: $scaled}}, {relu, when: $scaled}]}]
""",
)
spec(
    "loop_of_residuals",
    """
graph: [{conv: {filters: 4, kernel: 1}}, {repeat: 3, body: [{residual: [
  {conv: {filters: 4, kernel: 3, padding: same}}, relu]}]}]
""",
)
spec(
    "loop_of_residuals_projected",
    """
graph: [{for: {filters: [4, 6, 8]}, body: [{residual: [
  {conv: {filters: $filters, kernel: 3, padding: same}}, relu],
  shortcut: [{conv: {filters: $filters, kernel: 1}}]}]}]
""",
)
spec(
    "reference_inside_loop",
    """
graph: [{conv: {filters: 4, kernel: 1}}, {repeat: 3, body: [
  {conv: {filters: 4, kernel: 3, padding: same}, name: a}, relu, {conv: {filters: 4, kernel: 1}},
  {add: , from: [a, conv_2]}]}]
""".replace(
        "{conv: {filters: 4, kernel: 1}},\n  {add",
        "{conv: {filters: 4, kernel: 1}, name: b},\n  {add",
    ).replace("conv_2", "b"),
)
spec(
    "reference_into_loop_by_index",
    """
graph: [{repeat: 3, body: [{conv: {filters: 4, kernel: 3, padding: same}, name: a}, relu]},
  {concat: , from: [a.0, a.2]}]
""",
)
spec(
    "reference_before_loop_in_loop",
    """
graph: [{conv: {filters: 4, kernel: 1}, name: stem}, {repeat: 2, body: [
  {conv: {filters: 4, kernel: 3, padding: same}, name: a}, relu, {add: , from: [a, stem]}]}]
""",
)
spec(
    "reference_before_loop_in_loop_carried",
    """
graph: [{conv: {filters: 4, kernel: 1}, name: stem}, {repeat: 3, body: [
  {conv: {filters: 5, kernel: 3, padding: same}, name: a}, relu, {concat: , from: [a, stem]}]}]
""",
)
spec(
    "reference_last_of_loop",
    """
graph: [{repeat: 3, body: [{conv: {filters: 4, kernel: 3, padding: same}, name: a}, relu]},
  {concat: , from: [a, input]}]
""",
)
spec(
    "loop_whose_last_is_named",
    """
graph: [{repeat: 3, body: [{conv: {filters: 3, kernel: 3, padding: same}, name: a}]},
  relu, {concat: , from: [a, input]}]
""",
)

# ------------------------------------------------------------------------------------ conditions
spec(
    "condition_varies",
    """
blocks:
  unit:
    params: {filters, pooled: false}
    body: [{conv: {filters: $filters, kernel: 3, padding: same}}, {max_pool: 2, when: $pooled}]
graph: [{unit: 4}, {unit: {filters: 6, pooled: true}}, {unit: 4}]
""",
)
spec(
    "condition_fixed_by_parameter",
    """
params: {normalized: true, pooled: false}
blocks:
  unit: {params: {filters}, body: [{conv: {filters: $filters, kernel: 3, padding: same}},
    {batch_norm, when: $normalized}, {max_pool: 2, when: $pooled}]}
graph: [{unit: 4}, {unit: 6}]
""",
)
spec(
    "condition_on_number",
    """
blocks:
  unit: {params: {filters, stride: 1}, body: [{residual: [
    {conv: {filters: $filters, kernel: 3, stride: $stride, padding: same}}],
    shortcut: [{conv: {filters: $filters, kernel: 1, stride: $stride}, when: $stride > 1}]}]}
graph: [{conv: {filters: 4, kernel: 1}}, {unit: 4}, {unit: {filters: 8, stride: 2}}, {unit: 8}]
""",
)
for number, (shortcut, merge) in enumerate(
    (
        ("{max_pool: 2, when: $stride > 1}", "add"),
        ("[{max_pool: 2, when: $stride > 1}, {relu: , when: $stride == 2}]", "concat"),
        ("{repeat: $stride - 1, body: relu}", "add"),
        ("[{if: $stride > 1, then: {max_pool: 2}}]", "multiply"),
    )
):
    spec(
        f"shortcut_of_nothing_{number}",
        f"""
    blocks:
      unit: {{params: {{filters, stride: 1}}, body: [{{residual: [
        {{conv: {{filters: $filters, kernel: 3, stride: $stride, padding: same}}}}, relu],
        shortcut: {shortcut}, merge: {merge}}}]}}
    graph: [{{conv: {{filters: 4, kernel: 1}}}}, {{unit: 4}}, {{unit: 4}}, {{repeat: 2, body: {{unit: 4}}}}]
    """,
    )
for number, names in enumerate((("kernel_of_rows", "k"), ("a_longer_name_than_most", *"bcdefgh"))):
    spec(
        f"many_variables_{number}",
        f"""
    graph:
    - for: {{filters: [2, 3], {", ".join(f"{name}_{x}: [1, 3]" for name in names for x in "xyz")}}}
      body:
      - {{separable_conv: {{filters: $filters, kernel: ["${names[0]}_x", 1], padding: same}}}}
      - {{local_response_norm: {{size: 1, k: "${names[1]}_y"}}}}
    - global_avg_pool
    """,
    )
spec(
    "condition_else",
    """
blocks:
  unit:
    params: {filters, deep}
    body:
    - if: $deep
      then: [{conv: {filters: $filters, kernel: 1}}, relu, {conv: {filters: $filters, kernel: 3}}]
      else: [{conv: {filters: $filters, kernel: 3}, name: only}]
graph: [{unit: {filters: 4, deep: true}}, {unit: {filters: 5, deep: false}}]
""",
)
spec(
    "condition_else_different_channels",
    """
blocks:
  unit:
    params: {filters, wide}
    body:
    - if: $wide
      then: [{conv: {filters: $filters * 2, kernel: 1}}]
      else: [{conv: {filters: $filters, kernel: 1}, name: narrow}]
    - batch_norm
graph: [{unit: {filters: 4, wide: true}}, {unit: {filters: 5, wide: false}}]
""".replace("$filters * 2,", "'$filters * 2',"),
)
spec(
    "condition_only_else_has_items",
    """
blocks:
  unit: {params: {filters, skip: false}, body: [{if: $skip, then: [], else: [
    {conv: {filters: $filters, kernel: 1}}]}, relu]}
graph: [{conv: {filters: 4, kernel: 1}}, {unit: 4}, {unit: {filters: 4, skip: true}}]
""",
)
spec(
    "condition_leaves_input_alone",
    """
blocks:
  maybe: {params: {on: true}, body: [{batch_norm, when: $on}]}
  loop: {params: {times: 1}, body: [{repeat: $times, body: [batch_norm]}]}
  unit: {params: {on: true, times: 1}, body: [
    {residual: [{maybe: $on}, relu]}, {residual: [{loop: $times}, relu]}]}
graph: [{unit: {on: false, times: 0}}, unit, {conv: {filters: 3, kernel: 1}}]
""",
)
spec(
    "condition_word",
    """
blocks:
  unit: {params: {filters, norm: batch}, body: [{conv: {filters: $filters, kernel: 1}},
    {batch_norm, when: $norm == 'batch'}]}
graph: [{unit: 4}, {unit: {filters: 5, norm: none}}]
""".replace("$norm == 'batch'", "\"$norm == 'batch'\""),
)
spec(
    "condition_on_shape_word_and_channels",
    """
blocks:
  unit: {params: {filters, act: relu}, body: [{conv: {filters: $filters, kernel: 1}},
    {relu, when: "$act == 'relu'"}, {elu, when: "$act == 'elu'"}]}
graph: [{unit: 4}, {repeat: 2, body: [{unit: {filters: 4, act: elu}}]}, {unit: 6}]
""",
)
spec(
    "condition_in_loop_over_all",
    """
graph: [{for: {filters: [4, 4, 6], pooled: [true, false, true]}, body: [
  {conv: {filters: $filters, kernel: 3, padding: same}}, {max_pool: 2, when: $pooled}]}]
""",
)
spec(
    "condition_in_branches",
    """
blocks:
  unit:
    params: {filters, third: false}
    body:
    - branches:
        a: [{conv: {filters: $filters, kernel: 1}}]
        b: [{conv: {filters: $filters, kernel: 3, padding: same}},
            {conv: {filters: $filters, kernel: 1}, when: $third}]
      merge: concat
graph: [{unit: {filters: 4}}, {unit: {filters: 5, third: true}}]
""",
)
spec(
    "switched_section",
    """
params: {extra: false}
graph:
  stem: [{conv: {filters: 4, kernel: 3}}]
  more: {when: $extra, body: [{conv: {filters: 5, kernel: 3}}]}
  head: [global_avg_pool, {dense: 3}]
""",
)

# ---------------------------------------------------------------------------------------- blocks
spec(
    "blocks_in_blocks",
    """
blocks:
  conv_bn: {params: {filters, kernel: 3}, body: [
    {conv: {filters: $filters, kernel: $kernel, padding: same, bias: false}}, batch_norm]}
  bottleneck: {params: {filters, ratio: 2}, body: [{residual: [
    {conv_bn: {filters: $filters // $ratio, kernel: 1}}, relu,
    {conv_bn: $filters // $ratio}, relu, {conv_bn: {filters: $filters, kernel: 1}}]}]}
  stage: {params: {filters, depth}, body: [{conv_bn: $filters},
    {repeat: $depth, body: [{bottleneck: $filters}]}]}
graph: {body: [{stage: {filters: 4, depth: 1}}, {stage: {filters: 8, depth: 2}}]}
""",
)
spec(
    "default_is_expression",
    """
blocks:
  unit: {params: {filters, inner: $filters // 2, kernel: 1 + 2}, body: [
    {conv: {filters: $inner, kernel: 1}}, relu, {conv: {filters: $filters, kernel: 3}}]}
graph: [{unit: 4}, {unit: {filters: 6, inner: 5}}, {unit: 8}]
""".replace("1 + 2", "3"),
)
spec(
    "default_of_spec_parameter",
    """
params: {width: 4, divisor: 2}
blocks:
  unit: {params: {filters: $width * 2, inner: $filters // $divisor}, body: [
    {conv: {filters: $inner, kernel: 1}}, relu, {conv: {filters: $filters, kernel: 3}}]}
graph: [unit, {unit: {filters: 6}}, unit]
""".replace("$width * 2,", "'$width * 2',"),
)
spec(
    "string_parameters",
    """
blocks:
  unit: {params: {filters, pad: same}, body: [
    {conv: {filters: $filters, kernel: 3, stride: 2, padding: $pad}}, batch_norm]}
graph: [{unit: 4}, {unit: {filters: 5, pad: valid}}]
""",
)
spec(
    "list_parameters",
    """
blocks:
  pair: {params: {widths, kernel: [1, 3]}, body: [
    {conv: {filters: '$widths[0]', kernel: $kernel, padding: same}}, relu,
    {conv: {filters: '$widths[1]', kernel: $kernel, padding: same}}]}
graph: [{pair: {widths: [4, 6]}}, {pair: {widths: [5, 3], kernel: [3, 1]}}]
""",
)
spec(
    "explicit_padding_parameter",
    """
blocks:
  unit: {params: {filters, pad}, body: [{conv: {filters: $filters, kernel: 3, padding: $pad}}]}
graph: [{unit: {filters: 4, pad: [[1, 1], [1, 1]]}}, {unit: {filters: 4, pad: [[0, 1], [2, 0]]}}]
""",
)
spec(
    "multi_input_block",
    """
blocks:
  gate: {inputs: [features, gate], body: [
    {conv: {filters: 4, kernel: 1}, from: gate}, sigmoid, {conv: {filters: 4, kernel: 1},
    from: features, name: inner}, {multiply: , from: [inner, sigmoid]}]}
graph: [{conv: {filters: 5, kernel: 3}, name: a}, relu, {conv: {filters: 6, kernel: 1}, name: b},
  {gate: , from: [a, b]}, {gate: , from: [b, a]}, batch_norm]
""".replace("sigmoid, {conv", "{sigmoid, name: s}, {conv").replace(
        "[inner, sigmoid]", "[inner, s]"
    ),
)
spec(
    "multi_input_fuse",
    """
blocks:
  fuse: {inputs: [low, high], params: {filters}, body: [
    {conv: {filters: $filters, kernel: 1}, from: low, name: l},
    {conv: {filters: $filters, kernel: 1}, from: high, name: h}, {add: , from: [l, h]}, relu]}
graph:
  a: [{conv: {filters: 4, kernel: 3}}]
  b: [{conv: {filters: 6, kernel: 1}}]
  c: [{fuse: 5, from: [a, b]}, {fuse: 7, from: [c.fuse, a]}]
""".replace("[c.fuse, a]", "[fuse, a]"),
)
spec(
    "squeeze_excite",
    """
blocks:
  se: {params: {channels, ratio: 4}, body: [{residual: [{global_avg_pool: {keep_dims: true}},
    {conv: {filters: '$channels // $ratio', kernel: 1}}, relu,
    {conv: {filters: $channels, kernel: 1}}, sigmoid], merge: multiply}]}
  unit: {params: {filters}, body: [{conv: {filters: $filters, kernel: 3}}, {se: $filters}]}
graph: [{unit: 4}, {unit: 8}, {unit: 8}]
""",
)
spec(
    "flatten_dense",
    """
blocks:
  classify: {params: {units}, body: [flatten, {dense: $units}, relu]}
graph: [{conv: {filters: 4, kernel: 3}}, {max_pool: 2}, {classify: 7}, {dense: 3}]
""",
)
spec(
    "flatten_dense_at_different_sizes",
    """
blocks:
  classify: {params: {units}, body: [flatten, {dense: $units}]}
graph:
  a: [{conv: {filters: 4, kernel: 3}}]
  b: [{max_pool: 2}]
  c: {from: a, body: [{classify: 7}]}
  d: {from: b, body: [{classify: 7}]}
  e: [{add: , from: [c, d]}]
""",
)
spec(
    "attention_over_positions",
    """
params: {side: 12, depth: 2, size: 3}
input: {shape: [$side, 12, 3]}
blocks:
  placed: {params: {filters}, body: [{conv: {filters: $filters, kernel: 2, stride: 2}}, position_embedding]}
  encoder: {params: {heads}, body: [{residual: [layer_norm, {attention: $heads}]},
    {residual: [{conv: {filters: 2 * $input.channels, kernel: 1}}, gelu, {conv: {filters: $input.channels, kernel: 1}}]}]}
graph:
  low: [{placed: 4}, {repeat: $depth, body: {encoder: 2}}]
  high: [{placed: 6}, {repeat: $depth, body: {encoder: 3}}]
  wide: [{residual: {attention: {heads: 2, head_size: $size, bias: false}}}]
  head: [global_avg_pool, {dense: 3}]
""",
)
spec(
    "position_embeddings_at_different_sizes",
    """
blocks: {mark: {body: [position_embedding, relu]}}
graph: [mark, {repeat: 2, body: [{max_pool: 2}, position_embedding]}, {repeat: 2, body: [mark, {conv: {filters: 3, kernel: 1}}]}]
""",
)
spec(
    "arithmetic",
    """
params: {alpha: 0.75, divisor: 4}
blocks:
  unit: {params: {filters, expand: 1.5}, body: [
    {conv: {filters: "make_divisible($filters * $alpha, $divisor)", kernel: 1}}, relu,
    {conv: {filters: ceil($filters * $expand), kernel: 1}}, relu,
    {conv: {filters: round($filters * $alpha) + floor($filters / 3), kernel: 3, padding: same}},
    {conv: {filters: "max($filters, 6) % 5 + min($filters, 3) ** 2", kernel: 1}}]}
graph: [{unit: 5}, {unit: {filters: 9, expand: 1.1}}]
""",
)
spec(
    "parameter_conditions_arithmetic",
    """
params: {wide: true, width: 4}
blocks:
  unit: {params: {filters: 8 if $wide else 4}, body: [{conv: {filters: $filters, kernel: 1}}]}
graph: [unit, {conv: {filters: $width + 1 if $wide else $width, kernel: 1}}]
""".replace("8 if", "$width * 2 if"),
)
spec(
    "make_divisible_channels_reused",
    """
params: {alpha: 0.5}
blocks:
  unit: {params: {filters}, body: [{residual: [
    {conv: {filters: "make_divisible($filters * $alpha, 4)", kernel: 3, padding: same}}],
    shortcut: [{conv: {filters: "make_divisible($filters * $alpha, 4)", kernel: 1}}]}, batch_norm]}
graph: {a: [{unit: 16}], b: [{unit: 8}, {unit: 24}], c: [global_avg_pool, {dense: 4}]}
""",
)
spec(
    "float_parameters",
    """
params: {rate: 0.25, slope: 0.1}
blocks: {unit: {params: {leak: $slope}, body: [{leaky_relu: $leak}, {dropout: $rate}, {elu: $leak}]}}
graph: [unit, {unit: 0.3}, {conv: {filters: 3, kernel: 1}}]
""",
)
spec(
    "momentum_parameter",
    """
params: {decay: 0.9}
blocks: {unit: {params: {eps: 1e-3}, body: [{batch_norm: {momentum: $decay, epsilon: $eps}}, relu]}}
graph: [unit, {unit: 1e-5}, {conv: {filters: 3, kernel: 1}}]
""",
)
spec(
    "boolean_parameters",
    """
blocks: {unit: {params: {filters, biased: true}, body: [
  {conv: {filters: $filters, kernel: 1, bias: $biased}}, relu]}}
graph: [{unit: 4}, {unit: {filters: 4, biased: false}}, {unit: {filters: 5, biased: not true}}]
""".replace("not true", "false"),
)
spec(
    "pair_stride_varies",
    """
blocks: {unit: {params: {filters, stride: 1, kernel: 3}, body: [
  {conv: {filters: $filters, kernel: $kernel, stride: $stride, padding: same}},
  {max_pool: {kernel: $kernel, stride: $stride, padding: same}},
  {avg_pool: {kernel: $kernel, stride: $stride, padding: same}},
  {separable_conv: {filters: $filters, kernel: $kernel, stride: $stride, padding: same}},
  {depthwise_conv: {kernel: $kernel, stride: $stride, padding: same, multiplier: $stride}}]}}
graph: [{unit: 4}, {unit: {filters: 4, stride: 2}}, {unit: {filters: 4, kernel: [2, 3]}}]
""".replace("stride: $stride, padding: same, multiplier", "stride: 1, padding: same, multiplier"),
)
spec(
    "pool_kernel_even_and_odd",
    """
blocks: {unit: {params: {kernel}, body: [
  {max_pool: {kernel: $kernel, stride: 1, padding: same}},
  {avg_pool: {kernel: $kernel, stride: 1, padding: same}},
  {avg_pool: {kernel: $kernel, stride: 1, padding: same, count_include_pad: true}}]}}
graph: [{unit: 2}, {unit: 3}, {unit: [4, 1]}]
""",
)
spec(
    "pool_explicit_padding_varies",
    """
blocks: {unit: {params: {kernel}, body: [
  {max_pool: {kernel: $kernel, stride: 2, padding: [[1, 1], [1, 1]]}},
  {avg_pool: {kernel: $kernel, stride: 1, padding: [[1, 1], [1, 1]]}},
  {avg_pool: {kernel: $kernel, stride: 1, padding: [[0, 1], [1, 1]]}}]}}
graph: [{unit: 2}, {unit: 3}]
""",
)
spec(
    "pool_stride_is_kernel_sometimes",
    """
blocks: {unit: {params: {kernel, stride: $kernel}, body: [{max_pool: {kernel: $kernel,
  stride: $stride}}]}}
graph: [{unit: 2}, {unit: {kernel: 2, stride: 1}}]
""",
)
spec(
    "count_border_parameter",
    """
blocks: {unit: {params: {border: false}, body: [
  {avg_pool: {kernel: 3, stride: 1, padding: same, count_include_pad: $border}}]}}
graph: [unit, {unit: true}]
""",
)
spec(
    "groups_and_dilation",
    """
blocks: {unit: {params: {filters, groups: 1, dilation: 1}, body: [
  {conv: {filters: $filters, kernel: 3, padding: same, groups: $groups, dilation: $dilation}}]}}
graph: [{unit: 4}, {unit: {filters: 8, groups: 2}}, {unit: {filters: 8, groups: 8, dilation: 2}}]
""",
)
spec(
    "depthwise_activation_parameter",
    """
params: {act: elu}
defaults: {separable_conv: {kernel: 3, padding: same, depthwise_activation: $act}}
blocks: {unit: {params: {filters}, body: [{separable_conv: $filters}, batch_norm]}}
graph: [{unit: 4}, {unit: 6}]
""",
)
spec(
    "optional_word_parameter",
    """
blocks: {unit: {params: {filters, act: null}, body: [{separable_conv: {filters: $filters, kernel: 3,
  depthwise_activation: $act}}]}}
graph: [{unit: 4}, {unit: {filters: 6, act: relu}}]
""",
)
spec(
    "defaults_with_parameters",
    """
params: {eps: 1e-5, biased: false}
defaults: {conv: {kernel: 3, padding: same, bias: $biased}, batch_norm: {epsilon: $eps}}
graph: {a: [{conv: 4}, batch_norm, {conv: {filters: 5, bias: true}}], b: [{conv: 4}, batch_norm]}
""",
)
spec(
    "unused_and_many_parameters",
    """
params: {a: 4, b: 5, c: 6, d: 7}
blocks: {unit: {params: {first, second: 1, third: 2}, body: [{conv: {filters: $first, kernel: 1}}]}}
graph: [{unit: {first: $a, third: 5}}, {unit: $b}]
""",
)
spec(
    "constant_block_argument",
    """
blocks: {unit: {params: {filters, kernel: 3}, body: [{conv: {filters: $filters, kernel: $kernel}}]}}
graph: [{unit: {filters: 4, kernel: 1}}]
""",
)

# ----------------------------------------------------------------------------------------- wiring
spec(
    "wiring_by_names",
    """
graph:
  body:
  - {conv: {filters: 4, kernel: 3, padding: same}, name: a}
  - {conv: {filters: 4, kernel: 1}, from: input, name: b}
  - {add: , from: [a, b], name: c}
  - {conv: {filters: 3, kernel: 1}, from: a, name: d}
  - {concat: , from: [d, c, input]}
""",
)
spec(
    "wiring_from_structures",
    """
graph:
  body:
  - {conv: {filters: 4, kernel: 3, padding: same}, name: a}
  - {conv: {filters: 4, kernel: 1}, name: b}
  - {residual: [relu], from: a}
  - {branches: [[{conv: {filters: 2, kernel: 1}}], [relu]], merge: concat, from: b, name: m}
  - {repeat: 2, body: [{conv: {filters: 4, kernel: 1}}], from: a}
  - {add: , from: [b, a]}
  - {concat: , from: [add_2, m]}
""".replace("{add: , from: [b, a]}", "{add: , from: [b, a], name: sum}").replace("add_2", "sum"),
)
spec(
    "input_reused",
    """
blocks: {unit: {body: [{conv: {filters: 3, kernel: 3, padding: same}}, relu,
  {concat: , from: [relu, input]}]}}
graph: [{conv: {filters: 2, kernel: 1}}, unit, unit]
""".replace(
        "relu,\n  {concat: , from: [relu, input]}",
        "{relu, name: r},\n  {concat: , from: [r, input]}",
    ),
)
spec(
    "sections_read_each_other",
    """
graph:
  stem: [{conv: {filters: 4, kernel: 3, padding: same}}]
  left: [{conv: {filters: 4, kernel: 1}}]
  right: {from: stem, body: [{conv: {filters: 5, kernel: 1}, name: inner}, relu]}
  join: [{concat: , from: [left, right, stem, right.inner]}]
  head: [global_avg_pool, {dense: 3}]
""",
)
spec(
    "section_reads_into_loop",
    """
graph:
  trunk: [{repeat: 3, body: [{conv: {filters: 4, kernel: 3, padding: same}, name: stage}, relu]}]
  neck: [{concat: , from: [trunk.stage.0, trunk.stage.2]}]
""",
)
spec(
    "section_from_input",
    """
graph:
  a: [{conv: {filters: 4, kernel: 1}}]
  b: {from: input, body: [{conv: {filters: 4, kernel: 1}}]}
  c: [{add: , from: [a, b]}]
""",
)
spec(
    "feature_taps",
    """
blocks: {unit: {params: {filters}, body: [{conv: {filters: $filters, kernel: 3, padding: same}},
  {max_pool: 2}]}}
graph:
  entry: [{unit: 4, name: low}, {for: {filters: [5, 6]}, body: [{unit: $filters, name: stage}]}]
  head: [global_avg_pool, {dense: 3}]
outputs: {logits: head, c1: entry.low, c2: entry.stage.0, c3: entry.stage.1, all: entry}
""",
)
spec(
    "feature_taps_of_anonymous_graph",
    """
graph: [{conv: {filters: 4, kernel: 1}, name: low}, relu, {repeat: 2, body: [
  {conv: {filters: 4, kernel: 1}, name: mid}]}, global_avg_pool, {dense: 2, name: out}]
outputs: {logits: out, low: low, mid: mid.1}
""",
)
spec(
    "output_in_the_middle",
    """
graph:
  entry: [{conv: {filters: 4, kernel: 1}, name: a}, relu, {conv: {filters: 5, kernel: 1}}]
outputs: {a: entry.a}
""",
)
spec(
    "output_section_in_the_middle",
    """
graph: {a: [{conv: {filters: 4, kernel: 1}}], b: [{conv: {filters: 5, kernel: 1}}]}
outputs: {first: a, second: b}
""",
)
spec(
    "auxiliary_head",
    """
params: {auxiliary: true, classes: 3}
graph:
  body: [{conv: {filters: 4, kernel: 3}}, relu]
  head: [global_avg_pool, {dense: $classes}]
  side: {from: body, when: $auxiliary, body: [{max_pool: 2}, global_avg_pool, {dense: $classes}]}
outputs: {logits: head, side: {from: side, loss_weight: 0.4, when: $auxiliary}}
""",
)
spec(
    "same_output_twice",
    """
graph: [{conv: {filters: 4, kernel: 1}, name: a}, relu]
outputs: {x1: a, x2: a}
""",
)
spec(
    "branches_plain",
    """
graph: [{branches: [[{conv: {filters: 2, kernel: 1}}], [{conv: {filters: 3, kernel: 3, padding: same}},
  relu], [{max_pool: {kernel: 3, stride: 1, padding: same}}], []], merge: concat}, batch_norm]
""",
)
spec(
    "branches_nested",
    """
blocks:
  split: {params: {filters}, body: [{conv: {filters: $filters, kernel: 1}}, {branches: [
    [{conv: {filters: $filters, kernel: [1, 3], padding: same}}],
    [{conv: {filters: $filters, kernel: [3, 1], padding: same}}]], merge: concat}]}
graph: [{branches: {a: [{conv: {filters: 2, kernel: 1}}], b: [{split: 3}, {branches: [[relu],
  [{conv: {filters: 2, kernel: 1}}]], merge: concat}]}, merge: concat}]
""",
)
spec(
    "residual_with_both_paths",
    """
graph: [{residual: [{conv: {filters: 4, kernel: 3, stride: 2, padding: same}}, relu],
  shortcut: [{max_pool: 2}, {conv: {filters: 4, kernel: 1}}]}, {residual: [{residual: [relu]}]}]
""",
)
spec(
    "residual_empty_main",
    """
blocks: {unit: {params: {deep: false}, body: [{residual: [{conv: {filters: 3, kernel: 1},
  when: $deep}]}]}}
graph: [unit, {unit: true}, unit]
""",
)
spec(
    "residual_multiply",
    """
graph: [{residual: [{conv: {filters: 3, kernel: 1}}, sigmoid], merge: multiply}]
""",
)
spec(
    "merge_is_referred_to",
    """
graph: [{branches: [[relu], [{conv: {filters: 2, kernel: 1}}]], merge: concat, name: joined},
  {conv: {filters: 5, kernel: 1}}, {add: , from: [joined, conv_2]}]
""".replace(
        "{conv: {filters: 5, kernel: 1}}, {add: , from: [joined, conv_2]}",
        "{conv: {filters: 5, kernel: 1}, name: k}, {add: , from: [joined, k]}",
    ),
)
spec(
    "branch_reads_branch",
    """
graph:
- {branches: {a: [{conv: {filters: 2, kernel: 1}, name: first}], b: [
    {conv: {filters: 2, kernel: 1}, name: second}, {add: , from: [first, second]}]}, merge: concat}
""",
)
spec(
    "in_channels_by_add",
    """
blocks:
  unit: {params: {filters}, body: [{residual: [relu, {conv: {filters: $filters, kernel: 1}}]}]}
graph: [{conv: {filters: 4, kernel: 1}}, {unit: 4}, {conv: {filters: 6, kernel: 1}}, {unit: 6}]
""",
)

# ------------------------------------------------------------------------------------------ names
spec(
    "keyword_names",
    """
params: {class_count: 3}
blocks:
  lambda: {params: {def: 4, global: 1}, body: [{conv: {filters: $def, kernel: $global}, name: return},
    {relu, name: yield}, {batch_norm, name: lambda}]}
graph:
  import: [{lambda: 5, name: class}, {conv: {filters: 4, kernel: 1}, name: from}]
  pass: [{lambda: {def: 6, global: 3}, name: async}]
outputs: {lambda: pass, none: import.from, print: import}
""".replace("$def", "$width")
    .replace("$global", "$size")
    .replace("def: ", "width: ")
    .replace("global: ", "size: "),
)
spec(
    "module_attribute_names",
    """
blocks:
  train: {params: {training: 4, eval: 3}, body: [
    {conv: {filters: $training, kernel: $eval}, name: forward}, {batch_norm, name: modules},
    {conv: {filters: $training, kernel: 1}, name: weight},
    {conv: {filters: 2, kernel: 1}, name: bias}]}
graph:
  parameters: [{train: 5, name: train}, {train: 6, name: children}]
  buffers: [{repeat: 2, body: [{conv: {filters: 2, kernel: 1}, name: state_dict}]}]
  forward: [{conv: {filters: 2, kernel: 1}, name: type}]
""",
)
spec(
    "names_like_helpers",
    """
blocks:
  conv2d_same: {params: {filters}, body: [{conv: {filters: $filters, kernel: 3, stride: 2,
    padding: same}, name: torch}, {batch_norm, name: nn}, {batch_norm, name: f}]}
  batch_norm2d: {params: {filters}, body: [{conv: {filters: $filters, kernel: 1}, name: range},
    {relu, name: zip}]}
  module: {params: {filters}, body: [{batch_norm2d: $filters, name: super}, {batch_norm2d: $filters,
    name: self}, {conv: {filters: 2, kernel: 1}, name: x}]}
graph: {torch: [{conv2d_same: 4}], nn: [{module: 5}], model: [{module: 3, name: math}]}
""",
)
spec(
    "parameters_like_layers",
    """
params: {conv: 4, dense: 3}
blocks:
  unit: {params: {batch_norm, relu: true, unit_2: 5}, body: [
    {conv: {filters: $batch_norm, kernel: 1}}, batch_norm, {relu, when: $relu},
    {conv: {filters: $unit_2, kernel: 1}, name: unit_2}]}
graph: [{unit: $conv}, {unit: {batch_norm: 5, relu: false, unit_2: 4}}, global_avg_pool, {dense: $dense}]
""",
)
spec(
    "awkward_parameters",
    """
blocks:
  unit: {params: {in_channels, x: 1, self: 2, shortcut: 1}, body: [
    {residual: [{conv: {filters: $in_channels * $self, kernel: $x}}],
     shortcut: [{conv: {filters: $in_channels * $self, kernel: $shortcut}}]}, batch_norm]}
graph: [{unit: 4}, {unit: {in_channels: 3, self: 1}}]
""".replace("$in_channels * $self,", "'$in_channels * $self',"),
)
spec(
    "awkward_spec_parameters",
    """
params: {x: 4, self: 3, in_channels: 5, filters_: 1, list: 2, training: true}
blocks: {unit: {params: {filters}, body: [{conv: {filters: $filters + $x, kernel: 1}},
  {conv: {filters: $in_channels, kernel: $list}}]}}
graph: {a: [{unit: $self}], b: [{unit: 4}, {batch_norm, when: $training}], c: [{conv: {filters: $x,
  kernel: 1}}]}
""".replace("filters_: 1, ", "").replace("$filters + $x,", "'$filters + $x',"),
)
spec(
    "blocks_like_classes",
    """
blocks:
  awkward: {body: [{conv: {filters: 3, kernel: 1}}]}
  blocks_like_classes: {body: [awkward, awkward]}
graph: {awkward: [awkward, blocks_like_classes], blocks_like_classes: [awkward]}
""",
)
spec(
    "loop_variable_like_flow",
    """
graph: [{for: {x: [4, 5], shortcut: [1, 3]}, body: [{residual: [{conv: {filters: $x,
  kernel: $shortcut, padding: same}}], shortcut: [{conv: {filters: $x, kernel: 1}}]}]}]
""",
)
spec(
    "section_names_like_variables",
    """
graph:
  x: [{conv: {filters: 4, kernel: 1}}]
  self: [{conv: {filters: 4, kernel: 1}}]
  shortcut: [{add: , from: [x, self]}]
outputs: {x: x, self: shortcut}
""",
)
spec(
    "documented",
    """
doc: A network with "quotes", a \\ backslash and a very long description that does not fit on a line
source: 'Somebody 2020, "Title"'
blocks:
  unit: {doc: Says what it is, source: 'Else 2021', params: {filters}, body: [
    {conv: {filters: $filters, kernel: 1}}]}
graph: {a: {doc: The first section., body: [{unit: 4}]}, b: [{unit: 5}]}
""",
)
spec(
    "count_of_a_growing_loop_is_pinned_later",
    """
params: {n: 2}
graph:
- repeat: $n
  body: [{residual: [{conv: {filters: 1, kernel: 1}}], merge: concat}]
- global_avg_pool
- {if: "$n in [2, 5]", then: [relu], else: []}
""",
)
spec(
    "conditions_alike",
    """
blocks:
  unit: {params: {gated: false}, body: [
    {conv: {filters: 4, kernel: 1}, name: a}, {relu: , name: act},
    {sigmoid: , name: gate, when: $gated}, {multiply: , from: [gate, act], when: $gated},
    {if: $gated, then: tanh, else: elu}, {silu: , from: act, when: not $gated}]}
graph: {a: [unit, {unit: true}], b: [global_avg_pool, {dense: 2}]}
""",
)

# ---------------------------------------------------------------------------- channels of inputs
SE = """
blocks:
  squeeze_excite:
    params: {reduction: 2}
    body:
    - residual:
      - {global_avg_pool: {keep_dims: true}}
      - [{conv: {filters: $input.channels // $reduction, kernel: 1}}, relu]
      - [{conv: {filters: $input.channels, kernel: 1}}, sigmoid]
      merge: multiply
"""
spec(
    "channels_of_the_input",
    SE + """
params: {width: 8}
graph:
  stem: [{conv: {filters: $width, kernel: 3}}, squeeze_excite]
  rest:
  - [{conv: {filters: 2 * $input.channels, kernel: 1}}, squeeze_excite]
  - {squeeze_excite: {reduction: 4}}
  - {for: {filters: [6, 10]}, body: [{conv: {filters: $filters, kernel: 1}}, squeeze_excite]}
""",
)  # fmt: skip
spec(
    "channels_of_named_inputs",
    """
blocks:
  gate:
    inputs: [features, control]
    body:
    - {global_avg_pool: {keep_dims: true}, from: control}
    - [{conv: {filters: $control.channels + 1, kernel: 1}}, relu]
    - [{conv: {filters: $features.channels, kernel: 1}}, sigmoid]
    - {multiply: {}, from: [features, sigmoid]}
graph:
- {conv: {filters: 6, kernel: 3}, name: first}
- {conv: {filters: 4, kernel: 1}, name: second}
- {gate: {}, from: [first, second], name: one}
- {gate: {}, from: [second, one]}
""",
)
spec(
    "channels_decide",
    """
params: {wide: 8}
blocks:
  unit:
    params: {filters}
    body:
    - {conv: {filters: $filters, kernel: 1}, when: $input.channels != $filters}
    - {repeat: $input.channels // 4, body: [{conv: {filters: $filters, kernel: 1}}, relu]}
graph: [{conv: {filters: $wide, kernel: 1}}, {unit: 8}, {unit: 8}, {unit: 12}]
""",
)
spec(
    "skips_that_differ",
    """
blocks:
  unit:
    params: {filters, stride: 1}
    body:
    - residual: [{conv: {filters: $filters, kernel: 3, stride: $stride, padding: same}}, batch_norm]
      skip: $stride == 1 and $input.channels == $filters
      name: sum
    - {concat: , from: [sum, conv]}
    - {conv: {filters: $filters, kernel: 1}}
graph: [{conv: {filters: 6, kernel: 1}}, {unit: 6}, {unit: {filters: 8, stride: 2}},
        {repeat: 2, body: [{unit: 8}]}, {unit: 5}]
""",
)
spec(
    "skips_with_a_shortcut",
    """
blocks:
  unit:
    params: {filters, keep: true}
    body:
    - residual: [{conv: {filters: $filters, kernel: 3, padding: same}}]
      shortcut: [{conv: {filters: $filters, kernel: 1}}, batch_norm]
      skip: $keep
    - relu
graph: [{unit: 6}, {unit: {filters: 8, keep: false}}, {unit: {filters: 4, keep: true}}]
""",
)
spec(
    "skips_that_agree",
    """
params: {keep: true}
blocks: {unit: {params: {filters}, body: [{residual: [{conv: {filters: $filters, kernel: 1}}],
  skip: $keep and $filters == $input.channels}]}}
graph: [{conv: {filters: 4, kernel: 1}}, {unit: 4}, {unit: 4},
        {residual: relu, skip: false}, {residual: relu, skip: $keep}]
""",
)
# ------------------------------------------------------------------------------- sizes that change
spec(
    "blocks_of_pixels",
    """
params: {b: 2}
blocks:
  down: {params: {b, filters: 12}, body: [{space_to_depth: $b}, {conv: {filters: $filters, kernel: 1}}]}
  up: {params: {b: 2}, body: [{depth_to_space: $b}]}
graph:
- {down: {b: 3, filters: 16}}
- up
- {down: {b: $b}}
- {for: {k: [1, 2]}, body: [{depth_to_space: $k}, {conv: {filters: 8, kernel: 1}}]}
- global_avg_pool
""",
)
spec(
    "resized_by_parameters",
    """
params: {h: 5}
blocks:
  up:
    params: {scale, size: [3, 2]}
    body:
    - {resize: {scale: $scale, method: bilinear}}
    - {resize: {scale: $scale}}
    - {resize: {size: $size}}
    - {resize: {size: [$h, 7], method: bilinear}}
    - {adaptive_avg_pool: $size}
    - {adaptive_max_pool: [$h, 3]}
graph:
- {up: {scale: 3}}
- {up: {scale: [1, 2], size: 6}}
- {for: {k: [1, 2]}, body: [{resize: $k}, {conv: {filters: 4, kernel: 1}}]}
- flatten
- {dense: 3}
""",
)
spec(
    "transposed_by_parameters",
    """
blocks:
  up:
    params: {k: 3, s: 1, filters: 4, low: 1}
    body:
    - {conv_transpose: {filters: $filters, kernel: $k, stride: $s, padding: same}}
    - {conv_transpose: {filters: $filters, kernel: $k, stride: $s}}
    - {conv_transpose: {filters: $filters, kernel: $k, padding: [[$low, 0], [0, 1]]}}
    - {conv_transpose: {filters: 3, kernel: 4, stride: 2, padding: [[1, 1], [1, 1]], bias: false}}
    - {max_pool: {kernel: $k, stride: 5, ceil_mode: true, padding: [[1, 0], [0, 1]]}}
    - {avg_pool: {kernel: $k, stride: 2, ceil_mode: true}}
    - {local_response_norm: {size: $k, k: 2}}
graph:
- {up: {k: 3}}
- {up: {s: 3, low: 0}}
- {for: {k: [1, 2]}, body: [{conv_transpose: {filters: 4, kernel: $k, padding: [[0, 0], [0, 0]]}}]}
- global_avg_pool
""",
)
spec(
    "padding_that_is_even_in_some_uses",
    """
blocks:
  unit: {params: {stride: 1, kernel: 3, by: 0}, body: [
    {conv: {filters: 4, kernel: 3, stride: $stride, padding: [[2 - $stride, 1], [$by, $by]]}},
    {depthwise_conv: {kernel: $kernel, padding: [[$kernel // 2, $kernel // 2], [1, $by]]}},
    {max_pool: {kernel: $kernel, stride: 1, padding: [[$by, $by], [$by, $kernel // 2]]}},
    {avg_pool: {kernel: 3, stride: 1, padding: [[$by, $by], [$by, $by]]}},
    {zero_pad: [[1, $by], [$kernel, 0]]}]}
graph: [unit, {unit: {stride: 2, kernel: 1}}, {unit: {stride: 2, by: 1}}, global_avg_pool, {dense: 2}]
""",
)
spec(
    "channels_of_a_bare_graph",
    """
params: {w: 2}
blocks: {u: {params: {f}, body: [{conv: {filters: $f + $input.channels, kernel: 1}}]}}
graph:
- {u: $input.channels}
- {conv: {filters: $input.channels * $w, kernel: 1}}
- {for: {f: [1, 2]}, body: {conv: {filters: $input.channels * $f, kernel: 1}}}
""",
)
spec(
    "channels_beside_a_text",
    """
params: {act: x}
graph: {s: [{residual: elu, skip: "$act != 'none' and $input.channels == 3"}]}
""",
)
spec(
    "an_input_called_like_a_variable",
    """
blocks:
  u:
    inputs: [stage, other]
    body:
    - {for: {stage: [{channels: 3, kernel: 1}, {channels: 4, kernel: 2}]},
       body: {conv: {filters: $stage.channels + $other.channels, kernel: $stage.kernel}}}
graph: [{conv: {filters: 5, kernel: 1}, name: c}, {u: , from: [c, input]}]
""",
)
spec(
    "numbers_computed_for_calls",
    """
input: {shape: [32, 32, 4]}
blocks: {u: {params: {b}, body: [{space_to_depth: $b // 2}, {depth_to_space: $b // 2},
  {space_to_depth: $b // 2}, {depth_to_space: $b // 2}]}}
graph: {s: [{u: 2}, {u: 4}]}
""",
)
spec(
    "transposed_valid_alone",
    """
params: {w: 2}
graph: {s: [{max_pool: 4}, {conv_transpose: {filters: 2, kernel: 2, stride: $w}}]}
""",
)
spec(
    "branches_in_some_uses",
    """
params: {wide: true}
blocks:
  unit:
    params: {filters, stride: 1}
    body:
    - branches:
        same: {body: batch_norm, when: $stride == 1 and $input.channels == $filters}
        large: [{conv: {filters: $filters, kernel: 3, stride: $stride, padding: same}}, batch_norm]
        small: {body: {conv: {filters: $filters, kernel: 1, stride: $stride}}, when: $wide}
        never: {body: relu, when: false}
      merge: add
    - relu
  joined:
    params: {more: false}
    body:
    - branches:
      - {conv: {filters: 3, kernel: 1}}
      - {body: [{conv: {filters: 2, kernel: 1}}, elu], when: $more}
      - {body: [], when: $more}
      merge: concat
      name: all
    - {conv: {filters: $input.channels, kernel: 1}}
    - {concat: , from: [conv_3, all]}
graph: [{unit: 4}, {unit: 4}, {unit: {filters: 6, stride: 2}}, {repeat: 2, body: {unit: 6}}, joined,
        {joined: true}, {joined: {more: false}}]
""",
)
spec(
    "padding_in_numbers",
    """
params: {q: 2}
blocks:
  unit:
    params: {kernel: 3, p: 1}
    body:
    - {conv: {filters: 4, kernel: $kernel, padding: $kernel // 2}}
    - {max_pool: {kernel: 3, stride: 1, padding: $p}}
    - {zero_pad: [$p, [0, $q]]}
    - {crop: 1}
  other: {params: {sides: [1, 0]}, body: [{zero_pad: $sides}, {avg_pool: {kernel: 3, padding: 1}}]}
graph: [unit, {unit: {kernel: 5}}, {unit: {kernel: 1, p: 0}}, other, {other: [2, 1]}, {other: 0}]
""",
)

# ------------------------------------------------------------------------- branches by a loop
spec(
    "segments",
    """
params: {segments: 3, width: 12}
blocks:
  segmented:
    params: {filters}
    body:
    - {conv: {filters: $filters, kernel: 1}}
    - branches:
        repeat: $segments
        index: i
        body:
        - {channel_slice: {channels: $filters // $segments, start: $i * ($filters // $segments)}}
        - {conv: {filters: $filters // $segments, kernel: 3, padding: same}}
      merge: concat
    - batch_norm
graph: [{segmented: $width}, relu, {segmented: 6}, global_avg_pool, {dense: 2}]
""",
)
spec(
    "branches_by_repeat_added",
    """
params: {cardinality: 3}
blocks:
  path: {params: {filters}, body: [{conv: {filters: 2, kernel: 1}}, relu, {conv: {filters: $filters, kernel: 1}}]}
  unit:
    params: {filters, paths: 2}
    body:
    - {residual: {branches: {repeat: $paths, body: {path: $filters}}, merge: add}}
    - relu
graph: [{conv: {filters: 4, kernel: 3}}, {unit: 4}, {unit: {filters: 4, paths: $cardinality}}, {unit: {filters: 4, paths: 1}}]
""",
)
spec(
    "branches_by_for",
    """
graph:
- branches: {for: {kernel: [1, 3, 5]}, body: [{conv: {filters: 4, kernel: $kernel, padding: same}}, relu]}
  merge: concat
- branches: {for: {filters: [2, 3]}, body: {conv: {filters: $filters, kernel: 1}}}
  merge: concat
  name: widened
- {conv: {filters: 3, kernel: 1}}
- {concat: , from: [conv_3, widened]}
""",
)
spec(
    "branches_by_for_of_a_parameter",
    """
params: {kernels: [1, 3], widths: [2, 4]}
blocks:
  mixed:
    params: {kernels}
    body:
    - branches: {for: {k: $kernels}, body: [{conv: {filters: 3, kernel: $k, padding: same}}]}
      merge: concat
    - {conv: {filters: 4, kernel: 1}}
graph:
- {mixed: {kernels: $kernels}}
- {mixed: {kernels: [3]}}
- branches: {for: {w: $widths}, body: [{conv: {filters: $w, kernel: 1}}, batch_norm]}
  merge: concat
- {conv: {filters: 2, kernel: 1}}
""",
)
spec(
    "branches_by_repeat_averaged",
    """
graph:
- {branches: {repeat: 3, body: [{conv: {filters: 4, kernel: 3}}]}, merge: average}
- {branches: {repeat: 2, body: [{conv: {filters: 4, kernel: 1}}, sigmoid]}, merge: multiply}
- {branches: {repeat: 3, body: [{conv: {filters: 4, kernel: 1}}]}, merge: maximum}
- {branches: {repeat: 1, body: [{conv: {filters: 4, kernel: 1}}]}, merge: add, name: single}
- {add: , from: [single, average]}
""",
)
spec(
    "branches_by_repeat_within_each_other",
    """
params: {n: 2}
graph:
- {conv: {filters: 4, kernel: 1}}
- repeat: 2
  body:
  - branches:
      repeat: $n
      body:
      - branches: {repeat: 2, index: j, body: [{conv: {filters: 2 + $j, kernel: 1}}, relu]}
        merge: concat
      - {conv: {filters: 2, kernel: 1}}
    merge: concat
  - {conv: {filters: 4, kernel: 1}}
- branches:
    wide: {branches: {repeat: $n, body: [{conv: {filters: 3, kernel: 3, padding: same}}]}, merge: concat}
    same: []
  merge: concat
""",
)
spec(
    "branches_by_repeat_with_conditions",
    """
params: {n: 3}
blocks:
  unit:
    params: {deep: false}
    body:
    - branches:
        repeat: $n
        index: i
        body: [{conv: {filters: 4, kernel: 1}}, {relu, when: $deep}, {tanh, when: $i > 0}, {conv: {filters: 4, kernel: 1}, name: last, when: $i > 0}]
      merge: add
graph: [unit, {unit: true}, {conv: {filters: 2, kernel: 1}}]
""",
)
spec(
    "branches_by_repeat_taken_up_again",
    """
graph:
  stem:
  - {conv: {filters: 4, kernel: 3}, name: first}
  - {branches: {repeat: 3, body: [{conv: {filters: 4, kernel: 1}, name: unit}, relu]}, merge: concat}
  - {conv: {filters: 4, kernel: 1}, from: unit}
  other: {from: stem.unit.1, body: [{conv: {filters: 4, kernel: 1}}]}
  join: [{concat: , from: [stem, other, stem.unit]}]
""",
)
spec(
    "branches_by_repeat_of_which_the_last_is_read",
    """
params: {n: 3}
graph:
- {branches: {repeat: $n, body: [{conv: {filters: 4, kernel: 3}, name: unit}]}, merge: concat, name: all}
- {conv: {filters: 4, kernel: 1}, from: unit}
- {concat: , from: [all, conv, unit]}
""",
)

# --------------------------------------------------------- defaults that follow from channels
spec(
    "channels_in_defaults",
    """
params: {factor: 2}
blocks:
  mbconv:
    params: {filters, inner: $input.channels * $factor, stride: 1, kept: $input.channels == $filters}
    body:
    - residual: [{conv: {filters: $inner, kernel: 1}}, relu, {conv: {filters: $filters, kernel: 3, padding: same}}]
      skip: $kept
  outer: {params: {f}, body: [{mbconv: $f}, {mbconv: {filters: $f + 1, inner: 3}}]}
graph:
  stem: [{mbconv: 4}, {mbconv: 4}, {mbconv: {filters: 6, kept: false}}]
  body: [{repeat: 2, body: [{mbconv: 6}]}, {for: {f: [3, 5]}, body: {mbconv: $f}}, {outer: 4}, {outer: 5}]
  head: [{mbconv: 3}, global_avg_pool, {dense: 2}]
""",
)
spec(
    "channels_of_each_input_in_defaults",
    """
blocks:
  joined:
    inputs: [one, other]
    params: {one: 3, filters: $other.channels * 2, both: $filters + $one}
    body:
    - {conv: {filters: $filters, kernel: 1}, from: one}
    - {concat: , from: [conv, other]}
    - {conv: {filters: $both, kernel: 1}}
graph:
- {conv: {filters: 4, kernel: 1}, name: first}
- {conv: {filters: 5, kernel: 1}, name: second}
- {joined: , from: [first, second]}
- {joined: {one: 2}, from: [joined, first]}
""",
)

# -------------------------------------------------------------------------------------- names
spec(
    "section_called_like_a_block",
    """
params: {width: 4}
blocks:
  unit: {params: {filters}, body: [{conv: {filters: $filters + $input.channels, kernel: 1}}, relu]}
graph:
  stem: [{unit: 4}, {conv: {filters: 8, kernel: 1}}]
  unit: [{unit: 5}, {concat: , from: [unit, stem]}, {unit: 6}, {conv: {filters: 2 * $input.channels, kernel: 1}}]
  head: [{concat: , from: [stem, unit]}, {unit: $width}, global_avg_pool, {dense: 5}]
""",
)

# ---------------------------------------------------------------------- several results of a block
HALVES = """
  halves:
    params: {filters, second: 4}
    results: [kept, passed]
    body:
    - {conv: {filters: $filters, kernel: 1}, name: kept}
    - [{relu: , from: input}, {conv: {filters: $second, kernel: 3, padding: same}}, {tanh: , name: passed}]
"""
spec(
    "results",
    """
params: {width: 6}
blocks: HALVES
  outer:
    params: {f}
    body: [{halves: $f, name: s}, {conv: {filters: $f, kernel: 1}}, {concat: , from: [conv, s.passed, s]}]
  joined: {inputs: [a, b], body: [{concat: , from: [a, b]}, {conv: {filters: 5, kernel: 1}}]}
graph:
  stem: [{halves: $width, name: s}, relu, {concat: , from: [relu, s.passed]}, {outer: 4}, {outer: 8}]
  body:
  - {repeat: 2, body: [{halves: {filters: 6, second: 6}, name: t}, {add: , from: [t.kept, t.passed]}]}
  - {joined: , from: [t.passed, t]}
  tail: {from: stem.s.passed, body: [{conv: {filters: 4, kernel: 1}}]}
  head: [{concat: , from: [body, tail, stem.s, stem.s.kept, body.t.0.passed]}, global_avg_pool, {dense: 5}]
outputs: {logits: head, tap: stem.s.passed}
""".replace("HALVES", HALVES.rstrip()),
)
spec(
    "results_of_the_last_turn",
    """
params: {depth: 3}
blocks: HALVES
graph:
- {repeat: $depth, body: [{halves: {filters: 3, second: 5}, name: t}]}
- {concat: , from: [t.passed, t, t.kept]}
- {halves: 2}
- {conv: {filters: 2, kernel: 1}, from: halves.passed}
- {add: , from: [conv, halves]}
""".replace("HALVES", HALVES.rstrip()),
)
spec(
    "results_that_only_a_block_can_count",
    """
blocks:
  grown:
    params: {times, deep: false}
    results: [last, first]
    body:
    - {conv: {filters: 3, kernel: 1}, name: first}
    - for: {n: $times}
      body: [{conv: {filters: $n, kernel: 1}}]
    - if: $deep
      then: [{batch_norm: , name: last}]
      else: [{conv: {filters: 7, kernel: 1}, name: last}]
  nested:
    results: [one, other, third]
    body:
    - {grown: {times: [2, 4]}, name: one}
    - {grown: {times: [3], deep: true}, name: other}
    - {concat: , from: [one.first, other.first, other.last], name: third}
graph:
  a: [nested, {concat: , from: [nested, nested.other, nested.third]}]
  b: [{nested: , name: n}, {residual: [{conv: {filters: 7, kernel: 1}}]}, {concat: , from: [add, n.third]}]
""",
)
spec(
    "results_in_branches",
    """
params: {n: 2}
blocks: HALVES
graph:
- branches:
    left: [{halves: {filters: 3, second: 4}, name: l}]
    right: [{halves: {filters: 3, second: 4}, name: r}, {conv: {filters: 3, kernel: 1}, from: r.passed}]
  merge: add
- {branches: {repeat: $n, body: [{halves: {filters: 2, second: 3}, name: b}, {concat: , from: [b.passed, b.kept]}]}, merge: concat}
- {concat: , from: [concat_2, l.passed, r.kept]}
""".replace("HALVES", HALVES.rstrip()).replace("concat_2", "concat_2"),
)
spec(
    "one_branch_that_may_be_more",
    """
params: {n: 1}
graph:
  a: [{branches: {repeat: $n, body: [{conv: {filters: 2, kernel: 1}, name: unit}]}, merge: add}]
  b: [{concat: , from: [a, a.unit, a.add]}, global_avg_pool, {dense: 2}]
outputs: {logits: b, last: a.unit}
""",
)

# ---------------------------------------------------------------------------------------- shares
CONV_BN = """
  conv_bn:
    params: {filters, kernel: 3}
    body: [{conv: {filters: $filters, kernel: $kernel, padding: same, bias: false}}, batch_norm, relu]
"""
spec(
    "share_ops",
    """
graph:
- {conv: {filters: 4, kernel: 3, padding: same}, name: c}
- relu
- {conv: {filters: 4, kernel: [1, 3], stride: 2, padding: same}, name: halve}
- [{share: halve}, {conv: {filters: 3, kernel: 1}}, {share: c}, {separable_conv: {filters: 4, kernel: 2, padding: same}, name: s}]
- {share: s, from: relu, name: fine}
- {share: s, from: c_2}
- [{batch_norm: , name: n}, {share: n}, {layer_norm: , name: l}, {share: l}, {prelu: , name: p}, {share: p}]
- [{relu: , name: r}, {share: r}]
- global_avg_pool
- {dense: 4, name: d}
- [{share: d}, tanh, {share: d}]
- {global_avg_pool: , from: fine, name: other}
- {concat: , from: [d_3, other]}
""",
)
spec(
    "share_blocks",
    """
blocks:CONV_BN
  twice:
    params: {filters, again: true}
    body:
    - {conv_bn: {filters: $filters, kernel: 1}, name: one}
    - {share: one, when: $again}
    - {residual: [{conv_bn: $filters, name: two}, {share: two}]}
graph:
  stem: [{conv_bn: 4, name: first}]
  body:
  - {twice: 4, name: t}
  - {share: t}
  - {max_pool: 2}
  - {share: t, name: coarse}
  - {twice: {filters: 4, again: false}, name: other}
  - {share: other}
  head: [global_avg_pool, {dense: 3}]
outputs: {logits: head, coarse: body.coarse, fine: body.t_2}
""".replace("CONV_BN", CONV_BN.rstrip()),
)
spec(
    "share_what_passes_by",
    """
params: {deep: false}
blocks:
  maybe: {body: [{relu: , when: $deep}]}
  both: {body: [{maybe: , name: kept}, {conv: {filters: 4, kernel: 1}, name: new}], results: [new, kept]}
graph:
- {conv: {filters: 4, kernel: 3}, name: stem}
- {maybe: , name: m}
- relu
- {share: m}
- {both: , name: b}
- {add: , name: one, from: [b.kept, b.new]}
- {share: b, name: again}
- {concat: , from: [again.kept, again.new]}
- [global_avg_pool, {dense: 3}]
""",
)
spec(
    "share_in_loops",
    """
params: {turns: 3, sizes: [2, 4]}
blocks:CONV_BN
  refine:
    params: {filters, turns: 1}
    body: [{conv_bn: $filters, name: step}, {repeat: $turns, body: [{share: step}, relu]}]
graph:
- {conv: {filters: 4, kernel: 1}, name: enter}
- {refine: {filters: 4, turns: $turns}, name: r}
- {repeat: 2, body: [{share: r}, {conv: {filters: 4, kernel: 3, padding: same}, name: inner}, relu, {share: inner}, {repeat: 2, body: [{share: inner, name: deeper}]}]}
- {for: {n: $sizes}, body: [{conv_bn: $n}, {conv_bn: $n, name: same}, {share: same}]}
- {for: {k: [1, 3], a: [2, 5]}, body: [{if: $k == 1, then: [{conv: {filters: $a, kernel: $k}, name: x}, {share: r, when: false}, {conv: {filters: $a, kernel: $k}, name: y}, {share: y}], else: [relu]}]}
- [global_avg_pool, {dense: 3}]
""".replace("CONV_BN", CONV_BN.rstrip()),
)
spec(
    "share_beside",
    """
params: {n: 2, both: true}
blocks:
  gate:
    params: {skip: true}
    body: {residual: [{conv: {filters: 11, kernel: 1}, name: main}, relu], shortcut: [tanh, {share: main}], skip: $skip, merge: multiply}
graph:
  a:
  - branches:
      left: [{conv: {filters: 4, kernel: 3, padding: same}, name: head}, relu]
      right: [{max_pool: {kernel: 3, stride: 1, padding: same}}, {share: head}]
      third: {body: [{conv: {filters: 3, kernel: 1}, name: own}, {share: own}], when: $both}
    merge: concat
  - {branches: {repeat: $n, body: [{conv: {filters: 11, kernel: 1}, name: b}, {share: b}]}, merge: add}
  - residual: [{conv: {filters: 11, kernel: 1}, name: main}, {share: main}]
    shortcut: [{share: main}]
  - [{gate: true, name: g}, {gate: false}]
  b: [global_avg_pool, {dense: 2}]
""",
)
spec(
    "share_several_results",
    """
blocks: HALVES
  pair:
    inputs: [a, b]
    params: {filters}
    results: [left, right]
    body:
    - {conv: {filters: $filters, kernel: 1}, from: a, name: left}
    - {share: left, from: b, name: again}
    - {add: , from: [left, again], name: right}
graph:
- {halves: {filters: 4, second: 4}, name: h}
- {pair: 4, from: [h, h.passed], name: p}
- {share: p, from: [p.right, p.left], name: q}
- {share: p, from: [q.right, q]}
- {concat: , from: [p_2, p_2.right, q.left, h.kept]}
""".replace("HALVES", HALVES.rstrip()),
)
spec(
    "share_with_names_of_others",
    """
params: {c_layer: 4, step_block: 1}
blocks:CONV_BN
  same: {params: {step_block: 4}, body: [{conv: {filters: $step_block, kernel: 1}, name: shared}, {share: shared}]}
graph:
- {conv: {filters: $c_layer, kernel: 1}, name: c}
- {share: c, name: c_layer, when: $step_block == 2}
- {conv_bn: 3, name: every_layer}
- {conv_bn: 3, name: step}
- {share: step, name: step_block}
- {same: 3, name: shared}
- {share: shared, name: name}
- {add: , from: [step_block, name, every_layer]}
""".replace("CONV_BN", CONV_BN.rstrip()),
)
spec(
    "share_what_is_flattened",
    """
params: {maps: 4, w: 6}
blocks:
  head: {params: {maps}, body: [{conv: {filters: $maps, kernel: 3, padding: same}}, relu, flatten]}
  heads:
    inputs: [a, b]
    params: {maps: 3}
    body: [{head: $maps, from: a, name: h}, {share: h, from: b, name: g}, {concat: , from: [h, g]}, {dense: 5}]
graph:
- {conv: {filters: $w, kernel: 3, stride: 2, padding: same}, name: p3}
- {conv: {filters: $w, kernel: 3, stride: 2, padding: same}, name: p4}
- {conv: {filters: $w, kernel: 3, stride: 2, padding: same}, name: p5}
- {heads: $maps, from: [p3, p4], name: x}
- {heads: {maps: 3}, from: [p4, p5], name: y}
- {heads: , from: [p4, p5], name: z}
- {share: x, from: [p3, p4], name: again}
- {head: $maps, from: p4, name: h4}
- {share: h4, from: p5, name: h5}
- {flatten: , name: f, from: p4}
- {share: f, from: p5, name: g}
- {concat: , from: [x, y, z, again, h4, h5, f, g]}
- {dense: 3}
""",
)
spec(
    "share_of_one_size_by_chance",
    """
input: {shape: [4, 4, 3]}
blocks:
  head: {body: [{conv: {filters: 4, kernel: 1, groups: 1}}, {channel_shuffle: 2}, global_avg_pool, {dense: 3}]}
graph:
- {max_pool: 2, name: p}
- {conv: {filters: 3, kernel: 3}, from: input, name: q}
- {head: , from: p, name: h}
- {share: h, from: q, name: k}
- {add: , from: [h, k]}
""",
)
spec(
    "share_of_an_image_and_a_vector",
    """
blocks:
  film:
    inputs: [image, vector]
    body:
    - {conv: {filters: 4, kernel: 3, padding: same}, from: image}
    - {global_avg_pool: , name: pooled}
    - {dense: 4, from: vector}
    - {add: , from: [pooled, dense]}
  half: {body: [{channel_slice: {channels: $input.channels // 2}}]}
  placed: {body: [position_embedding, {adaptive_avg_pool: 3}, flatten, half, {dense: 4}]}
graph:
- {conv: {filters: 4, kernel: 1}, name: fine}
- {max_pool: 2, name: coarse}
- {global_avg_pool: , name: vector}
- {film: , from: [fine, vector], name: f}
- {share: f, from: [coarse, f], name: g}
- {placed: , from: fine, name: at}
- {relu: , from: fine}
- {share: at, name: other}
- {add: , from: [f, g, at, other]}
""",
)
