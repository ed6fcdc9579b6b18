"""Inputs as people have them: any form, packed or piped, read one record at a time; units of offsets."""

import bz2
import csv
import gzip
import io
import json
import os
import threading
import tracemalloc
import types

import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ullage
from ullage.errors import InputError
from ullage.kinds.pii.offsets import UNITS, NotARecord
from ullage.kinds.pii.records import RecordReader
from ullage.kinds.pii.section import RecordFields, Section
from ullage.kinds.pii.sources import Source
from ullage.kinds.pii.survey import surveyed
from ullage.kinds.pii.types import read_types

TYPES = read_types()
SCRIPTED = """
kind: pii
roles: {verifier: {model: script.jsonl, engine: scripted, batch: 2}}
budget: {gpus: cpu}
new_tokens: 8
pii: {input: records.jsonl}
"""
ROWS = [
    {
        "id": f"r{n}",
        "text": f"Call real-{n}, \u00e4 \u6c49\n now",
        "entities": [{"type": "PHONE", "value": f"real-{n}"}],
    }
    for n in range(7)
]
FLAT = [
    {"id": row["id"], "text": row["text"], "type": "PHONE", "value": f"real-{n}"}
    for n, row in enumerate(ROWS)
]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS).encode()


def table(rows, delimiter=","):
    file = io.StringIO()
    writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue().encode()


CELLS = [{**row, "entities": json.dumps(row["entities"])} for row in ROWS]
PYTHON = [{**row, "entities": str(row["entities"])} for row in ROWS]
FORMS = {
    "lines.jsonl": LINES,
    "lines.txt": b"\xef\xbb\xbf\n\n" + LINES,
    "ends at once.jsonl": LINES.strip(),
    "array.json": json.dumps(ROWS).encode(),
    "pretty.json": json.dumps(ROWS, indent=2).encode(),
    "bom.json": b"\xef\xbb\xbf " + json.dumps(ROWS, indent=1, ensure_ascii=False).encode(),
    "values.json": "\n".join(json.dumps(row, indent=4) for row in ROWS).encode(),
    "pairs.jsonl": "".join(
        json.dumps([r["text"], {"id": r["id"], "entities": r["entities"]}]) + "\n" for r in ROWS
    ).encode(),
    "pairs.json": json.dumps(
        [[r["text"], {"id": r["id"], "entities": r["entities"]}] for r in ROWS]
    ).encode(),
    "cells.csv": table(CELLS),
    "python.csv": table(PYTHON),
    "flat.csv": table(FLAT),
    "excel.csv": b"\xef\xbb\xbf" + table(FLAT, ";"),
    "flat.tsv": table(FLAT, "\t"),
    "no ending": table(FLAT, "|"),
    "lines.jsonl.gz": gzip.compress(LINES),
    "two members.gz": gzip.compress(LINES[:100]) + gzip.compress(LINES[100:]),
    "lines.jsonl.bz2": bz2.compress(LINES),
    "array.json.bz2": bz2.compress(json.dumps(ROWS).encode()),
    "misnamed.jsonl": gzip.compress(table(FLAT)),
}


def opened(path, longest=2**20, **section):
    source = Source(path.name, path, longest)
    settings_ = Section(**section)
    said = []
    reader, lines = surveyed(source, settings_, TYPES, said.append, False, False)
    return source, reader, lines, said


def read(path, **section):
    """Ids, texts and values of all records, and the numbers of what is none."""
    source, reader, lines, _ = opened(path, **section)
    good, bad = [], []
    for line in lines if source.once else source.lines():
        if line.record is None:
            bad.append((line.number, line.reason))
        else:
            record = reader.read(line.number, line.record)
            good.append((record.id, record.text, [record.text[c.start : c.end] for c in record.candidates]))
    return good, bad


WANTED = [(row["id"], row["text"], [row["entities"][0]["value"]]) for row in ROWS]


@pytest.mark.parametrize("name", FORMS)
def test_the_same_records_come_from_every_form(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(FORMS[name])
    assert read(path) == (WANTED, [])
    source = opened(path)[0]
    numbers = [line.number for line in source.lines()]
    assert source.count() >= len(ROWS)
    for after in (0, numbers[0], numbers[3], numbers[-1]):
        assert [line.number for line in source.lines(after)] == [n for n in numbers if n > after]


FIRST = {"text": "Ask Bruno Wolf.", "entities": [[4, 14, "PERSON"]]}
AGAIN = json.dumps(FIRST)[:-1] + ', "entities": []}'
TWICE = "has the field entities twice"


def parquet(names, *columns):
    held = io.BytesIO()
    arrow = pyarrow.Table.from_arrays([pyarrow.array(one) for one in columns], names=names)
    pyarrow.parquet.write_table(arrow, held)
    return held.getvalue()


@pytest.mark.parametrize(
    "name, data, wrong",
    [
        ("a.jsonl", f"{AGAIN}\n{json.dumps(FIRST)}".encode(), {1: TWICE}),
        ("a.json", f"[{AGAIN},\n{json.dumps(FIRST)}]".encode(), {1: TWICE}),
        ("a.csv", b"text,hits,hits\nA,,\n", {2: "its table has the column hits twice"}),
        ("a.parquet", parquet(["text", "ents", "ents"], ["A"], ["B"], [None]), {1: "column ents twice"}),
        ("b.csv", b"text,ents\nA,\nB\n", {3: "has 1 cells, and the table 2 columns"}),
        ("c.csv", b'text,ents\nA,\n"B,\nC,\n', {3: "a quote that opens in it is never closed"}),
    ],
)
def test_what_is_given_twice_or_in_part_is_no_record_and_never_one_without_candidates(
    tmp_path, name, data, wrong
):
    path = tmp_path / name
    path.write_bytes(data)
    lines = [*Source(name, path, 2**20).lines()]
    assert [line.number for line in lines if line.record is None] == [*wrong]
    assert all(reason in line.reason for line in lines for reason in wrong.values() if not line.record)


def test_half_a_surrogate_pair_in_a_fields_name_can_be_written_in_a_message():
    with pytest.raises(NotARecord) as caught:
        RecordReader(TYPES, RecordFields()).read(1, {"text": "a", "\ud83d": [1]})
    assert "\\ud83d may hold some" in str(caught.value).encode().decode()


@pytest.mark.parametrize("data", [b"\x1b[31m\xff,\xfe,a\n", b"a,\0b\n"])
def test_of_bytes_that_are_no_text_nothing_is_said(tmp_path, data):
    path = tmp_path / "a.jsonl"
    path.write_bytes(data)
    with pytest.raises(InputError, match="it looks like bytes that are no text"):
        opened(path)


def test_what_a_terminal_would_obey_is_written_out():
    with pytest.raises(NotARecord, match=r"it has \\x1b\[2Jbody, hits;"):
        RecordReader(TYPES, RecordFields()).read(1, {"\x1b[2Jbody": "a", "hits": []})


@pytest.mark.parametrize(
    "data", [b"", b" \n\n", b"\xef\xbb\xbf", gzip.compress(b"", mtime=0), b"[]", b"id,text\n"]
)
def test_an_input_without_any_record_is_told_with_what_it_looks_like(tmp_path, data):
    path = tmp_path / "a.jsonl"
    path.write_bytes(data)
    with pytest.raises(InputError, match="holds no records; it looks like a"):
        opened(path)


def test_what_stands_behind_a_bzip2_stream_is_damage(tmp_path):
    path = tmp_path / "a.bz2"
    path.write_bytes(bz2.compress(LINES) + b"BZh9 and damaged")
    with pytest.raises(InputError, match="is damaged"):
        opened(path)[0].count()


@pytest.mark.parametrize("name", FORMS)
def test_a_pipe_of_every_form_is_read_once_as_it_comes(tmp_path, name, monkeypatch):
    read_end, write_end = os.pipe()

    def write():
        with os.fdopen(write_end, "wb", buffering=0) as file:
            for at in range(0, len(FORMS[name]), 37):
                file.write(FORMS[name][at : at + 37])

    thread = threading.Thread(target=write)
    thread.start()
    with os.fdopen(read_end, "rb") as file:
        monkeypatch.setattr("sys.stdin", types.SimpleNamespace(buffer=file))
        source, reader, lines, said = opened(tmp_path / "-")
        assert source.once
        assert source.count() is None
        assert "cannot be resumed" in said[0]
        found = [reader.read(line.number, line.record) for line in lines]
    thread.join()
    assert [record.id for record in found] == [row["id"] for row in ROWS]


def test_parquet_is_read_by_rows_with_its_lists(tmp_path):
    import pyarrow
    from pyarrow import parquet

    path = tmp_path / "records.parquet"
    parquet.write_table(pyarrow.Table.from_pylist(ROWS), path, row_group_size=2)
    assert read(path) == (WANTED, [])
    source = opened(path)[0]
    assert source.count() == 7
    assert [line.number for line in source.lines(5)] == [6, 7]
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputError, match=r"records\.parquet: a damaged Parquet file"):
        read(path)


FOREIGN = {
    "a PNG picture": b"\x89PNG\r\n\x1a\n" + bytes(50),
    "a PDF": b"%PDF-1.7\n",
    "a ZIP archive": b"PK\x03\x04" + bytes(30),
    "UTF-16 text; save it as UTF-8": '{"text": "a"}'.encode("utf-16"),
    "packed with zstd": b"\x28\xb5\x2f\xfd" + bytes(30),
    "an SQLite database": b"SQLite format 3\0",
    "a PDF ": gzip.compress(b"%PDF-1.7\n" + bytes(99)),
    "plain text": b"Dear Bruno,\n\nthank you.\n",
    "XML or HTML": b"<?xml version='1.0'?>\n<a/>\n",
    "JSON with the fields a, b": b'{"a": 1, "b": 2}\n{"a": 1, "b": 2}\n',
    "JSON without records": b"[1, 2]\n[3]\n",
    "broken JSON": b'{"text": "a\n',
    "a JSON array": json.dumps([{"a": 1}], indent=1).encode(),
    "JSON values": b'{\n "a": 1\n}\n',
    "a table with the columns name, phone": b"name,phone\nBruno,1\n",
}


@pytest.mark.parametrize("looks", FOREIGN)
def test_what_holds_no_record_is_named_for_what_it_looks_like(tmp_path, looks):
    path = tmp_path / "input"
    path.write_bytes(FOREIGN[looks])
    with pytest.raises(InputError) as caught:
        opened(path)
    assert f"looks like {looks.strip()}" in str(caught.value)
    assert str(caught.value).startswith("input: ")


def test_a_file_of_rejects_says_what_its_lines_have_and_what_would_be_understood(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"body_text": "x", "hits": []}\n' * 3 + '{"text": "x", "hits": [1]}\nnope\n')
    with pytest.raises(InputError) as caught:
        opened(path)
    first, *reasons = str(caught.value).splitlines()
    assert "none of its 5 lines or records is understood" in first
    assert reasons[0].startswith("line 1 and 2 more: it has none of the fields text, input,")
    assert reasons[0].endswith("it has body_text, hits; name its text: --fields text=FIELD")
    assert "hits may hold some" in reasons[1]
    assert reasons[2].startswith("line 5: not JSON at character 0")


def test_rows_of_a_table_that_are_broken_are_told_apart(tmp_path):
    path = tmp_path / "a.csv"
    good = '"Call real-1",PHONE,real-1\n'
    path.write_bytes(
        b"text,type,value\n"
        + good.encode()
        + b'x,y,z,4\nCaf\xe9,PHONE,\n"'
        + b"y" * 3000
        + b'",,\n'
        + good.encode()
    )
    source, reader, _, _ = opened(path, longest=1000)
    lines = list(source.lines())
    assert [(line.number, line.record is not None) for line in lines] == [
        (2, True),
        (3, False),
        (4, False),
        (5, False),
        (6, True),
    ]
    assert "has 4 cells, and the table 3 columns" in lines[1].reason
    assert lines[2].reason == "not UTF-8"
    assert "longer than 1,000 bytes" in lines[3].reason
    assert csv.field_size_limit() == 131072
    assert reader.read(6, lines[4].record).candidates[0].type.name == "phone"


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_an_array_that_is_cut_short_is_damage_in_a_file_and_the_end_of_a_pipe(tmp_path, cut, monkeypatch):
    data = json.dumps(ROWS).encode()[:-cut]
    path = tmp_path / "a.json"
    path.write_bytes(data)
    source = opened(path)[0]
    with pytest.raises(InputError, match=r"a\.json: record \d .*nothing after it can be read"):
        source.count()
    monkeypatch.setattr("sys.stdin", types.SimpleNamespace(buffer=io.BufferedReader(io.BytesIO(data))))
    good, bad = read(tmp_path / "-")
    assert good == WANTED[: len(good)]
    assert len(good) >= 6
    assert [number for number, _ in bad] == [len(good) + 1]


def test_a_packed_pipe_that_breaks_off_ends_with_what_was_whole(tmp_path, monkeypatch):
    data = gzip.compress(LINES * 400)[:-700]
    monkeypatch.setattr("sys.stdin", types.SimpleNamespace(buffer=io.BufferedReader(io.BytesIO(data))))
    found = list(opened(tmp_path / "-")[2])
    assert len(found) > 10
    assert all(line.record is not None for line in found[:-1])
    assert "breaks off here" in found[-1].reason or "not JSON" in found[-1].reason


VALUES = st.recursive(
    st.none() | st.integers() | st.text(max_size=5) | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(st.lists(st.dictionaries(st.text(max_size=3), VALUES, max_size=3), max_size=6), st.data())
@settings(deadline=None, max_examples=100)
def test_an_array_read_in_pieces_is_the_array(rows, data):
    from ullage.kinds.pii.json_values import json_values

    raw = json.dumps(rows, indent=data.draw(st.sampled_from([None, 1])), ensure_ascii=False).encode()
    step = data.draw(st.integers(1, 40))

    class Pieces(io.BytesIO):
        def read1(self, size=-1):
            return super().read1(min(size, step))

    assert [line.record for line in json_values(Pieces(raw), 2**20)] == rows


@given(st.sampled_from(sorted(FORMS)), st.data())
@settings(deadline=None, max_examples=300)
def test_no_bytes_are_more_than_an_input_error(tmp_path_factory, name, data):
    whole = FORMS[name]
    at = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(at, min(at + 30, len(whole))))
    path = tmp_path_factory.mktemp("bytes") / name
    path.write_bytes(whole[:at] + data.draw(st.binary(max_size=8)) + whole[end:])
    try:
        source, reader, _, _ = opened(path, offsets=data.draw(st.sampled_from(["auto", *UNITS])))
        source.count()
        numbers = []
        for line in source.lines():
            numbers.append(line.number)
            if line.record is not None:
                try:
                    reader.read(line.number, line.record)
                except NotARecord:
                    continue
        assert numbers == sorted(set(numbers))
    except InputError:
        pass


def test_a_large_array_is_never_held(tmp_path):
    path = tmp_path / "a.json"
    with path.open("w") as file:
        file.write("[")
        for n in range(20_000):
            file.write(("," if n else "") + json.dumps({"id": n, "text": "x" * 200, "entities": []}))
        file.write("]")
    source = Source(path.name, path, 2**20)
    tracemalloc.start()
    assert sum(1 for _ in source.lines()) == 20_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * 2**20


def emoji_row(unit, value=True, text="\U0001f600 Jos\u00e9 Wolf \U0001f600"):
    size = {
        "characters": len,
        "utf16": lambda t: len(t.encode("utf-16-le")) // 2,
        "utf8": lambda t: len(t.encode()),
    }[unit]
    at = text.index("Wolf")
    span = {"type": "PERSON", "start": size(text[:at]), "end": size(text[: at + 4])}
    return {"text": text, "entities": [{**span, **({"word": "wolf"} if value else {})}]}


@pytest.mark.parametrize("unit", UNITS)
def test_the_only_unit_that_all_values_agree_with_is_taken(tmp_path, unit):
    path = tmp_path / "a.jsonl"
    rows = [emoji_row(unit, value=False), {"text": "Wolf", "entities": []}, emoji_row(unit), {"no": "record"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    _, reader, _, said = opened(path, offsets="auto")
    assert reader.offsets == unit
    assert unit in said[0]
    (one,) = reader.read(1, rows[0]).candidates
    assert reader.read(1, rows[0]).text[one.start : one.end] == "Wolf"


def test_two_units_that_agree_and_differ_are_asked_for_and_never_chosen(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(
        json.dumps({"text": "Wolf", "PIIs": []})
        + "\n"
        + json.dumps(emoji_row("characters", value=False))
        + "\n"
    )
    with pytest.raises(InputError, match=r"characters and utf16 .*different places in line 2; say which"):
        opened(path, offsets="auto")


def test_units_that_mean_the_same_places_are_no_question(tmp_path):
    path = tmp_path / "a.jsonl"
    rows = [
        {"text": "Wolf", "entities": [{"type": "PERSON", "start": 0, "end": 4}]},
        {"text": "\U0001f600 Wolf", "entities": {"PERSON": ["Wolf"]}},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert opened(path, offsets="auto")[1].offsets == "characters"


def test_a_file_whose_values_agree_with_no_unit_is_rejected_with_the_lines(tmp_path):
    path = tmp_path / "a.jsonl"
    rows = [emoji_row("characters"), emoji_row("utf8")]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(
        InputError,
        match=r"under no unit .*characters from line 2 on, utf16 from line 1 on, utf8 from line 1 on",
    ):
        opened(path, offsets="auto")


def test_a_pipe_is_not_read_twice_to_find_a_unit(tmp_path):
    with pytest.raises(InputError, match="a pipe is read once; say characters, utf16 or utf8"):
        opened(tmp_path / "-", offsets="auto")


@given(st.text(max_size=20), st.data())
@settings(deadline=None, max_examples=150)
def test_utf8_offsets_are_those_of_bytes(text, data):
    from ullage.kinds.pii.offsets import NotAPlace, Places

    text = "a" + text + "\U0001f600\u00e9b"
    raw = text.encode("utf-8", "surrogatepass")
    begin = data.draw(st.integers(0, len(raw) - 1))
    end = data.draw(st.integers(begin + 1, len(raw)))
    places = Places(text, "utf8")
    try:
        wanted = raw[begin:end].decode("utf-8", "surrogatepass")
        raw[:begin].decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        with pytest.raises(NotAPlace, match="cuts a character in two"):
            places.span(begin, end)
        return
    start, stop = places.span(begin, end)
    assert text[start:stop] == wanted


@pytest.fixture
def scripted(tmp_path):
    script = [
        {"contains": "[[real", "scores": {"yes": -0.1, "no": -3.0}},
        {"contains": "]]: date of birth?", "scores": {"yes": -0.2, "no": -2.0}},
        {"contains": "", "scores": {"yes": -3.0, "no": -0.1}},
    ]
    (tmp_path / "script.jsonl").write_text("".join(json.dumps(line) + "\n" for line in script))
    (tmp_path / "work.yaml").write_text(SCRIPTED)
    return tmp_path


def run(folder, name, *overrides):
    ullage.run(ullage.load(folder / "work.yaml", overrides), folder / name, base=folder)
    return [json.loads(line) for line in (folder / name / "verified.jsonl").read_text().splitlines()]


def test_a_run_of_standard_input_is_that_of_the_file_and_is_not_resumed(scripted, monkeypatch):
    (scripted / "records.jsonl").write_bytes(LINES)
    whole = run(scripted, "file")
    monkeypatch.setattr(
        "sys.stdin", types.SimpleNamespace(buffer=io.BufferedReader(io.BytesIO(LINES + b'{"te')))
    )
    assert run(scripted, "pipe", 'pii.input="-"') == whole
    assert "not JSON" in (scripted / "pipe" / "rejects.jsonl").read_text()
    inputs = json.loads((scripted / "pipe" / "manifest.json").read_text())["inputs"]
    assert "-" not in [one.get("file") for one in inputs]


def test_a_run_of_a_pipe_that_was_cut_short_is_not_taken_up_again(scripted, monkeypatch):
    from ullage.kinds.pii.windows import WindowReader

    def broken(self, lines, name, after):
        yield next(read_windows(self, lines, name, after))
        raise KeyboardInterrupt

    read_windows = WindowReader.read
    monkeypatch.setattr(WindowReader, "read", broken)
    monkeypatch.setattr("ullage.kinds.pii.windows.WINDOW_LINES", 2)
    given_ = {"gpus": "cpu", "engine": "scripted", "precision": "auto", "batch": 2}
    monkeypatch.setattr("sys.stdin", types.SimpleNamespace(buffer=io.BufferedReader(io.BytesIO(LINES))))
    with pytest.raises(KeyboardInterrupt):
        ullage.verify_pii(str(scripted / "script.jsonl"), "-", scripted / "out.jsonl", **given_)
    with pytest.raises(InputError, match="a pipe is read once: a run of it cannot be resumed"):
        ullage.verify_pii(str(scripted / "script.jsonl"), "-", scripted / "out.jsonl", resumed=True, **given_)
    with pytest.raises(InputError, match="every model reads the input"):
        ullage.verify_with_each("-", scripted / "all", [str(scripted / "script.jsonl")])
    with pytest.raises(InputError, match="a pipe is read once"):
        ullage.resume(scripted / "out.jsonl.run")


def test_a_device_without_an_end_is_not_read(scripted):
    endless = scripted / "records.jsonl"
    endless.symlink_to("/dev/zero")
    with pytest.raises(InputError, match="is a device, and has no end"):
        run(scripted, "run", f"pii.input={endless}")


def test_a_named_pipe_is_read_as_it_is(scripted):
    os.mkfifo(scripted / "fifo")
    thread = threading.Thread(target=lambda: (scripted / "fifo").write_bytes(gzip.compress(LINES)))
    thread.start()
    assert len(run(scripted, "run", f"pii.input={scripted / 'fifo'}")) == 7
    thread.join()


def test_no_model_is_loaded_for_an_input_that_holds_no_record(scripted):
    (scripted / "records.jsonl").write_text("hello\n")
    (scripted / "script.jsonl").write_text("this is no script\n")
    with pytest.raises(
        InputError,
        match=r"records\.jsonl: none of its 1 lines or records is understood; it looks like plain text",
    ):
        run(scripted, "run")


def test_what_is_broader_than_a_type_is_verified_as_what_it_may_be(scripted):
    text = "Born 1990-01-02 in Rome"
    both = [
        {"type": "DATE_TIME", "start": 5, "end": 15, "gold": True},
        {"type": "LOC", "start": 19, "end": 23, "gold": False},
    ]
    (scripted / "records.jsonl").write_text(json.dumps({"text": text, "entities": both}) + "\n")
    (row,) = run(scripted, "run")
    date, place = row["candidates"]
    assert (date["type"], date["verdict"], date["gold"]) == ("date_of_birth", "verified", True)
    assert (place["verdict"], place["gold"]) == ("rejected", False)
    assert place["type"] in ("address", "city", "region")
    (row,) = run(scripted, "some", "pii.only_types=[city]")
    assert [one["type"] for one in row["candidates"]] == ["city"]


def test_records_without_candidates_are_counted_with_what_was_not_read_of_them(scripted):
    rows = [{"text": "a", "lang": "en"}, {"text": "b", "lang": "de", "n": 1}, ROWS[0]]
    (scripted / "records.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    run(scripted, "run")
    summary = json.loads((scripted / "run" / "summary.json").read_text())
    assert (summary["records"], summary["records_without_candidates"]) == (3, 2)
    assert summary["unread_fields"] == {"lang": 2, "n": 1}
