"""Gives back what is kept for later, and says what that was."""

from __future__ import annotations

from dataclasses import dataclass

from ullage.capture.proofs import forget_proofs
from ullage.runtime.batching import release
from ullage.runtime.devices import devices_here
from ullage.runtime.reading import CPU, read_device
from ullage.units import gib


@dataclass(frozen=True, slots=True)
class Freed:
    """What one device got back: bytes this process held there `before` and `after`, on a GPU in torch's
    allocator, on a processor in RAM."""

    device: str
    before: int
    after: int

    @property
    def bytes(self) -> int:
        """None less than 0: what somebody else in this process took meanwhile is not ours to count."""
        return max(self.before - self.after, 0)

    def __str__(self) -> str:
        return f"{self.device}: {gib(self.bytes)} given back, {gib(self.after)} still held"


def clear_cache() -> tuple[Freed, ...]:
    """Frees what nothing refers to and what torch's and glibc's allocators keep of it, and forgets the proofs
    of families that are held (those on disk stay). By device what that gave back.

    Models and states that the caller holds stay where they are.
    """
    devices = devices_here()
    before = [_held(device) for device in devices]
    forget_proofs()
    release()
    return tuple(Freed(device, then, _held(device)) for device, then in zip(devices, before, strict=True))


def _held(device: str) -> int:
    reading = read_device(device)
    return (reading.process if device == CPU else reading.reserved) or 0
