"""The memory that a file asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ullage.errors import MissingExtraError
from ullage.files import placed
from ullage.kinds.assistant.memory.chroma import check_chroma
from ullage.kinds.assistant.memory.chroma_memory import open_chroma
from ullage.kinds.assistant.memory.embedder import Embedder
from ullage.kinds.assistant.memory.memory import Limits, Memory
from ullage.kinds.assistant.memory.ranking import Weights
from ullage.kinds.assistant.memory_section import MemorySection


@contextmanager
def open_memory(
    section: MemorySection | None, base: Path, embedder: Embedder, say: Callable[[str], None]
) -> Iterator[Memory | None]:
    """The memory of a file whose paths are relative to `base`; None where it asks for none.

    None too where the extra is not installed, which is said: the assistant goes on without. Raises as
    `open_chroma` otherwise.
    """
    if section is None:
        yield None
        return
    try:
        check_chroma()
    except MissingExtraError as error:
        say(f"{error}; nothing is remembered beyond this talk")
        yield None
        return
    limits = Limits(section.limit, section.characters)
    weights = Weights(section.similarity_weight, section.tags_weight, section.significance_weight)
    with open_chroma(placed(section.chroma_dir, base), embedder, limits, weights) as memory:
        yield memory
