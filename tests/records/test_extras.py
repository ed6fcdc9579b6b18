"""Evidence and notes are extras: what fails of them is said once, and nothing is raised."""

import json
import os
from pathlib import Path

import pytest

from ullage.errors import FormatError
from ullage.files import read_bytes
from ullage.records.atomic import sha256_of, write_json
from ullage.records.evidence_file import keep_evidence, known_evidence, read_evidence
from ullage.records.evidence_place import evidence_file, is_there
from ullage.records.notes import Notes, read_notes
from ullage.records.observation import Key, Observation


def test_notes_that_cannot_be_written_are_told_once(tmp_path):
    (tmp_path / "log.jsonl").mkdir()
    told = []
    notes = Notes(tmp_path / "log.jsonl", told.append)
    notes.add({"said": "one"})
    notes.add({"said": "two"})
    assert len(told) == 1
    assert "log.jsonl" in told[0]


def test_notes_on_a_full_device_are_told_once(tmp_path):
    (tmp_path / "log.jsonl").symlink_to("/dev/full")
    told = []
    notes = Notes(tmp_path / "log.jsonl", told.append)
    notes.add({"said": "one"})
    notes.add({"said": "two"})
    assert len(told) == 1
    with pytest.raises(FormatError, match="no ordinary file"):
        list(read_notes(tmp_path / "log.jsonl"))


@pytest.fixture
def homeless(monkeypatch):
    """No HOME, and a user id that has no name and so no home either."""
    for name in ("HOME", "ULLAGE_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)


def test_without_a_home_there_is_no_evidence_and_none_is_kept(homeless, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    key = Key("cpu", "", "2", "5", 1)
    observation = Observation(key, 1, 0, "a shape", "a phase", "2026-01-01T00:00:00Z", "run")
    assert not is_there()
    assert not known_evidence().observations
    assert not read_evidence().warning
    assert "ULLAGE_HOME" in keep_evidence([observation])
    assert not list(tmp_path.iterdir())
    assert str(evidence_file()).startswith("~")


def test_what_has_no_end_is_not_read(tmp_path):
    (tmp_path / "zero").symlink_to("/dev/zero")
    with pytest.raises(FormatError, match="without an end"):
        read_bytes(tmp_path / "zero", 1000)
    with pytest.raises(FormatError, match="no ordinary file"):
        sha256_of(tmp_path / "zero")


def test_all_of_a_file_and_of_a_pipe_is_read(tmp_path):
    (tmp_path / "file").write_bytes(b"x" * 1000)
    assert read_bytes(tmp_path / "file", 1000) == b"x" * 1000
    reading, writing = os.pipe()
    os.write(writing, b"y" * 1000)
    os.close(writing)
    assert read_bytes(Path(f"/dev/fd/{reading}"), 1000) == b"y" * 1000
    os.close(reading)


def test_a_name_that_is_no_text_is_written_and_read_back(tmp_path):
    write_json(tmp_path / "a.json", {"name": "w\udcff.yaml"})
    assert json.loads((tmp_path / "a.json").read_bytes()) == {"name": "w\udcff.yaml"}
