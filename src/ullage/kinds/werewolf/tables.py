"""The tables of an experiment in Parquet: a row a turn, and a row a game."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from ullage.kinds.werewolf.judged import Judged, Key
from ullage.kinds.werewolf.rows import GameRow, TurnRow
from ullage.records.atomic import write_with

if TYPE_CHECKING:
    import pyarrow

GROUP_ROWS: Final = 4096
_WHOLES: Final = ("game", "seed", "number", "day", "round", "left_out")
_TEXTS: Final = ("condition", "stage", "player", "identity", "role", "purpose", "value", "how", "truth")


def write_turns(
    path: Path,
    turns: Iterable[TurnRow],
    probes: Sequence[str],
    judged: Mapping[Key, Judged] = MappingProxyType({}),
) -> None:
    """Every turn, and what a judge said of it; each probe has columns of its own: scores, offsets, the mean,
    and why there are none."""
    import pyarrow as pa

    numbers, pairs = pa.list_(pa.float64()), pa.list_(pa.list_(pa.int64()))
    columns = [*((name, pa.int64()) for name in _WHOLES), *((name, pa.string()) for name in _TEXTS)]
    columns += [("legal", pa.list_(pa.string())), ("attempts", pa.list_(pa.string()))]
    columns += [("prompt", pa.string()), ("claims", pa.string()), ("score", pa.float64())]
    columns += [("judged", pa.string()), ("judge reason", pa.string())]
    for probe in probes:
        for name in (probe, f"{probe} without roles"):
            columns += [(f"{name} scores", numbers), (f"{name} offsets", pairs)]
            columns += [(f"{name} mean", pa.float64()), (f"{name} unavailable", pa.string())]
    _write(path, (_turn(row, probes, judged) for row in turns), pa.schema(columns))


def _turn(row: TurnRow, probes: Sequence[str], judged: Mapping[Key, Judged]) -> dict[str, object]:
    whole = row.written()
    found = {name: whole[name] for name in (*_WHOLES, *_TEXTS, "legal", "attempts", "score")}
    found |= {name: json.dumps(whole[name], ensure_ascii=False) for name in ("prompt", "claims")}
    mine = judged.get((row.condition, row.game, row.number))
    found |= {"judged": mine and mine.truth, "judge reason": (mine and mine.reason) or None}
    for probe in probes:
        for name, scores in ((probe, row.scores), (f"{probe} without roles", row.stripped)):
            one = scores.get(probe)
            found[f"{name} scores"] = list(one.values) if one and one.values else None
            found[f"{name} offsets"] = [list(pair) for pair in one.offsets] if one and one.values else None
            found[f"{name} mean"] = one.mean() if one else None
            found[f"{name} unavailable"] = "not listened to" if one is None else one.reason or None
    return found


def write_games(path: Path, games: Iterable[GameRow]) -> None:
    """Every game; its rules and events as JSON."""
    import pyarrow as pa

    texts = pa.list_(pa.string())
    columns = [("game", pa.int64()), ("condition", pa.string()), ("seed", pa.int64())]
    columns += [("names", texts), ("identities", texts), ("winner", pa.string()), ("why", pa.string())]
    columns += [
        ("days", pa.int64()),
        ("by_night", pa.bool_()),
        ("rules", pa.string()),
        ("events", pa.string()),
    ]
    _write(path, map(_game, games), pa.schema(columns))


def _game(row: GameRow) -> dict[str, object]:
    whole = row.written()
    return whole | {name: json.dumps(whole[name], ensure_ascii=False) for name in ("rules", "events")}


def _write(path: Path, rows: Iterable[dict[str, object]], schema: pyarrow.Schema) -> None:
    import pyarrow
    import pyarrow.parquet

    coming = iter(rows)

    def write(temporary: Path) -> None:
        # Into a file, as pyarrow takes a path for an address.
        with temporary.open("wb") as file, pyarrow.parquet.ParquetWriter(file, schema) as written:
            while some := list(islice(coming, GROUP_ROWS)):
                written.write_table(pyarrow.Table.from_pylist(some, schema=schema))

    write_with(path, write)
