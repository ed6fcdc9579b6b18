"""One pass over texts, whose live tensors are counted where it can be the fullest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ullage.capture.listener import ReadSequence

if TYPE_CHECKING:
    from torch import Tensor

    from ullage.runtime.live import LiveTensors


def read_counted(
    live: LiveTensors | None, tokens: Sequence[Sequence[int]], read: Callable[[], list[ReadSequence]]
) -> list[ReadSequence]:
    """What `read` gives of these texts."""
    if live is None:
        return read()
    kept: list[Tensor] = []
    with live.passing(len(tokens), max(map(len, tokens)), kept):
        found = read()
        kept += [tensor for each in found for tensor in each.states.values()]
    return found
