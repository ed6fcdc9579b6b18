"""Hidden states: captured, opened, surveyed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ullage.api.runs import run
from ullage.workloads.planned import plan

if TYPE_CHECKING:
    from ullage.capture.index import StoredStates
    from ullage.capture.survey import Survey
    from ullage.records.record import Record
    from ullage.spec.capture import Positions


def extract(
    model: str,
    input: str | Path,
    sites: Sequence[str],
    out: str | Path | None = None,
    *,
    positions: Positions = "all",
    gpus: str = "local",
    batch: int = 8,
    precision: str = "auto",
    chunk: int | None = None,
    new_tokens: int = 0,
    temperature: float = 0.0,
    store: str = "safetensors",
    keep_precision: str = "compute",
    text_field: str = "text",
    download: bool = False,
    quiet: bool = True,
) -> tuple[Path, Record]:
    """The states of every text in `input` at `sites`, stored in `out`: the short form of a run.

    The plan is made for the longest text; `batch` is halved until it fits.
    """
    from ullage.kinds.extract.short_form import short_form

    workload = short_form(
        model,
        str(input),
        sites,
        positions=positions,
        batch=batch,
        precision=precision,
        chunk=chunk,
        new_tokens=new_tokens,
        temperature=temperature,
        store=store,
        keep_precision=keep_precision,
        text_field=text_field,
        download=download,
    )
    while workload.batch > 1 and plan(workload, gpus, advice=False).verdict == "does not fit":
        workload = workload.model_copy(update={"batch": workload.batch // 2})
    return run(workload, out, gpus, download=download, quiet=quiet)


def open_states(folder: str | Path) -> StoredStates:
    """The states a finished extraction stored."""
    from ullage.capture.index import open_states as open_stored

    return open_stored(folder)


def survey(folder: str | Path) -> Survey:
    """Effective dimension, norms, sparsity and the like of every site a finished extraction stored."""
    from ullage.capture.survey import survey as survey_states

    return survey_states(open_states(folder))
