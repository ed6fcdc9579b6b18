"""What Ray places on a node: it looks around there first, as nodes may join a cluster while a run goes on.

It is sent to nodes as it stands, as `looking` is, and for the same reason: it imports of Ullage what works
only once that was found to be the driver's.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ullage.scale.looking import Asked, look

if TYPE_CHECKING:
    from ullage.scale.worker import Worker


class Actor:
    """One process with a worker, on a node with nothing wrong. It is given paths and plain values alone."""

    def __init__(
        self, asked: Asked, run: str, base: str, name: str, options: Mapping[str, Any], depot: str
    ) -> None:
        self._asked, self._options, self._given = asked, options, (run, base, name, depot)
        self._worker: Worker | None = None

    def open(self) -> tuple[str, str, list[str], str]:
        """Makes ready: this node's name, and Ray's of it; what is wrong with it, a line each; what opening
        failed with beside that ("" nothing)."""
        import ray

        host, node = platform.node(), str(ray.get_runtime_context().get_node_id())
        unfit = look(self._asked, node)
        if unfit:
            return host, node, unfit, ""
        from ullage.runtime.opening import Options
        from ullage.scale.worker import Worker

        run, base, name, depot = self._given
        self._worker = Worker(run, base, name, Options(**self._options), depot)
        return host, node, [], self._worker.open()

    def do(self, part: Any, node: str) -> tuple[str, str]:
        """As `Worker.do`."""
        assert self._worker is not None
        return self._worker.do(part, node)

    def try_out(self, part: Any, first: int, last: int) -> tuple[str, str]:
        """As `Worker.try_out`."""
        assert self._worker is not None
        return self._worker.try_out(part, first, last)

    def close(self) -> None:
        """As `Worker.close`."""
        if self._worker is not None:
            self._worker.close()
