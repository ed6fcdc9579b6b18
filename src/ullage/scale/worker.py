"""Who does partitions on a cluster: a process with the models of a run."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread
from typing import Final

from ullage.errors import InputError, UllageError
from ullage.records.depot import Depot
from ullage.records.folder import MANIFEST, RunFolder
from ullage.records.parts import Part, Parts
from ullage.runtime.machine import this_process
from ullage.runtime.opening import Options, open_session
from ullage.workloads.inputs import check_fetched
from ullage.workloads.loading import plan_of
from ullage.workloads.partitioned import do_partition, threads_of, try_partition

WORDS: Final = 5
"""That an actor can leave in a store while its driver's patience lasts."""


class Worker:
    """Holds the models of a run from its first partition on. It is given paths and numbers alone; of a run
    whose partitions lie at the URL `depot` it needs no folder but one of its own."""

    def __init__(self, run: str, base: str, name: str, options: Options, depot: str = "") -> None:
        self._depot = depot
        self._run, self._base, self._name, self._options = Path(run), Path(base), name, options
        self._stack = ExitStack()
        self._parts = Parts(self._run)

    def open(self) -> str:
        """Makes ready; what it failed with ("" nothing)."""
        try:
            if self._depot:
                self._move()
            manifest = RunFolder(self._run).manifest()
            made = plan_of(manifest.plan, str(self._run), self._base)
            check_fetched(made.workload, manifest.inputs)
            assert made.workload.partition is not None
            folder = self._parts.path / "actors" / self._name
            folder.parent.mkdir(exist_ok=True, mode=0o700)  # alone: a run that has ended gets no folder back
            folder.mkdir(mode=0o700)
            self._stack.enter_context(threads_of(made.workload.partition))
            if any(role.runs_with.memory != "none" for role in made.workload.roles.values()):
                this_process(made.gpus)  # imports what a run here has imported before it is measured
            self._session = self._stack.enter_context(open_session(made, RunFolder(folder), self._options))
            if self._depot:
                self._tell_of_it(made.workload.partition.patience / WORDS)
        except (UllageError, OSError) as error:
            return _said(error)
        return ""

    def _move(self) -> None:
        """Works in a folder of its own, with the run's manifest."""
        self._run = Path(self._stack.enter_context(TemporaryDirectory(prefix="ullage-actor-")))
        Depot(self._depot).manifest(self._run / MANIFEST)
        self._parts = Parts(self._run)
        self._parts.settle(self._depot)

    def _tell_of_it(self, seconds: float) -> None:
        """Leaves word in the store from now on whenever more was written in so many seconds."""
        over, depot, word = Event(), Depot(self._depot), self._run / "word"

        def tell() -> None:
            seen = 0
            while not over.wait(seconds):
                if (written := self._parts.written) != seen:
                    seen = written
                    word.write_text(str(written))
                    with suppress(InputError):  # of a store that fails whoever does a partition tells
                        depot.tell(self._name, word)

        self._stack.callback(over.set)
        Thread(target=tell, daemon=True).start()

    def do(self, part: Part, node: str) -> tuple[str, str]:
        """Does one partition: the SHA-256 of its journal, and what it failed with ("" nothing)."""
        try:
            return do_partition(self._session, self._parts, part, self._name, node), ""
        except (UllageError, OSError) as error:
            return "", _said(error)

    def try_out(self, part: Part, first: int, last: int) -> tuple[str, str]:
        """Does these lines of a partition and keeps nothing; what it failed with ("" nothing)."""
        try:
            try_partition(self._session, self._parts, part, range(first, last + 1))
        except (UllageError, OSError) as error:
            return "", _said(error)
        return "", ""

    def close(self) -> None:
        """Lets go of the models."""
        self._stack.close()


def _said(error: UllageError | OSError) -> str:
    """In a line, with the file where there is one: of a disk that is full which it is."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)
