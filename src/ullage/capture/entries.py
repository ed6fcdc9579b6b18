"""What a journal says of stored states: which sequences are on disk, where, and how to tell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

from ullage.errors import FormatError
from ullage.fields import Fields

if TYPE_CHECKING:
    from pydantic import TypeAdapter


@dataclass(frozen=True, slots=True)
class Format:
    """How a site's rows are stored: their dtype's name and the shape of one."""

    dtype: str
    width: list[int]


@dataclass(frozen=True, slots=True)
class StoredSequence:
    """One sequence that is on disk.

    `role`, `stage`, `index`, `part`, `id` and `text` as in `store.Example`; `tokens` counts all of it.
    `states` are [first row, row after the last, *shape] of each site. `token_begin` is its first row in
    `tokens.npy`, None in a shard, whose sequences follow one another. `positions` are ranges [begin, end) of
    tokens that a site's rows are of, None where all, the last or their mean are kept; `not_finite` how many
    values of a site are NaN or infinite, None where all are numbers.
    """

    role: str
    stage: str
    index: int
    part: int
    id: str
    text: str | None
    prompt_tokens: int
    tokens: int
    states: dict[str, list[int]]
    token_begin: int | None = None
    positions: dict[str, list[tuple[int, int]]] | None = None
    not_finite: dict[str, int] | None = None

    def to_json(self) -> dict[str, object]:
        """Its part of the journal's entry; `dataclasses.asdict` takes as long as a small model's pass."""
        return {
            "role": self.role,
            "stage": self.stage,
            "index": self.index,
            "part": self.part,
            "id": self.id,
            "text": self.text,
            "prompt_tokens": self.prompt_tokens,
            "tokens": self.tokens,
            "states": self.states,
            **_there(token_begin=self.token_begin, positions=self.positions, not_finite=self.not_finite),
        }

    def positions_of(self, site: str) -> list[int] | None:
        """The token that each of a site's rows is of, where `positions` say it."""
        ranges = (self.positions or {}).get(site)
        return None if ranges is None else [at for begin, end in ranges for at in range(begin, end)]


@dataclass(frozen=True, slots=True)
class StoredBatches:
    """Batches (`units`) that are on disk whole: in the shard `file` of so many bytes, or, without one, in
    the memory maps of all sites. `sha256` is the shard's, or that of the batch's own bytes."""

    units: list[int]
    sha256: str
    sites: dict[str, Format]
    examples: list[StoredSequence]
    file: str | None = None
    bytes: int | None = None

    def to_json(self) -> dict[str, object]:
        """The journal's entry; a shard, and a row in `tokens.npy`, stand in it only where there are such."""
        return {
            "units": self.units,
            "sha256": self.sha256,
            "sites": {site: {"dtype": kept.dtype, "width": kept.width} for site, kept in self.sites.items()},
            "examples": [example.to_json() for example in self.examples],
            **_there(file=self.file, bytes=self.bytes),
        }


def _there(**fields: object) -> dict[str, object]:
    """Those that are not None."""
    return {name: value for name, value in fields.items() if value is not None}


STATES: Final = "states"
"""What an entry of rows calls the shards that belong to them."""


def states_of(entries: Iterable[Mapping[str, object]]) -> Iterator[StoredBatches]:
    """The shards that entries of rows name. Raises FormatError for what is no such entry."""
    named = (Fields(entry, "the journal's entries of states") for entry in entries if STATES in entry)
    return read_entries(shard.values for entry in named for shard in entry.each(STATES))


def read_entries(entries: Iterable[Mapping[str, object]]) -> Iterator[StoredBatches]:
    """What `to_json` wrote, one entry at a time. Raises FormatError for what is no such entry."""
    for entry in entries:
        try:
            yield _adapter().validate_python(entry)
        except ValueError as error:
            said = " ".join(str(error).split())[:200]
            raise FormatError(f"the journal's entries of states were changed: {said}") from error


@cache
def _adapter() -> TypeAdapter[StoredBatches]:
    from pydantic import TypeAdapter

    return TypeAdapter(StoredBatches)
