"""Which stored rows are left when some tokens' are skipped."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Final

from ullage.capture.gathering import numbered
from ullage.capture.rows import Places, of_site
from ullage.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

TOGETHER: Final = 512
"""Sequences that are looked at at once."""


class Tokens:
    """The token ids of a table's sequences: `ids`, one after another, and where each one's `begin`."""

    def __init__(self, table: pa.Table, site: str) -> None:
        self.ids, self._lengths, self.begin = _flat(table, "tokens")
        self._prompts = table["prompt_tokens"].to_numpy()
        self._mixed = _mixed(table, site)

    def known(self, places: Places) -> NDArray[np.bool_]:
        """Of which sequences every position that was read has a row: what was generated last never was."""
        counts, length = places.end - places.begin, self._lengths[places.row]
        written = self._prompts[places.row] < length
        found: NDArray[np.bool_] = (counts == length) | ((counts == length - 1) & written)
        return found & ~self._mixed[places.row]


def without(table: pa.Table, places: Places, site: str, special: bool, ids: Collection[int]) -> Places:
    """The runs of rows that are left: several of a sequence, where skipped ones lie between.

    `special` skips tokens of a text that stand for none of its characters, `ids` those of these ids. Raises
    InputError where `ids` are given and which tokens have states is not known.
    """
    import numpy as np

    tokens, chars = Tokens(table, site), _flat(table, "offset_begin")[0]
    texts = table["text"].is_valid().to_numpy().astype(bool)
    parts = [places.some(slice(0, 0))]
    for first in range(0, len(places.row), TOGETHER):
        some = places.some(slice(first, first + TOGETHER))
        row, counts = some.row, some.end - some.begin
        known = tokens.known(some)
        if ids and not known.all():
            raise InputError(
                f"{site}: not every position of a text has its states, and which have is not stored; capture "
                "positions: all, or view without skip"
            )
        at = numbered(np.where(known, tokens.begin[row], 0), np.where(known, counts, 0))
        own = np.repeat(np.arange(len(row)), np.where(known, counts, 0))
        told = np.bincount(own, chars[at] >= 0, len(row)) > 0
        kept = ~(bool(special) & (chars[at] < 0) & (told & texts[row])[own])
        if ids:
            kept &= ~np.isin(tokens.ids[at], list(ids))
        parts += [_runs(some.some(known), own, kept), some.some(~known)]
    return Places(
        places.files,
        *(np.concatenate([getattr(p, name) for p in parts]) for name in ("file", "begin", "end", "row")),
    )


def _mixed(table: pa.Table, site: str) -> NDArray[np.bool_]:
    """Of which sequences a site's rows are of other positions than the first ones in order, as is stored."""
    import numpy as np
    import pyarrow.compute as pc

    kept, row = of_site(table, site)
    found = np.zeros(table.num_rows, bool)
    if kept.type.get_field_index("positions") >= 0:  # older stores have none but whole ones
        listed = pc.struct_field(kept, "positions")
        for at in np.flatnonzero(listed.is_valid().to_numpy()):
            positions = listed[int(at)].as_py()
            found[row[at]] = positions != list(range(len(positions)))
    return found


def _runs(some: Places, own: NDArray[np.int64], kept: NDArray[np.bool_]) -> Places:
    """Rows that are kept, in runs; `own` (rows,) says whose each of the `kept` ones is."""
    import numpy as np

    whose = np.unique(own, return_inverse=True)[1]
    first = np.concatenate([[True], whose[1:] != whose[:-1]]) if len(whose) else np.zeros(0, bool)
    before = np.concatenate([[False], kept[:-1]])[: len(kept)] & ~first
    after = (
        np.concatenate([kept[1:], [False]])[: len(kept)] & ~np.concatenate([first[1:], [True]])[: len(kept)]
    )
    lows, highs = np.flatnonzero(kept & ~before), np.flatnonzero(kept & ~after) + 1
    begun = np.flatnonzero(first)
    at = whose[lows]
    return Places(
        some.files,
        some.file[at],
        some.begin[at] + lows - begun[at],
        some.begin[at] + highs - begun[at],
        some.row[at],
    )


def _flat(table: pa.Table, name: str) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """A column of lists: all numbers, how many each list has, and where it begins among them."""
    import numpy as np
    import pyarrow as pa

    held = pa.concat_arrays(table[name].chunks or [pa.array([], table[name].type)])
    offsets = held.offsets.to_numpy().astype(np.int64)
    return held.values.to_numpy(), np.diff(offsets), offsets[:-1]
