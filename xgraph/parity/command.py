"""`xgraph parity`, `xgraph verify` and `xgraph fuzz`."""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

from xgraph import backend
from xgraph.diagnostics import Diagnostic, Source, Span, SpecError, counted, printable
from xgraph.fuzz.run import CannotCheck, FuzzReport
from xgraph.fuzz.run import fuzz as run_fuzz
from xgraph.importing import sources
from xgraph.importing.network import Refused
from xgraph.importing.runtimes.base import TrainingOf
from xgraph.importing.sources.base import function_named
from xgraph.ops.base import Array
from xgraph.parity.certificate import (
    Asked,
    NoCertificate,
    against_files,
    against_report,
    asked_of,
    certificate,
    other_versions,
    read,
)
from xgraph.parity.checker import Checkers
from xgraph.parity.comparison import WrongWeights, comparable, compare
from xgraph.parity.progress import Status
from xgraph.parity.report import ParityReport
from xgraph.parity.verify import verify as verify_source
from xgraph.report.table import wrap_columns
from xgraph.terminal import say


def parity(options: argparse.Namespace) -> bool:
    """Compare, print; returns whether all agree, and with a certificate if one is checked."""
    if options.check_certificate is not None:
        return _check_certificate(options)
    if options.programs is not None:
        raise NoCertificate("--programs goes with --check-certificate")
    if options.certificate is not None:
        _can_be_written(Path(options.certificate))
    asked = Asked(
        settings=tuple(options.set),
        backends=tuple(_backends(options) or comparable()),
        recipe=options.recipe,
        **_said(options),
    )
    weights = _weights(options)
    report = _compared(options.spec, asked, weights)
    say(json.dumps(report.to_json(), indent=2) if options.json else str(report))
    if options.certificate is not None and report.agree:
        made = certificate(options.spec, asked, report, weights)
        Path(options.certificate).write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
    return report.agree


def _said(options: argparse.Namespace) -> dict[str, Any]:
    """How to compare, as far as it was said; the rest is by default."""
    words = ("dtype", "device", "steps", "batch", "size", "seed", "ties")
    return {word: value for word in words if (value := getattr(options, word)) is not None}


def _can_be_written(path: Path) -> None:
    """Whether a certificate may go there; known before what takes long."""
    if not path.parent.is_dir():
        raise NoCertificate(f"there is no folder {path.parent.as_posix()}")
    if path.is_dir():
        raise NoCertificate(f"{path.as_posix()} is a folder")
    if path.exists():
        read(path)  # an older certificate is replaced, nothing else


def _weights(options: argparse.Namespace) -> Path | None:
    if options.weights is None:
        return None
    path = Path(options.weights)
    if not path.is_file():
        raise NoCertificate(f"there is no file {path.as_posix()}")
    return path


def _compared(spec: str, asked: Asked, weights: Path | None) -> ParityReport:
    """The comparison that is asked for, with progress."""
    held = None if weights is None else _loaded(weights)
    status = Status()
    try:
        return compare(spec, **vars(asked), weights=held, progress=status.of_worker)
    except WrongWeights as error:
        raise NoCertificate(f"{printable(str(weights), 200)}: {error}") from None
    finally:
        status.clear()


def _loaded(path: Path) -> dict[str, Array]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return dict(load_file(path))
    except SafetensorError as error:
        raise NoCertificate(f"{path.as_posix()} is not a safetensors file: {error}") from None


def _check_certificate(options: argparse.Namespace) -> bool:
    """Do again what a certificate tells of; returns whether all of it is so."""
    found = read(Path(options.check_certificate))
    recipe = found["asked"]["recipe"]
    beside = [word for word in ("backends", "certificate") if getattr(options, word) is not None]
    beside += ["set"] if options.set else []
    beside += ["recipe"] if options.recipe not in (None, recipe) else []
    if beside := [f"--{word}" for word in (*beside, *_said(options))]:
        raise NoCertificate(
            "--check-certificate does again what the certificate tells of, all of which it says "
            f"itself: leave out {', '.join(beside)}"
        )
    if recipe is not None and recipe.endswith((".yaml", ".yml")) and options.recipe != recipe:
        raise NoCertificate(f"it is by a recipe of somebody's: --recipe {printable(recipe, 200)}")
    weights = _weights(options)
    programs = Path(options.programs) if options.programs else None
    problems = list(against_files(found, options.spec, programs, weights))
    if not problems:  # what is of other files is not worth the time
        problems = list(against_report(found, _compared(options.spec, asked_of(found), weights)))
    notes = other_versions(found)
    if options.json:
        said = {"ok": not problems, "errors": problems, "other_versions": notes}
        say(json.dumps(said, indent=2))
        return not problems
    path = printable(str(options.check_certificate), 200)
    for line in problems:
        say(f"{path}: {printable(line, 300)}")
    if not problems:
        count = counted(len(found["measurements"]), "measurement")
        say(f"{path}: {count} made again, all is as it says")
    for line in notes:
        say(f"note: it was made with {line}")
    return not problems


def verify(options: argparse.Namespace) -> bool:
    """Hold a network from elsewhere to a spec, print; returns whether it is the same."""
    if options.layers_only and (options.steps or options.training):
        raise Refused("--layers-only computes nothing, and no steps: leave out one of them")
    if options.backends is not None and not _backends(options):
        raise Refused("--backends names none; --layers-only computes nothing")
    if options.model is not None and sources.is_named(options.source):
        raise Refused(f"{options.source} says what network it is; --model is for a file of weights")
    if sources.is_named(options.source) and not options.own_weights:
        source = sources.find_model(options.source)
    else:
        source = sources.find(options.source, options.model)
    status = Status()
    try:
        report = verify_source(
            options.spec,
            source,
            backends=() if options.layers_only else _backends(options),
            dtype=options.dtype,
            device=options.device,
            settings=options.set,
            recipe=options.recipe,
            steps=options.steps,
            training=None if options.training is None else _training(options.training),
            batch=options.batch,
            seed=options.seed,
            own_weights=options.own_weights,
            progress=status.of_worker,
        )
    finally:
        status.clear()
    say(json.dumps(report.to_json(), indent=2) if options.json else str(report))
    return report.agree


def _training(name: str) -> TrainingOf:
    made: TrainingOf = function_named(f"--training {name}", name, "mine:build")
    return made


def fuzz(options: argparse.Namespace) -> bool:
    """Compare what backends make of random specs; returns whether all agree."""
    status = Status()
    began = time.perf_counter()

    def progress(done: int, failures: int) -> None:
        rate = done / (time.perf_counter() - began)
        left = (options.graphs - done) / rate
        wrong = f", {failures} disagree" if failures else ""
        status.show(f"{done}/{options.graphs} specs{wrong}, {rate:.2f}/s, {left:.0f} s to go")

    status.show(f"0/{options.graphs} specs")
    names = _backends(options) or list(comparable())
    jobs = min(options.jobs or os.cpu_count() or 1, options.graphs)
    with Checkers(jobs, names, options.steps, options.batch, options.device) as check:
        try:
            report = run_fuzz(
                check,
                options.graphs,
                options.seed,
                Path(options.output),
                progress,
                jobs,
                options.nodes,
            )
        except CannotCheck as error:
            raise error.reason from None
        finally:
            status.clear()
        ill = check.ill_conditioned
    seconds = time.perf_counter() - began
    if options.json:
        say(json.dumps(_fuzz_json(report, names, seconds, ill), indent=2))
    else:
        say(_fuzz_text(report, names, seconds, ill))
    return not report.failures


def _backends(options: argparse.Namespace) -> list[str] | None:
    """The backends that were named; an unknown one is the user's mistake (XG702)."""
    if options.backends is None:
        return None
    names: list[str] = []
    problems: list[Diagnostic] = []
    begin = 1
    source = Source("--backends", options.backends)
    for name in options.backends.split(","):
        if name:
            names.append(name)
            try:
                backend.get(name, Span(source, 1, begin, len(name)))
            except SpecError as error:
                problems += error.diagnostics
        begin += len(name) + 1
    if problems:
        raise SpecError(problems)
    return names


def _fuzz_json(report: FuzzReport, names: list[str], seconds: float, ill: int) -> dict[str, Any]:
    return {
        "agree": not report.failures,
        "backends": names,
        "graphs": report.graphs,
        "ill_conditioned": ill,
        "nodes": report.nodes,
        "seconds": round(seconds, 1),
        "ops": dict(report.ops),
        "failures": [
            {"seed": f.seed, "message": f.message, "path": f.path and f.path.as_posix()}
            for f in report.failures
        ],
    }


def _fuzz_text(report: FuzzReport, names: list[str], seconds: float, ill: int) -> str:
    agree = report.graphs - len(report.failures)
    specs = "spec agrees" if report.graphs == 1 else "specs agree"
    lines = [
        f"{agree} of {report.graphs} {specs} in {', '.join(names)}: "
        f"{counted(report.nodes, 'node')} of {counted(len(report.ops), 'op')} in {seconds:.0f} s",
        wrap_columns([f"{op} {count}" for op, count in report.ops.items()]),
    ]
    if ill:
        lines.append(f"{ill} specs, cut down ones too, are ill-conditioned or chaotic")
    for failure in report.failures:
        path = failure.path.as_posix() if failure.path else ""
        place = f"{printable(path, len(path))}: " if path else ""
        lines.append(f"\n{place}{failure.message}")
    return "\n".join(lines)
