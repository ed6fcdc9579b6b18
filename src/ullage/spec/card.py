"""A card of the user's own, by name."""

# Annotations are not postponed here: pydantic and NamedTuple would compile every one of them at each start.

from collections.abc import Iterator, Mapping
from typing import Annotated, Final, Literal

from pydantic import Field

from ullage.errors import InputError, UllageError
from ullage.facts.described_gpu import Figure, card, part_of_kind
from ullage.facts.gpu import Gpu
from ullage.spec.mistake import Mistake, Path, shorten
from ullage.spec.value import Value

NAME: Final = "[A-Za-z][A-Za-z0-9_. -]{0,63}"
RESERVED: Final = ("cpu", "local")
"""What a set of GPUs may be named beside cards."""


class Card(Value):
    """Figures of one card; what is left out is not known. A set names the card: `2xNAME`."""

    memory: str = Field(description="as the driver shows it: 24GiB")
    usable: str | None = Field(None, description="what torch reports of it, as 23.5GiB")
    bandwidth: str | None = Field(None, description="as 936GB/s")
    operations: str | None = Field(None, description="dense, of 16 bits: 71TFLOPS")
    capability: str | None = Field(None, description="CUDA's compute capability, as sm86")
    architecture: str | None = Field(None, description="AMD's, as CDNA 3.0")
    maker: Literal["nvidia", "amd", "apple", "cpu"] | None = Field(
        None, description="cpu: a simulated device"
    )
    bus: str | None = Field(None, description="as PCIe 4.0 x16")
    price: Annotated[float, Field(strict=True, ge=0, le=10**6)] | None = Field(
        None, description="US dollars an hour"
    )


def own_cards(cards: Mapping[str, Card]) -> dict[str, Gpu]:
    """Cards by their names. Raises InputError for one that makes no sense."""
    return {name: card(name, _figures(given), f"card {name}") for name, given in cards.items()}


def mistakes_in_cards(cards: Mapping[str, Card]) -> Iterator[Mistake]:
    """Names that cannot be used, figures of another form, and cards that make no sense."""
    for name, given in cards.items():
        path = ("cards", name)
        problem = _misnamed(name)
        if problem:
            yield Mistake(path, problem, at_key=True)
            continue
        wrong = [*_unreadable(given, path)]
        yield from wrong
        if not wrong:
            try:
                card(name, _figures(given), "")
            except InputError as error:
                yield Mistake(path, str(error).removeprefix(": "), at_key=True)


def _misnamed(name: str) -> str:
    import re

    if not re.fullmatch(NAME, name) or name.casefold() in RESERVED:
        return (
            "a card's name is letters, digits, blanks, _ . and -, a letter first, and neither cpu nor local"
        )
    from ullage.facts.gpu_catalog import find_gpu

    try:
        return f"is what {find_gpu(name).id} is known by; give it another name"
    except UllageError:
        return ""


def _unreadable(given: Card, path: Path) -> Iterator[Mistake]:
    for field, text in given:
        if isinstance(text, str) and part_of_kind(field, _form(field, text)) is None:
            hint = type(given).model_fields[field].description
            yield Mistake((*path, field), f"{shorten(repr(text), 60)} is no {field}; {hint}")


def _figures(given: Card) -> dict[str, Figure]:
    found: dict[str, Figure] = {}
    for field, value in given:
        told = part_of_kind(field, _form(field, value)) if isinstance(value, str) else value
        if told is not None:
            found[field] = told
    return found


def _form(field: str, text: str) -> str:
    """As a description in brackets has it."""
    return f"{text} usable" if field == "usable" else text
