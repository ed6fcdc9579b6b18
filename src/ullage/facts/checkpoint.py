"""What the weight files of a model hold, as their headers say it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple


class StoredTensor(NamedTuple):
    """A tensor as a file stores it: its dtype name there, its shape and its exact bytes."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    bytes: int


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """What the weight files of one model hold, read from their headers alone."""

    format: Literal["safetensors", "gguf"]
    source: str
    tensors: tuple[StoredTensor, ...]

    @property
    def bytes(self) -> int:
        """Of all tensors."""
        return sum(tensor.bytes for tensor in self.tensors)
