"""Verified lines are read back as values, and one that was changed is named."""

import json

import pytest

from ullage.errors import FormatError
from ullage.kinds.pii.results import summary
from ullage.kinds.pii.verified import VerifiedCandidate, read_verified
from ullage.records.journal import Journal

CANDIDATE = {"type": "EMAIL", "start": 0, "end": 3, "verdict": "verified", "margin": 2, "probability": 0.9}
FAILED = {"type": "NAME", "start": None, "end": None, "verdict": "failed", "reason": "too long", "gold": None}
ROW = {"id": "a", "line": 1, "candidates": [CANDIDATE, FAILED], "model": "tiny", "prompt": "1"}


def written(folder, *rows, entry=None):
    (folder / "verified.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "rejects.jsonl").write_text("")
    (folder / "journal.jsonl").unlink(missing_ok=True)
    Journal(folder / "journal.jsonl").append(entry or {"batches": [[0.5, 2]], "seconds": 1})
    return folder


def test_lines_are_read_back(tmp_path):
    (row,) = read_verified(written(tmp_path, ROW))
    assert row.candidates == (
        VerifiedCandidate("EMAIL", "verified", None, 2, 0.9, start=0, end=3),
        VerifiedCandidate("NAME", "failed", None, None, None, "too long"),
    )
    found = summary(tmp_path)
    assert (found["all"]["verified"], found["all"]["failed"], found["records_per_second"]) == (1, 1, 1.0)


@pytest.mark.parametrize(
    "row, said",
    [
        (ROW | {"candidates": {}}, "candidates is an object, not an array"),
        (ROW | {"candidates": [CANDIDATE, 3]}, "candidates[1] is 3, not an object"),
        (ROW | {"candidates": [CANDIDATE | {"verdict": "add"}]}, "verdict is none of"),
        (ROW | {"candidates": [CANDIDATE | {"gold": 1}]}, "gold is 1, not true or false"),
        (ROW | {"candidates": [CANDIDATE | {"margin": "2"}]}, 'margin is "2", not a number'),
        (ROW | {"model": None}, "model is null, not a text"),
    ],
)
def test_a_changed_line_is_named(tmp_path, row, said):
    with pytest.raises(FormatError) as refused:
        summary(written(tmp_path, ROW, row))
    assert f"{tmp_path / 'verified.jsonl'}:2: " in str(refused.value)
    assert said in str(refused.value)


@pytest.mark.parametrize("batches", [3, [[1]], [["1", 2]], [[1, 0]], [[1, 2.5]]])
def test_a_journal_with_other_batches_is_refused(tmp_path, batches):
    with pytest.raises(FormatError, match=r"journal\.jsonl"):
        summary(written(tmp_path, ROW, entry={"batches": batches, "seconds": 1}))
