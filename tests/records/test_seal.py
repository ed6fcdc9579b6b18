"""What vouches for itself is refused when any bit of it is another."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ullage.errors import FormatError
from ullage.records.journal import Journal, read_journal, recovered, scan
from ullage.records.kept_lines import damaged_lines
from ullage.records.lines import LineStore
from ullage.records.notes import Notes, damaged_notes, keep_whole_notes, read_notes
from ullage.records.seal import read_sealed, write_sealed

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
DOCUMENTS = st.dictionaries(st.text(max_size=5).filter(lambda key: key != "sha256"), VALUES, max_size=4)


def flipped(data, draw):
    place = draw(st.integers(0, len(data) * 8 - 1))
    found = bytearray(data)
    found[place // 8] ^= 1 << place % 8
    return bytes(found)


@given(DOCUMENTS, st.data())
def test_a_document_with_one_bit_flipped_is_refused(tmp_path_factory, document, data):
    path = tmp_path_factory.mktemp("sealed") / "a.json"
    write_sealed(path, document)
    assert read_sealed(path) == document
    path.write_bytes(flipped(path.read_bytes(), data.draw))
    with pytest.raises(FormatError, match=r"a\.json: "):
        read_sealed(path)


def journal_of(folder, count=6):
    path = folder / "journal.jsonl"
    journal = Journal(path)
    for number in range(count):
        journal.append({"unit": number, "text": "é" * number})
    journal.close()
    return path


@given(st.data())
def test_a_journal_with_one_bit_flipped_names_its_line(tmp_path_factory, data):
    path = journal_of(tmp_path_factory.mktemp("journal"))
    whole = path.read_bytes()
    place = data.draw(st.integers(0, len(whole) * 8 - 9))  # not in the last line's end
    changed = bytearray(whole)
    changed[place // 8] ^= 1 << place % 8
    path.write_bytes(bytes(changed))
    line = whole[: place // 8].count(b"\n") + 1
    with pytest.raises(FormatError, match=rf"journal\.jsonl:{line}: "):
        read_journal(path)


@pytest.mark.parametrize(
    "order, line, said, kept",
    [
        ([1, 2, 2, 3, 4, 5, 6], 3, "is line 2, where line 3 should be: lines were doubled", 6),
        ([1, 3, 2, 4, 5, 6], 2, "is line 3, where line 2 should be: lines were doubled, moved or lost", 6),
        ([1, 2, 4, 5, 6], 3, "is line 4, where line 3 should be", 2),
        ([2, 3], 1, "is line 2, where line 1 should be", 0),
    ],
)
def test_doubled_moved_and_lost_lines_are_told_and_what_can_be_is_recovered(
    tmp_path, order, line, said, kept
):
    path = journal_of(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[number - 1] for number in order))
    with pytest.raises(FormatError) as refused:
        Journal(path)
    assert str(refused.value).startswith(f"{path}:{line}: {said}")
    entries, lost = recovered(path.read_bytes())
    assert [entry["unit"] for entry in entries] == list(range(kept))
    assert lost == len(order) - kept


def test_a_journal_of_another_run_does_not_go_on_with_this_one(tmp_path):
    path = journal_of(tmp_path, 2)
    (tmp_path / "other").mkdir()
    other = Journal(tmp_path / "other" / "journal.jsonl")
    for number in range(3):
        other.append({"unit": 10 + number})
    lines = other.path.read_bytes().splitlines(keepends=True)
    path.write_bytes(path.read_bytes() + lines[2])
    found = scan(path)
    assert len(found.entries) == 2
    assert found.damage.where == f"{path}:3"


@given(st.data())
def test_a_flipped_bit_in_kept_lines_names_them(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("run")
    journal = Journal(folder / "journal.jsonl")
    store = LineStore(folder, "judge", journal, ("judge", "failed"))
    for unit in range(4):
        store.add(unit, {"judge": [{"n": unit, "text": "ü"}] * 2, "failed": [{"n": unit}] * (unit % 2)})
    store.finish()
    assert damaged_lines(folder, journal.entries) == []
    name = data.draw(st.sampled_from(["judge", "failed"]))
    path = folder / f"{name}.jsonl"
    path.write_bytes(flipped(path.read_bytes(), data.draw))
    (found,) = damaged_lines(folder, journal.entries)
    assert found.where.startswith(f"{path}:")
    assert found.entry is not None


@pytest.mark.parametrize("order", [[0, 0, 1, 2], [1, 0, 2], [0, 2], []])
def test_doubled_moved_and_lost_rows_are_told(tmp_path, order):
    journal = Journal(tmp_path / "journal.jsonl")
    store = LineStore(tmp_path, "judge", journal)
    for unit in range(3):
        store.add(unit, {"judge": [{"n": unit}]})
    lines = (tmp_path / "judge.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "judge.jsonl").write_bytes(b"".join(lines[number] for number in order))
    (found,) = damaged_lines(tmp_path, journal.entries)
    assert found.where.startswith(f"{tmp_path / 'judge.jsonl'}:")


def test_notes_that_were_changed_are_named_and_dropped(tmp_path):
    notes = Notes(tmp_path / "log.jsonl", pytest.fail)
    notes.add({"said": "one"}, {"said": "two"})
    notes.add({"said": "three"})
    path = tmp_path / "log.jsonl"
    path.write_bytes(path.read_bytes().replace(b"two", b"twa") + b'{"said": "cut sh')
    assert [damage.where for damage in damaged_notes(tmp_path)] == [f"{path}:2"]
    with pytest.raises(FormatError, match=r"log\.jsonl:2: was changed"):
        list(read_notes(path))
    assert keep_whole_notes(tmp_path) == 1
    Notes(path, pytest.fail).add({"said": "four"})
    assert [row["said"] for row in read_notes(path)] == ["one", "three", "four"]


def test_what_was_written_reads_as_json_for_others(tmp_path):
    write_sealed(tmp_path / "a.json", {"name": "é"})
    assert json.loads((tmp_path / "a.json").read_text()).keys() == {"name", "sha256"}
