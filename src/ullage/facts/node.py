"""Machines of a cluster as a user names them: text, as in `4x(8xH100-80GB; spot 0.05/h)`, to values."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from ullage.errors import InputError
from ullage.facts.gpu import Gpu, GpuSet
from ullage.facts.gpu_set import parse_gpu_set
from ullage.units import UNITS

MOST_NODES: Final = 100_000
FORMS: Final = (
    "4x(8xH100-80GB), and in the bracket any of: spot 0.05/h (interruptions of a node an hour), network "
    "100Gbit/s, disk 2GB/s, start 5min, $32/h; several kinds are joined by +"
)
HOUR: Final = 3600.0
CARD_FAILURES: Final = 419 / (54 * 24 * HOUR * 16_384)
"""Unexpected interruptions a second of one card in a machine that nobody takes away: 419 in 54 days on 16,384
H100 (Llama Team 2024, arXiv 2407.21783, section 3.3.4)."""
_NUMBER: Final = r"(\d{1,12}(?:\.\d{1,12})?)"
_MACHINE: Final = r"type\s+([A-Za-z0-9][A-Za-z0-9._-]{0,62})"
_LABEL: Final = r"label\s+([a-z0-9][a-z0-9./-]{0,252})=([A-Za-z0-9][A-Za-z0-9._-]{0,62})"
_SECONDS: Final = {"s": 1.0, "min": 60.0, "h": HOUR}


def _bytes_a_second(match: re.Match[str]) -> float:
    """Bits are written out, `100Gbit/s`; all else is bytes."""
    unit = match[2].upper()
    if unit.endswith("BIT"):
        return float(match[1]) * UNITS[unit.removesuffix("BIT") + "B"] / 8
    return float(match[1]) * UNITS[unit]


_PARTS: Final[Mapping[str, tuple[str, Callable[[re.Match[str]], float]]]] = {
    "spot": (rf"spot\s+{_NUMBER}\s*/\s*h", lambda match: float(match[1]) / HOUR),
    "network": (rf"network\s+{_NUMBER}\s*([KMGT](?:bit|i?B))/s", _bytes_a_second),
    "disk": (rf"disk\s+{_NUMBER}\s*([KMGT]i?B)/s", _bytes_a_second),
    "start": (rf"start\s+{_NUMBER}\s*(s|min|h)", lambda match: float(match[1]) * _SECONDS[match[2].lower()]),
    "price": (rf"\$\s*{_NUMBER}\s*/\s*h", lambda match: float(match[1])),
}


@dataclass(frozen=True, slots=True)
class NodeType:
    """`count` machines with the same cards. None is not said: `spot`, how often a second one is taken away,
    `network` and `disk` in bytes a second of one machine, `start` the seconds from asking for one until it
    works, `price` dollars an hour of one. `machine` is what a cloud calls it, `labels` what Kubernetes knows
    it by: both are for cluster files alone."""

    gpus: GpuSet
    count: int
    spot: float | None = None
    network: float | None = None
    disk: float | None = None
    start: float | None = None
    price: float | None = None
    machine: str = ""
    labels: tuple[tuple[str, str], ...] = ()

    @property
    def interruptions(self) -> float:
        """How often a second one is lost: taken away, or, where that is not said, failing as its cards do."""
        return CARD_FAILURES * len(self.gpus.gpus) if self.spot is None else self.spot

    def __str__(self) -> str:
        return f"{self.count}x({self.gpus.name})"


def parse_nodes(text: str, own: Mapping[str, Gpu] | None = None) -> tuple[NodeType, ...]:
    """`4x(8xH100-80GB; spot 0.05/h; network 100Gbit/s) + 2x(4xL4)`. `own` are cards by names that the user
    gave them.

    Raises InputError for another form, and as `parse_gpu_set` for cards.
    """
    found = tuple(_node_type(part, text, own) for part in _outside_brackets(text, "+"))
    if sum(each.count for each in found) > MOST_NODES:
        raise InputError(f"{text!r}: a cluster has at most {MOST_NODES:,} nodes")
    return found


def _node_type(part: str, text: str, own: Mapping[str, Gpu] | None) -> NodeType:
    match = re.fullmatch(r"\s*(\d{1,30})\s*[x*]\s*\((.+)\)\s*", part)
    if match is None or not int(match[1]):
        raise InputError(f"{text!r} names no nodes; write {FORMS}")
    cards, *said = _outside_brackets(match[2], ";")
    given: dict[str, float] = {}
    machine, labels = "", []
    for each in map(str.strip, said):
        label, named = re.fullmatch(_LABEL, each), re.fullmatch(_MACHINE, each)
        if label is not None:
            labels.append((label[1], label[2]))
            continue
        name, value = ("type", 0.0) if named is not None else _said(each, text)
        if name in given:
            raise InputError(f"{text!r}: says {name} twice")
        given[name] = value
        machine = named[1] if named is not None else machine
    given.pop("type", None)
    gpus = parse_gpu_set(cards.strip(), own)
    return NodeType(gpus, int(match[1]), **given, machine=machine, labels=tuple(labels))


def _said(part: str, text: str) -> tuple[str, float]:
    for name, (form, read) in _PARTS.items():
        match = re.fullmatch(form, part, re.IGNORECASE)
        if match is not None:
            value = read(match)
            if value <= 0 and name != "spot":
                raise InputError(f"{text!r}: {part!r} is nothing")
            return name, value
    raise InputError(f"{text!r}: {part!r} says nothing of a node; write {FORMS}")


def _outside_brackets(text: str, mark: str) -> list[str]:
    """The parts between marks that no bracket holds."""
    parts, depth, start = [], 0, 0
    for at, sign in enumerate(text):
        depth += (sign == "(") - (sign == ")")
        if sign == mark and depth == 0:
            parts.append(text[start:at])
            start = at + 1
    return [*parts, text[start:]]
