"""What a finished verification comes to, as summary.json holds it, and several beside one another."""

from __future__ import annotations

from typing_extensions import TypedDict


class Confusion(TypedDict):
    """Labelled candidates by verdict, and by whether it is right."""

    right_yes: int
    wrong_yes: int
    right_no: int
    wrong_no: int


class Counts(TypedDict):
    """Of candidates; shares and intervals, which are Wilson's of 95 %, are None of nothing."""

    verified: int
    rejected: int
    failed: int
    verification_rate: float | None
    labelled: int
    confusion: Confusion
    precision: float | None
    precision_interval: tuple[float, float] | None
    recall: float | None
    recall_interval: tuple[float, float] | None
    f1: float | None


class ThresholdRow(TypedDict):
    """What a threshold would come to, of labelled candidates."""

    threshold: float
    verified: int
    precision: float | None
    recall: float | None


class RedactionCounts(TypedDict):
    """Records whose text was redacted and that were withheld, by reason; places that only folding found."""

    redacted: int
    withheld: int
    reasons: dict[str, int]
    folded_places: int


class BinRow(TypedDict):
    """Mean probability, the share that is personal data, and how many candidates."""

    probability: float
    personal: float
    candidates: int


class CalibrationRows(TypedDict):
    """Probability against frequency."""

    bins: list[BinRow]
    expected_calibration_error: float | None


class Percentiles(TypedDict):
    """Seconds; None of nothing."""

    p50: float | None
    p90: float | None
    p95: float | None
    p99: float | None


class Summary(TypedDict):
    """`unread_fields` counts the records without candidates
    that have each field from which nothing was taken, `failures` the candidates by reason. Threshold and
    temperature are those that were last decided with."""

    records: int
    records_without_candidates: int
    unread_fields: dict[str, int]
    rejected_lines: int
    all: Counts
    types: dict[str, Counts]
    threshold: float | None
    temperature: float | None
    by_threshold: list[ThresholdRow]
    failures: dict[str, int]
    redaction: RedactionCounts | None
    calibration: CalibrationRows
    records_per_second: float | None
    seconds_a_candidate: Percentiles


class Paired(TypedDict):
    """A verification beside the first: how many candidates both have, in how many the verdicts differ.

    `p_value` is that of McNemar's exact test on what only one of the two has right; None without labels.
    """

    candidates: int
    unpaired: int
    other_verdicts: int
    only_first_right: int
    only_this_right: int
    p_value: float | None


class Compared(TypedDict):
    """One verification beside others of the same file.

    Intervals are Wilson's of 95 %. `beside_first` is None of the first.
    """

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
    precision_interval: tuple[float, float] | None
    recall_interval: tuple[float, float] | None
    f1_interval: tuple[float, float] | None
    labelled: int
    beside_first: Paired | None
    calibration_error: float | None
    records_per_second: float | None
    peak_process_bytes: int
