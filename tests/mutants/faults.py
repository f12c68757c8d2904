"""The table of seeded faults: one wrong line each, as somebody could well have written it."""

from __future__ import annotations

from dataclasses import dataclass

TORCH, KERAS, FLAX = "torch", "keras", "flax"
_FOLDERS = {
    "backends/pytorch/": (TORCH,),
    "backends/keras3/": (KERAS,),
    "backends/flax_nnx/": (FLAX,),
    "xgraph/emit/functions.py": (KERAS,),
    "xgraph/emit/modules.py": (TORCH, FLAX),
}


@dataclass(frozen=True)
class Fault:
    """`old` stands once in `file` and becomes `new`, which breaks `breaks`.

    `ops` are those whose cases are tried. `survives` explains a fault that no check can notice,
    because the program means the same.
    """

    name: str
    file: str
    old: str
    new: str
    breaks: str
    ops: tuple[str, ...] = ()
    survives: str = ""

    @property
    def backends(self) -> tuple[str, ...]:
        """Those that the fault may concern."""
        for folder, names in _FOLDERS.items():
            if self.file.startswith(folder):
                return names
        return (TORCH, KERAS, FLAX)


_P, _K, _F = "backends/pytorch", "backends/keras3", "backends/flax_nnx"
_OPS, _EMIT, _RECIPE = "xgraph/ops", "xgraph/emit", "xgraph/recipe"

LOWERING = (
    Fault(
        "torch_epsilon",
        f"{_P}/lowering.py",
        "eps=op.epsilon,",
        "eps=1e-5,",
        "batch norm's epsilon is PyTorch's",
        ("batch_norm",),
    ),
    Fault(
        "torch_momentum_inverted",
        f"{_P}/lowering.py",
        "momentum = round(1 - op.momentum, 12)",
        "momentum = round(op.momentum, 12)",
        "batch norm's momentum is of the old statistic",
        ("batch_norm",),
    ),
    Fault(
        "torch_pad_sides",
        f"{_P}/lowering.py",
        'return f"({left}, {right}, {top}, {bottom})"',
        'return f"({right}, {left}, {bottom}, {top})"',
        "explicit padding on the wrong sides",
        ("conv", "zero_pad"),
    ),
    Fault(
        "torch_same_as_symmetric",
        f"{_P}/lowering.py",
        'layer, helpers, padding = "Conv2dSame", frozenset({"Conv2dSame"}), None',
        "padding = single((op.kernel[0] // 2, op.kernel[1] // 2))",
        "strided SAME as padding on both sides",
        ("conv",),
    ),
    Fault(
        "torch_stride",
        f"{_P}/lowering.py",
        '"stride": None if stride is None else single(op.stride),\n        "dilation"',
        '"stride": None if stride is None else single(op.stride[::-1]),\n        "dilation"',
        "strides of the two axes swapped",
        ("conv", "depthwise_conv"),
    ),
    Fault(
        "torch_groups",
        f"{_P}/lowering.py",
        "groups=unless(op.groups, 1),",
        "groups=None,",
        "groups are dropped",
        ("conv",),
    ),
    Fault(
        "torch_maxpool_zero",
        f"{_P}/lowering.py",
        """fits=True, fill=', value=float("-inf")')""",
        "fits=True, fill='')",
        "max pooling padded with 0",
        ("max_pool",),
    ),
    Fault(
        "torch_avgpool_counts",
        f"{_P}/lowering.py",
        'extra = [] if counted or op.padding == "valid" else ["count_include_pad=False"]',
        "extra = []",
        "average pooling counts the border",
        ("avg_pool",),
    ),
    Fault(
        "torch_gelu",
        f"{_P}/lowering.py",
        'approximate = "" if op.approximation == "exact" else \', approximate="tanh"\'',
        "approximate = ', approximate=\"tanh\"'",
        "GELU always approximated",
        ("gelu",),
    ),
    Fault(
        "torch_leaky_slope",
        f"{_P}/lowering.py",
        "F.leaky_relu({{0}}, {code_of(op.negative_slope)})",
        "F.leaky_relu({{0}})",
        "PyTorch's default slope",
        ("leaky_relu",),
    ),
    Fault(
        "torch_flatten",
        f"{_P}/lowering.py",
        '"{0}.permute(0, 2, 3, 1).flatten(1)"',
        '"{0}.flatten(1)"',
        "flattened channels first",
        ("flatten",),
    ),
    Fault(
        "torch_float32_constant",
        f"{_P}/lowering.py",
        '"hard_sigmoid": "hard_sigmoid"',
        '"hard_sigmoid": "F.hardsigmoid"',
        "a gradient with 1/6 in float32",
        ("hard_sigmoid",),
    ),
    Fault(
        "torch_dropout_kept",
        f"{_P}/lowering.py",
        "nn.Dropout({code_of(op.rate)})",
        "nn.Dropout(1 - {code_of(op.rate)})",
        "dropout's rate is what is kept",
        ("dropout",),
    ),
    Fault(
        "keras_dilation",
        f"{_K}/lowering.py",
        '"dilation_rate": None if dilation is None else single(op.dilation),',
        '"dilation_rate": None,',
        "dilation is dropped",
        ("conv", "separable_conv"),
    ),
    Fault(
        "keras_unequal_strides",
        f"{_K}/lowering.py",
        "own = _both(op.stride, op.dilation) or _unequal(op.stride)\n"
        '    return _layer("SteppedDepthwiseConv2D"',
        'own = _both(op.stride, op.dilation)\n    return _layer("SteppedDepthwiseConv2D"',
        "unequal strides that TensorFlow refuses",
        ("depthwise_conv",),
    ),
    Fault(
        "keras_momentum",
        f"{_K}/lowering.py",
        "momentum=op.momentum,",
        "momentum=1 - op.momentum,",
        "batch norm's momentum is PyTorch's",
        ("batch_norm",),
    ),
    Fault(
        "keras_multiplier",
        f"{_K}/lowering.py",
        "single(op.kernel),\n        **_windowed(op),\n"
        "        depth_multiplier=unless(op.multiplier, 1),\n        depthwise_activation",
        "single(op.kernel),\n        **_windowed(op),\n"
        "        depth_multiplier=None,\n        depthwise_activation",
        "the depth multiplier is dropped",
        ("separable_conv",),
    ),
    Fault(
        "keras_elu_alpha",
        f"{_K}/lowering.py",
        "layers.ELU({'' if always(op.alpha, 1.0) else code_of(op.alpha)})",
        "layers.ELU()",
        "ELU's alpha is dropped",
        ("elu",),
    ),
    Fault(
        "keras_pool_stride",
        f"{_K}/lowering.py",
        "strides=None if code_of(step) == code_of(kernel) else step,",
        "strides=None,",
        "pooling steps by its kernel",
        ("max_pool", "avg_pool"),
    ),
    Fault(
        "keras_large_average",
        f"{_K}/lowering.py",
        'if op.padding == "same" and _large(op.kernel):',
        "if False:",
        "a gradient that TensorFlow gets wrong",
        ("avg_pool",),
    ),
    Fault(
        "flax_gelu",
        f"{_F}/lowering.py",
        'approximate = op.approximation == "tanh"',
        'approximate = op.approximation != "tanh"',
        "GELU the other way round",
        ("gelu",),
    ),
    Fault(
        "flax_avgpool_counts",
        f"{_F}/lowering.py",
        '_pool(op, "nnx.avg_pool", "" if counted else ", count_include_pad=False")',
        '_pool(op, "nnx.avg_pool", "")',
        "average pooling counts the border",
        ("avg_pool",),
    ),
    Fault(
        "flax_fast_variance",
        f"{_F}/lowering.py",
        "use_fast_variance=False,",
        "use_fast_variance=True,",
        "a variance that loses digits",
        ("batch_norm",),
    ),
    Fault(
        "flax_default_padding",
        f"{_F}/lowering.py",
        'if always(op.kernel, (1, 1)) and op.padding in ("same", "valid")',
        'if op.padding in ("same", "valid")',
        "valid becomes Flax' SAME",
        ("conv",),
    ),
    Fault(
        "flax_pool_stride",
        f"{_F}/lowering.py",
        'strides = "" if always(op.step, (1, 1)) else f", strides={step}"',
        'strides = "" if op.stride is None else f", strides={step}"',
        "a window without a stride steps by one pixel",
        ("max_pool",),
    ),
    Fault(
        "flax_concat_order",
        f"{_F}/lowering.py",
        "jnp.concatenate(({inputs}), axis=-1)",
        "jnp.concatenate(({inputs})[::-1], axis=-1)",
        "branches in reverse order",
        ("concat",),
    ),
)

LAYERS = (
    Fault(
        "torch_same_low",
        f"{_P}/layers.py",
        "amounts += [total // 2, total - total // 2]",
        "amounts += [total - total // 2, total // 2]",
        "SAME's odd pixel on the low side",
        ("conv", "max_pool"),
    ),
    Fault(
        "torch_unbiased",
        f"{_P}/layers.py",
        "        n = x.numel() // x.shape[1]\n",
        "        n = float('inf')\n",
        "the moving variance is unbiased",
        ("batch_norm",),
    ),
    Fault(
        "torch_depthwise_groups",
        f"{_P}/layers.py",
        "            in_channels,\n            in_channels * multiplier,\n            kernel_size,",
        "            in_channels,\n            in_channels,\n            kernel_size,",
        "the depth multiplier is dropped",
        ("depthwise_conv",),
    ),
    Fault(
        "torch_activation_order",
        f"{_P}/layers.py",
        "        if self.activation is not None:\n            x = self.activation(x)\n"
        "        return self.pointwise(x)",
        "        x = self.pointwise(x)\n        return x if self.activation is None else "
        "self.activation(x)",
        "the activation after the 1×1 convolution",
        ("separable_conv",),
    ),
    Fault(
        "torch_same_other_stride",
        f"{_P}/layers.py",
        "k, s, d, size = kernel_size[axis], stride[axis], dilation[axis], x.shape[2 + axis]",
        "k, s, d, size = kernel_size[axis], stride[0], dilation[axis], x.shape[2 + axis]",
        "SAME computed for another stride",
        ("conv", "depthwise_conv"),
    ),
    Fault(
        "keras_every_first",
        f"{_K}/layers.py",
        "first = (extent - 1) // 2 - total // 2",
        "first = 0",
        "SAME begins at the first pixel",
        ("separable_conv", "conv"),
    ),
    Fault(
        "keras_padded_max",
        f"{_K}/layers.py",
        'constant_values=-float("inf")',
        "constant_values=0",
        "max pooling padded with 0",
        ("max_pool",),
    ),
    Fault(
        "keras_gelu_constant",
        f"{_K}/layers.py",
        "0.044715 * x * x * x",
        "0.044715 * x * x",
        "a wrong power in GELU's approximation",
        ("gelu",),
    ),
    Fault(
        "flax_taps_dilation",
        f"{_F}/layers.py",
        "top, left = i * between, j * beside",
        "top, left = i, j",
        "dilation is dropped in the sum over the window",
        ("depthwise_conv",),
    ),
    Fault(
        "flax_separable_bias",
        f"{_F}/layers.py",
        "in_features * multiplier, out_features, (1, 1), use_bias=use_bias, rngs=rngs",
        "in_features * multiplier, out_features, (1, 1), rngs=rngs",
        "a bias that the spec does not have",
        ("separable_conv",),
    ),
    Fault(
        "flax_grouped_order",
        f"{_F}/layers.py",
        "                y = y + tap * kernel[i, j]\n"
        "        return y.reshape(*y.shape[:3], channels * multiplier)",
        "                y = y + tap * kernel[i, j]\n"
        "        return y.swapaxes(3, 4).reshape(*y.shape[:3], channels * multiplier)",
        "depthwise channels by filter instead of by channel",
        ("depthwise_conv",),
    ),
)

TRAINING = (
    Fault(
        "torch_l2_on_all",
        f"{_P}/recipe.py",
        '{"params": others, "weight_decay": 0.0}',
        '{"params": others, "weight_decay": L2}',
        "L2 on biases, gamma and beta",
    ),
    Fault(
        "torch_nesterov",
        f"{_P}/recipe.py",
        '(", nesterov=True" if nesterov else "")',
        '""',
        "Nesterov's step is forgotten",
    ),
    Fault(
        "torch_smoothing",
        f"{_P}/recipe.py",
        '", label_smoothing=LABEL_SMOOTHING" if loss.label_smoothing else ""',
        '""',
        "no label smoothing",
    ),
    Fault(
        "torch_average_statistics",
        f"{_P}/recipe.py",
        "    average = [*averaged.parameters(), *averaged.buffers()]\n"
        "    current = [*model.parameters(), *model.buffers()]",
        "    average = [*averaged.parameters()]\n    current = [*model.parameters()]",
        "statistics are left out of the average",
    ),
    Fault(
        "torch_average_direction",
        f"{_P}/recipe.py",
        "a.lerp_(w, 1 - decay)",
        "a.lerp_(w, decay)",
        "the average forgets what it should keep",
    ),
    Fault(
        "torch_average_warmup",
        f"{_P}/recipe.py",
        "    decay = min(AVERAGE_DECAY, (1 + step) / (10 + step))",
        "    decay = min(AVERAGE_DECAY, (2 + step) / (11 + step))",
        "the average's warm-up counts from 1",
    ),
    Fault(
        "torch_layout",
        f"{_P}/recipe.py",
        'yield "kernel", layer.weight, layer.weight.permute(2, 3, 1, 0)',
        'yield "kernel", layer.weight, layer.weight.permute(2, 3, 0, 1)',
        "in and out swapped on disk",
        ("conv",),
    ),
    Fault(
        "torch_evaluates_raw",
        f"{_P}/recipe.py",
        '"evaluated": "averaged",',
        '"evaluated": "model",',
        "evaluation of the raw weights",
    ),
    Fault(
        "torch_sum",
        f"{_P}/recipe.py",
        "cross_entropy(logits, labels{smoothing})",
        'cross_entropy(logits, labels{smoothing}, reduction=\\"sum\\")',
        "the loss is a sum over the batch",
    ),
    Fault(
        "torch_next_rate",
        f"{_P}/templates/train.py.jinja",
        "rate = learning_rate(step, plan)",
        "rate = learning_rate(step + 1, plan)",
        "the learning rate of the next step",
    ),
    Fault(
        "torch_resume",
        f"{_P}/templates/train.py.jinja",
        '    return checkpoint["step"]\n',
        '    return checkpoint["step"] + 1\n',
        "a resumed run skips a step",
    ),
    Fault(
        "torch_linear_layout",
        f"{_P}/templates/weights.py.jinja",
        'yield "kernel", layer.weight, layer.weight.T',
        'yield "kernel", layer.weight, layer.weight',
        "a dense kernel as (out, in)",
        ("dense",),
    ),
    Fault(
        "torch_bn_names",
        f"{_P}/templates/weights.py.jinja",
        'yield "gamma", layer.weight, layer.weight\n        yield "beta", layer.bias, layer.bias',
        'yield "beta", layer.weight, layer.weight\n        yield "gamma", layer.bias, layer.bias',
        "gamma and beta under each other's name",
        ("batch_norm",),
    ),
    Fault(
        "torch_seed",
        f"{_P}/templates/weights.py.jinja",
        'np.array([seed, int.from_bytes(digest[:8], "little")], np.uint64)',
        'np.array([0, int.from_bytes(digest[:8], "little")], np.uint64)',
        "kernels do not depend on the seed",
    ),
    Fault(
        "torch_grad_kept",
        f"{_P}/templates/train.py.jinja",
        "    optimizer.zero_grad()\n",
        "",
        "gradients of all steps add up",
    ),
    Fault(
        "torch_evaluates_training",
        f"{_P}/templates/train.py.jinja",
        "    model.eval()\n",
        "    model.train()\n",
        "evaluation in training mode",
    ),
    Fault(
        "keras_l2_twice",
        f"{_K}/recipe.py",
        "gradient += L2 * variable",
        "gradient += 2 * L2 * variable",
        "L2 twice as strong",
    ),
    Fault(
        "keras_momentum_holds_rate",
        f"{_K}/recipe.py",
        "velocity = self.momentum * self.momentums[index] + gradient",
        "velocity = self.momentum * self.momentums[index] + rate * gradient",
        "momentum holds the rate",
    ),
    Fault(
        "keras_nesterov",
        f"{_K}/recipe.py",
        '"(gradient + self.momentum * velocity)" if nesterov',
        '"(gradient + self.momentum * self.momentums[index] * self.momentum)" if nesterov',
        "another formula of Nesterov's",
    ),
    Fault(
        "keras_auxiliary_weight",
        f"{_K}/recipe.py",
        '("" if weight == 1 else f"{number(weight)} * ")\n        + f\'cross_entropy(labels',
        '""\n        + f\'cross_entropy(labels',
        "the auxiliary loss at full weight",
    ),
    Fault(
        "keras_average_late",
        f"{_K}/recipe.py",
        "update_average(self.averaged, self.model, self.first_step + batch)",
        "update_average(self.averaged, self.model, self.first_step + batch + 1)",
        "the average's warm-up is a step ahead",
    ),
    Fault(
        "keras_kernel_name",
        f"{_K}/templates/weights.py.jinja",
        'return name.endswith("kernel")',
        'return name.endswith(".kernel")',
        "L2 on no kernel, since Keras' own names have no dot",
    ),
    Fault(
        "keras_depthwise_name",
        f"{_K}/__init__.py",
        'found[f"{node.name}.kernel"] = f"{node.name}.depthwise_kernel"',
        "pass",
        "a wrong name of a weight",
        ("depthwise_conv",),
    ),
    Fault(
        "keras_order_resumed",
        f"{_K}/templates/train.py.jinja",
        "epoch, batch = divmod(first_step + index, plan.steps_per_epoch)",
        "epoch, batch = divmod(index, plan.steps_per_epoch)",
        "a resumed run sees the first images again",
    ),
    Fault(
        "keras_schedule_resumed",
        f"{_K}/templates/train.py.jinja",
        "    def on_train_batch_begin(self, batch: int, logs: object = None) -> None:\n"
        '        """Set the learning rate."""\n        model = self.model\n'
        "        model.optimizer.learning_rate = learning_rate(self.first_step + batch",
        "    def on_train_batch_begin(self, batch: int, logs: object = None) -> None:\n"
        '        """Set the learning rate."""\n        model = self.model\n'
        "        model.optimizer.learning_rate = learning_rate(batch",
        "a resumed run begins its schedule anew",
    ),
    Fault(
        "flax_l2_on_gamma",
        f"{_F}/recipe.py",
        'path[-1] == "kernel"',
        'path[-1] != "bias"',
        "L2 on gamma",
    ),
    Fault(
        "flax_momentum_forgotten",
        f"{_F}/recipe.py",
        "optax.trace(MOMENTUM{', nesterov=True' if nesterov else ''}),",
        "optax.trace(0.0{', nesterov=True' if nesterov else ''}),",
        "no momentum",
    ),
    Fault(
        "flax_l2_forgotten",
        f"{_F}/recipe.py",
        'steps.append("optax.add_decayed_weights(L2, kernels),  # gradient += L2 * kernel")',
        'steps.insert(0, "")',
        "L2 is forgotten",
    ),
    Fault(
        "flax_average_share",
        f"{_F}/recipe.py",
        "share = jnp.maximum(1 - AVERAGE_DECAY, 9 / (10 + step))",
        "share = jnp.minimum(1 - AVERAGE_DECAY, 9 / (10 + step))",
        "the average's warm-up the wrong way round",
    ),
    Fault(
        "flax_average_statistics",
        f"{_F}/recipe.py",
        "nnx.state(m, (nnx.Param, nnx.BatchStat))",
        "nnx.state(m, nnx.Param)",
        "statistics are left out of the average",
    ),
    Fault(
        "flax_smoothing",
        f"{_F}/recipe.py",
        "optax.smooth_labels(targets, LABEL_SMOOTHING)",
        "optax.smooth_labels(targets, LABEL_SMOOTHING / 2)",
        "half the label smoothing",
    ),
    Fault(
        "flax_sum",
        f"{_F}/recipe.py",
        "    return optax.softmax_cross_entropy(logits, targets).mean()",
        "    return optax.softmax_cross_entropy(logits, targets).sum()",
        "the loss is a sum over the batch",
    ),
    Fault(
        "flax_initial_draw",
        f"{_F}/templates/weights.py.jinja",
        'int.from_bytes(digest[:8], "little")',
        'int.from_bytes(digest[:8], "big")',
        "kernels from another key",
    ),
    Fault(
        "flax_variance_start",
        f"{_F}/templates/weights.py.jinja",
        'elif name.endswith(("gamma", "moving_variance")):',
        'elif name.endswith("gamma"):',
        "the moving variance starts at 0",
    ),
    Fault(
        "flax_evaluates_raw",
        f"{_F}/templates/train.py.jinja",
        "metrics = evaluate({{ train.evaluated }}, settings.batches(held_out",
        "metrics = evaluate(model, settings.batches(held_out",
        "evaluation of the raw weights",
    ),
)

SEMANTICS = (
    Fault(
        "reference_biased",
        f"{_OPS}/batch_norm.py",
        "return x.mean(axis=axes), x.var(axis=axes)",
        "return x.mean(axis=axes), x.var(axis=axes, ddof=1)",
        "the reference's variance is unbiased",
        ("batch_norm",),
    ),
    Fault(
        "default_epsilon",
        f"{_OPS}/batch_norm.py",
        "attribute(POSITIVE, 1e-3,",
        "attribute(POSITIVE, 1e-5,",
        "another default epsilon in all backends",
        ("batch_norm",),
    ),
    Fault(
        "same_low",
        f"{_OPS}/windows.py",
        "return total // 2, total - total // 2",
        "return total - total // 2, total // 2",
        "SAME's odd pixel on the low side",
        ("conv",),
    ),
    Fault(
        "pool_default_stride",
        f"{_OPS}/pooling.py",
        "return self.kernel if self.stride is None else self.stride",
        "return (1, 1) if self.stride is None else self.stride",
        "pooling without a stride steps by one pixel",
        ("max_pool",),
    ),
    Fault(
        "decomposition_multiplier",
        f"{_OPS}/separable_conv.py",
        "multiplier=self.multiplier,\n            bias=False",
        "multiplier=1,\n            bias=False",
        "a separable convolution without its multiplier",
        ("separable_conv",),
    ),
    Fault(
        "decomposition_order",
        f"{_OPS}/separable_conv.py",
        '            Step("depthwise", depthwise),\n            *between,\n'
        '            Step("pointwise", pointwise, {"kernel": "pointwise_kernel"}),',
        '            Step("depthwise", depthwise),\n'
        '            Step("pointwise", pointwise, {"kernel": "pointwise_kernel"}),\n'
        "            *between,",
        "the activation after the 1×1 convolution",
        ("separable_conv",),
    ),
    Fault(
        "group_shape",
        f"{_OPS}/conv.py",
        "shape = (*self.kernel, inputs[0].channels // self.groups, self.filters)",
        "shape = (*self.kernel, inputs[0].channels, self.filters // self.groups)",
        "the kernel of a grouped convolution has another shape",
        ("conv",),
    ),
    Fault(
        "macs_groups",
        f"{_OPS}/depthwise_conv.py",
        "return output.elements * self.kernel[0] * self.kernel[1]",
        "return output.elements * self.kernel[0] * self.kernel[1] * inputs[0].channels",
        "a depthwise convolution counted as a full one",
        ("depthwise_conv",),
    ),
    Fault(
        "reference_counts",
        f"{_OPS}/avg_pool.py",
        "        if self.count_include_pad:\n",
        "        if not self.count_include_pad:\n",
        "the reference counts the border",
        ("avg_pool",),
    ),
    Fault(
        "default_slope",
        f"{_OPS}/leaky_relu.py",
        "attribute(Real(0), 0.3,",
        "attribute(Real(0), 0.01,",
        "PyTorch's default slope in all backends",
        ("leaky_relu",),
    ),
    Fault(
        "auxiliary_is_main",
        f"{_RECIPE}/facts.py",
        "((name, weight) for name, weight in others if weight is not None)",
        "((name, 1.0) for name, weight in others if weight is not None)",
        "the auxiliary loss at full weight in all backends",
    ),
    Fault(
        "shortcut_lost",
        "xgraph/passes/elaborate.py",
        "            frame.current = entry\n            paths.append",
        "            paths.append",
        "a branch begins where the one before it ended",
    ),
)

EMIT = (
    Fault(
        "planner_shortcut",
        f"{_EMIT}/item_planner.py",
        "made, ends[position] = self.items(path, columns, body, current, variable)",
        "made, ends[position] = self.items(path, columns, body, current, flow)",
        "the shortcut overwrites the main path",
    ),
    Fault(
        "planner_concat_order",
        f"{_EMIT}/item_planner.py",
        "merge, wire = self.apply(item.merge, nodes, body, tuple(ends.values()), target)",
        "merge, wire = self.apply(item.merge, nodes, body, tuple(ends.values())[::-1], target)",
        "branches are joined in reverse order",
    ),
    Fault(
        "planner_constants",
        f"{_EMIT}/item_planner.py",
        "                spelling, constants = self.default_spelling(argument.value, body), "
        "self.globals\n",
        "                continue\n",
        "parameters in defaults are frozen",
        (),
        "a default that mentions a parameter of the spec is written as its value, which is right "
        "for the program as compiled",
    ),
    Fault(
        "modules_container",
        f"{_EMIT}/modules.py",
        'inner[name] = f"{base}[{position}]"',
        'inner[name] = f"{base}[0]"',
        "every turn of a loop written out uses the first layer",
    ),
    Fault(
        "modules_fold",
        f"{_EMIT}/modules.py",
        "and count(line.text, before.target) == 1\n",
        "",
        "an activation that reads its input twice is folded",
        ("flatten",),
        "every text that is folded mentions its input by re.sub, which replaces all of them: only "
        "the work is done twice",
    ),
    Fault(
        "modules_default",
        f"{_EMIT}/modules.py",
        "            if code is None or code == parameter.default:\n",
        "            if code is None or parameter.default is not None:\n",
        "arguments of blocks are forgotten",
    ),
    Fault(
        "functions_pad",
        f"{_EMIT}/functions.py",
        "            inputs[0] = statement.target\n",
        "",
        "explicit padding is computed and not used",
        ("conv",),
    ),
    Fault(
        "functions_default",
        f"{_EMIT}/functions.py",
        "            if code is None or code == parameter.default:\n",
        "            if code is None or parameter.default is not None:\n",
        "arguments of blocks are forgotten",
    ),
)

RECIPES = (
    Fault(
        "glorot_fans",
        f"{_RECIPE}/initializers.py",
        "return window * shape[-2], window * shape[-1]",
        "return window * shape[-1], window * shape[-2]",
        "fan in and fan out swapped",
    ),
    Fault(
        "glorot_sum",
        f"{_RECIPE}/initializers.py",
        '"sum(fans(shape))", "Glorot',
        '"max(fans(shape))", "Glorot',
        "another limit of Glorot's",
    ),
    Fault(
        "truncated_cut",
        f"{_RECIPE}/initializers.py",
        "        x = 4 * x - 2\n",
        "        x = 6 * x - 3\n",
        "the normal is cut off at 3",
    ),
    Fault(
        "uniform_bits",
        f"{_RECIPE}/initializers.py",
        "(philox.random_raw(count) >> np.uint64(11)) * 2.0**-53",
        "(philox.random_raw(count) >> np.uint64(12)) * 2.0**-53",
        "half the range",
    ),
    Fault(
        "warmup_late",
        f"{_RECIPE}/schedule_plan.py",
        "rate * min(1.0, (step + 1) / warmup)",
        "rate * min(1.0, step / warmup)",
        "warm-up begins with a rate of 0",
    ),
    Fault(
        "schedule_off_by_one",
        f"{_RECIPE}/schedule_plan.py",
        'f"(step // ({period}))" if "*" in period else f"(step // {period})"',
        'f"((step + 1) // ({period}))" if "*" in period else f"((step + 1) // {period})"',
        "the staircase a step early",
    ),
    Fault(
        "cosine_off_by_one",
        f"{_RECIPE}/schedule_plan.py",
        "math.cos(math.pi * step / plan.total_steps)",
        "math.cos(math.pi * (step + 1) / plan.total_steps)",
        "the cosine a step early",
    ),
    Fault(
        "schedule_no_final",
        f"{_RECIPE}/schedule_plan.py",
        'f"{final} + ({initial} - {final}) * {wave}"',
        'f"{final} + {initial} * {wave}"',
        "the cosine begins above its initial rate",
    ),
    Fault(
        "samples_period",
        f"{_RECIPE}/schedule_plan.py",
        'return f"(step * plan.batch_size // {every.count:_})"',
        'return f"(step // max(1, {every.count:_} // plan.batch_size))"',
        "samples rounded to whole steps",
    ),
    Fault(
        "decay_twice",
        f"{_RECIPE}/train_values.py",
        "number(recipe.regularization.rate)",
        "number(2 * recipe.regularization.rate)",
        "L2 twice as strong in all backends",
    ),
    Fault(
        "momentum_constant",
        f"{_RECIPE}/train_values.py",
        "number(recipe.optimizer.momentum)",
        "number(round(recipe.optimizer.momentum))",
        "momentum is rounded in all backends",
    ),
    Fault(
        "average_constant",
        f"{_RECIPE}/train_values.py",
        "number(recipe.average.decay)",
        "number(1 - recipe.average.decay)",
        "the average's decay is its complement in all backends",
    ),
    Fault(
        "order_of_epochs",
        f"{_EMIT}/templates/data.py.jinja",
        "uniform(count, seed, ORDER, epoch)",
        "uniform(count, seed, ORDER)",
        "every epoch in the same order",
    ),
    Fault(
        "augmentation_seed",
        f"{_EMIT}/templates/data.py.jinja",
        "uniform(3, self.seed, AUGMENTATION, epoch, index)",
        "uniform(3, self.seed, AUGMENTATION, 0, index)",
        "every epoch has the same crops",
    ),
    Fault(
        "flip_never",
        f"{_RECIPE}/images_plan.py",
        '"if random[2] < 0.5:"',
        '"if random[2] > 0.5:"',
        "the other images are mirrored",
    ),
    Fault(
        "normalized_otherwise",
        f"{_RECIPE}/images_plan.py",
        '"return pixels / 127.5 - 1"',
        '"return pixels / 128 - 1"',
        "bytes to less than 1",
    ),
)

MORE = (
    Fault(
        "torch_dropout_in_evaluation",
        f"{_P}/lowering.py",
        'Spelling("{module}({0})", f"nn.Dropout({code_of(op.rate)})")',
        'Spelling(f"F.dropout({{0}}, {code_of(op.rate)})")',
        "dropout in evaluation",
        ("dropout",),
    ),
    Fault(
        "torch_dropout_scale",
        f"{_P}/lowering.py",
        'f"nn.Dropout({code_of(op.rate)})"',
        'f"nn.AlphaDropout({code_of(op.rate)})"',
        "dropout that keeps another moment",
        ("dropout",),
    ),
    Fault(
        "keras_dropout_rate",
        f"{_K}/lowering.py",
        'f"layers.Dropout({code_of(op.rate)})"',
        'f"layers.Dropout({code_of(op.rate)} / 2)"',
        "half the rate of dropout",
        ("dropout",),
    ),
    Fault(
        "keras_float32_slope",
        f"{_K}/lowering.py",
        'made = f"LeakyReLU({code_of(op.negative_slope)})"',
        'made = f"layers.LeakyReLU({code_of(op.negative_slope)})"',
        "a slope in float32",
        ("leaky_relu",),
    ),
    Fault(
        "keras_initial_name",
        f"{_K}/templates/weights.py.jinja",
        "hashlib.sha256(name.encode())",
        "hashlib.sha256(word.encode())",
        "kernels of one shape start alike",
    ),
    Fault(
        "keras_average_not_saved",
        f"{_K}/recipe.py",
        """.replace("@", '        **named(averaged, "averaged"),\\n')""",
        '.replace("@", "")',
        "a resumed run begins a new average",
    ),
    Fault(
        "keras_loss_of_all",
        f"{_K}/recipe.py",
        "return keras.ops.divide(keras.ops.sum(losses), keras.ops.size(losses))",
        "return keras.ops.sum(losses)",
        "the loss is a sum over the batch",
    ),
    Fault(
        "flax_evaluates_training",
        f"{_F}/templates/train.py.jinja",
        "deterministic=True, use_running_average=True,",
        "deterministic=True, use_running_average=False,",
        "evaluation with batch statistics",
    ),
    Fault(
        "flax_checkpoint_weights",
        f"{_F}/templates/train.py.jinja",
        "state = nnx.state(parts, nnx.Not(nnx.RngKey))",
        "state = nnx.state(parts, nnx.Param)",
        "a resumed run has lost its statistics and its momentum",
    ),
    Fault(
        "flax_dropout_kept",
        f"{_F}/lowering.py",
        'f"nnx.Dropout({code_of(op.rate)}, rngs=rngs)"',
        'f"nnx.Dropout(1 - {code_of(op.rate)}, rngs=rngs)"',
        "dropout's rate is what is kept",
        ("dropout",),
    ),
)

FAULTS = (*LOWERING, *LAYERS, *TRAINING, *SEMANTICS, *EMIT, *RECIPES, *MORE)
