"""The table of an evaluation: one row a question, in Parquet, written row group by row group."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ullage.kinds.evaluate.outcomes import Outcome
from ullage.records.atomic import write_with

if TYPE_CHECKING:
    import pyarrow

GROUP_ROWS: Final = 4096


def write_table(
    path: Path,
    outcomes: Iterable[Outcome],
    metrics: Sequence[str],
    judges: Sequence[str],
    doubts: Sequence[str],
) -> None:
    """Judges, metrics and measures of doubt each have a column of their own."""
    import pyarrow
    import pyarrow.parquet

    schema = _schema(metrics, judges, doubts)
    coming = iter(outcomes)

    def write(temporary: Path) -> None:
        # Into a file, as pyarrow takes a path for an address.
        with temporary.open("wb") as file, pyarrow.parquet.ParquetWriter(file, schema) as written:
            while rows := [_row(one) for one in islice(coming, GROUP_ROWS)]:
                written.write_table(pyarrow.Table.from_pylist(rows, schema=schema))

    write_with(path, write)


def _schema(metrics: Sequence[str], judges: Sequence[str], doubts: Sequence[str]) -> pyarrow.Schema:
    import pyarrow as pa

    text, number, several = pa.string(), pa.float64(), pa.list_(pa.float64())
    fields = [
        *((name, text) for name in ("id", "question")),
        ("references", pa.list_(text)),
        *((name, text) for name in ("answer", "stop", "failed")),
        ("tokens", pa.list_(pa.int64())),
        ("pieces", pa.list_(text)),
        ("offsets", pa.list_(pa.list_(pa.int64()))),
        *((name, several) for name in ("logprobs", "entropies", "relevance")),
        ("samples", pa.list_(text)),
        ("meanings", pa.list_(pa.int64())),
        *((name, number) for name in metrics),
    ]
    for name in judges:
        fields += [(f"{name} verdict", text), (f"{name} probability", number)]
        fields += [(f"{name} reply", text), (f"{name} unscored because", text)]
    return pa.schema([*fields, *((name, number) for name in doubts)])


def _row(one: Outcome) -> dict[str, object]:
    row: dict[str, object] = {
        "id": one.question.id,
        "question": one.question.question,
        "references": list(one.question.references),
        "answer": one.greedy.text,
        "stop": one.greedy.stop,
        "failed": one.greedy.failed or None,
        "tokens": list(one.greedy.tokens),
        "pieces": list(one.greedy.pieces),
        "offsets": [list(pair) for pair in one.greedy.offsets],
        "logprobs": list(one.greedy.logprobs),
        "entropies": list(one.greedy.entropies),
        "relevance": list(one.relevance),
        "samples": [sample.text for sample in one.samples],
        "meanings": list(one.meanings),
    }
    row |= one.metrics
    for name, judgement in one.judgements.items():
        row[f"{name} verdict"] = judgement.verdict
        row[f"{name} probability"] = judgement.probability
        row[f"{name} reply"] = judgement.reply or None
        row[f"{name} unscored because"] = judgement.reason or None
    return row | dict(one.uncertainty)
