"""Stored states as Parquet files, which the datasets library and most others read by themselves.

One row a position: role, stage, index, part, id of its sequence as in examples.parquet, `row` (which of the
sequence's), `token` (its id; null where which positions are kept is not known), and a column a site, lists of
fixed length. bf16, which Parquet has not, is fp32 there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ullage.capture.gathering import gathered, numbered
from ullage.capture.gradients import LOSS, is_pattern
from ullage.capture.rows import Places
from ullage.capture.skipping import Tokens
from ullage.errors import InputError
from ullage.records.atomic import write_with

if TYPE_CHECKING:
    import pyarrow as pa
    from torch import Tensor

    from ullage.capture.stored import StoredStates

FILE_BYTES: Final = 64 * 2**20
"""Of states in one file, about; so much is held at a time."""
NAMED: Final = ("role", "stage", "index", "part", "id")


def export(store: StoredStates, out: Path, sites: Sequence[str]) -> list[Path]:
    """Writes the rows of `sites` (none: all of them, losses apart) to a new folder; the files.

    Raises InputError where the sites do not keep the same positions of the same sequences, or the folder has
    something in it.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: is there already; name a new folder")
    names = list(sites or (name for name in store.sites if name != LOSS))
    held = [_places(store, site) for site in names]
    for site, places in zip(names[1:], held[1:], strict=True):
        if not held[0].alike(places):
            raise InputError(
                f"{site}: keeps other rows than {names[0]}; export each by itself, as --site {names[0]}"
            )
    out.mkdir(parents=True, exist_ok=True)
    order, found = held[0].as_stored(), []
    for number, some in enumerate(_pieces(store, names, held[0].some(order))):
        table = _table(store, names, [each.some(order).some(some) for each in held])
        path = out / f"{number:05}.parquet"
        write_with(path, partial(_write, table))
        found.append(path)
    return found


def _places(store: StoredStates, site: str) -> Places:
    store.check_one_role(site)
    if is_pattern(site):
        raise InputError(
            f"{site}: patterns have no rows of one width; name the other sites, as --site ln_final"
        )
    return store.rows.places(site)


def _pieces(store: StoredStates, sites: Sequence[str], places: Places) -> Iterator[slice]:
    """Sequences that go into one file."""
    row_bytes = 0
    for site in sites:
        width = 4
        for size in store.sites[site]["width"]:
            width *= size
        row_bytes += width
    begun = held = 0
    for at, count in enumerate((places.end - places.begin).tolist()):
        if held and (held + count) * row_bytes > FILE_BYTES:
            yield slice(begun, at)
            begun, held = at, 0
        held += count
    yield slice(begun, len(places.row))


def _table(store: StoredStates, sites: Sequence[str], held: Sequence[Places]) -> pa.Table:
    import numpy as np
    import pyarrow as pa

    places = held[0]
    counts = places.end - places.begin
    whose = np.repeat(places.row, counts)
    columns = {name: store.rows.table[name].take(pa.array(whose)) for name in NAMED}
    columns["row"] = pa.array(numbered(np.zeros_like(counts), counts))
    tokens = Tokens(store.rows.table, sites[0])
    known = tokens.known(places)
    at = numbered(np.where(known, tokens.begin[places.row], 0), counts)
    unknown = np.repeat(~known, counts)
    ids = tokens.ids[np.where(unknown, 0, at)] if len(tokens.ids) else np.zeros(len(at), np.int32)
    columns["token"] = pa.array(ids, mask=unknown)
    for site, each in zip(sites, held, strict=True):
        columns[site] = _column(
            gathered(store.checked, each, site, each.begin, each.end), store.sites[site]["width"]
        )
    return pa.table(columns)


def _column(rows: Tensor, width: Sequence[int]) -> pa.Array:
    """(rows, *width) as lists of fixed length."""
    import pyarrow as pa
    import torch

    found = pa.array((rows.float() if rows.dtype == torch.bfloat16 else rows).reshape(-1).numpy())
    for size in reversed(width):
        found = pa.FixedSizeListArray.from_arrays(found, size)
    return found


def _write(table: pa.Table, path: Path) -> None:
    import pyarrow.parquet as pq

    with path.open("wb") as file:  # pyarrow takes a path for an address
        pq.write_table(table, file)
