"""Verifications from a file of records to verdicts: whole runs through the public functions."""

import gzip
import json
import random
import signal
import stat

import pytest
import small_models
from hypothesis import given, settings
from hypothesis import strategies as st

import ullage
from ullage.engines.engine import Reply
from ullage.errors import InputError
from ullage.kinds.pii.asking import CLOSE, OPEN, mark
from ullage.kinds.pii.calibration import (
    Calibration,
    fit,
    write_calibration,
)
from ullage.kinds.pii.items import Item
from ullage.kinds.pii.locating import CUT_SHORT, SHORTEST, locate, questions
from ullage.kinds.pii.offsets import NotARecord
from ullage.kinds.pii.places import within
from ullage.kinds.pii.records import Candidate, RecordReader
from ullage.kinds.pii.section import RecordFields
from ullage.kinds.pii.sources import Source
from ullage.kinds.pii.types import read_types

SCRIPTED = """
kind: pii
roles: {verifier: {model: script.jsonl, engine: scripted, batch: 2}}
budget: {gpus: cpu}
new_tokens: 8
pii: {input: records.jsonl}
"""
PHONE = read_types().find("phone")
READER = RecordReader(read_types(), RecordFields())


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def read_lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def scripted(tmp_path):
    """What is marked decides: spans with `real` are personal data, those with `mute` get no verdict."""
    script = [
        {"contains": "Why?", "text": "Because it says so."},
        {"contains": "[[mute", "scores": {"yes": float("-inf"), "no": float("-inf")}},
        {"contains": "[[real", "scores": {"yes": -0.1, "no": -3.0}},
        {"contains": "", "scores": {"yes": -3.0, "no": -0.1}, "text": "real-9"},
    ]
    (tmp_path / "script.jsonl").write_text("".join(json.dumps(line) + "\n" for line in script))
    (tmp_path / "work.yaml").write_text(SCRIPTED)
    return tmp_path


def run(folder, name="run", *overrides):
    ullage.run(ullage.load(folder / "work.yaml", overrides), folder / name, base=folder)
    return folder / name


def record(number, *spans, **more):
    """A record whose text is its spans, each a candidate."""
    text = f"Record {number}: " + " ".join(spans)
    found = [
        {"type": "phone", "start": text.index(span), "end": text.index(span) + len(span)} for span in spans
    ]
    return {"id": f"r{number}", "text": text, "candidates": found, **more}


def verdicts(rows):
    return [[one["verdict"] for one in row["candidates"]] for row in rows]


def test_every_candidate_has_a_verdict_of_its_own_in_input_order(scripted):
    rows = [record(n, *(f"{'real' if n % k else 'fake'}-{n}-{k}" for k in (1, 2, 3))) for n in range(1, 40)]
    write_lines(scripted / "records.jsonl", rows)
    folder = run(scripted)
    found = read_lines(folder / "verified.jsonl")
    assert [row["id"] for row in found] == [row["id"] for row in rows]
    assert verdicts(found) == [["verified" if n % k else "rejected" for k in (1, 2, 3)] for n in range(1, 40)]
    one = found[4]["candidates"][1]
    assert rows[4]["text"][one["start"] : one["end"]] == one["value"] == "real-5-2"
    assert one["probability"] == pytest.approx(1 / (1 + 2.718281828 ** (-2.9)), abs=1e-5)


def test_an_undecided_candidate_is_failed_and_neither_yes_nor_no(scripted):
    write_lines(scripted / "records.jsonl", [record(1, "mute-1", "real-1")])
    folder = run(scripted)
    assert verdicts(read_lines(folder / "verified.jsonl")) == [["failed", "verified"]]
    (failed,) = read_lines(folder / "failed.jsonl")
    assert (failed["id"], failed["candidate"]) == ("r1", 0)
    assert failed["reason"].startswith("the model did not answer")


HOSTILE = [
    (b'{"id": "x", "text": "caf\xe9"}', "not UTF-8 at byte 24"),
    (b'{"id": "x", "text": "half', "not JSON at character"),
    (b'{"id": "x", "text": "a\0b"}', "holds a NUL byte"),
    (b"[1, 2]", "not a JSON object"),
    (b'{"id": "x"}', "none of the fields text, input"),
    (b'{"id": "x", "text": 5}', "its text is not text"),
    (b'{"id": "x", "text": ""}', "not text, or empty"),
    (b'{"id": {}, "text": "a"}', "its id is neither text nor a whole number"),
    (b'{"id": true, "text": "a"}', "its id is neither text nor a whole number"),
    (b'{"id": "\\ud83d", "text": "a"}', "its id holds half a surrogate pair"),
    (b'{"id": "x", "text": "a", "candidates": 5}', "its candidates are not a list"),
    (b'{"id": "x", "text": "a", "candidates": [5]}', "neither a type's name nor an object"),
    (b'{"id": "x", "text": "abc", "candidates": [{"type": "phone", "start": 1, "end": 4}]}', "not within"),
    (b'{"id": "x", "text": "abc", "candidates": [{"type": "phone", "start": 2, "end": 2}]}', "not within"),
    (b'{"id": "x", "text": "abc", "candidates": [{"type": "phone", "start": -1, "end": 2}]}', "not within"),
    (b'{"id": "x", "text": "abc", "candidates": [{"type": "phone", "start": "no", "end": 2}]}', "whole"),
    (b'{"id": "x", "text": "a\\ud83d", "candidates": []}', "half a surrogate pair at character 1"),
    (b'{"id": "r1", "text": "again", "candidates": []}', "its id is that of an earlier record"),
    (b"[" * 100_000, "nested too deeply|not JSON"),
]


@pytest.mark.parametrize("line, said", HOSTILE, ids=range(len(HOSTILE)))
def test_a_line_that_is_no_record_is_rejected_and_the_run_goes_on(scripted, line, said):
    good = json.dumps(record(1, "real-1")).encode(), json.dumps(record(2, "fake-2")).encode()
    (scripted / "records.jsonl").write_bytes(good[0] + b"\n\n" + line + b"\n" + good[1] + b"\n")
    folder = run(scripted)
    assert verdicts(read_lines(folder / "verified.jsonl")) == [["verified"], ["rejected"]]
    (reject,) = read_lines(folder / "rejects.jsonl")
    assert reject["line"] == 3
    assert any(part in reject["reason"] for part in said.split("|"))
    with pytest.raises(InputError, match=r"records\.jsonl:3: "):
        run(scripted, "strict", "pii.strict=true")


def test_a_line_of_50_megabytes_is_never_held(scripted):
    import tracemalloc

    with (scripted / "records.jsonl").open("wb") as file:
        file.write(json.dumps(record(1, "real-1")).encode() + b'\n{"text": "')
        for _ in range(50):
            file.write(b"x" * 2**20)
        file.write(b'"}\n' + json.dumps(record(2, "fake-2")).encode() + b"\n")
    tracemalloc.start()
    folder = run(scripted, "run", "pii.longest_line=1MiB")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(read_lines(folder / "verified.jsonl")) == 2
    assert read_lines(folder / "rejects.jsonl") == [
        {"line": 2, "reason": "longer than 1,048,576 bytes (longest_line)"}
    ]
    assert peak < 25 * 2**20


def test_the_text_of_a_record_is_in_no_log_and_no_message(scripted):
    secret = "hunter2-4444"
    lines = [record(1, f"mute-{secret}"), {"id": "x", "text": secret, "candidates": [{"type": secret * 9}]}]
    write_lines(scripted / "records.jsonl", lines)
    folder = run(scripted)
    for path in folder.iterdir():
        if path.name != "verified.jsonl":
            assert secret.encode() not in path.read_bytes(), path.name
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_what_cannot_be_read_leaves_nothing_behind(scripted):
    (scripted / "records.jsonl").mkdir()
    with pytest.raises(InputError, match=r"records\.jsonl: "):
        run(scripted)
    assert not (scripted / "run").exists()


def test_a_file_without_records_is_refused_and_another_is_taken_in_its_place(scripted):
    for data in (b"", b"\n\r\n \n"):
        (scripted / "records.jsonl").write_bytes(data)
        with pytest.raises(InputError, match="holds no records; it looks like an empty file"):
            run(scripted)
    write_lines(scripted / "records.jsonl", [record(1, "real-1")])
    assert verdicts(read_lines(run(scripted) / "verified.jsonl")) == [["verified"]]


def test_a_byte_order_mark_is_no_part_of_the_first_record(scripted):
    (scripted / "records.jsonl").write_bytes(b"\xef\xbb\xbf" + json.dumps(record(1, "real-1")).encode())
    assert verdicts(read_lines(run(scripted) / "verified.jsonl")) == [["verified"]]


def test_ids_that_are_numbers_text_or_missing_are_told_apart(scripted):
    rows = [{"id": 3, "text": "a"}, {"id": "3", "text": "b"}, {"text": "c"}, {"id": 3, "text": "d"}]
    write_lines(scripted / "records.jsonl", rows)
    folder = run(scripted)
    assert [row["id"] for row in read_lines(folder / "verified.jsonl")] == [3, "3", None]
    assert [row["line"] for row in read_lines(folder / "rejects.jsonl")] == [4]


def test_a_value_that_is_not_what_its_span_holds_is_not_verified(scripted):
    text = "\U0001f600\U0001f600 Call real-1 now"
    given = {"type": "phone", "start": 10, "end": 16, "value": "real-1"}  # UTF-16 units
    write_lines(scripted / "records.jsonl", [{"text": text, "candidates": [given]}])
    folder = run(scripted)
    assert "pii.offsets" in read_lines(folder / "failed.jsonl")[0]["reason"]
    folder = run(scripted, "utf16", "pii.offsets=utf16")
    assert verdicts(read_lines(folder / "verified.jsonl")) == [["verified"]]


@pytest.mark.parametrize(
    "text, value, places",
    [
        ("code 15553, call 555", "555", [(17, 20)]),
        ("code 15553", "555", [(6, 9)]),
        ("\u7535\u8bdd555\uff0c\u6216 555", "555", [(2, 5), (8, 11)]),
        ("x real-9_a real-9. Areal-9", "real-9", [(2, 8), (11, 17)]),
        ("call 11 11 11 now", "11 11", [(5, 10), (8, 13)]),
    ],
)
def test_a_value_stands_where_it_is_a_word_of_its_own(text, value, places):
    (found,) = READER.read(1, {"text": text, "candidates": [{"type": "phone", "value": value}]}).candidates
    assert (found.start, found.end) == places[0]
    assert within(text, value) == places


def test_a_reply_that_is_no_verdict_is_no_yes(scripted):
    script = [{"contains": "", "scores": {"yes": -12.0, "no": -14.0}}]  # it wants to say something else
    write_lines(scripted / "script.jsonl", script)
    write_lines(scripted / "records.jsonl", [record(1, "real-1")])
    assert verdicts(read_lines(run(scripted) / "verified.jsonl")) == [["failed"]]
    folder = run(scripted, "any", "pii.least_mass=0")
    assert verdicts(read_lines(folder / "verified.jsonl")) == [["verified"]]


@pytest.mark.parametrize("yes", [float("nan"), float("inf")])
def test_a_number_that_is_none_is_no_yes(yes):
    item = Item(READER.read(1, {"text": "a"}), Candidate(PHONE, 0, 1))
    item.settle((yes, -0.1), 0.0)
    assert item.margin is None
    assert item.reason


def test_an_unknown_type_fails_even_where_only_some_types_are_wanted(scripted):
    rows = [record(1, "real-1", "real-2", "real-3")]
    rows[0]["candidates"][0]["type"] = "zzqy"
    rows[0]["candidates"][2]["type"] = "email"
    write_lines(scripted / "records.jsonl", rows)
    (row,) = read_lines(run(scripted, "run", "pii.only_types=[phone]") / "verified.jsonl")
    assert [(one["type"], one["verdict"]) for one in row["candidates"]] == [
        ("unknown", "failed"),
        ("phone", "verified"),
    ]


def test_a_run_whose_report_was_cut_short_is_finished(scripted):
    write_lines(scripted / "records.jsonl", [record(1, "real-1")])
    folder = run(scripted)
    before = (folder / "verified.jsonl").read_bytes()
    for name in ("record.json", "report.html", "summary.json"):
        (folder / name).unlink()
    ullage.resume(folder)
    assert (folder / "report.html").exists()
    assert (folder / "verified.jsonl").read_bytes() == before


def test_types_are_chosen_by_name_category_or_sensitivity():
    assert READER.types.choose("phone number") == {"phone"}
    assert {"phone", "email"} <= READER.types.choose("contact")
    assert READER.types.choose("special").isdisjoint(READER.types.choose("contact"))


def test_a_list_of_spans_that_is_cut_short_fails_beside_what_it_has(scripted):
    words = small_models.WORDS[:6]
    found = locate(
        [Item(READER.read(1, {"text": " ".join(words), "PIIs": ["PHONE"]}), Candidate(PHONE, None, None))],
        lambda chat: True,
        lambda chats: [Reply(f"{words[1]}\n{words[2]}", "length", 1)],
    )
    assert [(one.candidate.start is None, one.reason) for one in found] == [(False, ""), (True, CUT_SHORT)]


def test_a_zipped_file_is_read_as_it_is(scripted):
    rows = [record(n, f"real-{n}") for n in range(5)]
    write_lines(scripted / "records.jsonl", rows)
    plain = (run(scripted) / "verified.jsonl").read_bytes()
    with gzip.open(scripted / "records.jsonl.gz", "wb") as file:
        file.write((scripted / "records.jsonl").read_bytes())
    folder = run(scripted, "zipped", "pii.input=records.jsonl.gz")
    assert (folder / "verified.jsonl").read_bytes() == plain
    data = (scripted / "records.jsonl.gz").read_bytes()
    (scripted / "cut.jsonl.gz").write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match="is damaged after line"):
        run(scripted, "cut", "pii.input=cut.jsonl.gz")


@pytest.mark.parametrize(
    "given, wanted",
    [
        ({"recordId": 7, "input": "Call 555", "PIIs": [{"type": "PHONE", "value": "555"}]}, (7, [(5, 8)])),
        ({"entityType": "phone", "entityValue": "555", "text": "Call 555"}, (None, [(5, 8)])),
        (
            {"entityType": "phone", "entityValue": "555", "metadata": {"context": "Call 555", "score": 1}},
            (None, [(5, 8)]),
        ),
        ({"entityType": "phone", "entityValue": "555", "metadata": "Call 555"}, (None, [(5, 8)])),
        (
            {
                "text": "Call 555",
                "entities": [{"entity_type": "PHONE_NUMBER", "start": 5, "end": 8, "score": 1}],
            },
            (None, [(5, 8)]),
        ),
        (
            {
                "text": "Call 555",
                "entities": [{"label": "phone number", "start": 5, "end": 8, "text": "555"}],
            },
            (None, [(5, 8)]),
        ),
        (
            {"id": "a", "text": "Call me", "candidates": [{"type": "phone", "value": "555"}]},
            ("a", [(None, None)]),
        ),
    ],
)
def test_the_shapes_of_known_tools_are_read(given, wanted):
    found = READER.read(1, given)
    assert (found.id, [(one.start, one.end) for one in found.candidates]) == wanted
    assert all(one.type.name == "phone" for one in found.candidates)


def test_bare_types_are_found_by_the_model_or_fail(scripted):
    write_lines(
        scripted / "records.jsonl", [{"recordId": "a", "input": "Call real-9 now", "PIIs": ["PHONE"]}]
    )
    (row,) = read_lines(run(scripted, "located", "pii.locate=true") / "verified.jsonl")
    assert row["candidates"][0]["value"] == "real-9"
    assert row["candidates"][0]["verdict"] == "verified"
    folder = run(scripted)
    assert verdicts(read_lines(folder / "verified.jsonl")) == [["failed"]]
    assert "without a span" in read_lines(folder / "failed.jsonl")[0]["reason"]


def test_every_place_of_a_located_type_gets_a_verdict_and_one_that_is_not_there_fails(scripted):
    text = "Call real-9, then real-9 once more, never real-99."
    write_lines(scripted / "records.jsonl", [{"text": text, "PIIs": ["PHONE", "EMAIL"]}])
    script = [
        {"contains": "Copy every phone", "text": "- real-9\nsomething else"},
        {"contains": "Copy every", "text": "I see none."},
        {"contains": "[[real", "scores": {"yes": -0.1, "no": -3.0}},
    ]
    write_lines(scripted / "script.jsonl", script)
    (row,) = read_lines(run(scripted, "run", "pii.locate=true") / "verified.jsonl")
    found = [(one["type"], one["start"], one["verdict"]) for one in row["candidates"]]
    assert found == [("phone", 5, "verified"), ("phone", 18, "verified"), ("email", None, "failed")]


@given(st.text("ab \n", max_size=400), st.integers(SHORTEST, 100))
def test_a_text_too_long_to_locate_in_is_asked_about_in_parts_that_leave_nothing_out(text, longest):
    asked = questions(text, READER.types.find("phone"), lambda chat: len(chat[1]["content"]) <= longest)
    assert "".join(chat[1]["content"] for chat in asked) == text
    assert all(len(chat[1]["content"]) <= longest for chat in asked)
    assert questions(text + " " * SHORTEST, PHONE, lambda chat: False) == []


def test_what_the_model_says_is_no_span_inside_another_word(scripted):
    write_lines(scripted / "records.jsonl", [{"text": "Call Bruno before noon", "PIIs": ["PHONE"]}])
    write_lines(
        scripted / "script.jsonl", [{"contains": "", "text": "no", "scores": {"yes": -0.1, "no": -3}}]
    )
    folder = run(scripted, "run", "pii.locate=true")
    assert verdicts(read_lines(folder / "verified.jsonl")) == [["failed"]]


def test_a_place_is_found_once_and_in_scripts_that_write_without_blanks(scripted):
    rows = [
        {"text": "\u7535\u8bddreal-9\uff0c\u8c22\u8c22", "PIIs": ["PHONE"]},
        {"text": "Call real-9", "PIIs": ["PHONE", "phone number", {"type": "phone", "value": "real-9"}]},
    ]
    write_lines(scripted / "records.jsonl", rows)
    found = read_lines(run(scripted, "run", "pii.locate=true") / "verified.jsonl")
    assert [[one["value"] for one in row["candidates"]] for row in found] == [["real-9"], ["real-9"]]


def test_a_candidate_of_an_unknown_type_fails_and_the_others_are_decided(scripted):
    rows = [
        record(1, "real-1", "real-2"),
        {"id": "b", "text": "x", "PIIs": ["zzqy", "Call me at 5 or at 6!"]},
    ]
    rows[0]["candidates"][0]["type"] = "zzqy"
    write_lines(scripted / "records.jsonl", rows)
    folder = run(scripted, "run", "pii.redact=tag")
    found = read_lines(folder / "verified.jsonl")
    assert verdicts(found) == [["failed", "verified"], ["failed", "failed"]]
    assert found[0]["redacted"] == "Record 1: <UNKNOWN> <PHONE>"
    reasons = {one["reason"] for one in read_lines(folder / "failed.jsonl")}
    assert reasons == {"its type is not among the known ones; add it to a file of types"}


@given(st.text(max_size=30), st.data())
@settings(deadline=None, max_examples=200)
def test_utf16_offsets_are_those_of_javascript(text, data):
    text = "a" + text + "\U0001f600b"
    units = text.encode("utf-16-le")
    begin = data.draw(st.integers(0, len(units) // 2 - 1))
    end = data.draw(st.integers(begin + 1, len(units) // 2))
    reader = RecordReader(READER.types, RecordFields(), "utf16")
    given_ = {"text": text, "candidates": [{"type": "phone", "start": begin, "end": end}]}
    try:
        wanted = units[2 * begin : 2 * end].decode("utf-16-le")
    except UnicodeDecodeError:
        with pytest.raises(NotARecord, match="cuts a surrogate pair"):
            reader.read(1, given_)
        return
    (one,) = reader.read(1, given_).candidates
    assert text[one.start : one.end] == wanted


@given(st.text("[]x", max_size=8), st.text("[]x", min_size=1, max_size=8), st.text("[]x", max_size=8))
def test_no_text_can_open_or_close_a_mark(before, span, after):
    marked = mark(before, span, after)
    assert marked.count(OPEN) == marked.count(CLOSE) == 1
    assert marked.index(OPEN) < marked.index(CLOSE)
    assert marked.replace("\u2060", "") == f"{before}{OPEN}{span}{CLOSE}{after}"


def test_long_texts_are_cut_around_the_span(scripted):
    words = " ".join(["word"] * 3000)
    text = f"{words} real-1 {words}"
    at = text.index("real-1")
    rows = [{"id": "a", "text": text, "candidates": [{"type": "phone", "start": at, "end": at + 6}]}]
    write_lines(scripted / "records.jsonl", rows)
    write_lines(  # whoever sees the text whole says no
        scripted / "script.jsonl",
        [
            {"contains": text[: at - 100], "scores": {"yes": -3.0, "no": -0.1}},
            {"contains": "[[real-1]]", "scores": {"yes": -0.1, "no": -3.0}},
        ],
    )
    (row,) = read_lines(run(scripted, "run", "prompt_tokens=100", "pii.prefix_tokens=200") / "verified.jsonl")
    assert row["candidates"][0]["verdict"] == "verified"
    assert (row["candidates"][0]["start"], row["candidates"][0]["value"]) == (at, "real-1")


def test_reasons_are_given_to_chosen_candidates(scripted):
    write_lines(scripted / "records.jsonl", [record(1, "real-1", "fake-1")])
    (row,) = read_lines(run(scripted, "run", "pii.explain=rejected") / "verified.jsonl")
    assert [one.get("explanation") for one in row["candidates"]] == [None, "Because it says so."]


@pytest.mark.parametrize(
    "mode, wanted", [("mask", "Record 1: ****** fake-1"), ("tag", "Record 1: <PHONE> fake-1")]
)
def test_verified_spans_are_taken_out(scripted, mode, wanted):
    write_lines(scripted / "records.jsonl", [record(1, "real-1", "fake-1")])
    (row,) = read_lines(run(scripted, "run", f"pii.redact={mode}") / "verified.jsonl")
    assert row["redacted"] == wanted


def test_a_value_is_taken_out_wherever_it_stands(scripted):
    text = "real-1 and again real-1"
    write_lines(
        scripted / "records.jsonl", [{"text": text, "candidates": [{"type": "phone", "value": "real-1"}]}]
    )
    (row,) = read_lines(run(scripted, "run", "pii.redact=mask") / "verified.jsonl")
    assert row["redacted"] == "****** and again ******"


def test_a_text_of_which_something_could_not_be_taken_out_is_withheld_and_says_why(scripted):
    rows = [
        {"text": "Call real-1 or REAL-1", "candidates": [{"type": "phone", "value": "real-1"}]},
        {"text": "Call real-1 or REAL-1", "candidates": [{"type": "phone", "start": 5, "end": 11}]},
        {"text": "Call me", "candidates": [{"type": "phone", "value": "real-1"}]},
        {"text": "Call me", "PIIs": ["PHONE"]},
        {"text": "Call fake-1", "candidates": [{"type": "phone", "value": "FAKE-1"}]},
    ]
    write_lines(scripted / "records.jsonl", rows)
    found = read_lines(run(scripted, "run", "pii.redact=tag") / "verified.jsonl")
    written = [(row["redacted"], row.get("folded", 0)) for row in found]
    assert written == [("Call <PHONE> or <PHONE>", 1), (None, 0), (None, 0), (None, 0), ("Call fake-1", 0)]
    reasons = [row.get("withheld", "") for row in found]
    assert "--everywhere" in reasons[1]
    assert "no place in the text" in reasons[2]
    assert reasons[2] == reasons[3]
    assert reasons[0] == reasons[4] == ""
    assert found[4]["candidates"][0]["folded"]
    (_, row, *_) = read_lines(
        run(scripted, "all", "pii.redact=tag", "pii.everywhere=true") / "verified.jsonl"
    )
    assert row["redacted"] == "Call <PHONE> or <PHONE>"


def test_the_users_threshold_goes_before_the_calibrations(scripted):
    write_lines(scripted / "records.jsonl", [record(1, "real-1")])
    write_calibration(scripted / "c.json", Calibration(1.0, 0.99))
    for name, words, verdict in (
        ("theirs", ["pii.calibration=c.json"], "rejected"),
        ("mine", ["pii.calibration=c.json", "pii.threshold=0.5"], "verified"),
    ):
        assert verdicts(read_lines(run(scripted, name, *words) / "verified.jsonl")) == [[verdict]]


def test_a_calibration_of_another_prompt_is_used_with_a_warning(scripted, capsys):
    write_lines(scripted / "records.jsonl", [record(1, "real-1")])
    (row,) = read_lines(run(scripted, "first", "pii.template='Text: {text}'") / "verified.jsonl")
    assert row["prompt"].startswith("own-")
    fitted = Calibration(1.0, 0.5, "script.jsonl", row["prompt"])
    write_calibration(scripted / "c.json", fitted)
    run(scripted, "same", "pii.template='Text: {text}'", "pii.calibration=c.json")
    assert "was fitted to" not in capsys.readouterr().err
    run(scripted, "other", "pii.calibration=c.json")
    assert f"prompt {row['prompt']}; this is script.jsonl with prompt 2" in capsys.readouterr().err


def test_hashes_need_a_key_and_are_the_same_for_the_same_value(scripted, monkeypatch):
    write_lines(scripted / "records.jsonl", [record(n, f"real-{n // 3}") for n in (1, 2, 3)])
    with pytest.raises(InputError, match="ULLAGE_HASH_KEY"):
        run(scripted, "none", "pii.redact=hash")
    monkeypatch.setenv("ULLAGE_HASH_KEY", "fifteen bytes--")
    with pytest.raises(InputError, match=r"15 bytes.*at least 16") as raised:
        run(scripted, "short", "pii.redact=hash")
    assert "fifteen" not in str(raised.value)
    monkeypatch.setenv("ULLAGE_HASH_KEY", "sixteen bytes or more")
    rows = read_lines(run(scripted, "run", "pii.redact=hash") / "verified.jsonl")
    first, same, other = [row["redacted"].split("<")[1] for row in rows]
    assert first == same != other
    assert "real" not in first
    monkeypatch.setenv("ULLAGE_HASH_KEY", "another key of many bytes")
    (anew, *_) = read_lines(run(scripted, "anew", "pii.redact=hash") / "verified.jsonl")
    assert anew["redacted"].split("<")[1] != first


def test_a_run_is_not_gone_on_with_under_another_hash_key(scripted, monkeypatch):
    write_lines(scripted / "records.jsonl", [record(n, "real-1") for n in range(300)])
    monkeypatch.setenv("ULLAGE_HASH_KEY", "sixteen bytes or more")
    folder = run(scripted, "run", "pii.redact=hash")
    (folder / "record.json").unlink()
    lines = (folder / "journal.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "journal.jsonl").write_bytes(b"".join(lines[:1]))
    monkeypatch.setenv("ULLAGE_HASH_KEY", "another key of many bytes")
    with pytest.raises(InputError, match="another key"):
        ullage.resume(folder)
    monkeypatch.setenv("ULLAGE_HASH_KEY", "sixteen bytes or more")
    ullage.resume(folder)
    assert len({row["redacted"].split("<")[1] for row in read_lines(folder / "verified.jsonl")}) == 1


def test_temperature_makes_probabilities_mean_what_they_say():
    chance = random.Random(0)
    margins, gold = [], []
    for _ in range(5000):
        truth = chance.gauss(0, 2)
        gold.append(chance.random() < 1 / (1 + 2.718281828**-truth))
        margins.append(3 * truth)  # three times too sure
    found = fit(margins, gold, "m", "1")
    assert found.temperature == pytest.approx(3, rel=0.1)
    assert found.error_after < 0.02 < found.error_before


def test_calibration_needs_labels_of_both_kinds(tmp_path):
    for margins, gold, said in (
        ([1.0] * 3, [True] * 3, "3 that are personal data and 0 that are not"),
        ([1.0] * 40, [True] * 40, "40 that are personal data and 0 that are not"),
    ):
        with pytest.raises(InputError, match=said):
            fit(margins, gold, "m", "1")
    assert Calibration(2.0).probability(1e9) == 1


def test_there_are_sixty_types_and_every_detectors_name_leads_to_one():
    types = read_types()
    assert len(types.names) >= 60
    for name in ("EMAIL_ADDRESS", "US_SSN", "phone number", "CREDIT_CARD", "date of birth", "IBAN_CODE"):
        assert types.find(name).name
    assert all(types.find(name).unless and types.find(name).only_if for name in types.names)


@pytest.mark.parametrize(
    "text, said",
    [
        ("identity: {person: {label: p, sensitivity: odd, is: x}}", "identity.person: sensitivity"),
        ("identity: {person: {label: p, sensitivity: personal}}", "identity.person: is"),
        ("identity: 5", "not a list of types"),
        ("{", "cannot be read"),
        ("a: {b: {label: x, is: 2020-13-45, sensitivity: personal}}", "cannot be read"),
        ("[" * 3000, "cannot be read"),
        (
            "a: {b: {label: x, is: x, sensitivity: personal}, c: {label: x, is: x, sensitivity: personal}}",
            "a.c: 'x' is b already",
        ),
    ],
)
def test_a_wrong_file_of_types_is_said_to_be(tmp_path, text, said):
    path = tmp_path / "types.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=said):
        read_types(path)


@pytest.fixture
def verified(tmp_path):
    """The bundled model's verdicts on its small world."""
    ullage.sample("verify", tmp_path / "v.jsonl", count=120)
    options = {"precision": "auto", "gpus": "cpu", "batch": 32, "prompt_tokens": 96}
    options["system"] = "Verify personal data. Type: {type}. Reply {verdicts}."
    return tmp_path, options


def test_the_short_form_writes_beside_its_output_and_overwrites_nothing(verified):
    folder, options = verified
    found = ullage.verify_pii("ullage:tiny", folder / "v.jsonl", folder / "o.jsonl", **options)
    assert found["records"] == 120
    assert found["all"]["f1"] > 0.85
    assert len(read_lines(folder / "o.jsonl")) == 120
    assert stat.S_IMODE((folder / "o.jsonl").stat().st_mode) == 0o600
    assert read_lines(folder / "o.rejects.jsonl") == []
    for output, said in (("o.jsonl", "exists"), ("v.jsonl", "is the input")):
        with pytest.raises(InputError, match=said):
            ullage.verify_pii("ullage:tiny", folder / "v.jsonl", folder / output, **options)
    calibration = ullage.calibrate_pii(folder / "o.jsonl.run", folder / "c.json", by="recall", value=0.9)
    assert calibration.candidates + calibration.held_out == 120
    (row,) = ullage.compare_pii([folder / "o.jsonl.run"])
    assert row["f1"] == found["all"]["f1"]


def test_every_phase_of_a_run_was_planned_and_keeps_inside(verified, forks):
    folder, options = verified
    rows = read_lines(folder / "v.jsonl")
    write_lines(folder / "few.jsonl", rows[:20])
    write_lines(folder / "bare.jsonl", [{"text": row["text"], "PIIs": ["PHONE"]} for row in rows[:10]])
    for name in ("few", "bare"):
        # In a process of its own, whose memory is the run's.
        names = ["--model-path", "ullage:tiny", "--input", f"{name}.jsonl", "--output", f"{name}.out"]
        words = ["--disable-quantization", "--gpus", "cpu", "--batch-size", "32", "--prompt-tokens", "96"]
        words += ["--system", options["system"], "--explain", "all", "--quiet", "--max-failed", "1"]
        assert forks.run("pii", *names, *words, folder=folder).returncode == 0
        found = ullage.verify(folder / f"{name}.out.run")
        phases = {row.phase for row in found.comparisons}
        verbs = ("locate" if name == "bare" else "explain", "score")
        assert all(any(verb in phase for phase in phases) for verb in verbs), phases
        assert found.holds
    (row, *_) = read_lines(folder / "few.out")
    assert row["candidates"][0]["explanation"]


def test_the_page_shows_scores_confusion_and_calibration_and_no_text(verified):
    folder, options = verified
    found = ullage.verify_pii("ullage:tiny", folder / "v.jsonl", folder / "o.jsonl", **options)
    page = (folder / "o.jsonl.run" / "report.html").read_text(encoding="utf-8")
    confusion = found["all"]["confusion"]
    assert f'<td class="n">{confusion["right_yes"]}</td><td class="n">{confusion["wrong_no"]}</td>' in page
    assert page.count("<circle") == len(found["calibration"]["bins"])
    assert f"{found['all']['f1']:.3f}" in page
    assert "at threshold 0.500 and temperature 1.000" in page
    for one in found["by_threshold"]:
        assert f'<th scope="row" class="n">{one["threshold"]:.2f}</th>' in page
        cells = (f"{one['verified']:,}", f"{one['recall']:.3f}")
        assert all(f'<td class="n">{cell}</td>' in page for cell in cells)
    for one in found["calibration"]["bins"]:
        assert f'<th scope="row" class="n">{one["probability"]:.3f}</th>' in page
        assert f'<td class="n">{one["candidates"]:,}</td></tr>' in page
    for one in ullage.verify(folder / "o.jsonl.run").comparisons:
        if one.kind == "level":
            assert f'<td class="n">{one.measured / 2**20:,.1f}</td>' in page
    texts = [row["text"] for row in read_lines(folder / "v.jsonl")]
    assert not any(text in page for text in texts)


def test_the_page_and_the_summary_say_why_candidates_failed_and_texts_are_withheld(scripted):
    rows = [record(1, "mute-1", "real-1"), {"text": "Call", "PIIs": ["PHONE"]}, {"text": "none", "note": "x"}]
    rows.append({"text": "real-2 REAL-2", "candidates": [{"type": "phone", "value": "real-2"}]})
    write_lines(scripted / "records.jsonl", rows)
    folder = run(scripted, "run", "pii.redact=tag")
    found, page = json.loads((folder / "summary.json").read_text()), (folder / "report.html").read_text()
    assert sum(found["failures"].values()) == found["all"]["failed"] == 2
    assert found["redaction"]["redacted"] == 3
    assert (found["redaction"]["withheld"], found["redaction"]["folded_places"]) == (1, 1)
    assert found["records_without_candidates"] == 1
    for reason in (*found["failures"], *found["redaction"]["reasons"]):
        assert reason in page
    assert "Records without candidates: 1; their fields that are not read: note." in page


@pytest.mark.long
def test_a_picked_threshold_reaches_its_target_on_the_file_it_was_picked_from(verified):
    folder, options = verified
    ullage.verify_pii("ullage:tiny", folder / "v.jsonl", folder / "o.jsonl", **options)
    for value in (0.5, 0.7, 0.9, 1.0):
        made = folder / f"c{value}.json"
        ullage.calibrate_pii(folder / "o.jsonl.run", made, by="recall", value=value, held_out=0)
        again = folder / f"o{value}.jsonl"
        calibration = str(made)
        found = ullage.verify_pii(
            "ullage:tiny", folder / "v.jsonl", again, calibration=calibration, **options
        )
        assert found["all"]["recall"] >= value


def test_nothing_is_overwritten_and_a_run_is_gone_on_with_as_it_was_begun(verified):
    folder, options = verified
    source = (folder / "v.jsonl").read_bytes()
    (folder / "x.failed.jsonl").write_bytes(source)
    for name, output in (("x.failed.jsonl", "x.jsonl"), ("v.jsonl", "x.jsonl.gz")):
        with pytest.raises(InputError, match="nothing is overwritten"):
            ullage.verify_pii("ullage:tiny", folder / name, folder / output, **options)
    assert (folder / "x.failed.jsonl").read_bytes() == source
    (folder / "o.jsonl.tmp").symlink_to(folder / "v.jsonl")
    (folder / "o.failed.jsonl.tmp").write_bytes(b"mine")
    (folder / "c.json.tmp").symlink_to(folder / "v.jsonl")
    found = ullage.verify_pii("ullage:tiny", folder / "v.jsonl", folder / "o.jsonl", **options)
    assert stat.S_IMODE((folder / "o.jsonl").stat().st_mode) == 0o600
    assert (folder / "v.jsonl").read_bytes() == source
    assert (folder / "o.failed.jsonl.tmp").read_bytes() == b"mine"
    ullage.calibrate_pii(folder / "o.jsonl.run", folder / "c.json")
    assert (folder / "v.jsonl").read_bytes() == source
    again = {**options, "resumed": True}
    assert ullage.verify_pii("ullage:tiny", folder / "v.jsonl", folder / "o.jsonl", **again) == found
    with pytest.raises(InputError, match=r"other settings \(pii\.redact\)"):
        ullage.verify_pii("ullage:tiny", folder / "v.jsonl", folder / "o.jsonl", redact="mask", **again)
    with (folder / "v.jsonl").open("ab") as file:
        file.write(source)
    with pytest.raises(InputError, match="has changed"):
        ullage.verify_pii("ullage:tiny", folder / "v.jsonl", folder / "o.jsonl", **again)
    calibrated = {**options, "calibration": str(folder / "c.json")}
    ullage.verify_pii("ullage:tiny", folder / "v.jsonl", folder / "p.jsonl", **calibrated)
    (folder / "c.json").unlink()
    ullage.calibrate_pii(folder / "o.jsonl.run", folder / "c.json", by="recall", value=0.5)
    with pytest.raises(InputError, match=r"c\.json: has changed"):
        ullage.verify_pii("ullage:tiny", folder / "v.jsonl", folder / "p.jsonl", resumed=True, **calibrated)
    (folder / "v.jsonl").rename(folder / "moved.jsonl")
    with pytest.raises(InputError, match=r"v\.jsonl: no such file"):
        ullage.verify_pii("ullage:tiny", folder / "v.jsonl", folder / "o.jsonl", **again)
    (folder / "moved.jsonl").rename(folder / "v.jsonl")
    with pytest.raises(InputError, match="another file"):
        ullage.compare_pii([folder / "o.jsonl.run", folder / "p.jsonl.run"])
    with pytest.raises(InputError, match="nothing is overwritten"):
        ullage.calibrate_pii(folder / "o.jsonl.run", folder / "v.jsonl")


def test_several_precisions_of_a_model_are_compared_on_one_file_and_taken_up_again(verified):
    folder, options = verified
    options = {key: options[key] for key in ("gpus", "system", "prompt_tokens")}
    given = (folder / "v.jsonl", folder / "all", ["ullage:tiny"], ["fp32", "int8", "gguf-q4_0"])
    runs, wrong = ullage.verify_with_each(*given, **options)
    assert [run.name for run in runs] == ["ullage-tiny-fp32.jsonl.run", "ullage-tiny-int8.jsonl.run"]
    assert list(wrong) == ["ullage:tiny, gguf-q4_0"]
    rows = ullage.compare_pii(runs)
    assert [row["weights"] for row in rows] == ["fp32", "int8"]
    assert all(row["f1"] > 0.85 for row in rows)
    written = (folder / "all" / "ullage-tiny-fp32.jsonl").stat().st_mtime_ns
    assert ullage.verify_with_each(*given, **options)[0] == runs
    assert (folder / "all" / "ullage-tiny-fp32.jsonl").stat().st_mtime_ns == written


@given(st.lists(st.sampled_from([b"", b"x", b"xyz"]), max_size=9), st.booleans(), st.booleans())
def test_lines_are_counted_as_they_are_read(tmp_path_factory, lines, ended, zipped):
    path = tmp_path_factory.mktemp("lines") / ("a.jsonl.gz" if zipped else "a.jsonl")
    data = b"\n".join(lines) + (b"\n" if ended else b"")
    path.write_bytes(gzip.compress(data) if zipped else data)
    assert Source(path.name, path, 2**20).count() == len(data.splitlines())


@pytest.mark.long
def test_a_killed_run_is_resumed_to_the_same_bytes(tmp_path, forks):
    model = small_models.save(tmp_path / "model", "llama", chat=True, hidden=64, layers=2)
    rows = [record(n, f"real-{n}", f"fake-{n}") for n in range(120)]
    rows[50:50] = [{"id": "r3", "text": "again"}]
    rows[70:70] = [{"text": f"Call real-{n} now", "PIIs": ["PHONE"]} for n in range(12)]
    write_lines(tmp_path / "records.jsonl", rows)
    file = tmp_path / "work.yaml"
    file.write_text(
        SCRIPTED.replace("script.jsonl, engine: scripted", f"{model}").replace(
            "pii: {", "pii: {prefix_tokens: 900, locate: true, explain: uncertain, redact: tag, "
        )
    )
    whole = run(tmp_path, "whole")
    folder = tmp_path / "killed"
    journal = folder / "journal.jsonl"

    def kept(_):
        return journal.exists() and journal.read_bytes().count(b"\n") >= 2

    done = forks.run("run", file, "--out", folder, "--quiet", when=kept)
    assert done.returncode == -signal.SIGKILL
    ullage.resume(folder)
    for name in ("verified", "failed", "rejects"):
        assert (folder / f"{name}.jsonl").read_bytes() == (whole / f"{name}.jsonl").read_bytes()
    assert len(read_lines(folder / "verified.jsonl")) == 132
    assert read_lines(folder / "rejects.jsonl") == [
        {"line": 51, "reason": "its id is that of an earlier record"}
    ]
