"""The pages under a path of another door, behind guards of their own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from ullage.serving.beside import Beside
from ullage.serving.guard import App, Door
from ullage.ui.app import make_app
from ullage.ui.door import LARGEST_BODY, guarded
from ullage.ui.pages import check_installed
from ullage.ui.runs import Runs
from ullage.ui.source import Source
from ullage.ui.worker import Workers

PATH: Final = "/ui"


@contextmanager
def pages_beside(source: Source, runs: Path | None) -> Iterator[Beside]:
    """The pages of a file; the processes that plan are begun by who first looks at one, and end with this.

    Raises MissingExtraError.
    """
    check_installed()
    workers = Workers(source)

    def made(door: Door) -> App:
        return guarded(make_app(workers, Runs(runs)), replace(door, largest=LARGEST_BODY), PATH)

    try:
        yield Beside(PATH, made, workers.stop)
    finally:
        workers.close()
