"""All that a plan bills is done by the run, and nothing else: over every kind there is."""

import random

import planned_is_done
import pytest

import ullage


@pytest.mark.parametrize("kind", planned_is_done.runnable())
@pytest.mark.long
def test_what_is_billed_is_done(tmp_path, kind):
    # One variation of each kind here, ten by benchmarks/planned_is_done.py.
    overrides = planned_is_done.varied(random.Random(kind))
    folder = planned_is_done.run(kind, overrides, tmp_path)
    assert not list(planned_is_done.broken(folder)), overrides


@pytest.mark.parametrize(
    ("asked", "wrong"), [("cache={kind: static}", "dynamic cache"), ("images=1", "text alone")]
)
@pytest.mark.parametrize("kind", planned_is_done.runnable())
def test_what_is_planned_and_never_done_is_refused_by_the_run(tmp_path, kind, asked, wrong):
    role = next(iter(ullage.load(planned_is_done.HERE / f"{kind}.yaml").roles))
    with pytest.raises(ullage.errors.UllageError, match=f"{wrong}|takes no images"):
        planned_is_done.run(kind, [f"roles.{role}.{asked}"], tmp_path)
    assert not (tmp_path / "run").exists()


@pytest.mark.long
def test_a_promise_that_is_broken_is_seen(tmp_path):
    """Of one kind or another: states gone, and a phase that was never entered."""
    import dataclasses
    import shutil

    from ullage.records.folder import RunFolder
    from ullage.records.journal import write_journal

    folder = planned_is_done.run(planned_is_done.runnable()[0], [], tmp_path)
    held = RunFolder(folder)
    record = held.record()
    left_out = record.measured[-1].phase
    shutil.rmtree(folder / "states")
    write_journal(folder / "journal.jsonl", [])
    held.write_record(dataclasses.replace(record, measured=record.measured[:-1]))
    found = " ".join(planned_is_done.broken(folder))
    assert f"{left_out}: planned, never entered" in found
    assert "captures billed, no states" in found
