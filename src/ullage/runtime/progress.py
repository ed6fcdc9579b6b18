"""How far a run is: a bar with rate, time left and free memory on a terminal, lines elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from ullage.text import one_line
from ullage.units import gib

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

LINE_SECONDS: Final = 15.0


class Progress:
    """Reports to standard error; `quiet` shows only what `say` is given: warnings.

    Invariant: at most one bar is shown, and `say` never breaks it.
    """

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._bar: Bar | None = None
        self._label = ""
        self._done = self._tokens = self._before = 0
        self._total: int | None = 0
        self._begun = self._said = 0.0
        self.free: Callable[[], int] | None = None

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, label: str, total: int | None, done: int = 0) -> None:
        """Shows `done` of `total` records under `label`; None: nobody knows how many there are."""
        self.stop()
        self._label, self._total, self._tokens = label, total, 0
        self._done = self._before = done
        self._begun = self._said = time.monotonic()
        if self._quiet or sys.stderr is None or not sys.stderr.isatty():
            return
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        from ullage.reports.console import PlainConsole

        self._bar = Bar(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[free]}"),
            console=PlainConsole(stderr=True),
        )
        self._bar.start()
        self._bar.add_task(label, total=total, completed=done, rate="", free="")

    @property
    def far(self) -> tuple[str, int, int | None]:
        """What is being done, and how many of how many records of it are done; without a name before it is
        started."""
        return self._label, self._done, self._total

    def advance(self, records: int, tokens: int) -> None:
        """So many records, of so many tokens, are done."""
        self._done += records
        self._tokens += tokens
        now = time.monotonic()
        seconds, new = max(now - self._begun, 1e-9), self._done - self._before
        rate = f"{new / seconds:,.4g} records/s, {self._tokens / seconds:,.0f} tokens/s"
        if self._bar is not None:
            free = f"{gib(self.free())} free" if self.free is not None else ""
            for task in self._bar.task_ids:
                self._bar.update(task, completed=self._done, rate=rate, free=free)
        elif not self._quiet and now - self._said > LINE_SECONDS:
            self._said = now
            free = f", {gib(self.free())} free" if self.free is not None else ""
            whole = left = ""
            if self._total is not None:
                whole = f" of {self._total:,}"
                left = f", {(self._total - self._done) * seconds / max(new, 1):,.0f} s left"
            self._print(f"{self._label}: {self._done:,}{whole} records, {rate}{left}{free}")

    def note(self, text: str) -> None:
        """A notice, not shown when quiet."""
        if not self._quiet:
            self.say(text)

    def say(self, text: str) -> None:
        """A warning, shown even when quiet."""
        bar = self._bar  # another thread may take it away
        if bar is not None:
            with contextlib.suppress(OSError):
                bar.console.print(f"ullage: {one_line(text)}")
        else:
            self._print(f"ullage: {text}")

    def stop(self) -> None:
        """Takes the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _print(self, text: str) -> None:
        """A line; a screen that is full or has gone costs the run nothing."""
        with contextlib.suppress(OSError, ValueError):
            if sys.stderr is not None:
                sys.stderr.write(one_line(text) + "\n")
                sys.stderr.flush()
