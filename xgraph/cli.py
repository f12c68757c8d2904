"""The command line: parse arguments, call, print.

Exit status: 0 good, 1 the spec (or what stands in the output folder) is at fault, 2 usage, 3 xgraph
itself is at fault.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xgraph import __version__
from xgraph.diagnostics import Diagnostic, SpecError, counted, printable, render
from xgraph.emit.gate import LeakError
from xgraph.endings import Ended, ended_in_order
from xgraph.terminal import say, say_change, say_line, take_any_text

if TYPE_CHECKING:
    from xgraph.ir.analysis import Analysis

GOOD, FAULT, USAGE, INTERNAL = 0, 1, 2, 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `xgraph`; returns the exit status."""
    take_any_text()
    options = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        with ended_in_order():
            return run(options)
    except SpecError as error:
        _report(error, as_json=getattr(options, "json", False))
        return FAULT
    except LeakError as error:
        reason = printable(str(error), 400)
        say_line(f"xgraph: internal error: {reason}; please report it", sys.stderr)
        return INTERNAL
    except BrokenPipeError:  # `xgraph summary … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return GOOD
    except Ended as ended:
        return 128 + ended.signal
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _report(error: SpecError, *, as_json: bool) -> None:
    if as_json:
        found = [diagnostic.to_json() for diagnostic in error.diagnostics]
        _print_json({"ok": False, "diagnostics": found})
        return
    _print_diagnostics(error.diagnostics, "error", getattr(error, "diff", None))


def _warn(warnings: Sequence[Diagnostic], *, strict: bool, shown: bool = True) -> None:
    """Show warnings; where nothing but errors is wanted, they are errors.

    Raises:
        SpecError: `strict`, and there are warnings.
    """
    if strict and warnings:
        raise SpecError(replace(warning, severity="error") for warning in warnings)
    if warnings and shown:
        _print_diagnostics(warnings, "warning")


def _print_diagnostics(
    diagnostics: Sequence[Diagnostic], severity: str, diff: str | None = None
) -> None:
    """To standard error, with how many there are and where to read on."""
    say(render(diagnostics), sys.stderr)
    if diff:
        say(f"\n{diff}", sys.stderr)
    codes = ", ".join(sorted({diagnostic.code for diagnostic in diagnostics}))
    count = counted(len(diagnostics), severity)
    say(f"\n{count}; `xgraph explain CODE` tells more ({codes})", sys.stderr)


def _print_json(value: Any) -> None:
    say(json.dumps(value, indent=2))


# -- commands -------------------------------------------------------------------------------------


def _check(options: argparse.Namespace) -> int:
    from xgraph.compile import check, check_sizes

    names = None if options.backend == "all" else (options.backend,)
    compilation = check(options.spec, options.set, options.recipe, names)
    sizes = check_sizes(options.spec, options.set, options.recipe)
    analysis, recipe = compilation.analysis, compilation.recipe
    _warn(analysis.warnings, strict=options.strict, shown=not options.json)
    count = len(analysis.graph.nodes) - 1
    if options.json:
        _print_json(
            {
                "ok": True,
                "name": analysis.name,
                "nodes": count,
                "recipe": recipe and recipe.name,
                "sizes": [size.analysis.name for size in sizes],
                "diagnostics": [warning.to_json() for warning in analysis.warnings],
            }
        )
        return GOOD
    for one in (analysis, *(size.analysis for size in sizes)):
        say_line(_checked(one))
    return GOOD


def _checked(analysis: Analysis) -> str:
    """A line of a spec in which there are no errors."""
    outputs = ", ".join(
        f"{output.name} {analysis.types[output.node]}" for output in analysis.graph.outputs
    )
    count = counted(len(analysis.graph.nodes) - 1, "node")
    warned = f", {counted(len(analysis.warnings), 'warning')}" if analysis.warnings else ""
    said = f"{count}, input {analysis.types[0]}, {outputs}; no errors{warned}"
    return f"{analysis.name}: {said}"


def _summary(options: argparse.Namespace) -> int:
    from xgraph.compile import analyse
    from xgraph.report import summary

    result = summary.measured(analyse(options.spec, options.set))
    if options.json:
        _print_json(summary.summary_json(result))
    else:
        say(summary.summary_text(result, flat=options.flat, depth=options.depth))
    return GOOD


def _diff(options: argparse.Namespace) -> int:
    from xgraph.compile import analyse
    from xgraph.passes.differ import difference
    from xgraph.report import diff

    second = options.spec if options.other is None else options.other
    found = difference(analyse(options.spec, ()), analyse(second, options.set))
    if options.json:
        _print_json(diff.diff_json(found))
    else:
        for sign, line in diff.diff_lines(found):
            say_change(sign, line)
    return GOOD


def _list(options: argparse.Namespace) -> int:
    from xgraph.report import listing

    if options.ops:
        ops = listing.ops_json()
        _print_json(ops) if options.json else say(listing.ops_text(ops))
        return GOOD
    if options.backends:
        backends = listing.backends_json()
        _print_json(backends) if options.json else say(listing.backends_text(backends))
        return GOOD
    if options.recipes:
        from xgraph.recipe import recipe_names

        names = tuple(recipe_names())
        _print_json(list(names)) if options.json else say(listing.names_text("recipes", names))
        return GOOD
    specs, problems = listing.specs_json(Path(options.folder) if options.folder else None)
    if options.json and problems:
        raise SpecError(problems)
    _print_json(specs) if options.json else say(listing.specs_text(specs))
    if problems:
        say("")
        _print_diagnostics(problems, "error")
    return FAULT if problems else GOOD


def _explain(options: argparse.Namespace) -> int:
    from xgraph import codes
    from xgraph.diagnostics import suggest

    code = options.code.upper()
    try:
        say(codes.page(code).rstrip("\n"))
    except KeyError:
        hint = suggest(code, codes.codes()) or "codes look like XG206"
        say_line(f"xgraph: there is no error code {options.code!r}; {hint}", sys.stderr)
        return USAGE
    return GOOD


def _schema(options: argparse.Namespace) -> int:
    from xgraph.spec.schema import schema

    _print_json(schema())
    return GOOD


def _compile(options: argparse.Namespace) -> int:
    from xgraph import backend
    from xgraph.compile import emit_all, prepare
    from xgraph.emit import files

    names = backend.names() if options.backend == "all" else (options.backend,)
    compilation = prepare(options.spec, options.set, options.recipe)
    analysis = compilation.analysis
    _warn(analysis.warnings, strict=options.strict, shown=not options.json)
    compiled = emit_all(compilation, [backend.get(name) for name in names])
    programs = []
    for name, texts in compiled.items():
        root = Path(options.output) if options.output else Path("generated", analysis.name, name)
        folder = root / name if options.output and len(names) > 1 else root
        origin = files.origin(analysis, name, options.recipe)
        programs.append(files.Program(folder, texts, origin))
    if options.check:
        states = files.compare_all(programs)
    else:
        states = files.write_all(programs, force=options.force)
    results = list(zip(programs, states, strict=True))
    if options.json:
        _print_json(
            [
                {
                    "folder": program.folder.as_posix(),
                    "current": state.is_current,
                    **vars(state),
                    "warnings": [warning.to_json() for warning in analysis.warnings],
                }
                for program, state in results
            ]
        )
    elif options.check:
        for program, state in results:
            _print_check(program.folder, state)
    else:
        for program, state in results:
            lines = program.files.get("model.py", "").count("\n")
            changed = len(state.new) + len(state.changed) + len(state.edited)
            what = f"{changed} files written" if changed else "everything was current"
            what += f", {', '.join(state.obsolete)} removed" if state.obsolete else ""
            say_line(f"{program.folder.as_posix()}: {what} (model.py: {lines} lines)")
        if compilation.recipe is None:
            say_line("the model alone, for there is no recipe: --recipe imagenet adds a train.py")
    stale = options.check and not all(state.is_current for state in states)
    return FAULT if stale else GOOD


def _print_check(folder: Path, state: Any) -> None:
    if state.is_current:
        say_line(f"{folder.as_posix()}: current")
        return
    for label, names in (
        ("missing", state.new),
        ("out of date", state.changed),
        ("edited", state.edited),
        ("no longer generated", state.obsolete),
    ):
        for name in names:
            say_line(f"{folder.as_posix()}/{name}: {label}")


def _format(options: argparse.Namespace) -> int:
    from xgraph import formatting
    from xgraph.spec.formatter import FormatError

    try:
        files = formatting.format_all(options.files)
    except FormatError as error:
        say_line(f"xgraph: internal error: {error}; please report it", sys.stderr)
        return INTERNAL
    changed = [file for file in files if file.changes]
    writes = not (options.check or options.diff)
    if writes:
        formatting.write_all(files)
    piped = writes and any(file.path == formatting.STANDARD_INPUT for file in files)
    if options.json and not piped:
        _print_json({"ok": True, "files": [{"file": f.path, "changes": f.changes} for f in files]})
    elif options.diff:
        for file in changed:
            say("\n".join(file.diff()))
    elif not piped:
        for file in changed:
            say_line(f"{file.shown}: {'formatted' if writes else 'would change'}")
        say_line(f"{counted(len(files) - len(changed), 'file')} unchanged")
    return FAULT if options.check and changed else GOOD


def _parity(options: argparse.Namespace) -> int:
    return _proof("parity", options)


def _verify(options: argparse.Namespace) -> int:
    return _proof("verify", options)


def _fuzz(options: argparse.Namespace) -> int:
    return _proof("fuzz", options)


def _proof(name: str, options: argparse.Namespace) -> int:
    """A command that runs the programs; NumPy and the frameworks need not be installed."""
    try:
        from xgraph.importing.network import Refused
        from xgraph.parity import command
        from xgraph.parity.certificate import NoCertificate
        from xgraph.parity.process import WorkerFailed
    except ImportError as error:
        say_line(f"xgraph: {name} needs {error.name}: pip install 'xgraph[all]'", sys.stderr)
        return USAGE
    try:
        agree: bool = getattr(command, name)(options)
    except (NoCertificate, Refused) as error:
        return _refuse(error.lines, as_json=options.json)
    except WorkerFailed as error:
        say_line(f"xgraph: {error}", sys.stderr)
        return USAGE
    return GOOD if agree else FAULT


_Run = Callable[[argparse.Namespace], None]


def _import(options: argparse.Namespace) -> int:
    def load() -> _Run:
        from xgraph.importing.command import import_network
        from xgraph.importing.family_command import import_family
        from xgraph.parity.imported import compare_imported

        compare = None if options.no_verify else compare_imported
        return functools.partial(import_family if options.family else import_network,
                                 compare=compare)  # fmt: skip

    return _carried(load, options)


def _weights_import(options: argparse.Namespace) -> int:
    def load() -> _Run:
        from xgraph.importing.command import weights_import

        return weights_import

    return _carried(load, options)


def _weights_export(options: argparse.Namespace) -> int:
    def load() -> _Run:
        from xgraph.importing.command import weights_export

        return weights_export

    return _carried(load, options)


def _shape(text: str) -> tuple[int, ...]:
    """H,W,C as three positive integers."""
    parts = text.split(",")
    sizes = tuple(int(part) for part in parts if part.strip().isascii() and part.strip().isdigit())
    if len(parts) != 3 or len(sizes) != 3 or min(sizes) < 1:
        raise argparse.ArgumentTypeError(f"expected H,W,C, such as 224,224,3, received {text!r}")
    return sizes


def _carried(load: Callable[[], _Run], options: argparse.Namespace) -> int:
    """Networks and weights carried over; what reads them need not be installed."""
    try:
        run = load()
        from xgraph.importing.network import Refused
        from xgraph.importing.recover import NotTheSame
    except ImportError as error:
        say_line(f"xgraph: weights need {error.name}: pip install 'xgraph[weights]'", sys.stderr)
        return USAGE
    try:
        run(options)
    except Refused as refused:
        return _refuse(refused.lines, as_json=options.json)
    except NotTheSame as error:
        reason = printable(str(error), 400)
        say_line(f"xgraph: internal error: {reason}; please report it", sys.stderr)
        return INTERNAL
    return GOOD


def _plot(options: argparse.Namespace) -> int:
    from xgraph.report import curves, runs

    try:
        from xgraph.report import plot
    except ImportError as error:
        say_line(f"xgraph: plot needs {error.name}: pip install 'xgraph[plot]'", sys.stderr)
        return USAGE
    try:
        plot.file_format(options.output)
        found = runs.read_runs(options.runs)
        _remark([line for run in found for line in run.remarks])
        picture = curves.picture(
            found, options.metric, axis=options.x, smooth=options.smooth, logarithmic=options.log
        )
        if options.group:
            picture = curves.grouped(picture, runs.folders(found))
        plot.save(picture, options.output)
    except runs.RunError as error:
        return _refuse(error.lines)
    _remark(picture.remarks)
    shown = ", ".join(panel.metric.title for panel in picture.panels)
    runs_shown = ", ".join(picture.runs[run] for run in picture.drawn)
    say_line(f"{options.output}: {shown} of {runs_shown}")
    return GOOD


def _table(options: argparse.Namespace) -> int:
    from xgraph.report import run_table, runs

    try:
        found = runs.read_runs(options.runs)
    except runs.RunError as error:
        return _refuse(error.lines, as_json=options.json)
    rows = run_table.rows(found)
    if options.json:
        _print_json(run_table.rows_json(rows))
        return GOOD
    say(run_table.rows_markdown(rows) if options.markdown else run_table.rows_text(rows))
    _remark([*(line for run in found for line in run.remarks), *run_table.missing(rows)])
    return GOOD


def _refuse(lines: Sequence[str], *, as_json: bool = False) -> int:
    """Say why nothing is shown of runs."""
    if as_json:
        _print_json({"ok": False, "errors": list(lines)})
    else:
        _remark(lines)
    return FAULT


def _remark(lines: Sequence[str]) -> None:
    for line in lines:
        say_line(f"xgraph: {line}", sys.stderr)


def _demo(options: argparse.Namespace) -> int:
    from xgraph.demo import demo

    return demo(Path(options.output), max_steps=options.max_steps)


# -- arguments ------------------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    """argparse with our exit status and a suggestion for a mistyped command."""

    def error(self, message: str) -> Any:
        self.print_usage(sys.stderr)
        say_line(f"{self.prog}: {message}", sys.stderr)
        self.exit(USAGE)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="xgraph",
        description="Compile a YAML spec of a convolutional network into training programs.",
    )
    parser.add_argument("--version", action="version", version=f"xgraph {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, run: Callable[[argparse.Namespace], int], text: str) -> _Parser:
        made = commands.add_parser(name, help=text, description=text)
        made.set_defaults(run=run)
        assert isinstance(made, _Parser)
        return made

    def takes_spec(made: _Parser) -> None:
        made.add_argument("spec", metavar="SPEC", help="a YAML file, or the name of a bundled spec")
        made.add_argument(
            "--set",
            metavar="KEY=VALUE",
            action="append",
            default=[],
            help="set a parameter, input.shape or defaults.OP.ATTRIBUTE; may be repeated",
        )

    def takes_json(made: _Parser) -> None:
        made.add_argument("--json", action="store_true", help="print JSON")

    def takes_recipe(made: _Parser) -> None:
        made.add_argument("--recipe", metavar="NAME", help="training recipe: a name or a YAML file")

    def takes_strict(made: _Parser) -> None:
        made.add_argument("--strict", action="store_true", help="take warnings for errors")

    made = command("compile", _compile, "Write the training program of a spec.")
    takes_spec(made)
    made.add_argument(
        "--backend", default="torch", metavar="NAME", help="framework, or all (default: torch)"
    )
    made.add_argument(
        "-o", "--output", metavar="DIR",
        help="the program's folder, or with --backend all the folder of one for each backend "
        "(default: generated/NAME/BACKEND)",
    )  # fmt: skip
    takes_recipe(made)
    takes_strict(made)
    made.add_argument(
        "--check", action="store_true", help="write nothing; say whether the folder is current"
    )
    made.add_argument(
        "--force", action="store_true", help="overwrite edited files, keeping them as NAME.bak"
    )
    takes_json(made)

    made = command("check", _check, "Report every error that compiling a spec would, and warnings.")
    takes_spec(made)
    made.add_argument(
        "--backend", default="all", metavar="NAME", help="framework, or all (default: all)"
    )
    takes_recipe(made)
    takes_strict(made)
    takes_json(made)

    made = command("format", _format, "Lay out specs and recipes as they are read best.")
    made.add_argument(
        "files", nargs="+", metavar="FILE",
        help="a YAML file, a folder of them, or - for standard input to standard output",
    )  # fmt: skip
    made.add_argument(
        "--check", action="store_true", help="write nothing; say which files would change"
    )
    made.add_argument("--diff", action="store_true", help="write nothing; show what would change")
    takes_json(made)

    made = command("summary", _summary, "Show shapes, parameters and cost of a spec.")
    takes_spec(made)
    made.add_argument("--flat", action="store_true", help="one line for every node")
    made.add_argument(
        "--depth", type=int, default=2, metavar="N", help="levels of structure (default: 2)"
    )
    takes_json(made)

    made = command("diff", _diff, "Show what is different between two specs, or with settings.")
    made.add_argument("spec", metavar="SPEC", help="a YAML file, or the name of a bundled spec")
    made.add_argument(
        "other", metavar="OTHER", nargs="?", help="another one (default: SPEC, with --set)"
    )
    made.add_argument(
        "--set", metavar="KEY=VALUE", action="append", default=[], help="a setting of the second"
    )
    takes_json(made)

    made = command("parity", _parity, "Prove that backends make the same network of a spec.")
    takes_spec(made)
    _takes_comparison(made)
    made.add_argument(
        "--steps", type=_natural, default=0, metavar="N", help="training steps (default: none)"
    )
    made.add_argument(
        "--dtype", choices=("float64", "float32"), default="float64", help="default: float64"
    )
    made.add_argument("--size", type=_size, metavar="N|HxW", help="pixels of the images")
    made.add_argument(
        "--ties", action="store_true", help="images and weights of few values, as fuzz has them"
    )
    takes_recipe(made)
    made.add_argument(
        "--weights", metavar="FILE", help="compare with these weights, not with random ones"
    )
    made.add_argument(
        "--certificate", metavar="FILE", help="write what was compared and how it came out"
    )
    made.add_argument(
        "--check-certificate", metavar="FILE", help="do again what a certificate tells of"
    )
    made.add_argument(
        "--programs", metavar="DIR", help="programs that the certificate should be of, too"
    )
    # A certificate says all of these itself, so that what is said must be told from what is not.
    made.set_defaults(batch=None, device=None, dtype=None, seed=None, steps=None, ties=None)
    takes_json(made)

    made = command("verify", _verify, "Tell whether a network of yours is that of a spec.")
    takes_spec(made)
    made.add_argument("source", metavar="SOURCE", help="what `xgraph import` reads")
    made.add_argument(
        "--model", metavar="KIND:NAME", help="the network whose weights a file has, if it says not"
    )
    _takes_comparison(made)
    made.add_argument(
        "--dtype", choices=("float64", "float32"), default="float64", help="default: float64"
    )
    made.add_argument(
        "--own-weights", action="store_true", help="the source's weights, not random ones"
    )
    made.add_argument("--layers-only", action="store_true", help="compute nothing")
    takes_recipe(made)
    made.add_argument(
        "--steps", type=_natural, default=0, metavar="N",
        help="training steps, by the recipe and by --training",
    )  # fmt: skip
    made.add_argument(
        "--training", metavar="MODULE:FUNCTION",
        help="is given your model, returns what makes an update of images and labels",
    )  # fmt: skip
    takes_json(made)

    made = command("fuzz", _fuzz, "Prove it for random specs; write those that fail, made small.")
    _takes_comparison(made)
    made.add_argument(
        "--graphs", type=_positive, default=100, metavar="N", help="how many (default: 100)"
    )
    made.add_argument(
        "--steps", type=_natural, default=0, metavar="N", help="training steps (default: none)"
    )
    made.add_argument(
        "--nodes", type=_fewest, metavar="N", help="only specs of about so many nodes at most"
    )
    made.add_argument(
        "-o", "--output", default="fuzz", metavar="DIR", help="for specs that fail (default: fuzz)"
    )
    made.add_argument(
        "--jobs", type=_positive, metavar="N", help="specs at a time (default: one a core)"
    )
    takes_json(made)

    made = command(
        "import", _import, "Write the spec of a network from elsewhere, with blocks and loops."
    )
    made.add_argument(
        "source", metavar="SOURCE", nargs="+",
        help="a .onnx, .keras or .h5 file, or keras:NAME, torchvision:NAME, timm:NAME, or "
        "torch:, keras: or flax:MODULE:FUNCTION",
    )  # fmt: skip
    made.add_argument("-o", "--output", metavar="NAME.yaml", required=True, help="what to write")
    made.add_argument(
        "--weights", metavar="FILE", help="write its weights too, a name in .safetensors"
    )
    made.add_argument(
        "--input", type=_shape, metavar="H,W,C", help="the images, if the source does not say it"
    )
    made.add_argument("--name", metavar="NAME", help="of the spec (default: that of the file)")
    made.add_argument(
        "--model", metavar="KIND:NAME", help="the network whose weights a file has, if it says not"
    )
    made.add_argument(
        "--family", action="store_true",
        help="several sources as one spec: the first, and the others as its sizes",
    )  # fmt: skip
    made.add_argument(
        "--refuse-folded", action="store_true", help="refuse networks without their batch norm"
    )
    made.add_argument(
        "--no-verify", action="store_true", help="do not compare what it computes with programs"
    )
    made.add_argument("--force", action="store_true", help="write over a spec that is there")
    takes_json(made)

    text = "Carry weights over from a public network, or back."
    both = commands.add_parser("weights", help=text, description=text)
    directions = both.add_subparsers(title="directions", metavar="DIRECTION", required=True)

    def direction(name: str, run: Callable[[argparse.Namespace], int], text: str) -> _Parser:
        made = directions.add_parser(name, help=text, description=text)
        made.set_defaults(run=run)
        assert isinstance(made, _Parser)
        takes_spec(made)
        made.add_argument(
            "--leave-out", nargs="+", metavar="PART", default=[], help="parts that take no weights"
        )
        takes_json(made)
        return made

    made = direction("import", _weights_import, "Write weights under the names of a spec.")
    made.add_argument(
        "source", metavar="SOURCE",
        help="a file of a network or of weights, or keras:NAME, torchvision:NAME, timm:NAME, or "
        "torch:, keras: or flax:MODULE:FUNCTION",
    )  # fmt: skip
    made.add_argument(
        "--model", metavar="KIND:NAME", help="the network whose weights a file has, if it says not"
    )
    made.add_argument(
        "--classes", metavar="FILE", help="names of the classes, a line for each, to predict with"
    )
    made.add_argument(
        "-o", "--output", metavar="FILE", help="a name in .safetensors (default: SPEC.safetensors)"
    )

    made = direction("export", _weights_export, "Write weights of a spec as another has them.")
    made.add_argument("weights", metavar="WEIGHTS", help="the safetensors file of a program")
    made.add_argument(
        "--model", metavar="KIND:NAME", required=True, help="the network to write them for"
    )
    made.add_argument("-o", "--output", metavar="FILE", required=True, help="what to write")

    made = command("plot", _plot, "Draw loss and accuracy of training runs.")
    _takes_runs(made)
    made.add_argument(
        "-o", "--output", default="runs.png", metavar="FILE",
        help="a name in .png or .svg (default: runs.png)",
    )  # fmt: skip
    made.add_argument(
        "--x", choices=("steps", "epochs", "time"), default="steps", help="default: steps"
    )
    made.add_argument(
        "--metric", action="append", default=[], metavar="NAME",
        help="what to draw, as the logs call it; may be repeated (default: loss and accuracy)",
    )  # fmt: skip
    made.add_argument(
        "--smooth", type=_weight, default=0.0, metavar="W",
        help="also an exponential average of training values, of weight W below 1, such as 0.9",
    )  # fmt: skip
    made.add_argument("--log", action="store_true", help="logarithmic axes, but for accuracies")
    made.add_argument(
        "--group", action="store_true",
        help="runs of one folder are one curve: the mean, in a band from the least to the greatest",
    )  # fmt: skip

    made = command("table", _table, "Compare training runs: accuracy, parameters, time.")
    _takes_runs(made)
    form = made.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--markdown", action="store_true", help="print a table in Markdown")

    made = command("list", _list, "List the specs, or what specs can use.")
    made.add_argument("folder", nargs="?", metavar="DIR", help="folder (default: bundled specs)")
    which = made.add_mutually_exclusive_group()
    which.add_argument("--ops", action="store_true", help="list ops with their attributes")
    which.add_argument("--backends", action="store_true", help="list installed backends")
    which.add_argument("--recipes", action="store_true", help="list bundled recipes")
    takes_json(made)

    made = command("explain", _explain, "Explain an error code, with an example.")
    made.add_argument("code", metavar="CODE", help="such as XG206")

    command("schema", _schema, "Print the JSON Schema of specs, for editors.")

    made = command("demo", _demo, "Compile Xception and train a small variant on real images.")
    made.add_argument("-o", "--output", default="runs/demo", metavar="DIR", help="folder")
    made.add_argument("--max-steps", type=int, metavar="N", help="stop training early")
    return parser


def _takes_runs(made: _Parser) -> None:
    made.add_argument(
        "runs", nargs="+", metavar="RUN", help="a folder that train.py --output has named"
    )


def _takes_comparison(made: _Parser) -> None:
    made.add_argument(
        "--backends", metavar="NAME,NAME", help="which to compare (default: all that there are)"
    )
    made.add_argument(
        "--batch", type=_positive, default=2, metavar="N", help="images in a batch (default: 2)"
    )
    made.add_argument(
        "--device", choices=("cpu", "cuda"), default="cpu", help="of the programs (default: cpu)"
    )
    made.add_argument(
        "--seed", type=_seed, default=0, metavar="N", help="of weights and images (default: 0)"
    )


def _natural(text: str) -> int:
    if not text.isdecimal() or len(text) > 9:
        raise argparse.ArgumentTypeError(f"expected a whole number, received {text!r}")
    return int(text)


def _seed(text: str) -> int:
    """A seed may be as long as those that `fuzz` prints."""
    if not text.isdecimal() or int(text[:20]) >= 2**63:
        raise argparse.ArgumentTypeError(f"expected a whole number below 2**63, received {text!r}")
    return int(text)


def _positive(text: str) -> int:
    if not _natural(text):
        raise argparse.ArgumentTypeError("expected at least 1, received 0")
    return int(text)


def _fewest(text: str) -> int:
    """As many nodes as a random spec has at least."""
    from xgraph.fuzz.generate import FEWEST_NODES

    if _natural(text) < FEWEST_NODES:
        raise argparse.ArgumentTypeError(f"expected at least {FEWEST_NODES}, received {text}")
    return int(text)


def _weight(text: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        weight = -1.0
    if not 0 <= weight < 1:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to below 1, received {text!r}")
    return weight


def _size(text: str) -> tuple[int, int]:
    height, _, width = text.partition("x")
    return _positive(height), _positive(width or height)


if __name__ == "__main__":
    raise SystemExit(main())
