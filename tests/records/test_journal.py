"""The journal tells the truth after a crash at any moment."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ullage.errors import FormatError
from ullage.records.journal import Journal, read_journal

ENTRIES = st.lists(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5)), max_size=8)


@given(ENTRIES, st.data())
def test_a_journal_cut_anywhere_keeps_its_whole_entries(tmp_path_factory, entries, data):
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    journal = Journal(path)
    for entry in entries:
        journal.append(entry)
    journal.close()
    whole = path.read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:cut])
    again = Journal(path)
    kept = whole[:cut].count(b"\n")
    assert list(again.entries) == entries[:kept]
    for entry in entries[kept:]:
        again.append(entry)
    again.close()
    assert path.read_bytes() == whole
    assert list(read_journal(path)) == entries


def test_a_changed_journal_is_refused_with_its_line(tmp_path):
    path = tmp_path / "journal.jsonl"
    Journal(path).append({"a": 1})
    with path.open("a") as journal:
        journal.write("not json\n")
    with pytest.raises(FormatError, match=r"journal\.jsonl:2"):
        Journal(path)


@pytest.mark.parametrize("line", ["3", "[]", "null"])
def test_a_line_that_is_no_entry_is_refused(tmp_path, line):
    path = tmp_path / "journal.jsonl"
    path.write_text(f"{line}\n")
    with pytest.raises(FormatError, match=r"journal\.jsonl:1: not an entry"):
        Journal(path)


def test_whoever_only_reads_is_told_too(tmp_path):
    assert list(read_journal(tmp_path / "journal.jsonl")) == []
    (tmp_path / "journal.jsonl").write_text("not json\n")
    with pytest.raises(FormatError, match="the journal was changed"):
        read_journal(tmp_path / "journal.jsonl")
