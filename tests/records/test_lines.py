"""Lines of a run: whole up to where the journal says, whatever came between."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ullage.errors import FormatError
from ullage.records.journal import Journal
from ullage.records.lines import LineStore, read_lines


def opened(folder, files=()):
    return LineStore(folder, "judge", Journal(folder / "journal.jsonl"), files)


def test_rows_come_back_in_the_order_of_writing(tmp_path):
    store = opened(tmp_path)
    store.add(1, {"judge": [{"a": 1}, {"a": "é"}]})
    store.add(0, {"judge": [{"a": 3}]})
    store.finish()
    again = opened(tmp_path)
    assert list(again.rows()) == [{"a": 1}, {"a": "é"}, {"a": 3}]
    assert again.done >= {0, 1}
    assert again.finished


@settings(deadline=None, max_examples=40)
@given(st.lists(st.lists(st.text(max_size=5), max_size=3), min_size=1, max_size=5), st.data())
def test_what_the_journal_does_not_name_is_cut_off(tmp_path_factory, units, data):
    folder = tmp_path_factory.mktemp("run")
    store = opened(folder, ("judge", "failed"))
    for number, texts in enumerate(units):
        store.add(number, {"judge": [{"t": t} for t in texts], "failed": [{"n": number}]})
    whole = {name: (folder / f"{name}.jsonl").read_bytes() for name in ("judge", "failed")}
    # A crash after some bytes of the next unit were written, in either file.
    for name in whole:
        junk = data.draw(st.binary(max_size=20))
        (folder / f"{name}.jsonl").write_bytes(whole[name] + junk)
    again = opened(folder, ("judge", "failed"))
    assert {name: (folder / f"{name}.jsonl").read_bytes() for name in whole} == whole
    assert again.done == set(range(len(units)))
    again.add(99, {"judge": [{"t": "last"}], "failed": []})
    assert list(again.rows())[-1] == {"t": "last"}


def test_a_file_that_lost_lines_is_refused(tmp_path):
    opened(tmp_path).add(0, {"judge": [{"a": 1}]})
    path = tmp_path / "judge.jsonl"
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(FormatError, match="shorter than the journal says"):
        opened(tmp_path)
    path.unlink()
    with pytest.raises(FormatError, match="is missing, but the journal has its lines"):
        opened(tmp_path)


def test_facts_stand_in_the_journal(tmp_path):
    store = opened(tmp_path)
    store.add(0, {"judge": []}, line=7)
    assert list(opened(tmp_path).entries)[-1]["line"] == 7
    assert json.loads((tmp_path / "journal.jsonl").read_text())["unit"] == 0


@pytest.mark.parametrize("line", ["{", "[1]"])
def test_a_line_that_is_no_row_is_named(tmp_path, line):
    (tmp_path / "a.jsonl").write_text('{"a": 1}\n' + line + "\n")
    with pytest.raises(FormatError, match=r"a\.jsonl:2: not"):
        list(read_lines(tmp_path / "a.jsonl"))
