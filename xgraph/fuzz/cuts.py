"""Ways to make a spec smaller. Each yields candidates; whether one is legal is found out later."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterator
from typing import Any

from xgraph.diagnostics import SpecError
from xgraph.fuzz.trees import (
    MODIFIERS,
    Tree,
    bodies,
    evaluated,
    is_branch,
    is_loop,
    mentioned,
    reachable_blocks,
    structure_of,
    substituted,
    target_of,
    targets,
    without_unmentioned,
)
from xgraph.ops.kinds import is_integer

Path = tuple[str | int, ...]


def sections(spec: Tree) -> Iterator[Tree]:
    """Without a section, or with two neighbours as one."""
    graph = spec["graph"]
    if not isinstance(graph, dict):
        return
    names = list(graph)
    for name in reversed(names):
        rest = {key: value for key, value in graph.items() if key != name}
        if rest:
            yield {**spec, "graph": rest}
    for one, other in itertools.pairwise(names):
        yield _joined(spec, one, other)
    if len(names) == 1:
        yield {**_renamed(spec, names[0], None), "graph": _body(graph[names[0]])}


def _joined(spec: Tree, one: str, other: str) -> Tree:
    """Two sections as one, which has the name of the second."""
    graph = spec["graph"]
    body = [*_body(graph[one]), *_body(graph[other])]
    first = graph[one] if isinstance(graph[one], dict) else {}
    joined: Any = {"from": first["from"], "body": body} if "from" in first else body
    merged = {other if key == one else key: joined if key == one else value
              for key, value in graph.items() if key != other}  # fmt: skip
    return _renamed({**spec, "graph": merged}, one, other)


def _renamed(spec: Tree, section: str, to: str | None) -> Tree:
    """A spec whose references to nodes of a section say another section, or none."""

    def rename(reference: str) -> str:
        head, dot, rest = reference.partition(".")
        if head != section or not dot:
            return reference
        return rest if to is None else f"{to}.{rest}"

    return _map_references(spec, rename)


def _map_references(spec: Tree, change: Callable[[str], str]) -> Tree:
    def walk(value: Any) -> Any:
        if isinstance(value, list):
            return [walk(part) for part in value]
        if not isinstance(value, dict):
            return value
        made = {key: walk(part) for key, part in value.items()}
        given = made.get("from")
        if isinstance(given, str):
            made["from"] = change(given)
        elif isinstance(given, list):
            made["from"] = [change(one) if isinstance(one, str) else one for one in given]
        return made

    made: Tree = walk(spec)
    outputs = made.get("outputs", {})
    for name, value in outputs.items():
        if isinstance(value, str):
            outputs[name] = change(value)
    return made


def _body(section: Any) -> list[Any]:
    body = section["body"] if isinstance(section, dict) else section
    return list(body) if isinstance(body, list) else [body]


def outputs(spec: Tree) -> Iterator[Tree]:
    """Without outputs at all, or without one of them, and then without the section it was of.

    A section with weights goes with its output or not at all, since a loss must reach them.
    """
    if "outputs" in spec:
        yield {key: value for key, value in spec.items() if key != "outputs"}
        for name in list(spec["outputs"])[1:]:
            rest = {key: value for key, value in spec["outputs"].items() if key != name}
            yield {**spec, "outputs": rest}
            source = spec["outputs"][name]
            section = (source["from"] if isinstance(source, dict) else source).split(".")[0]
            if isinstance(spec["graph"], dict) and section in spec["graph"]:
                graph = {key: body for key, body in spec["graph"].items() if key != section}
                yield {**spec, "outputs": rest, "graph": graph}


def items(spec: Tree) -> Iterator[Tree]:
    """Without a stretch of a body: halves first, then quarters, down to single items."""
    lengths = [len(body) for body in bodies(spec)]
    chunk = max(lengths, default=0)
    while chunk >= 1:
        for number, length in enumerate(lengths):
            if chunk > length or (chunk < length // 2 and chunk > 1 and chunk * 8 < length):
                continue
            for start in range(0, length, chunk):
                made = copy.deepcopy(spec)
                del bodies(made)[number][start : start + chunk]
                yield made
        chunk //= 2


def named(spec: Tree) -> Iterator[Tree]:
    """Without a named item: what reads it then reads the item before it, which takes the name."""
    for number, body in enumerate(bodies(spec)):
        for position in range(1, len(body)):
            before, item = body[position - 1], body[position]
            if not isinstance(item, dict) or "name" not in item or target_of(before) is None:
                continue
            made = copy.deepcopy(spec)
            items_left = bodies(made)[number]
            del items_left[position]
            if isinstance(before, dict) and "name" in before:
                yield _read_instead(made, item["name"], before["name"])
                continue
            kept = {before: {}} if isinstance(before, str) else before
            items_left[position - 1] = {**kept, "name": item["name"]}
            yield made


def _read_instead(spec: Tree, old: str, new: str) -> Tree:
    return _map_references(spec, lambda name: new if name == old else name)


def structures(spec: Tree) -> Iterator[Tree]:
    """With a structure replaced by one of its bodies, a loop by one iteration or fewer."""
    for number, body in enumerate(bodies(spec)):
        for position, item in enumerate(body):
            for simpler in _simpler(item):
                made = copy.deepcopy(spec)
                bodies(made)[number][position : position + 1] = simpler
                yield made


def _simpler(item: Any) -> Iterator[list[Any]]:
    if isinstance(item, list):
        yield item
    keys = structure_of(item)
    if keys is None:
        return
    try:
        if "repeat" in item:
            if item["repeat"] != 1:
                yield [{**item, "repeat": 1}]
                yield [{**item, "repeat": 2}]
            index = item.get("index")
            yield _listed(substituted(item["body"], {index: 0} if index else {}))
        elif "for" in item:
            yield from _fewer_rounds(item)
        else:
            yield from _parts(item, keys)
    except SpecError:  # an expression that has no value without its loop
        return


def _fewer_rounds(item: Tree) -> Iterator[list[Any]]:
    columns = item["for"]
    if not all(isinstance(column, list) for column in columns.values()):
        return
    length = len(next(iter(columns.values())))
    for row in range(length):
        values = {name: column[row] for name, column in columns.items()}
        yield _listed(substituted(item["body"], values))
    for row in range(length if length > 1 else 0):
        fewer = {name: column[:row] + column[row + 1 :] for name, column in columns.items()}
        yield [{**item, "for": fewer}]
    for name, column in columns.items():
        rest = {key: value for key, value in columns.items() if key != name}
        if rest and all(value == column[0] for value in column):
            body = substituted(item["body"], {name: column[0]})
            yield [{**item, "for": rest, "body": body}]


def _parts(item: Tree, keys: tuple[str, ...]) -> Iterator[list[Any]]:
    for key in keys:
        inner = item.get(key)
        if key == "branches" and is_loop(inner):
            for simpler in _simpler(inner):
                turned = len(simpler) == 1 and is_loop(simpler[0])
                yield [{**item, key: simpler[0]}] if turned else simpler
        elif key == "branches":
            paths = list(inner.values()) if isinstance(inner, dict) else list(inner or [])
            yield from (_listed(path["body"] if is_branch(path) else path) for path in paths)
            for position, path in enumerate(paths):
                if is_branch(path):
                    always = [*paths[:position], path["body"], *paths[position + 1 :]]
                    yield [{**item, key: always}]
            if isinstance(inner, dict):
                yield [{**item, key: paths}]
            for position in range(len(paths) if len(paths) > 2 else 0):
                yield [{**item, key: paths[:position] + paths[position + 1 :]}]
        elif inner is not None:
            yield _listed(inner)
    if "shortcut" in item:
        yield [{key: value for key, value in item.items() if key != "shortcut"}]
    if "merge" in item and "residual" in item:
        yield [{key: value for key, value in item.items() if key != "merge"}]


def _listed(body: Any) -> list[Any]:
    return list(body) if isinstance(body, list) else [body]


def calls(spec: Tree) -> Iterator[Tree]:
    """With a call replaced by what its block does."""
    blocks = spec.get("blocks", {})
    for number, body in enumerate(bodies(spec)):
        for position, item in enumerate(body):
            name = target_of(item)
            if name in blocks:
                inlined = _inlined(item, blocks[name])
                if inlined is not None:
                    made = copy.deepcopy(spec)
                    bodies(made)[number][position : position + 1] = inlined
                    yield made


def _inlined(item: Any, block: Tree) -> list[Any] | None:
    given = item[target_of(item)] if isinstance(item, dict) else {}
    params = block.get("params", {})
    if not isinstance(given, dict):
        given = {next(iter(params)): given} if params else {}
    if {"inputs", "results"} & block.keys() or "when" in (item if isinstance(item, dict) else {}):
        return None
    environment: Tree = {}
    try:
        for parameter, default in params.items():
            environment[parameter] = given.get(parameter, substituted(default, environment))
        body = _listed(substituted(copy.deepcopy(block["body"]), environment))
    except SpecError:
        return None
    if isinstance(item, dict) and "from" in item:
        body[0] = {body[0]: {}} if isinstance(body[0], str) else body[0]
        if not isinstance(body[0], dict) or "from" in body[0]:
            return None
        body[0] = {**body[0], "from": item["from"]}
    if isinstance(item, dict) and "name" in item:
        body[-1] = {body[-1]: {}} if isinstance(body[-1], str) else body[-1]
        if not isinstance(body[-1], dict) or target_of(body[-1]) is None:
            return None
        body[-1] = {**body[-1], "name": item["name"]}
    return body


def parameters(spec: Tree) -> Iterator[Tree]:
    """With a parameter of the spec or of a block replaced by its value."""
    known: Tree = {}
    for name, value in spec.get("params", {}).items():
        try:
            worth = evaluated(value, known) if mentioned(value) else value
            known[name] = worth
            others = {key: part for key, part in spec["params"].items() if key != name}
            yield substituted({**spec, "params": others}, {name: worth})
        except SpecError:
            continue
    for block_name, block in spec.get("blocks", {}).items():
        for name, value in block.get("params", {}).items():
            fixed = copy.deepcopy(spec)
            inner = fixed["blocks"][block_name]
            del inner["params"][name]
            try:
                fixed["blocks"][block_name] = substituted(inner, {name: value})
            except SpecError:
                continue
            for body in bodies(fixed):
                for item in body:
                    given = item.get(block_name) if isinstance(item, dict) else None
                    if isinstance(given, dict):
                        given.pop(name, None)
            yield fixed


def entries(spec: Tree) -> Iterator[Tree]:
    """Without an attribute, an argument, a modifier or a default."""
    for name, given in spec.get("defaults", {}).items():
        rest = {key: value for key, value in spec["defaults"].items() if key != name}
        yield {**spec, "defaults": rest}
        for key in given if len(given) > 1 else ():
            fewer = {one: value for one, value in given.items() if one != key}
            yield {**spec, "defaults": {**spec["defaults"], name: fewer}}
    for number, body in enumerate(bodies(spec)):
        for position, item in enumerate(body):
            for simpler in _barer(item):
                made = copy.deepcopy(spec)
                bodies(made)[number][position] = simpler
                yield made


def _barer(item: Any) -> Iterator[Any]:
    target = target_of(item)
    if not isinstance(item, dict):
        return
    for key in item:
        if key in MODIFIERS:
            yield {one: value for one, value in item.items() if one != key}
    if target is None:
        return
    given = item[target]
    if isinstance(given, dict):
        for key in given:
            yield {**item, target: {one: value for one, value in given.items() if one != key}}
    if given == {} and len(item) == 1:
        yield target
    sources = item.get("from")
    if not isinstance(sources, list):
        return
    for position in range(len(sources) if len(sources) > 1 else 0):
        yield {**item, "from": sources[:position] + sources[position + 1 :]}


def numbers(spec: Tree) -> Iterator[Tree]:
    """With an integer made smaller, or a pair made one number."""
    for path, value in _leaves(spec, ()):
        if path[0] == "xgraph":
            continue
        if isinstance(value, list):
            smaller: list[Any] = list(dict.fromkeys(value))
        else:
            smaller = list(dict.fromkeys(n for n in (1, value // 2, value - 1) if 0 < n < value))
        for one in smaller:
            made = copy.deepcopy(spec)
            holder: Any = made
            for step in path[:-1]:
                holder = holder[step]
            holder[path[-1]] = one
            yield made


def _leaves(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, dict):
        for key, part in value.items():
            yield from _leaves(part, (*path, key))
    elif isinstance(value, list):
        if len(value) == 2 and all(map(is_integer, value)):
            yield path, value
        for position, part in enumerate(value):
            yield from _leaves(part, (*path, position))
    elif is_integer(value):
        yield path, value


def tidied(spec: Tree) -> Tree:
    """A spec without what nothing uses any more, and without references to what is gone."""
    made = copy.deepcopy(spec)
    _drop_references(made)
    graph = made["graph"]
    used = [_body(part) for part in graph.values()] if isinstance(graph, dict) else graph
    if "blocks" in made:
        made["blocks"] = {
            name: {key: value for key, value in block.items() if value or key != "params"}
            for name, block in reachable_blocks(made["blocks"], used).items()
        }
    if "params" in made:
        users = {key: value for key, value in made.items() if key != "params"}
        made["params"] = without_unmentioned(made["params"], users)
    called = targets(used)
    called += [name for block in made.get("blocks", {}).values() for name in targets(block["body"])]
    if "defaults" in made:
        made["defaults"] = {k: v for k, v in made["defaults"].items() if k in called}
    return {
        key: value
        for key, value in made.items()
        if value or key not in ("params", "defaults", "blocks", "outputs")
    }


def _drop_references(spec: Tree) -> None:
    """Take references to names that nothing has any more out of `from`, and what is left of merges.

    Scopes are not told apart: a reference that survives wrongly makes a spec illegal, no more.
    """
    graph = spec["graph"]
    names = {"input", *(graph if isinstance(graph, dict) else ())}
    for block in spec.get("blocks", {}).values():
        names.update(block.get("inputs", ()))
    names.update(_names(spec))

    def lives(reference: Any) -> bool:
        if not isinstance(reference, str):
            return True
        parts = [part for part in reference.split(".") if not part.isdigit()]  # `unit.0`
        return parts[-1] in names

    for body in bodies(spec):
        for position in reversed(range(len(body))):
            item = body[position]
            sources = item.get("from") if isinstance(item, dict) else None
            if isinstance(sources, str) and not lives(sources):
                del item["from"]
            elif isinstance(sources, list):
                item["from"] = [one for one in sources if lives(one)]
                if len(item["from"]) < min(2, len(sources)):
                    del body[position]
    if isinstance(graph, dict):
        for section in graph.values():
            if isinstance(section, dict) and not lives(section.get("from")):
                del section["from"]


def _names(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for part in value:
            yield from _names(part)
    elif isinstance(value, dict):
        if isinstance(value.get("name"), str):
            yield value["name"]
        for part in value.values():
            yield from _names(part)


#: From the coarsest to the finest.
KINDS: tuple[Callable[[Tree], Iterator[Tree]], ...] = (
    outputs, sections, items, named, structures, calls, items, parameters, entries, numbers,
)  # fmt: skip
