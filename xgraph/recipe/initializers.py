"""Initializers as NumPy source: one text for every framework, so that all start from the same bits.

Only Philox's raw 64-bit words are used, whose stream NumPy guarantees, and operations that IEEE 754
rounds correctly, so a weight has the same bits wherever it is drawn.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

_UNIFORM_BITS = '''\
def uniform(count: int, philox: np.random.Philox) -> np.ndarray:
    """Float64 in [0, 1) of 53 random bits each."""
    return (philox.random_raw(count) >> np.uint64(11)) * 2.0**-53
'''

_FANS = '''\
def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """Keras' fan-in and fan-out; all axes but the last two are the window."""
    window = math.prod(shape[:-2])
    return window * shape[-2], window * shape[-1]
'''

_TRUNCATED = '''\
def truncated(shape: tuple[int, ...], philox: np.random.Philox) -> np.ndarray:
    """Standard normal, cut off at ±2: uniform x in [-2, 2), kept with probability exp(-x²/2)."""
    count = math.prod(shape)
    kept = np.empty(0)
    while kept.size < count:
        x, chance = uniform(2 * count, philox).reshape(2, count)
        x = 4 * x - 2
        kept = np.concatenate([kept, x[chance < np.exp(-x * x / 2)]])
    return kept[:count].reshape(shape)
'''

_HELPERS = {"uniform": _UNIFORM_BITS, "fans": _FANS, "truncated": _TRUNCATED}

_SIGNATURE = "(shape: tuple[int, ...], philox: np.random.Philox) -> np.ndarray:"

# Keras' VarianceScaling: scale and which fan.
_SCALING = {
    "glorot": (2, "fan_in + fan_out", "sum(fans(shape))", "Glorot and Bengio 2010"),
    "he": (2, "fan_in", "fans(shape)[0]", "He et al. 2015"),
    "lecun": (1, "fan_in", "fans(shape)[0]", "LeCun et al. 1998"),
}
_FAN_OUT = "_fan_out"
_TRUNCATED_NORMAL = re.compile(r"truncated_normal\((?P<stddev>[-+.0-9e]+)\)")
_CONSTANT = re.compile(r"constant\((?P<value>[-+.0-9e]+)\)")


@dataclass(frozen=True)
class InitializerPlan:
    """Source lines that draw `values` for the weight `name`, and what they need.

    `functions` are lines too; `modules` are those of the standard library to import.
    """

    draw: tuple[str, ...]
    functions: tuple[str, ...]
    modules: tuple[str, ...]


def plan_initializers(initializers: Mapping[str, str]) -> InitializerPlan:
    """The least code for these kernels: canonical name → canonical text of an initializer.

    The commonest initializer is the rule; the others become a table of exceptions. What stands in
    a loop is named there without its index: a model may be made with more turns than were compiled.
    """
    counts = Counter(initializers.values())
    ranked = sorted(counts, key=lambda text: (-counts[text], text)) or ["glorot_uniform"]
    default = _function_name(ranked[0])
    needed = set().union(*(_needs(text) for text in ranked))
    helpers = [source for name, source in _HELPERS.items() if name in needed]
    blocks = [*helpers, *(_source(text) for text in ranked)]
    lines = "\n\n".join(blocks).splitlines()
    if len(ranked) == 1:
        draw = [f"values = {default}(tuple(view.shape), np.random.Philox(key=key))"]
    else:
        exceptions, looped = _exceptions(initializers, ranked[0])
        place = 're.sub(r"\\.\\d+", "", name)' if looped else "name"
        draw = [
            f"draw = EXCEPTIONS.get({place}, {default})",
            "values = draw(tuple(view.shape), np.random.Philox(key=key))",
        ]
        if looped and any(without_indices(name) != name for name in exceptions):
            draw[0] = f"draw = EXCEPTIONS.get(name) or EXCEPTIONS.get({place}, {default})"
        table = [f'    "{name}": {_function_name(text)},' for name, text in exceptions.items()]
        lines += ["", "", f"#: Kernels that do not start from {default}.", "EXCEPTIONS = {"]
        lines += [*table, "}"]
    modules = [name for name in ("math", "re") if f"{name}." in "\n".join([*lines, *draw])]
    return InitializerPlan(tuple(draw), tuple(lines), tuple(modules))


def without_indices(name: str) -> str:
    """A weight's name without the indices of loops."""
    return re.sub(r"\.\d+", "", name)


def _exceptions(initializers: Mapping[str, str], default: str) -> tuple[dict[str, str], bool]:
    """Kernels that do not start by the rule, and whether one is named without its indices."""
    alike: dict[str, set[str]] = {}
    for name, text in initializers.items():
        alike.setdefault(without_indices(name), set()).add(text)
    found = {}
    for name, text in initializers.items():
        if text != default:
            one = len(alike[without_indices(name)]) == 1
            found[without_indices(name) if one else name] = text
    return found, any(name not in initializers for name in found)


def _function_name(text: str) -> str:
    """An initializer's text as an identifier: `truncated_normal(0.01)` → truncated_normal_0_01."""
    return re.sub(r"[^a-z0-9]+", "_", text.replace("(-", "(minus ")).strip("_")


def _needs(text: str) -> set[str]:
    """The helpers that an initializer's source calls."""
    if text in ("zeros", "ones") or _CONSTANT.fullmatch(text):
        return set()
    if _TRUNCATED_NORMAL.fullmatch(text):
        return {"uniform", "truncated"}
    return {"uniform", "fans"} | ({"truncated"} if "_normal" in text else set())


def _source(text: str) -> str:
    name = _function_name(text)
    head = f"def {name}{_SIGNATURE}\n"
    if text in ("zeros", "ones"):
        return head + f'    """All {text}."""\n    return np.{text}(shape)\n'
    if match := _CONSTANT.fullmatch(text):
        value = match["value"]
        return head + f'    """All {value}."""\n    return np.full(shape, {value})\n'
    if match := _TRUNCATED_NORMAL.fullmatch(text):
        stddev = match["stddev"]
        return head + (
            f'    """Normal with standard deviation {stddev}, cut off at twice that."""\n'
            f"    return {stddev} * truncated(shape, philox)\n"
        )
    family, _, distribution = text.removesuffix(_FAN_OUT).partition("_")
    scale, fan, fan_source, source = _SCALING[family]
    if text.endswith(_FAN_OUT):
        fan, fan_source = "fan_out", "fans(shape)[1]"
    if distribution == "uniform":
        return head + (
            f'    """Uniform within ±sqrt({3 * scale} / {_paren(fan)}) ({source})."""\n'
            f"    limit = math.sqrt({3 * scale} / {fan_source})\n"
            "    return (limit * (2 * uniform(math.prod(shape), philox) - 1)).reshape(shape)\n"
        )
    return head + (
        f'    """Normal with standard deviation sqrt({scale} / {_paren(fan)}) ({source}).\n\n'
        "    The normal is wider by 1 / 0.8796, so that it has that deviation after the cut.\n"
        '    """\n'
        f"    stddev = math.sqrt({scale} / {fan_source}) / 0.87962566103423978\n"
        "    return stddev * truncated(shape, philox)\n"
    )


def _paren(fan: str) -> str:
    return f"({fan})" if "+" in fan else fan
