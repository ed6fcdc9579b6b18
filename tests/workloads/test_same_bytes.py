"""The same file, seed and threads give the same bytes; what is not the same is listed where users read it."""

from pathlib import Path

import flipped_bits
import pytest

import ullage

CASES = {case.name: case for case in flipped_bits.cases(4)}
DIFFERENT = {"record.json", "manifest.json", "log.jsonl", "timeline.jsonl", "report.html"}
OF_PII = {"summary.json", "journal.jsonl"}
PAGE = Path(__file__).parents[2] / "docs" / "running.md"


@pytest.mark.long
@pytest.mark.parametrize("name", CASES)
def test_two_runs_of_one_file_differ_in_what_is_listed_alone(tmp_path, name):
    flipped_bits.inputs(tmp_path, 4)
    kept = []
    for number in (1, 2):
        run, _ = ullage.run(ullage.load(CASES[name].workload), tmp_path / f"run-{number}", base=tmp_path)
        files = (path for path in run.rglob("*") if path.is_file() and path.name != ".lock")
        kept.append({path.relative_to(run).as_posix(): path.read_bytes() for path in files})
    assert set(kept[0]) - DIFFERENT == set(kept[1]) - DIFFERENT
    differ = {file for file in kept[0] if kept[0][file] != kept[1].get(file)}
    assert differ <= DIFFERENT | (OF_PII if name == "pii" else set())


def test_the_page_lists_them():
    _, _, listed = PAGE.read_text().partition("### The same bytes")
    assert all(f"`{name}`" in listed for name in DIFFERENT | OF_PII)
