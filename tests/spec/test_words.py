"""What xgraph says to other frameworks' words: true synonyms, or that there is no such op."""

from __future__ import annotations

import ast
import dataclasses
import importlib.util
from pathlib import Path

import pytest

from xgraph import ops
from xgraph.diagnostics import closest, fold
from xgraph.spec import words
from xgraph.spec.calls import STRUCTURES

KNOWN = (*ops.names(), *STRUCTURES)
ATTRIBUTES = {op: [f.name for f in dataclasses.fields(ops.get(op))] for op in ops.names()}


def layers_of(package: str, file: str) -> list[str]:
    """The classes that a framework's package offers, read without importing it."""
    found = importlib.util.find_spec(package)
    assert found is not None, package
    assert found.origin is not None
    tree = ast.parse((Path(found.origin).parent / file).read_text(encoding="utf-8"))
    names = [
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]
    return [name for name in names if name[0].isupper()]


def test_the_table_names_what_there_is():
    assert set(words.SYNONYMS.values()) <= set(KNOWN)
    every = {attribute for attributes in ATTRIBUTES.values() for attribute in attributes}
    assert {ours for meant in words.ATTRIBUTES.values() for ours in meant} <= every


def test_a_word_means_one_thing():
    taken = {fold(name) for name in KNOWN}
    kinds = [set(words.SYNONYMS), set(words.INSTEAD), set(words.ABSENT), taken]
    assert sum(map(len, kinds)) == len(set().union(*kinds))


@pytest.mark.parametrize(
    ("package", "file", "least"),
    [("torch", "nn/modules/__init__.py", 150), ("keras", "layers/__init__.py", 100)],
)
def test_no_layer_of_a_framework_is_taken_for_a_misspelled_op(package, file, least):
    """Where xgraph says "did you mean", it is the same word, `Conv2d` for `conv`."""
    names = layers_of(package, file)
    assert len(names) >= least
    for name in names:
        hint = words.op_hint(name, KNOWN)
        if hint and hint.startswith("did you mean"):
            meant = hint.split("'")[1]
            assert fold(name).removesuffix("2d") == fold(meant), (name, hint)


@pytest.mark.parametrize(
    ("word", "meant"),
    [("swish", "silu"), ("Conv2D", "conv"), ("nn.Linear", "dense"), ("BatchNorm2d", "batch_norm"),
     ("BatchNormalization", "batch_norm"), ("MaxPooling2D", "max_pool"), ("Gemm", "dense"),
     ("GlobalAveragePool", "global_avg_pool"), ("ZeroPadding2D", "zero_pad"), ("Mul", "multiply"),
     ("Hardswish", "hard_swish"), ("Concatenate", "concat"), ("skip_connection", "residual"),
     ("rleu", "relu"), ("batch_nrom", "batch_norm"), ("depthwise", "depthwise_conv")],
)  # fmt: skip
def test_a_synonym_or_a_slip_leads_to_the_op(word, meant):
    assert f"'{meant}'" in words.op_hint(word, KNOWN)


@pytest.mark.parametrize("word", ["LSTM", "embedding", "reshape", "Dropout1d", "unsqueeze",
                                  "ConvLSTM2D", "lambda"])  # fmt: skip
def test_what_does_not_exist_is_said_to(word):
    """Words of what a network of images will never be made of, so that no new op breaks this."""
    assert words.op_hint(word, KNOWN) == "other frameworks have it, and there is no such op here"


def test_a_block_of_the_spec_comes_first():
    assert words.op_hint("swishy", KNOWN, ["swish_y"]) == "did you mean 'swish_y'?"


@pytest.mark.parametrize(
    ("op", "word", "hint"),
    [("conv", "strides", "'stride'"), ("conv", "kernel_size", "'kernel'"),
     ("conv", "use_bias", "'bias'"), ("conv", "out_channels", "'filters'"),
     ("conv", "fitlers", "'filters'"), ("conv", "activation", "an item of its own"),
     ("conv", "in_channels", "leave it out"), ("conv", "kernel_regularizer", "recipe"),
     ("separable_conv", "depth_multiplier", "'multiplier'"),
     ("depthwise_conv", "filters", "'multiplier' filters for each channel"),
     ("depthwise_conv", "out_channels", "'multiplier' filters for each channel"),
     ("batch_norm", "decay", "0.1 there is 0.9 here"), ("batch_norm", "eps", "'epsilon'"),
     ("batch_norm", "affine", "'scale' (γ) and 'center' (β)"), ("dense", "filters", "'units'"),
     ("dropout", "p", "'rate'"), ("dropout", "keep_prob", "1 - keep_prob"),
     ("leaky_relu", "alpha", "'negative_slope'"), ("max_pool", "pool_size", "'kernel'")],
)  # fmt: skip
def test_attributes(op, word, hint):
    assert hint in words.attribute_hint(op, word, ATTRIBUTES[op])


def test_values():
    options = ("glorot_uniform", "he_normal", "zeros")
    assert words.value_hint("xavier_uniform", options) == "this is called 'glorot_uniform' here"
    assert words.value_hint("kaiming_normal", options) == "this is called 'he_normal' here"
    assert words.value_hint("he_nromal", options) == "did you mean 'he_normal'?"
    assert words.value_hint("orthogonal", options) is None


@pytest.mark.parametrize(
    ("word", "known"),
    [("layer_norm", "batch_norm"), ("swish", "hard_swish"), ("drop_path", "dropout"),
     ("reshape", "repeat"), ("group_norm", "batch_norm")],
)  # fmt: skip
def test_words_that_are_merely_alike_are_not_taken_for_each_other(word, known):
    assert closest(word, [known]) is None
