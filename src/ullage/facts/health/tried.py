"""What libraries said when each was imported and tried out in a process of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ullage.facts.abilities import Capability
from ullage.fields import Fields


@dataclass(frozen=True, slots=True)
class Copies:
    """Bytes per second from host memory to a card: from pinned memory, and from memory that is not."""

    pinned: float
    pageable: float


@dataclass(frozen=True, slots=True)
class Seen:
    """A card as torch sees it; `index` is torch's. `problem` is why nothing can be computed there, "" where
    it can; `copies` None where they were not measured."""

    index: int
    name: str
    capability: Capability
    problem: str
    copies: Copies | None


@dataclass(frozen=True, slots=True)
class Torch:
    """The torch that is installed. `cuda` and `hip` are the versions it was built for, "" for none; `kernels`
    the architectures it has kernels for, as sm_90 or compute_90; `problem` why it sees no card."""

    cuda: str
    hip: str
    kernels: tuple[str, ...]
    cards: tuple[Seen, ...]
    problem: str


@dataclass(frozen=True, slots=True)
class Tried:
    """One library. `problem` is what its import or its first work ended with, as `RuntimeError: ...`, each
    cause behind it; "" where it worked. `works_on` names the devices it was seen to work on."""

    name: str
    version: str
    seconds: float
    problem: str = ""
    works_on: tuple[str, ...] = ()
    torch: Torch | None = None


Libraries = Mapping[str, Tried]
"""By the name they are imported by; those that are installed."""


def read_tried(found: Fields, version: str) -> Tried:
    """What such a process printed. Raises FormatError."""
    torch = _torch(found.inner("torch")) if "torch" in found else None
    return Tried(
        found.text("name"),
        version,
        found.number("seconds"),
        found.text("problem"),
        tuple(map(str, found.array("works_on"))),
        torch,
    )


def _torch(found: Fields) -> Torch:
    return Torch(
        found.text("cuda"),
        found.text("hip"),
        tuple(map(str, found.array("kernels"))),
        tuple(map(_seen, found.each("cards"))),
        found.text("problem"),
    )


def _seen(found: Fields) -> Seen:
    copies = found.inner("copies") if found.value("copies") is not None else None
    return Seen(
        found.whole("index"),
        found.text("name"),
        (found.whole("major"), found.whole("minor")),
        found.text("problem"),
        None if copies is None else Copies(copies.number("pinned"), copies.number("pageable")),
    )
