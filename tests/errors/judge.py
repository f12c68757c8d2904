"""Run in a process of its own: what xgraph says to each of many specs, under watch.

Reads from standard input a JSON list of `[name, [setting, …]]`, in the folder of the specs. Writes
a JSON object: by name, the diagnostics, the seconds it took and what it did that no analysis does;
and the peak memory of all, in MiB.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

#: Modules whose audit events are about doing things.
DOERS = ("os", "subprocess", "socket", "shutil", "ctypes")
MEMORY = 1024 * 1024 * 1024  # of address space: a bomb that goes off ends the process


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    from xgraph import ops
    from xgraph.compile import analyse
    from xgraph.diagnostics import SpecError

    for name in ops.names():
        ops.get(name)
    analyse("xception")  # all that is imported late is there now

    seen: list[str] = []

    def watch(event: str, arguments: tuple) -> None:
        if event == "open":
            path, mode, _ = arguments
            if isinstance(mode, str) and set(mode) & set("wax+"):
                seen.append(f"open {path} {mode}")
        elif event in ("os.scandir", "os.listdir"):
            pass  # looking for names to suggest
        elif event in ("exec", "import") or event.partition(".")[0] in DOERS:
            seen.append(f"{event} {arguments!r:.200}")

    sys.addaudithook(watch)
    found = {}
    for name, settings in json.load(sys.stdin):
        seen.clear()
        start = time.process_time()  # the machine may be busy with other things
        diagnostics, texts, failure = [], "", None
        try:
            analyse(name, settings)
        except SpecError as error:
            diagnostics = [one.to_json() for one in error.diagnostics]
            diagnostics = [
                {**one, "place": str(raw.span) if raw.span else None}
                for one, raw in zip(diagnostics, error.diagnostics, strict=True)
            ]
            texts = str(error)
        except BaseException as error:
            failure = repr(error)[:500]
        found[name] = {
            "diagnostics": diagnostics,
            "text": texts,
            "failure": failure,
            "seconds": time.process_time() - start,
            "seen": list(seen),
        }
    json.dump({"found": found, "peak": peak()}, sys.stdout)


def peak() -> float:
    """Peak memory of this process, MiB. What getrusage says includes the process it came from."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


main()
