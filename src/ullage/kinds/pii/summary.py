"""What a finished verification comes to, as summary.json holds it, and several beside one another."""

from __future__ import annotations

from typing import TypedDict


class Confusion(TypedDict):
    """Labelled candidates by verdict, and by whether it is right."""

    right_yes: int
    wrong_yes: int
    right_no: int
    wrong_no: int


class Counts(TypedDict):
    """Of candidates; shares are None where there is nothing to take them of."""

    verified: int
    rejected: int
    failed: int
    verification_rate: float | None
    labelled: int
    confusion: Confusion
    precision: float | None
    recall: float | None
    f1: float | None


class BinRow(TypedDict):
    """Mean probability, the share that is personal data, and how many candidates."""

    probability: float
    personal: float
    candidates: int


class CalibrationRows(TypedDict):
    """Probability against frequency."""

    bins: list[BinRow]
    expected_calibration_error: float | None


class Summary(TypedDict):
    """`seconds_a_candidate` is by percentile, as p50; `unread_fields` counts the records without candidates
    that have each field from which nothing was taken."""

    records: int
    records_without_candidates: int
    unread_fields: dict[str, int]
    rejected_lines: int
    all: Counts
    types: dict[str, Counts]
    calibration: CalibrationRows
    records_per_second: float | None
    seconds_a_candidate: dict[str, float | None]


class Compared(TypedDict):
    """One verification beside others of the same file."""

    run: str
    model: str
    gpus: str
    weights: str
    verified: int
    rejected: int
    failed: int
    precision: float | None
    recall: float | None
    f1: float | None
    calibration_error: float | None
    records_per_second: float | None
    peak_process_bytes: int
