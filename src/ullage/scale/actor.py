"""Who does partitions on a cluster: one process with the models of a run."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from ullage.errors import UllageError
from ullage.records.folder import RunFolder
from ullage.records.parts import Parts
from ullage.runtime.opening import Options, open_session
from ullage.scale.looking import Asked, look
from ullage.workloads.loading import plan_of
from ullage.workloads.partitioned import do_partition, threads_of, try_partition


class Actor:
    """Holds the models of a run from its first partition on. It is given paths and numbers alone."""

    def __init__(self, run: str, base: str, name: str, options: Options, asked: Asked) -> None:
        self._run, self._base, self._name, self._options = Path(run), Path(base), name, options
        self._stack = ExitStack()
        self._parts = Parts(self._run)
        self._asked = asked

    def open(self) -> tuple[str, str]:
        """Makes ready; this node's name, and what is wrong with it ("" nothing)."""
        import platform

        import ray

        node = platform.node()
        wrong = look(self._asked, ray.get_runtime_context().get_node_id())  # it may have joined since
        if wrong:
            return node, "; ".join(wrong)
        try:
            made = plan_of(RunFolder(self._run).manifest().plan, str(self._run), self._base)
            assert made.workload.partition is not None
            folder = self._parts.path / "actors" / self._name
            folder.mkdir(parents=True, mode=0o700)
            self._stack.enter_context(threads_of(made.workload.partition))
            self._session = self._stack.enter_context(open_session(made, RunFolder(folder), self._options))
        except (UllageError, OSError) as error:
            return node, str(error)
        return node, ""

    def do(self, number: int, node: str) -> tuple[str, str]:
        """Does one partition: the SHA-256 of its journal, and what it failed with ("" nothing)."""
        try:
            return do_partition(self._session, self._parts, number, self._name, node), ""
        except UllageError as error:
            return "", str(error)

    def try_out(self, number: int, first: int, last: int) -> tuple[str, str]:
        """Does these lines of a partition and keeps nothing; what it failed with ("" nothing)."""
        try:
            try_partition(self._session, self._parts, number, range(first, last + 1))
        except UllageError as error:
            return "", str(error)
        return "", ""

    def close(self) -> None:
        """Lets go of the models."""
        self._stack.close()
