"""The table of an evaluation: one row a question, in Parquet, written row group by row group."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ullage.kinds.evaluate.outcomes import MEASURES, Outcome
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
    """Judges, metrics and measures of doubt each have a column of their own, whether or not there is anything
    in it; every name is one that SQL takes without quotes."""
    import pyarrow
    import pyarrow.parquet

    columns = columns_of(doubts)
    schema = _schema(metrics, judges, columns)
    coming = iter(outcomes)

    def write(temporary: Path) -> None:
        # Into a file, as pyarrow takes a path for an address.
        with temporary.open("wb") as file, pyarrow.parquet.ParquetWriter(file, schema) as written:
            while rows := [_row(one, columns) for one in islice(coming, GROUP_ROWS)]:
                written.write_table(pyarrow.Table.from_pylist(rows, schema=schema))

    write_with(path, write)


def _schema(metrics: Sequence[str], judges: Sequence[str], doubts: Mapping[str, str]) -> pyarrow.Schema:
    import pyarrow as pa

    text, number, several = pa.string(), pa.float64(), pa.list_(pa.float64())
    fields = [
        *((name, text) for name in ("id", "question", "context")),
        ("references", pa.list_(text)),
        *((name, text) for name in ("answer", "stop", "failed")),
        ("tokens", pa.list_(pa.int64())),
        ("pieces", pa.list_(text)),
        ("offsets", pa.list_(pa.list_(pa.int64()))),
        *((name, several) for name in ("logprobs", "entropies", "relevance")),
        ("samples", pa.list_(text)),
        ("sample_logprobs", pa.list_(several)),
        ("meanings", pa.list_(pa.int64())),
        *((name, number) for name in metrics),
    ]
    for name in judges:
        fields += [(f"{name}_verdict", text), (f"{name}_probability", number), (f"{name}_mass", number)]
        fields += [(f"{name}_reply", text), (f"{name}_unscored_because", text)]
    return pa.schema([*fields, *((name, number) for name in doubts.values())])


def columns_of(doubts: Sequence[str]) -> dict[str, str]:
    """The column of each measure, as `g_nll`: of those that any run may have, and of this one's own."""
    found: dict[str, str] = {}
    for name in dict.fromkeys((*MEASURES, *doubts)):
        plain = re.sub(r"\W+", "_", name.casefold().replace("1 - ", "one minus ")).strip("_")
        number = 2
        column = plain
        while column in found.values():
            column, number = f"{plain}_{number}", number + 1
        found[name] = column
    return found


def _row(one: Outcome, doubts: Mapping[str, str]) -> dict[str, object]:
    row: dict[str, object] = {
        "id": one.question.id,
        "question": one.question.question,
        "context": one.question.context or None,
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
        "sample_logprobs": [list(sample.logprobs) for sample in one.samples],
        "meanings": list(one.meanings),
    }
    row |= one.metrics
    for name, judgement in one.judgements.items():
        row[f"{name}_verdict"] = judgement.verdict
        row[f"{name}_probability"] = judgement.probability
        row[f"{name}_mass"] = judgement.mass
        row[f"{name}_reply"] = judgement.reply or None
        row[f"{name}_unscored_because"] = judgement.reason or None
    return row | {doubts[name]: value for name, value in one.uncertainty.items()}
