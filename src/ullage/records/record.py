"""What one run measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ullage.errors import FormatError


@dataclass(frozen=True, slots=True)
class Measured:
    """Peak bytes of one phase on one device; None where the level cannot be read there.

    `components` are bytes of parts that were counted by themselves: weights, kv_cache, captures. `activity`
    is the phase's: load, prefill, decode, ...
    """

    phase: str
    device: str
    live: int | None
    reserved: int | None
    process: int | None
    on_device: int | None
    seconds: float
    components: Mapping[str, int] = field(default_factory=dict)
    activity: str = ""


@dataclass(frozen=True, slots=True)
class Environment:
    """What measurements depend on, and are kept apart by; `threads` are torch's, 0 if a record lacks them."""

    gpu: str
    driver: str
    torch: str
    transformers: str
    python: str
    ullage: str
    threads: int = 0


@dataclass(frozen=True, slots=True)
class Record:
    """One run: where, what was measured, how much was done."""

    environment: Environment
    measured: tuple[Measured, ...]
    examples: int
    tokens: int
    seconds: float
    splits: int
    outcome: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return (
            f"<Record of {self.examples:,} examples, {self.tokens:,} tokens in {self.seconds:,.1f} s on "
            f"{self.environment.gpu}: {len(self.measured)} peaks>"
        )


def record_document(record: Record) -> dict[str, Any]:
    """As JSON."""
    return asdict(record)


def read_record(document: Mapping[str, Any], where: str) -> Record:
    """The record in a JSON document. Raises FormatError where it is none."""
    try:
        return Record(
            Environment(**document["environment"]),
            tuple(Measured(**measured) for measured in document["measured"]),
            document["examples"],
            document["tokens"],
            document["seconds"],
            document["splits"],
            document.get("outcome", {}),
        )
    except (KeyError, TypeError) as error:
        raise FormatError(f"{where}: not a record of a run: {error}") from error
