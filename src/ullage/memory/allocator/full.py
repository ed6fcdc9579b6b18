"""A card that has no room for a request."""

from __future__ import annotations

from ullage.units import GIB, KIB, MIB


class Full(Exception):
    """A request found no room: of `asked` bytes a segment of `segment` was wanted, of `capacity` `reserved`
    were taken, and `allocated` of those in use. It says so in torch's words."""

    def __init__(self, asked: int, segment: int, capacity: int, reserved: int, allocated: int) -> None:
        self.asked, self.segment, self.capacity = asked, segment, capacity
        self.reserved, self.allocated = reserved, allocated

    def __str__(self) -> str:
        free, cached = self.capacity - self.reserved, self.reserved - self.allocated
        return (
            f"CUDA out of memory. Tried to allocate {_shown(self.segment)}. GPU 0 has a total capacity of "
            f"{_shown(self.capacity)} of which {_shown(free)} is free. Of the allocated memory "
            f"{_shown(self.allocated)} is allocated by PyTorch, and {_shown(cached)} is reserved by PyTorch "
            "but unallocated."
        )


def _shown(size: int) -> str:
    """As torch's format_size writes it."""
    for unit, name in ((GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if size > unit:
            return f"{size / unit:.2f} {name}"
    return f"{size} bytes"
