"""How the program ends before its time: by a signal, with its children, on streams that take nothing more."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Final

ENDING: Final = (signal.SIGTERM, signal.SIGHUP)
"""What ends a run as Ctrl-C does: its work is kept, its folder let go of, and how to go on is said."""

AGAIN_SECONDS: Final = 0.05


class Ending:
    """Signals that end the program as Ctrl-C does. `code` is what it then exits with: 128 and the number of
    the last signal, as shells tell it."""

    def __init__(self) -> None:
        self.code = 128 + signal.SIGINT

    def begin(self) -> None:
        """From here on the signals of `ENDING` interrupt; a second one ends the program at once.

        One that is ignored (nohup) stays so. Does nothing outside the main thread, where none can be handled.
        """
        with contextlib.suppress(ValueError):
            for number in ENDING:
                if signal.getsignal(number) is signal.SIG_DFL:
                    signal.signal(number, self._end)
            sys.unraisablehook = self._again

    def _end(self, number: int, _: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        self.code = 128 + number
        raise KeyboardInterrupt

    def _again(self, swallowed: sys.UnraisableHookArgs) -> None:
        """Where Python had to drop it, as in a finalizer, the signal comes once more."""
        if not isinstance(swallowed.exc_value, KeyboardInterrupt):
            sys.__unraisablehook__(swallowed)
            return
        number = self.code - 128
        if number in ENDING:
            signal.signal(number, self._end)
        threading.Timer(AGAIN_SECONDS, os.kill, (os.getpid(), number)).start()


def open_streams() -> None:
    """Standard streams that are there and take every character: what their encoding lacks is escaped."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


def end_children() -> None:
    """Ends processes that an engine began and that still run: none outlives the program."""
    for task in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in task.read_text().split():
                with contextlib.suppress(OSError):
                    os.kill(int(child), signal.SIGTERM)
