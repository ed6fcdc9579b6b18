"""A traced pass as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from ullage.documents import ByName, document
from ullage.memory.timeline import Lived, Moment, Timeline

Tensor = Annotated[Lived, ByName()]


@dataclass(frozen=True, slots=True)
class ShortageDocument:
    """The tensor that found no room."""

    tensor: Tensor
    stage: str
    words: str


@dataclass(frozen=True, slots=True)
class TraceDocument:
    """Every tensor and every moment, and what is alive at the fullest; bytes."""

    model: str
    role: str
    phase: str
    device: str
    capacity: int | None
    allocator: str
    stages: tuple[str, ...]
    fullest: int
    live: int
    reserved: int
    stuck: int
    components: Mapping[str, int]
    shortage: ShortageDocument | None
    tensors: tuple[Tensor, ...]
    moments: tuple[Annotated[Moment, ByName()], ...]
    notes: tuple[str, ...]


def trace_document(found: Timeline) -> dict[str, object]:
    """As JSON."""
    said = TraceDocument(
        found.model,
        found.role,
        found.phase,
        found.device,
        found.capacity,
        found.settings,
        found.stages,
        found.fullest,
        found.moments[found.fullest].live,
        found.reserved,
        found.stuck,
        found.components(found.fullest),
        None if found.shortage is None else ShortageDocument(*found.shortage),
        found.tensors,
        found.moments,
        found.notes,
    )
    return document("trace", TraceDocument, said)
