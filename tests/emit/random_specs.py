# ruff: noqa: E501
"""Random specs that use every structure of the language; not every one of them is legal."""

from __future__ import annotations

import json
import random
from typing import Any

Item = Any


class Author:
    """Writes one spec."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.blocks: dict[str, dict[str, Any]] = {}
        self.signatures: dict[str, dict[str, str]] = {}
        self.used: set[str] = set()
        self.names: list[str] = []
        self.depth = 0

    def spec(self) -> str:
        one = self.random
        params = {"width": one.randint(2, 5), "depth": one.randint(0, 3), "slim": one.random() < 0.5,
                  "alpha": one.choice([0.5, 0.75, 1.25]), "word": one.choice(["relu", "elu"])}  # fmt: skip
        kinds = {"width": "int", "depth": "count", "slim": "bool", "alpha": "float", "word": "word"}
        for number in range(one.randint(1, 4)):
            self.block(f"block{number}", kinds)
        graph = {}
        for number in range(one.randint(1, 3)):
            self.begin()
            body = self.body(kinds, one.randint(1, 4))
            graph[f"part{number}"] = body if number == 0 or one.random() < 0.6 else {
                "from": one.choice(["input", *graph]), "body": body,
            }  # fmt: skip
            if one.random() < 0.4 and self.names:
                self.taps = [f"part{number}.{one.choice(self.names)}"]
        graph["head"] = ["global_avg_pool", {"dense": 3}]
        outputs: dict[str, Any] = {"logits": "head"}
        if one.random() < 0.6:
            outputs["tap"] = one.choice(list(graph))
        if hasattr(self, "taps"):
            outputs["inner"] = self.taps[0]
        defaults = {"conv": {"padding": "same"}, "separable_conv": {"padding": "same", "kernel": 3}}
        if one.random() < 0.5:
            defaults["batch_norm"] = {"scale": "$slim"}
        spec = {
            "xgraph": 1, "name": "random", "params": params, "input": {"shape": [9, 8, 3]},
            "defaults": defaults, "blocks": self.blocks, "graph": graph, "outputs": outputs,
        }  # fmt: skip
        return json.dumps(spec, indent=1)

    def begin(self) -> None:
        self.used, self.names = set(), []

    def block(self, name: str, outer: dict[str, str]) -> None:
        one = self.random
        self.begin()
        params: dict[str, Any] = {"filters": one.choice([None, 3, "$width", "'$width + 1'"])}
        params = {"filters": one.choice([3, "$width", "$width + 1", "$width * 2"])}
        kinds = {"filters": "int"}
        for extra, kind, values in (
            (
                "inner",
                "int",
                [
                    2,
                    "$filters",
                    "max($filters // 2, 1)",
                    "$filters + $width",
                    "$input.channels",
                    "$input.channels + $filters",
                ],
            ),
            ("kernel", "kernel", [1, 3, [1, 3]]),
            ("flag", "bool", [True, False, "$input.channels == $filters"]),
            ("times", "count", [0, 1, 2, "$depth", "min($input.channels, 3)"]),
            ("act", "word", ["relu", "elu", "tanh", "$word"]),
            ("widths", "ints", [[2, 3], [4, 2, 3], [1]]),
            ("stride", "stride", [1, 2]),
        ):
            if one.random() < 0.35:
                params[extra] = one.choice(values)
                kinds[extra] = kind
        required = [p for p in params if one.random() < 0.3]
        body = self.body({**outer, **kinds}, one.randint(1, 4))
        ordered = {p: params[p] for p in params}
        self.blocks[name] = {"params": ordered, "body": body}
        del required  # every parameter has a default here; calls give some of them
        self.signatures[name] = kinds

    def value(self, kind: str, seen: dict[str, str]) -> Any:
        one = self.random
        ints = [n for n, k in seen.items() if k == "int"]
        if kind == "int":
            choices: list[Any] = [one.randint(1, 5)]
            if ints:
                name = one.choice(ints)
                choices += [f"${name}", f"${name}", f"${name} + 1", f"${name} * 2",
                            f"make_divisible(${name} * 1.5, 2)", f"ceil(${name} / 2)"]  # fmt: skip
                indexes = [n for n, k in seen.items() if k == "index"]
                if indexes:
                    choices += [f"${name} + ${one.choice(indexes)}"]
            return one.choice(choices)
        if kind == "bool":
            names = [f"${n}" for n, k in seen.items() if k == "bool"]
            names += [f"${n} > 2" for n in ints] + [f"${n} % 2 == 0" for n, k in seen.items()
                                                    if k == "index"]  # fmt: skip
            names += [f"${n} == 'relu'" for n, k in seen.items() if k == "word"]
            return one.choice([True, False, *names])
        pool = {"kernel": [1, 3, [3, 1], 2], "count": [0, 1, 2, 3], "stride": [1, 1, 2],
                "word": ["relu", "elu", "silu"], "ints": [[2, 3], [3], [4, 2, 3]],
                "float": [0.1, 0.3]}[kind]  # fmt: skip
        names = [f"${n}" for n, k in seen.items() if k == kind]
        return one.choice([*pool, *names, *names])

    def body(self, seen: dict[str, str], count: int) -> list[Item]:
        return [self.item(seen) for _ in range(count)]

    def named(self, call: dict[str, Any]) -> dict[str, Any]:
        if self.random.random() < 0.3:
            name = self.random.choice("abcdef") + str(len(self.used))
            self.used.add(name)
            self.names.append(name)
            return {**call, "name": name}
        return call

    def item(self, seen: dict[str, str]) -> Item:
        one = self.random
        self.depth += 1
        try:
            choice = one.choice(
                ["op"] * 5 + ["call"] * 4 + ["wire"] * 2
                + (["repeat", "for", "residual", "branches", "parallel", "if", "when"]
                   if self.depth < 4 else [])
            )  # fmt: skip
            return getattr(self, choice)(seen)
        finally:
            self.depth -= 1

    def op(self, seen: dict[str, str]) -> Item:
        one = self.random
        made = one.choice([
            {"conv": {"filters": self.value("int", seen), "kernel": self.value("kernel", seen)}},
            {"conv": {"filters": self.value("int", seen), "kernel": 1, "bias": self.value("bool", seen)}},
            {"separable_conv": {"filters": self.value("int", seen),
                                "depthwise_activation": self.value("word", seen)}},
            {"batch_norm": {"center": self.value("bool", seen)}},
            "relu", "batch_norm",
            {"leaky_relu": self.value("float", seen)},
            {"max_pool": {"kernel": self.value("kernel", seen), "stride": 1, "padding": "same"}},
            {"avg_pool": {"kernel": 3, "stride": self.value("stride", seen), "padding": "same"}},
            {"depthwise_conv": {"kernel": self.value("kernel", seen), "padding": "same",
                                "multiplier": one.choice([1, 2])}},
        ])  # fmt: skip
        return self.named(made if isinstance(made, dict) else {made: {}})

    def call(self, seen: dict[str, str]) -> Item:
        if not self.signatures:
            return self.op(seen)
        name = self.random.choice(list(self.signatures))
        given = {
            parameter: self.value(kind, seen)
            for parameter, kind in self.signatures[name].items()
            if self.random.random() < 0.5
        }
        return self.named({name: given})

    def wire(self, seen: dict[str, str]) -> Item:
        if not self.names:
            return self.op(seen)
        sources = [self.random.choice([*self.names, "input"]) for _ in range(2)]
        return self.named({"concat": {}, "from": sources})

    def repeat(self, seen: dict[str, str]) -> Item:
        made: dict[str, Any] = {"repeat": self.value("count", seen)}
        inner = dict(seen)
        if self.random.random() < 0.5:
            index = f"i{self.depth}"
            made["index"], inner[index] = index, "index"
        return {**made, "body": self.body(inner, self.random.randint(1, 2))}

    def for_(self, seen: dict[str, str]) -> Item:
        one = self.random
        length = one.randint(1, 3)
        variables: dict[str, Any] = {}
        inner = dict(seen)
        for name, kind in (("n", "int"), ("k", "kernel"), ("w", "word"), ("b", "bool")):
            if one.random() < 0.4:
                pool = {"int": [2, 3, 4], "kernel": [1, 3, [1, 3]], "word": ["relu", "elu"],
                        "bool": [True, False]}[kind]  # fmt: skip
                variables[f"{name}{self.depth}"] = [one.choice(pool) for _ in range(length)]
                inner[f"{name}{self.depth}"] = kind
        lists = [n for n, k in seen.items() if k == "ints"]
        if not variables or (lists and one.random() < 0.5):
            inner = {**seen, f"n{self.depth}": "int"}
            variables = {f"n{self.depth}": f"${one.choice(lists)}" if lists else [2, 4]}
        return {"for": variables, "body": self.body(inner, one.randint(1, 2))}

    def residual(self, seen: dict[str, str]) -> Item:
        filters = self.value("int", seen)
        last = {"conv": {"filters": filters, "kernel": 1}}
        main = [*self.body(seen, self.random.randint(0, 2)), last]
        return {"residual": main, "shortcut": [dict(last)]}

    def branches(self, seen: dict[str, str]) -> Item:
        count = self.random.randint(2, 3)
        paths = [self.body(seen, self.random.randint(0, 2)) for _ in range(count)]
        if self.random.random() < 0.5:
            return {"branches": paths, "merge": "concat"}
        return {"branches": dict(zip(("left", "middle", "right"), paths, strict=False)),
                "merge": "concat"}  # fmt: skip

    def parallel(self, seen: dict[str, str]) -> Item:
        loop = self.random.choice([self.repeat, self.for_])(seen)
        return {"branches": loop, "merge": self.random.choice(["concat", "concat", "add"])}

    def when(self, seen: dict[str, str]) -> Item:
        call = self.op(seen)
        return {**call, "when": self.value("bool", seen)}

    def if_(self, seen: dict[str, str]) -> Item:
        return {"if": self.value("bool", seen), "then": self.body(seen, 1),
                "else": self.body(seen, self.random.randint(0, 2))}  # fmt: skip

    def __getattribute__(self, name: str) -> Any:
        if name in ("for", "if"):
            name += "_"
        return super().__getattribute__(name)
