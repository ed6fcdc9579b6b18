"""Captured states on disk, written while a run goes on.

`states/` of a run's folder holds, with `store: safetensors`, shards 00000.safetensors, ...; each has a
tensor per site (rows of all its sequences, one after the other), `tokens` (int32) and `offsets`
(rows, 2; int32 character positions in the sequence's text, -1 where there are none). With `store: npy`
one memory map per site, rows in input order, and `tokens.npy`, `offsets.npy`. When the run ends:

    index.json         roles with model and sites (dtype, width), files with their SHA-256
    examples.parquet   one row a sequence, by role and stage and then in input order: id, tokens, offsets,
                       prompt length, and where its states are (file, first and last row, shape)
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from ullage.capture.entries import Format, StoredBatches, StoredSequence
from ullage.capture.gradients import is_pattern
from ullage.capture.keeping import OFFSETS, TOKENS
from ullage.records.atomic import sha256_of, write_with
from ullage.spec.positions import Range

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Example:
    """One record with what was captured of it; storing it takes the states away.

    `index` is its place in the input, `id` its own name; `role` read it in `stage`, where `part` tells apart
    several sequences of one record. `offsets` are character positions [begin, end) of each token in `text`;
    tokens from `prompt_tokens` on were generated. `states` as in `capture.reduction`; `positions` are the
    ranges that a site's rows are of, where some of a text's are kept; `not_finite` how many values of a site
    are NaN or infinite, where any are.
    """

    index: int
    id: str
    text: str | None
    tokens: tuple[int, ...]
    offsets: tuple[tuple[int, int], ...]
    prompt_tokens: int
    states: dict[str, Tensor]
    role: str
    stage: str
    part: int = 0
    positions: Mapping[str, Sequence[Range]] = field(default_factory=dict)
    not_finite: Mapping[str, int] = field(default_factory=dict)


class Store(Protocol):
    """Takes batches; what it returns is on disk and goes into the journal."""

    @property
    def held_bytes(self) -> int:
        """Bytes of states that wait to be written."""

    def expect(self, begin: int, lengths: Sequence[int], rows: Mapping[str, Sequence[int]]) -> None:
        """Examples from `begin` on come next, in any order: so many tokens, and rows of each site."""

    def add(self, unit: int, examples: Sequence[Example]) -> list[StoredBatches]:
        """What has become durable by it."""

    def finish(self) -> list[StoredBatches]:
        """What was still held, durable now."""


MOST_SEQUENCES: Final = 2048
"""Of a shard: what is known of each beside its states waits in memory too."""


class ShardStore:
    """Gathers whole batches until `shard_bytes` or MOST_SEQUENCES are held, then writes them as one
    safetensors file.

    Invariant: the batches of a shard depend on the sizes of the batches before it alone, so a resumed run
    writes the same shards.
    """

    def __init__(self, folder: Path, shard_bytes: int, done: Iterable[StoredBatches]) -> None:
        folder.mkdir(exist_ok=True)
        for left in folder.glob("*.tmp"):
            left.unlink()
        self._folder, self._limit = folder, shard_bytes
        self._count = max((int(Path(each.file).stem) + 1 for each in done if each.file), default=0)
        for left in folder.glob("*.safetensors"):
            if left.stem.isdigit() and int(left.stem) >= self._count:
                left.unlink()  # written, but never named by the journal
        self._units: list[int] = []
        self._held: list[Example] = []
        self._bytes = 0

    @property
    def held_bytes(self) -> int:
        """Bytes of states that wait to be written."""
        return self._bytes

    def expect(self, begin: int, lengths: Sequence[int], rows: Mapping[str, Sequence[int]]) -> None:
        """Nothing needs to be known before: a shard is as long as what is in it."""

    def add(self, unit: int, examples: Sequence[Example]) -> list[StoredBatches]:
        """Holds a batch; the shard that it fills."""
        self._units.append(unit)
        self._held += examples
        self._bytes += sum(t.nbytes for example in examples for t in example.states.values())
        full = self._bytes >= self._limit or len(self._held) >= MOST_SEQUENCES
        return [self._write()] if full else []

    def finish(self) -> list[StoredBatches]:
        """The last shard, if anything is held."""
        return [self._write()] if self._units else []

    def _write(self) -> StoredBatches:
        import torch

        path = self._folder / f"{self._count:05}.safetensors"
        places: list[dict[str, list[int]]] = [{} for _ in self._held]
        packed: dict[str, Tensor] = {}
        for site in tuple(self._held[0].states):
            parts, begin = [], 0
            for example, place in zip(self._held, places, strict=True):
                state = example.states.pop(site)
                flat = state.reshape(-1) if is_pattern(site) else state  # stored flat: shapes differ
                place[site] = [begin, begin + len(flat), *state.shape]
                begin += len(flat)
                parts.append(flat)
            packed[site] = torch.cat(parts)
        stored = [stored_sequence(example, place) for example, place in zip(self._held, places, strict=True)]
        numbers = torch.tensor([token for e in self._held for token in e.tokens], dtype=torch.int32)
        packed[TOKENS] = numbers
        pairs = [pair for e in self._held for pair in e.offsets]
        packed[OFFSETS] = torch.tensor(pairs, dtype=torch.int32).reshape(-1, 2)
        self._held, self._bytes = [], 0
        write_with(path, lambda temporary: _save(packed, temporary))
        sites = {
            name: Format(str(t.dtype).removeprefix("torch."), list(t.shape[1:]))
            for name, t in packed.items()
            if name not in (TOKENS, OFFSETS)
        }
        units, self._units = self._units, []
        self._count += 1
        return StoredBatches(units, sha256_of(path), sites, stored, path.name, path.stat().st_size)


def stored_sequence(
    example: Example, places: dict[str, list[int]], token_begin: int | None = None
) -> StoredSequence:
    """What the journal says of an example whose states lie at `places`."""
    return StoredSequence(
        role=example.role,
        stage=example.stage,
        index=example.index,
        part=example.part,
        id=example.id,
        text=example.text,
        prompt_tokens=example.prompt_tokens,
        tokens=len(example.tokens),
        states=places,
        token_begin=token_begin,
        positions={site: list(ranges) for site, ranges in example.positions.items()} or None,
        not_finite=dict(example.not_finite) or None,
    )


def _save(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Writes a shard. Raises OSError where there is no room, as files do."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    try:
        save_file(dict(tensors), path)
    except SafetensorError as error:
        told = re.search(r"\(os error (\d+)\)", str(error))
        if told is None:
            raise OSError(str(error)) from error
        number = int(told[1])
        raise OSError(number, os.strerror(number), str(path.with_suffix(""))) from error
