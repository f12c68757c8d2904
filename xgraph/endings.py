"""An end from outside: what has been begun is put away, as where somebody presses Ctrl-C."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

#: What `kill` sends, schedulers of jobs, and terminals that are closed.
_ENDS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


class Ended(KeyboardInterrupt):
    """The program is ended by a signal."""

    def __init__(self, signal: int) -> None:
        super().__init__(signal)
        self.signal = signal


def _end(number: int, frame: FrameType | None) -> None:
    raise Ended(number)


@contextlib.contextmanager
def ended_in_order() -> Iterator[None]:
    """Meanwhile such a signal raises `Ended`, unless somebody has said otherwise: folders of files
    that are for the moment are removed, and processes that were started end.
    """
    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {
            number: signal.signal(number, _end)
            for number in _ENDS
            if signal.getsignal(number) is signal.SIG_DFL
        }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
