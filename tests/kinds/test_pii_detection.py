"""Candidates by presidio's own patterns (`pip install 'ullage[detect]'`)."""

import inspect
import json
import socket

import pytest

pytest.importorskip("presidio_analyzer", reason="presidio is not installed: pip install 'ullage[detect]'")

from hypothesis import given, settings
from hypothesis import strategies as st
from presidio_analyzer import PatternRecognizer, predefined_recognizers

import ullage
from ullage.errors import InputError
from ullage.kinds.pii.detection import open_detector
from ullage.kinds.pii.records import RecordReader
from ullage.kinds.pii.section import RecordFields
from ullage.kinds.pii.types import read_types

TEXT = (
    "Call (212) 555-0187 or mail anna.k@drosa.org; card 4111 1111 1111 1111, IBAN DE89370400440532013000, "
    "SSN 536-90-4399, from 192.168.3.4, see www.drosa.org."
)
FOUND = {
    "phone": "(212) 555-0187",
    "email": "anna.k@drosa.org",
    "credit_card": "4111 1111 1111 1111",
    "iban": "DE89370400440532013000",
    "social_security": "536-90-4399",
    "ip_address": "192.168.3.4",
    "url": "www.drosa.org",
}


@pytest.fixture(scope="module")
def detector():
    return open_detector("all", read_types())


def test_patterns_find_what_they_know_and_ask_nothing_of_the_network(detector, monkeypatch):
    def refuse(*_args, **_options):
        raise AssertionError("a name was looked up on the network")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    found = [(one.type.name, TEXT[one.start : one.end]) for one in detector.find(TEXT)]
    assert set(FOUND.items()) <= set(found)
    assert ("url", "drosa.org") not in found  # it is a part of the address


def test_dates_of_birth_are_found(detector):
    text = "Born 1985-05-17 in Graz."
    assert [(one.type.name, text[one.start : one.end]) for one in detector.find(text)] == [
        ("date_of_birth", "1985-05-17")
    ]


def test_every_name_that_presidios_recognizers_use_is_a_type():
    names = [getattr(predefined_recognizers, name) for name in predefined_recognizers.__all__]
    kinds = [one for one in names if inspect.isclass(one) and issubclass(one, PatternRecognizer)]
    entities = {entity for one in kinds for entity in one().supported_entities}
    assert len(entities) > 20
    assert [entity for entity in sorted(entities) if not read_types().may_be(entity)] == []


def test_a_score_counts_and_a_word_of_its_context_raises_it():
    every, sure = (open_detector("all", read_types(), least_score=least) for least in (0.0, 0.3))
    bare, said = "number 945456787654", "account 945456787654"
    (low,) = [one.score for one in every.find(bare) if one.type.name == "bank_account"]
    (high,) = [one.score for one in every.find(said) if one.type.name == "bank_account"]
    assert low < 0.3 <= high
    assert sure.find(bare) == []
    assert [(one.type.name, one.score) for one in sure.find(said)] == [("bank_account", high)]


def test_languages_bring_their_own_patterns_and_one_without_any_is_refused():
    text = "Personalausweis T220001293, Steuer-ID 12345678903, SSN 536-90-4399, mail anna.k@drosa.org"
    german, both = (open_detector("all", read_types(), some, 0.3) for some in (("de",), ("en", "de")))
    names = {one.type.name for one in german.find(text)}
    assert {"tax_id", "email"} <= names
    assert "social_security" not in names
    assert {"tax_id", "email", "social_security"} <= {one.type.name for one in both.find(text)}
    with pytest.raises(InputError, match=r"no patterns for 'xx'; it has .*de, en"):
        open_detector("all", read_types(), ("xx",))


def test_only_what_was_asked_for_is_found(detector):
    assert [one.type.name for one in detector.find(TEXT, ["email"])] == ["email"]


def test_presidios_own_results_are_read_as_they_are(detector):
    entities = [
        {key: value for key, value in result.to_dict().items() if key != "recognition_metadata"}
        for recognizer in detector.recognizers
        for result in recognizer.analyze(TEXT, recognizer.supported_entities, None) or ()
    ]
    found = RecordReader(read_types(), RecordFields()).read(1, {"text": TEXT, "entities": entities})
    assert {("phone", "(212) 555-0187"), ("iban", "DE89370400440532013000")} <= {
        (one.type.name, TEXT[one.start : one.end]) for one in found.candidates
    }


def test_raw_text_goes_in_and_verified_entities_come_out(tmp_path):
    script = [
        {"contains": "[[anna.k@drosa.org", "scores": {"yes": -0.1, "no": -3.0}},
        {"contains": "", "scores": {"yes": -3.0, "no": -0.1}},
    ]
    (tmp_path / "script.jsonl").write_text("".join(json.dumps(line) + "\n" for line in script))
    rows = [{"text": TEXT}, {"text": "nothing here"}, {"text": TEXT, "PIIs": ["EMAIL", "PASSPORT"]}]
    (tmp_path / "records.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "work.yaml").write_text(
        "kind: pii\nroles: {verifier: {model: script.jsonl, engine: scripted}}\nbudget: {gpus: cpu}\n"
        "pii: {input: records.jsonl, detect: missing, redact: tag}\n"
    )
    ullage.run(ullage.load(tmp_path / "work.yaml"), tmp_path / "run", base=tmp_path)
    found = [json.loads(line) for line in (tmp_path / "run" / "verified.jsonl").read_text().splitlines()]
    assert {one["value"] for one in found[0]["candidates"]} >= set(FOUND.values())
    assert found[0]["redacted"] == TEXT.replace("anna.k@drosa.org", "<EMAIL>")
    assert found[1]["candidates"] == []
    assert all(one["score"] >= 0.3 for one in found[0]["candidates"])
    named = [(one["type"], one["verdict"]) for one in found[2]["candidates"]]
    assert named == [("email", "verified"), ("passport", "failed")]


@given(st.lists(st.sampled_from([*FOUND.values(), "the cat", "3 of 4", "drosa.org"]), max_size=6))
@settings(deadline=None, max_examples=40)
def test_what_is_found_is_in_order_and_never_inside_a_longer_find(detector, parts):
    text = ", ".join(parts)
    spans = [(one.start, one.end) for one in detector.find(text)]
    assert spans == sorted(spans, key=lambda span: (span[0], -span[1]))
    for begin, end in spans:
        assert 0 <= begin < end <= len(text)
        assert not any(b <= begin and end <= e and (b, e) != (begin, end) for b, e in spans)
