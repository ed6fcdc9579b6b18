"""A card by its own figures: text, as in `(24GiB, 936GB/s, 71TFLOPS, sm86)`, to values and back."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from ullage.errors import InputError
from ullage.facts.abilities import AMD, APPLE, SIMULATED, UNKNOWN, Abilities, nvidia, of_capability
from ullage.facts.gpu import Gpu, Rate, bus_bandwidth
from ullage.facts.usable_memory import Usable, of_driver, of_unified
from ullage.units import Interval, parse_bytes

Figure = int | float | str
FORMS: Final = (
    "memory as 24GiB, and any of: 936GB/s, 71TFLOPS, sm86 (AMD: CDNA 3.0), 23.5GiB usable, PCIe 4.0 x16, "
    "$0.40/h, and one of nvidia, amd, apple, cpu (simulated)"
)
MAKERS: Final = ("nvidia", "amd", "apple", "cpu")
LARGEST: Final = 2**60
"""No card has as much memory, in bytes, nor operations or bytes a second beyond it."""
_NUMBER: Final = r"(\d{1,15}(?:\.\d{1,12})?)"
_SIZE: Final = rf"{_NUMBER}\s*(?:[KMGT]i?)?B"


def _scaled(unit: float) -> Callable[[re.Match[str]], float]:
    scales = {"M": 1e-3, "G": 1.0, "T": 1e3, "P": 1e6}
    return lambda match: float(round(float(match[1]) * scales[match[2].upper()] * unit))


def _capability(match: re.Match[str]) -> str:
    return f"{int(match[1])}.{match[2]}"


_PARTS: Final[Mapping[str, tuple[str, Callable[[re.Match[str]], Figure]]]] = {
    "memory": (_SIZE, lambda match: parse_bytes(match[0])),
    "usable": (rf"({_SIZE})\s+usable", lambda match: parse_bytes(match[1])),
    "bandwidth": (rf"{_NUMBER}\s*([MGT])B/s", _scaled(1e9)),
    "operations": (rf"{_NUMBER}\s*([GTP])FLOPS", _scaled(1e9)),
    "capability": (r"sm_?(\d{1,2})(\d)", _capability),
    "architecture": (r"([CR]DNA) ?(\d)(?:\.0)?", lambda match: f"{match[1].upper()} {match[2]}.0"),
    "maker": ("|".join(MAKERS), lambda match: match[0].casefold()),
    "bus": (r"PCIe ?(\d)(?:\.0)? ?x(\d{1,2})", lambda match: f"PCIe {match[1]}.0 x{match[2]}"),
    "price": (rf"\$ ?{_NUMBER} ?/ ?h", lambda match: round(float(match[1]), 6)),
}
"""What a part of a description says, by its form."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What is told of a card; None is not told. Bytes, bytes and operations a second, dollars an hour."""

    memory: int
    usable: int | None = None
    bandwidth: float | None = None
    operations: float | None = None
    capability: str | None = None
    architecture: str | None = None
    maker: str | None = None
    bus: str | None = None
    price: float | None = None


def read_description(text: str) -> Gpu:
    """The card that `(24GiB, 936GB/s, ...)` describes; its id is the description, written one way.

    Raises InputError for what is no such description, or makes no sense.
    """
    if not text.strip().endswith(")"):
        raise InputError(f"{text}: the bracket is not closed; write for example (24GiB, sm86)")
    found: dict[str, Figure] = {}
    for part in text.strip()[1:-1].split(","):
        name, value = _part(part.strip(), text)
        if name in found:
            raise InputError(f"{text}: gives its {name} twice")
        found[name] = value
    return card("", found, text)


def card(name: str, found: Mapping[str, Figure], where: str) -> Gpu:
    """The card of `found` figures, by their fields; its id is `name`, else its description. `where` begins
    messages. Raises InputError for figures that make no sense."""
    if "memory" not in found:
        raise InputError(f"{where}: says nothing of its memory; write for example (24GiB, sm86)")
    figures = Figures(**found)  # type: ignore[arg-type]  # each part's form gives its field's type
    abilities = _abilities(figures, where)
    _check(figures, where)
    usable = _usable(figures, abilities)
    return Gpu(
        name or description(figures),
        usable.bytes,
        usable.basis,
        figures.bandwidth,
        None if figures.operations is None else Rate(figures.operations, "given"),
        abilities,
        None if figures.bus is None else bus_bandwidth(figures.bus),
        usable_source=usable.source,
        described=True,
        usd_per_hour=figures.price,
    )


def part_of_kind(kind: str, text: str) -> Figure | None:
    """What `text` says of one field, None where it has not the field's form."""
    form, read = _PARTS[kind]
    match = re.fullmatch(form, text.strip(), re.IGNORECASE | re.ASCII)
    return None if match is None else read(match)


def _part(text: str, where: str) -> tuple[str, Figure]:
    for kind in _PARTS:
        found = part_of_kind(kind, text)
        if found is not None:
            return kind, found
    raise InputError(f"{where}: {text!r} says nothing that is known of a card; write {FORMS}")


def _abilities(figures: Figures, where: str) -> Abilities:
    maker, capability, architecture = figures.maker, figures.capability, figures.architecture
    told = [each for each in (capability, architecture) if each is not None]
    implied = "nvidia" if capability is not None else "amd" if architecture is not None else maker
    if len(told) > 1 or (maker is not None and implied != maker):
        raise InputError(f"{where}: {' and '.join([*filter(None, [maker]), *told])} are of different makers")
    if capability is not None:
        major, minor = map(int, capability.split("."))
        if not 3 <= major <= 15:
            raise InputError(f"{where}: there is no {of_capability((major, minor))}; sm86 stands for 8.6")
        return nvidia((major, minor))
    if architecture is not None:
        if architecture not in AMD:
            raise InputError(f"{where}: {architecture} is not known; one of {', '.join(AMD)}")
        return AMD[architecture]
    return {"apple": APPLE, "cpu": SIMULATED}.get(maker or "") or UNKNOWN[maker]


def _check(figures: Figures, where: str) -> None:
    for name in ("memory", "usable", "bandwidth", "operations"):
        value = getattr(figures, name)
        if value is not None and not 0 < value <= LARGEST:
            raise InputError(f"{where}: no card has {name} of {value:.4g}")
    if figures.usable is not None and figures.usable > figures.memory:
        raise InputError(f"{where}: more of its memory is usable than it has")
    if figures.bus is not None and bus_bandwidth(figures.bus) is None:
        raise InputError(f"{where}: there is no {figures.bus}; write for example PCIe 4.0 x16")


def _usable(figures: Figures, abilities: Abilities) -> Usable:
    if figures.usable is not None or abilities.simulated:
        size = figures.memory if figures.usable is None else figures.usable
        return Usable(Interval.exactly(size), "given", "as described")
    return of_unified(figures.memory) if abilities.unified else of_driver(figures.memory, "the described")


def description(figures: Figures) -> str:
    """The figures as text that is read back to the same, as in `(24GiB, 936GB/s, 71TFLOPS, sm86)`."""
    return f"({', '.join(_said(figures))})"


def _said(figures: Figures) -> Iterator[str]:
    if figures.maker is not None:
        yield figures.maker
    yield _size(figures.memory)
    if figures.usable is not None:
        yield f"{_size(figures.usable)} usable"
    if figures.bandwidth is not None:
        yield f"{_of_unit(figures.bandwidth, 9)}GB/s"
    if figures.operations is not None:
        yield f"{_of_unit(figures.operations, 12)}TFLOPS"
    if figures.capability is not None:
        yield f"sm{figures.capability.replace('.', '')}"
    yield from filter(None, (figures.architecture, figures.bus))
    if figures.price is not None:
        yield f"${_trimmed(f'{figures.price:.6f}')}/h"


def _size(size: int) -> str:
    for unit, scale in (("GiB", 2**30), ("GB", 10**9), ("MiB", 2**20), ("MB", 10**6)):
        if size % scale == 0:
            return f"{size // scale}{unit}"
    return f"{size}B"


def _of_unit(value: float, power: int) -> str:
    """`value` in units of 10^power, with no more digits than it has."""
    whole, rest = divmod(round(value), 10**power)
    return _trimmed(f"{whole}.{rest:0{power}d}")


def _trimmed(number: str) -> str:
    return number.rstrip("0").rstrip(".")


def split_set(text: str) -> Iterable[str]:
    """The members of a set, which `+` or a comma outside brackets separates; `+me` ends a MIG profile."""
    return re.split(r"(?:,|\+(?!me\b))(?![^()]*\))", text)
