"""Other frameworks' words, and what they are called here.

One table for PyTorch, Keras, Flax, timm and ONNX. It holds true synonyms only; a word whose op does
not exist here is listed as such, since an op that is merely spelled alike (`layer_norm` and
`batch_norm`) would be another network. Words are compared without case, `_` and `-`, and without
the module that they stand in (`nn.Conv2d`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from xgraph.diagnostics import closest, fold, suggest
from xgraph.ops import names

#: Ops and structures of specs, each with what others call it.
_SYNONYMS: Mapping[str, str] = {
    "adaptive_avg_pool": "adaptive_average_pool adaptive_average_pooling adaptive_avg_pooling",
    "adaptive_max_pool": "adaptive_max_pooling",
    "add": "sum plus addn eltwise_add elementwise_add",
    "attention": "multi_head_attention multihead_attention self_attention mhsa",
    "average": "mean",
    "avg_pool": "average_pool average_pooling avg_pooling mean_pool",
    "batch_norm": "bn batch_normalization",
    "branches": "parallel",
    "channel_shuffle": "shuffle shuffle_channels",
    "channel_slice": "slice_channels narrow",
    "concat": "concatenate cat depth_concat channel_concat",
    "conv": "convolution convolutional conv_layer",
    "conv_transpose": "transposed_conv transpose_conv deconv deconvolution conv2d_transpose "
    "lazy_conv_transpose up_conv",
    "crop": "cropping center_crop",
    "dense": "linear fc fully_connected gemm inner_product",
    "depthwise_conv": "depthwise depthwise_convolution dw_conv conv_dw dw",
    "elu": "exponential_linear_unit",
    "flatten": "flat",
    "gelu": "gaussian_error_linear_unit",
    "global_avg_pool": "global_average_pool global_average_pooling global_avg_pooling gap",
    "global_max_pool": "global_max_pooling gmp",
    "group_norm": "group_normalization gn",
    "hard_sigmoid": "h_sigmoid",
    "hard_swish": "h_swish hard_silu",
    "identity": "noop no_op pass_through",
    "layer_norm": "layer_normalization ln",
    "leaky_relu": "lrelu leaky",
    "local_response_norm": "lrn cross_map_lrn local_response_normalization norm_lrn",
    "max_pool": "max_pooling",
    "maximum": "max eltwise_max elementwise_max",
    "multiply": "mul times product eltwise_mul elementwise_mul",
    "normalize": "normalization standardize",
    "position_embedding": "positional_embedding pos_embed pos_embedding",
    "prelu": "parametric_relu",
    "relu": "rectifier rectified_linear",
    "repeat": "loop",
    "resize": "resizing interpolate up_sampling upsample upsampling upsample_nearest "
    "upsampling_nearest upsampling_bilinear",
    "residual": "skip skip_connection shortcut res_block",
    "rescale": "rescaling",
    "rms_norm": "rms_normalization",
    "scale": "layer_scale",
    "separable_conv": "separable separable_convolution sep_conv",
    "sigmoid": "logistic",
    "silu": "swish",
    "space_to_depth": "reorg focus",
    "spatial_dropout": "dropout2d channel_dropout spatial_dropout2d feature_dropout",
    "stochastic_depth": "drop_path drop_connect",
    "subtract": "sub minus",
    "tanh": "hyperbolic_tangent",
    "zero_pad": "zero_padding pad constant_pad",
}

#: Layers of other frameworks. There is nothing here of those that are no op.
_OTHERS = """
    instance_norm unit_normalization instance_normalization weight_norm spectral_norm
    spectral_normalization batch_renorm global_response_norm grn lp_normalization selu celu
    crelu rrelu glu softplus soft_plus softsign softmin log_softmax log_sigmoid logsoftmax
    logsigmoid thresholded_relu threshold softshrink soft_shrink hardshrink hard_shrink
    tanhshrink tanh_shrink hardtanh hard_tanh exponential maxout squareplus sparsemax
    sparse_plus sparse_sigmoid adaptive_log_softmax_with_loss hardmax shrink drop_block
    alpha_dropout gaussian_dropout gaussian_noise feature_alpha_dropout activity_regularization
    conv_local deform_conv unpool max_unpool lp_pool fractional_max_pool roi_align roi_pool
    grid_sample fold unfold reshape view permute transpose squeeze unsqueeze expand_dims
    unflatten slice split chunk gather tile stack roll repeat_vector masking reflection_pad
    replication_pad circular_pad reflect_pad minimum min reduce_mean reduce_max reduce_sum div
    divide matmul mat_mul dot einsum einsum_dense pow sqrt exp log abs neg clip clamp bias_add
    bilinear cosine_similarity pairwise_distance discretization hashing lstm lstm_cell gru
    gru_cell rnn rnn_cell rnn_base rnn_cell_base simple_rnn simple_rnn_cell conv_lstm
    bidirectional time_distributed stacked_rnn_cells embedding embedding_bag
    reversible_embedding additive_attention group_query_attention transformer
    transformer_encoder transformer_encoder_layer transformer_decoder transformer_decoder_layer
    patch_embed cls_token lambda sync_batch_norm sync_bn linear_general
    dropout1d dropout3d conv1d_transpose conv3d_transpose group_conv
"""

_SQUEEZE = (
    "write it as a block: a residual with 'merge: multiply' around global_avg_pool and convs, "
    "the last with as many filters as $input.channels"
)
#: What is no op here, and how it is said instead.
_INSTEAD: Mapping[str, str] = {
    "activation": "each activation is an op of its own, such as relu, silu or sigmoid",
    "basic_block": "there is no such op; write it as a block",
    "bottleneck": "there is no such op; write it as a block",
    "conv_bn": "write it as a block: conv, batch_norm",
    "conv_bn_act": "write it as a block: conv, batch_norm and an activation",
    "conv_bn_relu": "write it as a block: conv, batch_norm, relu",
    "conv_norm_act": "write it as a block: conv, batch_norm and an activation",
    "input": "the input stands at the top of a spec; a body begins with it",
    "input_layer": "the input stands at the top of a spec; a body begins with it",
    "inverted_residual": "there is no such op; write it as a block",
    "items": "items stand in place of the body, in a block or section of a spec that extends "
    "another",
    "mb_conv": "there is no such op; write it as a block",
    "pixel_shuffle": "this is 'depth_to_space' after a 'channel_shuffle', whose groups are the "
    "channels that come out",
    "pixel_unshuffle": "this is 'space_to_depth' before a 'channel_shuffle', of block · block "
    "groups",
    "se": _SQUEEZE,
    "se_block": _SQUEEZE,
    "sequential": "a list of items is a sequence",
    "squeeze_excite": _SQUEEZE,
    "squeeze_excitation": _SQUEEZE,
}

#: Attributes, each with what others call it.
_ATTRIBUTES: Mapping[str, str] = {
    "approximation": "approximate",
    "block": "block_size upscale_factor downscale_factor",
    "bias": "use_bias bias_term with_bias has_bias",
    "ceil_mode": "ceil round_mode",
    "center": "use_bias beta bias use_beta",
    "dilation": "dilation_rate dilations kernel_dilation atrous_rate rhs_dilation",
    "epsilon": "eps",
    "filters": "out_channels output_channels num_filters n_filters nb_filter channels features "
    "out_features num_output units planes out_planes out_chs out_depth width",
    "groups": "group feature_group_count num_groups cardinality",
    "head_size": "head_dim dim_head key_dim head_width",
    "heads": "num_heads n_heads n_head nhead",
    "initial": "init_value init_values initial_value layer_scale_init_value",
    "keep_dims": "keepdims keepdim",
    "kernel": "kernel_size kernel_shape pool_size window window_shape window_size ksize size "
    "filter_size",
    "kernel_initializer": "kernel_init weight_init weight_initializer init initializer "
    "depthwise_initializer pointwise_initializer",
    "mean": "mu",
    "method": "mode interpolation",
    "multiplier": "depth_multiplier channel_multiplier",
    "negative_slope": "alpha slope leak negative_rate",
    "padding": "pad pads auto_pad border_mode",
    "rate": "p drop_rate dropout_rate drop_prob prob ratio dropout",
    "scale": "use_scale gamma use_gamma scale_factor scales",
    "size": "output_size sizes local_size n",
    "std": "sigma stddev deviation",
    "stride": "strides window_strides subsample step",
    "units": "out_features features num_output output_dim out_channels filters num_classes classes "
    "n_out output_size width",
}

_INFERRED = "it comes with the input; leave it out"
_LAYOUT = "images are height × width × channels in every spec; leave it out"
_L2 = "L2 belongs to the recipe, under 'regularization'"
_STARTS = "biases and β start at 0, γ at 1"
#: Attributes that no op here has, and why or how it is said instead.
_NO_ATTRIBUTES: Mapping[str, str] = {
    "activation": "an activation is an item of its own, after this one: [{conv: …}, relu]",
    "activation_fn": "an activation is an item of its own, after this one: [{conv: …}, relu]",
    "axis": _LAYOUT,
    "beta_initializer": _STARTS,
    "bias_init": _STARTS,
    "bias_initializer": _STARTS,
    "data_format": _LAYOUT,
    "dim": _LAYOUT,
    "dtype": "the recipe says it, as 'precision'",
    "gamma_initializer": _STARTS,
    "in_channels": _INFERRED,
    "in_features": _INFERRED,
    "input_channels": _INFERRED,
    "input_dim": _INFERRED,
    "input_shape": _INFERRED,
    "kernel_regularizer": _L2,
    "bias_regularizer": _L2,
    "num_features": _INFERRED,
    "weight_decay": _L2,
}
#: Attributes of one op, or of one with such an attribute.
_OF_ONE: Mapping[tuple[str, str], str] = {
    ("batch_norm", "affine"): "say 'scale' (γ) and 'center' (β), each of its own",
    ("batch_norm", "decay"): "this is 'momentum', the share of the old statistics; "
    "PyTorch's momentum is the share of the new ones, 0.1 there is 0.9 here",
    ("local_response_norm", "depth_radius"): "'size' counts all channels: 2 · depth_radius + 1; "
    "alpha here is TensorFlow's times that",
    ("local_response_norm", "bias"): "this is called 'k' here",
    ("normalize", "variance"): "say 'std', the square root of the variance",
    ("dropout", "keep_prob"): "say 'rate', the share that becomes zero: 1 - keep_prob",
    ("stochastic_depth", "survival_probability"): "say 'rate', the share that becomes zero: "
    "1 - survival_probability",
}
_DEPTHWISE = "a depthwise convolution gives 'multiplier' filters for each channel, 1 by default"

#: Values that attributes take, each with what others call it.
_VALUES: Mapping[str, str] = {
    "glorot_normal": "xavier_normal",
    "glorot_uniform": "xavier_uniform xavier glorot",
    "he_normal": "kaiming_normal msra_normal",
    "he_normal_fan_out": "kaiming_normal_fan_out",
    "he_uniform": "kaiming_uniform",
    "he_uniform_fan_out": "kaiming_uniform_fan_out",
    "same": "same_upper",
    "zeros": "zero constant_zero",
    "ones": "one constant_one",
}


def _by_word(table: Mapping[str, str]) -> dict[str, list[str]]:
    """What is meant by each word, folded; a word may belong to several."""
    found: dict[str, list[str]] = {}
    for ours, words in table.items():
        for word in {fold(word) for word in words.split()}:
            found.setdefault(word, []).append(ours)
    return found


SYNONYMS = {word: meant for word, (meant,) in _by_word(_SYNONYMS).items()}
ABSENT = frozenset(map(fold, _OTHERS.split())) - set(map(fold, names()))
INSTEAD = {fold(word): text for word, text in _INSTEAD.items()}
ATTRIBUTES = _by_word(_ATTRIBUTES)
NO_ATTRIBUTES = {fold(word): text for word, text in _NO_ATTRIBUTES.items()}
VALUES = {word: meant for word, (meant,) in _by_word(_VALUES).items()}


def op_hint(word: str, ops: Collection[str], blocks: Iterable[str] = ()) -> str | None:
    """What to use instead of an op or block that does not exist.

    A slip of the pen in the name of a block comes first, then what other frameworks call so, and
    then a slip in the name of an op or structure.

    Args:
        word: what the spec says.
        ops: the names of ops and structures.
        blocks: the names of the spec's blocks.
    """
    if hint := suggest(word, blocks):
        return hint
    plain = word.rsplit(".", 1)[-1]
    if len(plain) > _LONGEST:
        return None
    same = {fold(op): op for op in ops}
    for folded in _readings(plain):
        if folded in same:
            return f"did you mean '{same[folded]}'?"
        if folded in SYNONYMS:
            return f"this is called '{SYNONYMS[folded]}' here"
        if folded in INSTEAD:
            return INSTEAD[folded]
        if folded in ABSENT:
            return "other frameworks have it, and there is no such op here"
    if fold(plain).endswith(("1d", "3d")):
        return "there are ops for images only, with a height and a width"
    return suggest(plain, ops)


def _readings(word: str) -> tuple[str, ...]:
    """A word without case and separators, and without what says that it is for images."""
    folded = fold(word)
    for ending in ("2d", "layer", "op"):
        if folded.endswith(ending) and len(folded) > len(ending):
            return (folded, folded.removesuffix(ending))
    return (folded,)


def attribute_hint(op: str, word: str, attributes: Collection[str]) -> str | None:
    """What to say instead of an attribute that the op does not have.

    Args:
        op: the name of the op.
        word: the attribute that the spec gives.
        attributes: those that the op has.
    """
    folded = fold(word)
    same = {fold(attribute): attribute for attribute in attributes}
    if folded in same:
        return f"did you mean '{same[folded]}'?"
    if (op, word) in _OF_ONE:
        return _OF_ONE[op, word]
    meant = [ours for ours in ATTRIBUTES.get(folded, ()) if ours in attributes]
    if meant:
        return f"this is called '{meant[0]}' here"
    wide = folded == "filters" or "filters" in ATTRIBUTES.get(folded, ())
    if op == "depthwise_conv" and wide:
        return _DEPTHWISE
    return NO_ATTRIBUTES.get(folded) or suggest(word, attributes)


def value_hint(word: str, options: Collection[str]) -> str | None:
    """What to say instead of a value that an attribute does not take."""
    meant = VALUES.get(fold(word))
    if meant in options and closest(word, options) != fold(word):
        return f"this is called '{meant}' here"
    return suggest(word, options)


#: A word that is longer is none.
_LONGEST = 64
