"""The contract between a residency pool and whoever moves a role's weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Protocol

HOST: Final = "host"
"""The name of host memory beside those of devices."""


class Cancelled(Exception):
    """A load was asked to stop, and has given back what it had taken."""


class RoleWeights(Protocol):
    """One form of a role's model, and where its weights are. Calls are made by one thread at a time."""

    @property
    def sizes(self) -> Mapping[str, int]:
        """By device the bytes while it is ready there."""
        ...

    @property
    def load_peaks(self) -> Mapping[str, int]:
        """By device, and `HOST`, the most bytes that are alive there at any instant while it comes from disk,
        itself included."""
        ...

    @property
    def parked_bytes(self) -> int:
        """Bytes of host memory while it is parked; 0 where it cannot be parked: it then goes to disk."""
        ...

    def bring(self, cancelled: Callable[[], bool]) -> object:
        """From disk, or from host where it is parked, to its devices: the model, ready.

        Asks `cancelled` often and then raises Cancelled. Raises MemoryError, or an error of which one is the
        cause, where memory ran out. Nothing is left behind where it raises: a role that was parked stays so.
        """
        ...

    def park(self) -> None:
        """From its devices to host: weights are read only, so what host holds already is not copied back."""
        ...

    def drop(self) -> None:
        """To disk: nothing is held on devices nor host."""
        ...
