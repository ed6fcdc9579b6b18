"""Redacted texts hold nothing of what was verified or failed, and everything else."""

import unicodedata

import pytest
import redacted_records
from hypothesis import given, settings
from hypothesis import strategies as st

from ullage.kinds.pii.places import fold, standing
from ullage.kinds.pii.redaction import ELSEWHERE, UNPLACED, Sensitive, redact

KEY = b"sixteen bytes or more"


@given(redacted_records.cases())
@settings(max_examples=200)
def test_no_redacted_text_holds_a_verified_or_failed_value(case):
    made = redacted_records.redacted(case)
    if made is not None and made[0].text is not None:
        assert redacted_records.still_held(made[0].text, made[1]) == []


@given(redacted_records.texts(), st.sampled_from(["NFC", "NFD", "NFKC", "NFKD"]))
def test_equivalent_texts_are_one_once_folded(drawn, form):
    text, _ = drawn
    assert fold(unicodedata.normalize(form, text)).text == fold(text).text == fold(text.casefold()).text


@given(redacted_records.texts())
def test_every_part_of_a_text_stands_where_it_was_put_unless_a_word_goes_on_there(drawn):
    text, parts = drawn
    for start, end in parts:
        for found in standing(text, text[start:end]):
            assert fold(text[slice(*found)]).text.strip() == fold(text[start:end]).text.strip()


@given(st.text(max_size=40), st.data())
def test_redaction_leaves_nothing_of_a_span_and_everything_else(text, data):
    found = []
    for _ in range(data.draw(st.integers(0, 4))):
        begin = data.draw(st.integers(0, max(len(text) - 1, 0)))
        end = data.draw(st.integers(begin, len(text)))
        if end > begin:
            found.append(Sensitive("phone", (begin, end), 1.0))
    hidden = {at for one in found for at in range(*one.span)}
    made = redact(text, found, "mask")
    if made.text is None:
        assert made.reason == ELSEWHERE
    else:
        assert made.text == "".join("*" if at in hidden else one for at, one in enumerate(text))
    assert redact(text, found, "mask", everywhere=True).text is not None


@pytest.mark.parametrize(
    ("text", "value", "wanted", "folded"),
    [
        ("BRUNO WOLF and Bruno Wolf", "Bruno Wolf", "<PERSON> and <PERSON>", 1),
        ("Jose\u0301, Jos\u00e9, Joseph", "Jos\u00e9", "<PERSON>, <PERSON>, Joseph", 1),
        ("Stra\u00dfe STRASSE", "strasse", "<PERSON> <PERSON>", 2),
        ("\uff22runo\u00a0Wolf, Bruno\n Wolf", "Bruno Wolf", "<PERSON>, <PERSON>", 2),
        ("Bru\u00adno", "Bruno", "<PERSON>", 1),
        ("gar\u00e7on, garc\u0327on: on", "on", "gar\u00e7on, garc\u0327on: <PERSON>", 0),
        ("Jose\u0301", "Jose", None, 0),
        ("\u0130brahim, IBRAHIM", "ibrahim", "<PERSON>, <PERSON>", 2),
        ("I\u015eIK \u0131\u015f\u0131k", "I\u015f\u0131k", "<PERSON> <PERSON>", 2),
        ("\u845b\U000e0100\u57ce \u845b\u57ce", "\u845b\u57ce", "<PERSON> <PERSON>", 1),
        ("k\u3164im", "kim", "<PERSON>", 1),
        ("\u0662\u0660\u0661\u0665 2015 \uff12\uff10\uff11\uff15", "2015", "<PERSON> <PERSON> <PERSON>", 2),
    ],
)
def test_a_value_is_taken_out_in_every_case_and_form(text, value, wanted, folded):
    record = redacted_records.READERS["characters"].read(
        1, {"text": text, "candidates": [{"type": "person", "value": value}]}
    )
    (one,) = record.candidates
    span = None if one.start is None else (one.start, one.end)
    made = redact(text, [Sensitive("person", span, 1.0, one.by_value, one.folded)], "tag")
    assert (made.text, made.folded) == (wanted, folded) or (wanted is None and made.text == "<PERSON>\u0301")


def test_what_has_no_place_withholds_the_text_and_so_does_a_value_that_stands_elsewhere_too():
    text = "Call Ann. Ann is out."
    assert redact(text, [Sensitive("person", None)], "tag").reason == UNPLACED
    one = Sensitive("person", (5, 8), 1.0)
    made = redact(text, [one], "tag")
    assert (made.text, made.reason) == (None, ELSEWHERE)
    assert redact(text, [one], "tag", everywhere=True).text == "Call <PERSON>. <PERSON> is out."


def test_a_value_that_was_given_beside_another_span_is_taken_out_too():
    text = "\U0001f600 Call real-1 now"
    misplaced = Sensitive("phone", (8, 14), None, stated="real-1")
    assert "real-1" not in redact(text, [misplaced], "tag").text
    assert redact("Call 12 now", [Sensitive("phone", (5, 7), None, stated="99")], "tag").reason == UNPLACED


def test_a_value_that_its_span_holds_but_for_an_accent_is_taken_out_as_it_was_given_too():
    text = "Jos\u00e9 and Jose\u0301"
    reader = redacted_records.READERS["characters"]
    given = {"type": "person", "start": 9, "end": 13, "value": "Jose\u0301"}
    (one,) = reader.read(1, {"text": text, "candidates": [given]}).candidates
    assert not one.reason
    found = Sensitive("person", (9, 13), 1.0, stated=one.stated)
    assert redact(text, [found], "tag").text == "<PERSON> and <PERSON>"
    tokenized = Sensitive("person", (0, 4), 1.0, stated="##JOSE")
    assert redact("Jose", [tokenized], "tag").text == "<PERSON>"


def test_what_overlaps_is_one_span_of_the_likeliest_verdicts_type():
    text = "Ask Bruno Wolf."
    whole, first = Sensitive("person", (4, 14), 2.0), Sensitive("first_name", (4, 9), 1.0)
    assert redact(text, [whole, first], "tag").text == "Ask <PERSON>."
    surer = Sensitive("first_name", (4, 9), 3.0)
    assert redact(text, [whole, surer], "tag").text == "Ask <FIRST_NAME>."
    undecided = Sensitive("medical_record", (4, 14), None)
    assert redact(text, [undecided, first], "tag").text == "Ask <FIRST_NAME>."


def test_equal_values_have_equal_hashes_whatever_overlaps_them():
    whole, part = Sensitive("person", (0, 10), 2.0), Sensitive("city", (6, 15), 1.0)
    overlapped = redact("Bruno Wolf GmbH", [whole, part], "hash", KEY).text
    assert overlapped == redact("BRUNO WOLF", [Sensitive("person", (0, 10), 1.0)], "hash", KEY).text
    assert overlapped != redact("Bruno Wulf", [Sensitive("person", (0, 10), 1.0)], "hash", KEY).text
