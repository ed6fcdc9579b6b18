"""A run's folder belongs to one process, and is whole or says so."""

import os
import signal
import subprocess
import sys
import time

import pytest

from ullage.errors import BusyError, FormatError, InputError
from ullage.records.folder import RunFolder, new_folder
from ullage.records.journal import Journal
from ullage.records.manifest import Manifest
from ullage.records.record import Environment, Measured, Record

WHERE = Environment("cpu", "none", "2.13", "5.19", "3.11", "0.1.0", 2)
MANIFEST = Manifest("../data", ({"file": "in.jsonl", "sha256": "0"},), WHERE, {"asked": "cpu"})

HOLD = """
import sys, time
from pathlib import Path
from ullage.records.folder import RunFolder
with RunFolder(Path(sys.argv[1])).lock():
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_process_is_refused_until_the_first_is_gone(tmp_path):
    first = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert first.stdout.readline() == "held\n"
    with pytest.raises(BusyError, match=str(first.pid)), RunFolder(tmp_path).lock():
        pass
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    time.sleep(0.05)
    with RunFolder(tmp_path).lock():
        pass


def test_a_folder_with_other_things_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(InputError, match=r"thesis\.tex"):
        new_folder(tmp_path)


def test_a_folder_with_a_run_is_not_begun_again(tmp_path):
    folder = new_folder(tmp_path / "run")
    folder.write_manifest(MANIFEST)
    with pytest.raises(InputError, match="--resume"):
        new_folder(tmp_path / "run")


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"document": "run", "version": 99}', '{"document": "record", "version": 1}']
)
def test_a_manifest_that_is_none_is_refused(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(FormatError, match=r"manifest\.json"):
        RunFolder(tmp_path).manifest()


def test_no_run_here(tmp_path):
    with pytest.raises(FormatError, match="is this the folder of a run"):
        RunFolder(tmp_path).manifest()
    with pytest.raises(FormatError, match="is this the folder of a run"):
        RunFolder(tmp_path).record()
    RunFolder(tmp_path).write_manifest(MANIFEST)
    with pytest.raises(FormatError, match="--resume"):
        RunFolder(tmp_path).record()


def test_what_a_run_that_came_to_nothing_wrote_goes_and_anything_else_stays(tmp_path):
    folder = new_folder(tmp_path / "run")
    folder.write_manifest(MANIFEST)
    Journal(folder.path / "journal.jsonl").append({})
    assert (folder.started, folder.done, folder.complete) == (True, 1, False)
    folder.discard()
    assert not folder.path.exists()
    again = new_folder(tmp_path / "run")
    again.write_manifest(MANIFEST)
    (again.path / "thesis.tex").write_text("precious")
    again.discard()
    assert [path.name for path in again.path.iterdir()] == ["thesis.tex"]


def test_a_folder_that_cannot_be_made_says_why(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be used as a run's folder"):
        new_folder(tmp_path / "file" / "run")


def test_a_record_and_a_manifest_are_read_back_as_they_were_written(tmp_path):
    measured = Measured("model extract", "cpu", 10, None, 30, 50, 1.5, {"weights": 7}, "prefill")
    record = Record(WHERE, (measured,), 3, 90, 2.5, 1, {"freed": [1]})
    folder = new_folder(tmp_path / "run")
    folder.write_manifest(MANIFEST)
    folder.write_record(record)
    assert folder.manifest() == MANIFEST
    assert folder.record() == record
    assert record.to_json()["document"] == "record"
