"""What guards every program: names, the last gate, parameters on offer, files, limits.

These checks need no framework. What they try to get past the guards is planted here.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import itertools
import os
import random
import threading
from pathlib import Path
from unittest import mock

import numpy as np

from tests.mutants import networks
from tests.mutants.findings import Disagreement, equal, generated


def refused(what, kind, action, *arguments, **options):
    """An action raises an error of a kind, and nothing else."""
    try:
        action(*arguments, **options)
    except kind:
        return
    except Exception as error:
        raise Disagreement(f"{what}: {type(error).__name__} instead of {kind.__name__}") from error
    raise Disagreement(f"{what}: it is let through")


def _whole(check):
    """A check, all of which is the compiler's: that it fails is a finding."""

    @functools.wraps(check)
    def checked():
        with generated(f"what is behind '{check.__name__}'"):
            check()

    return checked


class Guards:
    """The checks, for a harness that reads specs and knows which backends are concerned."""

    def __init__(self, harness):
        self.harness = harness
        self.targets = [harness.get(name) for name in harness.backends]

    def checks(self):
        """In order, the quick ones first."""
        found = (
            self.limits,
            self.layout,
            self.files,
            self.scopes,
            self.resolution,
            self.hostile,
            self.gate,
            self.offered,
            self.created,
        )
        return tuple(map(_whole, found))

    # -- layout -----------------------------------------------------------------------------------

    def layout(self):
        """A spec in another layout says the same, comments included, and all have one layout."""
        from xgraph.diagnostics import Source
        from xgraph.spec import loading
        from xgraph.spec.formatter import formatted, same
        from xgraph.spec.writer import NOTHING, write

        def tree(text):
            return loading.load(Source("s.yaml", text))

        for text, laid_out in networks.LAID_OUT:
            equal(f"the layout of {text!r}", formatted(Source("s.yaml", text)), laid_out)
            equal(f"the layout of {laid_out!r}", formatted(Source("s.yaml", laid_out)), laid_out)
        for one, other in (
            ("{a}", "{a: null}"), ("{a: 1}", "{a: 1.0}"), ("{a: 1, b: 2}", "{b: 2, a: 1}"),
            ("[a, b]", "[b, a]"), ("[a]", "[[a]]"), ("[1]", "['1']"),
        ):  # fmt: skip
            equal(f"whether {one} is {other}", same(tree(one), tree(other)), False)
        plain = {"no": "on", "12:30": 1e-5, "a": ["b: c", "d, e", "1", True, None], "f": NOTHING}
        said = '"no": "on"\n"12:30": 1.0e-5\na: ["b: c", "d, e", "1", true, null]\nf:\n'
        equal("a tree as text", write(plain), said)

    # -- names ------------------------------------------------------------------------------------

    def scopes(self):
        """Names that are handed out are valid, and each has one meaning."""
        from xgraph.emit import names

        for text in ("hard-swish", "", "1a", "é", "class", "a b", "x\n", "a.b"):
            refused(f"the identifier {text!r}", AssertionError, names.identifier, text)
        for text in ("hard-swish", "X", "a\nb", "a__b", "_a", "a" * 25, "é", "1a", "none of it"):
            equal(f"whether {text!r} may be part of a name", names.is_word(text), False)
        words = (
            "width", "width2", "width_2", "width_value", "width_output", "list", "for", "match",
            "x", "x_", "self", "inputs", "conv2d", "conv2d_", "a.b", "a_b", "a_b_2", "b",
        )  # fmt: skip
        reserved = {"conv2d", "width_2", "width2", "a_b2", "Ca_b", "Cwidth2"}
        shuffled = random.Random(0)
        for _ in range(200):
            scope, table = names.Scope(reserved), names.NameTable(reserved)
            numbers, tensors, fresh = [], {}, []
            for _ in range(12):
                word = shuffled.choice(words)
                if shuffled.random() < 0.5:
                    numbers.append(scope.number(word.replace(".", "_")))
                else:
                    name = scope.tensor(word)
                    equal(f"the name of the tensor {word}", tensors.setdefault(word, name), name)
                fresh.append(table.fresh(f"C{word.replace('.', '_')}"))
            for handed in ([*numbers, *tensors.values()], fresh):
                if len({*handed, *reserved}) < len(handed) + len(reserved):
                    raise Disagreement(f"names with two meanings: {handed}, {sorted(reserved)}")
            for name in (*numbers, *tensors.values()):
                if not name.isidentifier() or name in {"x", "self", "list", "for", "inputs"}:
                    raise Disagreement(f"the name {name!r} has a meaning already")

    def resolution(self):
        """Each way in which a name can be another one than is meant is noticed."""
        from xgraph.emit.resolution import faults

        for source in networks.MISNAMED:
            if not faults(ast.parse(source)):
                raise Disagreement(f"names that are let through: {source!r}")
        for source in networks.WELL_NAMED:
            equal(f"names that are found fault with in {source!r}", faults(ast.parse(source)), [])

    # -- texts ------------------------------------------------------------------------------------

    def hostile(self):
        """Specs whose texts and names would act, or collide, compile to what is planned."""
        for text, target in itertools.product(networks.NAMED, self.targets):
            files = self.harness.emit(text, networks.FEATURES_RECIPE, target)
            for name, content in files.items():
                with generated(f"{target.name}'s {name}"):
                    ast.parse(content)

    def gate(self):
        """Whatever a backend lets through, no program gets out."""
        from xgraph.backend import Compilation
        from xgraph.compile import emit
        from xgraph.emit.gate import LeakError, is_inert

        sound = self.harness.lead
        analysis = self.harness.analyse(networks.TELLING)
        said = analysis.elaborated.program.doc.raw

        def planted(change):
            def written(compilation):
                files = dict(sound.emit(compilation))
                change(files, compilation.analysis.elaborated.program.doc.raw)
                return files

            return dataclasses.replace(sound, emit=written)

        def added(file, text):
            return lambda files, doc: files.update({file: files[file] + text.format(doc=doc)})

        leaks = {
            "a model that is not Python": added("model.py", "\ndef\n"),
            "weights that are not Python": added("weights.py", "\n)\n"),
            "a name that hides another": added("model.py", "\n\ndef f(list):\n    return list\n"),
            "a name that nothing binds": added("model.py", "\n\ndef f():\n    return nowhere\n"),
            "an encoding": lambda files, doc: files.update(
                {"weights.py": "# coding: latin-1\n" + files["weights.py"]}
            ),
            "a text as a statement": added("weights.py", "\n{doc}\n"),
            "a text in an expression": added("model.py", "\nWORDS = [{doc}]\n"),
            "a text as a file": lambda files, doc: files.update({f"{doc}.py": ""}),
            "a text of which a number follows": lambda files, doc: files.update(
                {"weights.py": f"{files['weights.py']}\nLENGTH = {len(doc) + ord(doc[0])}\n"}
            ),
        }
        compilation = Compilation(analysis, None)
        with generated(f"the gate, for a sound program that says {said!r},"):
            emit(compilation, sound)
        for what, change in leaks.items():
            refused(what, LeakError, emit, compilation, planted(change))
        quoting = planted(added("weights.py", '\nWORDS = "{doc}"\n'))
        for doc in ("'\"+boom()+\"'", "'a\"; boom(); \"'"):
            quoted = self.harness.analyse(networks.TELLING.replace("boom()", doc))
            refused(f"the text {doc}", LeakError, emit, Compilation(quoted, None), quoting)
        called = planted(added("weights.py", "\n{doc}()\n"))
        for doc in ("exit", "os.getcwd"):
            plain = self.harness.analyse(networks.TELLING.replace("boom()", doc))
            refused(f"the text {doc}", LeakError, emit, Compilation(plain, None), called)
        text = "Chollet 2016, arXiv 1610.02357, Figure 5"
        equal(f"whether {text!r} is inert", is_inert(text), True)
        for text in networks.ACTING:
            equal(f"whether {text!r} is inert", is_inert(text), False)

    # -- parameters -------------------------------------------------------------------------------

    def offered(self):
        """All parameters of a spec are, and its plan is right for other values of them."""
        from xgraph.emit import planner
        from xgraph.emit.plan import Invoke
        from xgraph.emit.planning import trial
        from xgraph.emit.planning.unfold import differences, unfold
        from xgraph.emit.values import frozen_list
        from xgraph.spec.calls import MERGES

        def plan_of(found):
            """For a backend that says all that it may say."""
            merges = frozenset(MERGES)
            return planner.plan_model(found.elaborated, found.types, gathering=merges)

        for text, given in networks.LIVE:
            found = self.harness.analyse(text)
            program, name = found.elaborated.program, found.name
            with mock.patch.object(planner, "frozen_parameters", return_value=frozenset()):
                untried = plan_of(found)
            names = trial.offered(untried)
            equal(f"the parameters of {name}", set(names), {key for one in given for key in one})
            for settings in given:
                graph, types = trial.elaborated_with(program, settings)
                values = {names[key]: frozen_list(value) for key, value in settings.items()}
                with generated(f"the plan of {name} with {settings}"):
                    wrong = differences(unfold(untried, values), graph, types)
                equal(f"the plan of {name} with {settings}", wrong, [])
            plan = plan_of(found)
            equal(f"what {name} still offers once tried", set(trial.offered(plan)), set(names))
        found = self.harness.analyse(networks.BY_CHANCE)
        plan = plan_of(found)
        head = next(s for s in plan.root.body if isinstance(s, Invoke) and s.name == "head")
        head.arguments["in_channels"] = "4"
        blamed = trial.frozen_parameters(plan, found.elaborated.program)
        equal("what is right by chance only", set(blamed), {"width"})

    def created(self):
        """`create_model` takes what is offered, and passes all of it on."""
        for (text, given), target in itertools.product(networks.LIVE, self.targets):
            files = self.harness.emit(text, networks.FEATURES_RECIPE, target)
            expected = {key for one in given for key in one}
            (create,) = (
                node
                for node in ast.parse(files["model.py"]).body
                if isinstance(node, ast.FunctionDef) and node.name == "create_model"
            )
            taken = {argument.arg for argument in create.args.kwonlyargs}
            equal(f"what create_model takes in {target.name}", taken, expected)
            calls = [node for node in ast.walk(create) if isinstance(node, ast.Call)]
            passed = {word.arg for call in calls for word in call.keywords}
            if not taken <= passed:
                raise Disagreement(f"create_model drops {sorted(taken - passed)} in {target.name}")

    # -- files ------------------------------------------------------------------------------------

    def files(self):
        """Programs are written whole or not at all, and over nobody's work."""
        from xgraph.diagnostics import SpecError
        from xgraph.emit import files

        origin, own = {"spec": "s", "backend": "torch"}, {"a.py": "a = 1\n", "b.py": "b = 2\n"}
        other = {"a.py": "a = 3\n", "b.py": "b = 4\n", "c.py": "c = 5\n"}
        place = self.harness.folder / "files"
        place.mkdir()

        def there(folder):
            return {p.name: p.read_text() for p in folder.iterdir()}

        def whole(program):
            return {**program, files.MANIFEST: files.manifest_text(program, origin)}

        one, two = place / "one", place / "two"
        for left in (place / f".one{files.STAGE}", place / f".gone{files.STAGE}"):
            left.mkdir()  # by writers that were killed
        files.write(one, own, origin)
        (one / files.STAGE).mkdir()
        files.write(one, other, origin)
        files.write(one, own, origin)
        equal("a program that is written", there(one), whole(own))
        equal("what is beside it", os.listdir(place), ["one"])
        (one / "a.py").write_text("mine")
        refused("a file that was edited", files.EditedError, files.write, one, other, origin)
        files.write(one, own, origin, force=True)
        equal("what was edited", (one / "a.py.bak").read_text(), "mine")
        (one / "a.py.bak").unlink()
        two.mkdir()
        (two / files.MANIFEST).write_text('{"somebody": "else"}')
        refused("a foreign xgraph.json", files.EditedError, files.write, two, own, origin)
        (two / files.MANIFEST).unlink()
        programs = [files.Program(one, other, origin), files.Program(two, own, origin)]
        for call, fails in (*(("fsync", k) for k in range(1, 6)), ("replace", 2), ("replace", 5)):
            count, real = itertools.count(1), getattr(os, call)

            def failing(*arguments, count=count, fails=fails, real=real):
                if next(count) == fails:
                    raise OSError(28, "No space left on device")
                real(*arguments)

            with mock.patch.object(os, call, failing):
                refused(f"a failing {call}", SpecError, files.write_all, programs)
            equal(f"a program when {call} {fails} fails", there(one), whole(own))
            equal(f"another when {call} {fails} fails", there(two), {})
        self.in_turn(place / "three", own, other, origin)
        equal("a program of two writers", there(place / "three"), whole(other))

    def in_turn(self, folder: Path, first, second, origin):
        """Two writers into one folder: the second waits for the first."""
        from xgraph.emit import files

        begun, may_go_on = threading.Event(), threading.Event()
        real = os.fsync

        def slow(handle):
            begun.set()
            may_go_on.wait(20)
            real(handle)

        writers = [
            threading.Thread(target=files.write, args=(folder, program, origin), daemon=True)
            for program in (first, second)
        ]
        with mock.patch.object(os, "fsync", slow):
            writers[0].start()
            begun.wait(20)
        writers[1].start()
        writers[1].join(0.5)
        waits = writers[1].is_alive()
        may_go_on.set()
        for writer in writers:
            writer.join(20)
        equal("whether a second writer waits for the first", waits, True)

    # -- limits -----------------------------------------------------------------------------------

    def limits(self):
        """How far apart programs may be follows from how far one is from itself."""
        from xgraph.parity.distance import (
            QUANTITIES,
            Arrays,
            distances,
            limits,
            within,
            worst,
        )

        quantities = {quantity.name: quantity for quantity in QUANTITIES}
        inf = float("inf")
        for name, dtype, own, limit in (
            ("evaluation output", "float64", [], 1e-12),
            ("loss", "float64", [], 1e-12),
            ("loss", "float64", [{"a": 1e-15}], 1e-12),
            ("gradients of weights", "float64", [{"a": 1e-12}, {}], 1e-10),
            ("weights after steps", "float64", [{"a": 2e-9}, {"a": 1e-9}], 2e-7),
            ("weights after steps", "float64", [{"a": inf}], 1e-12),
            ("gradients of weights", "float64", [{"a": 1.0}], 1e-2),
            ("gradients of weights", "float32", [{"a": 1e-3}], 2e-3),
            ("gradients of weights", "float32", [{"a": 1.0}], 0.1),
            ("evaluation output", "float32", [], 1e-5),
            ("weights after steps", "float32", [], None),
        ):
            (found,) = limits(quantities[name], dtype, ["a"], own).values()
            if found is None or limit is None or abs(found / limit - 1) > 1e-9:
                equal(f"the limit of {name} in {dtype}, from itself {own}", found, limit)
        several = limits(quantities["loss"], "float64", ["a", "b"], [{"a": 1.0, "b": 0.0}])
        equal("limits where of one nothing is known", several, {"a": None, "b": 1e-12})
        equal("within", within({"a": 2.0, "b": 0.0}, {"a": 1.0, "b": 1.0}), False)
        equal("within", within({"a": 0.5, "b": 9.0}, {"a": 1.0, "b": None}), True)
        equal("the worst", worst({"a": 2.0, "b": 1.0}, {"a": 9.0, "b": 1.0}), "b")
        held = {"a": np.array([10.0]), "b": np.array([1.0, np.nan]), "c": np.array([0.0])}
        other = {"a": np.array([10.5]), "b": np.array([1.0, 2.0]), "c": np.array([1e-6])}
        apart = distances(Arrays(held), Arrays(other))
        expected = {"a": 0.5 / 10.5, "b": inf, "c": 1e-6 / (10.5 * 1e-3)}
        for name, distance in expected.items():
            if apart[name] != distance and not abs(apart[name] / distance - 1) < 1e-9:
                raise Disagreement(f"distance of {name}: {apart[name]}, not {distance}")
        for size, scale in ((1e-16, 1e-9), (1e-5, 1e-5)):
            small = {"gradients/a": np.array([1.0]), "images": np.array([size])}
            twice = {**small, "images": np.array([2 * size])}
            (far,) = distances(*map(quantities["gradient of images"].of, (twice, small))).values()
            if not abs(far * scale / size - 1) < 1e-9:
                raise Disagreement(f"distance of images' gradients of {size}: {far}")
        equal("distance of what one lacks", distances(Arrays({}), Arrays({"a": held["a"]})),
              {"a": inf})  # fmt: skip
