"""Records in the shapes that detectors and people write them: read, or rejected by name; never silence."""

import gzip
import json
from pathlib import Path

import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ullage.errors import InputError
from ullage.kinds.pii.field_names import BEGINS, CANDIDATES, ENDS, TEXTS, TYPES, VALUES, fold, known_fields
from ullage.kinds.pii.field_options import fields_from
from ullage.kinds.pii.offsets import NotARecord
from ullage.kinds.pii.records import RecordReader
from ullage.kinds.pii.section import RecordFields
from ullage.kinds.pii.types import DETECTORS, detector_names, key_of, read_types

CASES = Path(__file__).with_name("pii_cases")
KNOWN = read_types()
READER = RecordReader(KNOWN, RecordFields())
TEXT = "Please ask Bruno Wolf about the lamp."
SPAN = {"type": "PERSON", "start": 11, "end": 21}
WHOLE = [("person", 11, 21)]
NAMES = [("first_name", 11, 16), ("last_name", 17, 21)]


def read(record, fields=None):
    return RecordReader(KNOWN, fields or RecordFields()).read(1, record)


def found(record, fields=None):
    """Types and spans of what has no reason to fail."""
    return [(one.type.name, one.start, one.end) for one in read(record, fields).candidates if not one.reason]


def lines(name):
    return [json.loads(line) for line in (CASES / name).read_text(encoding="utf-8").splitlines()]


OF_CASES = {
    "piiranha": [("first_name", 10, 16), ("last_name", 17, 21)],
    "hf-accent": [("person", 11, 20)],
    "ai4privacy": NAMES[:1],
    "guide": [("person", None, None)],
    "onlytext": [],
}


@pytest.mark.parametrize("record", lines("shapes.jsonl"), ids=lambda record: record.get("id") or "guide")
def test_every_shape_of_the_cases_is_read(record):
    assert found(record) == OF_CASES.get(record.get("id") or "guide", WHOLE)


def test_the_other_cases_are_read_too():
    one, two, three, four = (read(record).candidates for record in lines("three.jsonl"))
    assert [[(c.type.name, c.start) for c in some] for some in (one, three, four)] == [
        [("person", 4), ("first_name", 4)],
        [("person", None)],
        [("person", 4)],
    ]
    assert [one.type.name for one in two] == ["person"]
    assert all(read(record).candidates == () for record in lines("detect.jsonl"))


def test_all_of_presidios_evaluation_data_is_read_and_every_value_stands_where_it_says():
    with gzip.open(CASES / "presidio-synth-500.jsonl.gz", "rt", encoding="utf-8") as file:
        given_ = [json.loads(line) for line in file]
    records = [READER.read(number, record) for number, record in enumerate(given_, 1)]
    assert len(records) == 500
    for record, before in zip(records, given_, strict=True):
        values = [record.text[one.start : one.end] for one in record.candidates]
        assert values == [span["entity_value"] for span in before["spans"]]
        assert not any(one.reason for one in record.candidates)


@pytest.mark.parametrize("name", TEXTS)
def test_each_name_of_a_text_is_read(name):
    assert found({name: TEXT, "entities": [SPAN]}) == WHOLE


@pytest.mark.parametrize("name", [*CANDIDATES, "Entities", "analyzerResults", "PII_ENTITIES"])
def test_each_name_of_candidates_is_read(name):
    assert found({"text": TEXT, name: [SPAN]}) == WHOLE
    assert found({"text": TEXT, name: [[11, 21, "PERSON"]]}) == WHOLE
    assert found({"text": TEXT, name: {"PERSON": ["Bruno Wolf"]}}) == WHOLE


@pytest.mark.parametrize("name", [*TYPES, "entityType", "Type", "infoType"])
def test_each_name_of_a_type_is_read(name):
    assert found({"text": TEXT, "entities": [{name: "PERSON", "start": 11, "end": 21}]}) == WHOLE


@pytest.mark.parametrize("name", [*VALUES, "entityValue", "Text"])
def test_each_name_of_a_value_is_read(name):
    assert found({"text": TEXT, "entities": [{"type": "PERSON", name: "Bruno Wolf"}]}) == WHOLE


@pytest.mark.parametrize("begin", [*BEGINS, "BeginOffset", "startChar"])
def test_each_name_of_a_start_is_read(begin):
    assert found({"text": TEXT, "entities": [{"type": "PERSON", begin: 11, "end": 21}]}) == WHOLE


@pytest.mark.parametrize("end", [*ENDS, "EndOffset"])
def test_each_name_of_an_end_is_read(end):
    assert found({"text": TEXT, "entities": [{"type": "PERSON", "start": 11, end: 21}]}) == WHOLE


DLP = {
    "quote": "Bruno Wolf",
    "infoType": {"name": "PERSON_NAME"},
    "likelihood": "LIKELY",
    "location": {
        "byteRange": {"start": "11", "end": "21"},
        "codepointRange": {"start": "11", "end": "21"},
    },
}
REGION = {
    "from_name": "label",
    "to_name": "text",
    "type": "labels",
    "value": {"start": 11, "end": 21, "text": "Bruno Wolf", "labels": ["PER"]},
}
SHAPES = {
    "comprehend": {"Entities": [{"Score": 0.9, "Type": "NAME", "BeginOffset": 11, "EndOffset": 21}]},
    "dlp": {"result": {"findings": [DLP]}},
    "dlp begins at 0": {
        "text": "Bruno",
        "findings": [{**DLP, "quote": "Bruno", "location": {"codepointRange": {"end": "5"}}}],
    },
    "a single object": {"entities": SPAN},
    "spans by group": {"spans": {"sc": [{"start": 11, "end": 21, "label": "PERSON"}]}, "ents": []},
    "spacy's json": {
        "ents": [{"start": 11, "end": 21, "label": "PERSON"}],
        "sents": [{"start": 0, "end": 37}],
        "tokens": [{"id": 0, "start": 0, "end": 6, "tag": "UH", "pos": "INTJ", "lemma": "please"}],
    },
    "value and type": {"entities": [["Bruno Wolf", "PERSON"]]},
    "type and value": {"entities": [["PERSON", "Bruno Wolf"]]},
    "value, span, type": {"entities": [["Bruno Wolf", 11, 21, "PERSON"]]},
    "grouped spans": {"entities": {"PERSON": [[11, 21]]}},
    "grouped objects": {
        "entities": {"person": [{"text": "Bruno Wolf", "confidence": 0.9, "start": 11, "end": 21}]}
    },
    "one value a type": {"entities": {"PERSON": "Bruno Wolf"}},
    "type by value": {"entities": {"Bruno Wolf": "PERSON"}},
    "masked by placeholder": {"privacy_mask": {"[FULLNAME_1]": "Bruno Wolf"}},
    "a list as text": {"entities": json.dumps([SPAN])},
    "a list as python's text": {"entities": str([(11, 21, "PERSON")])},
    "batches of one": {"entities": [[SPAN]]},
    "beside the text": {"entity_type": "PERSON", "start": 11, "end": 21, "score": 0.85},
    "beside the text, by value": {"label": "PERSON", "value": "Bruno Wolf"},
    "label studio's regions": {"annotations": [{"id": 7, "result": [REGION]}], "predictions": []},
    "label studio, short": {"label": [{"start": 11, "end": 21, "text": "Bruno Wolf", "labels": ["PER"]}]},
    "flair": {
        "entities": [
            {
                "text": "Bruno Wolf",
                "start_pos": 11,
                "end_pos": 21,
                "labels": [{"value": "PER", "confidence": 1.0}],
            }
        ]
    },
    "doccano with relations": {
        "entities": [{"id": 4, "label": "PERSON", "start_offset": 11, "end_offset": 21}],
        "relations": [],
        "Comments": [],
    },
    "presidio as it prints": {"results": ["type: PERSON, start: 11, end: 21, score: 0.85"]},
    "numbers as text": {"entities": [{"type": "PERSON", "start": "11", "end": "21.0"}]},
    "numbers of a table": {"entities": [{"type": "PERSON", "start": 11.0, "end": 21.0}]},
    "an unknown token": {
        "entities": [{"entity_group": "PER", "word": "bruno [UNK]", "start": 11, "end": 21}]
    },
    "a blank lost": {
        "text": "Please ask Bruno  Wolf",
        "entities": [{"type": "PER", "start": 11, "end": 22, "text": "Bruno Wolf"}],
    },
    "no offsets": {
        "entities": [{"entity_group": "PER", "word": "\u2581Bruno Wolf", "start": None, "end": None}]
    },
    "pieces without offsets": {
        "entities": [
            {"entity": "B-PER", "word": "Bru", "start": None},
            {"entity": "I-PER", "word": "##no Wolf"},
        ]
    },
    "outside": {
        "entities": [
            {"entity": "O", "word": "ask", "start": 7, "end": 10},
            {"entity": "U-PER", "word": "Bruno Wolf", "start": 11, "end": 21},
        ]
    },
    "words of one": {
        "entities": [
            {"entity": "B-PER", "word": "Bru", "start": 11, "end": 14},
            {"entity": "I-PER", "word": "##no", "start": 14, "end": 16},
            {"entity": "L-PER", "word": "Wolf", "start": 17, "end": 21},
        ]
    },
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_each_shape_that_a_tool_writes_is_read(shape):
    text = shape.get("text", TEXT)
    (one,) = read({"text": text, **shape}).candidates
    assert (one.type.name, one.reason) == ("person", "")
    assert text[one.start : one.end].replace("  ", " ") in ("Bruno Wolf", "Bruno")


@pytest.mark.parametrize(
    "data", [{"data": {"text": TEXT}}, {"metadata": {"text": TEXT}}, {"data": TEXT}], ids=str
)
def test_a_text_within_a_record_is_read_with_candidates_anywhere(data):
    assert found({**data, "annotations": [{"result": [REGION]}]}) == WHOLE
    if isinstance(data.get("metadata"), dict):
        assert found({"metadata": {"text": TEXT, "entities": [SPAN]}}) == WHOLE


def test_the_second_of_two_names_begins_a_new_candidate():
    tokens = [("B-PER", 11, 16), ("B-PER", 17, 21), ("I-LOC", 22, 27), ("I-LOC", 28, 31)]
    record = {"text": TEXT, "entities": [{"entity": name, "start": a, "end": b} for name, a, b in tokens]}
    assert found(record) == [("person", 11, 16), ("person", 17, 21), ("address", 22, 31)]


ROWS = [
    (name, alias)
    for name, one in yaml.safe_load(DETECTORS.read_text()).items()
    for some in one["names"].values()
    for alias in some
]


@pytest.mark.long
@pytest.mark.parametrize("detector, name", ROWS, ids=lambda part: str(part))
def test_each_name_of_each_detector_is_known_alone_and_as_a_tokens_label(detector, name):
    expected = [one.name for one in KNOWN.may_be(name)]
    assert set(expected) <= set(detector_names()[key_of(name)]) | {key_of(name)}
    assert expected
    for form in (name.lower(), f"B-{name}", f"I-{name}", f"<{name}>", f"[{name}_2]"):
        assert [one.name for one in KNOWN.may_be(form)] == expected
    (one,) = read({"text": TEXT, "entities": [{**SPAN, "type": name}]}).candidates
    assert ([each.name for each in one.types], one.reason) == (expected, "")


def test_every_detector_says_where_its_names_stand():
    detectors = yaml.safe_load(DETECTORS.read_text())
    assert {"presidio", "ai4privacy", "piiranha", "gliner", "spacy", "scrubadub", "comprehend", "dlp"} <= set(
        detectors
    )
    assert all("." in one["source"] for one in detectors.values())
    meant = {name for types in detector_names().values() for name in types}
    assert meant <= set(KNOWN.names)


def test_a_users_file_says_what_its_names_mean(tmp_path):
    path = tmp_path / "types.yaml"
    path.write_text(
        "a:\n  place: {label: place, sensitivity: personal, known_as: [LOC], is: a place}\n"
        "  city: {label: town, sensitivity: personal, is: a town}\n"
        "  address: {label: address, sensitivity: personal, is: an address}\n"
    )
    own = read_types(path)
    assert [one.name for one in own.may_be("LOC")] == ["place"]
    assert [one.name for one in own.may_be("LOCATION")] == ["address", "city"]
    assert own.may_be("US_SSN") == ()
    assert own.choose("LOCATION") == {"address", "city"}


UNREAD = {
    "objects": {"hits": [SPAN]},
    "lists": {"hits": [[11, 21, "PERSON"]]},
    "texts": {"hits": ["Bruno Wolf"]},
    "by type": {"hits": {"PERSON": ["Bruno Wolf"]}},
    "one value a type": {"hits": {"Persona": "bruno wolf"}},
    "as text": {"hits": json.dumps([SPAN])},
    "deep": {"out": {"doc": {"hits": [SPAN]}}},
    "beside an empty one": {"entities": [], "hits": [SPAN]},
    "beside null": {"ents": None, "hits": [{"label": "PERSON", "text": "Bruno Wolf"}]},
    "a type alone": {"kind": "PERSON"},
    "a column named by type": {"person": "Bruno Wolf"},
    "beside an empty one, within": {"results": {"findings": [], "hits": [SPAN]}},
    "tokens and tags": {"tokens": ["Please", "ask"], "ner_tags": [0, 1]},
}


@pytest.mark.parametrize("shape", UNREAD.values(), ids=UNREAD)
def test_candidates_under_a_field_that_is_not_read_are_never_none(shape):
    with pytest.raises(NotARecord) as caught:
        read({"id": "a", "text": TEXT, **shape})
    said = str(caught.value)
    name = next(name for name in shape if name not in ("entities", "ents"))
    assert name in said or "hits" in said
    assert "it has" in said
    if name == "results":
        return
    assert f"--fields candidates={name}" in said
    ignored = tuple(each for each in shape if each not in ("entities", "ents"))
    assert read({"text": TEXT, **shape}, RecordFields(ignored=ignored)).candidates == ()


def test_a_record_of_text_and_facts_about_it_has_no_candidates():
    record = read(
        {"text": TEXT, "language": "en", "n": 3, "embedding": [0.5, 0.25], "meta": {"split": "train"}}
    )
    assert record.candidates == ()
    assert record.unread == ("language", "n", "embedding", "meta")
    assert read({"text": TEXT, "entities": None, "language": "en"}).unread == ("language",)


def test_candidates_under_two_fields_are_asked_for_and_said():
    with pytest.raises(
        NotARecord, match=r"candidates under entities, predictions; .*--fields candidates=entities"
    ):
        read({"text": TEXT, "predictions": [SPAN], "entities": [SPAN]})
    fields = RecordFields(candidates="predictions")
    assert found({"text": TEXT, "predictions": [SPAN], "entities": []}, fields) == WHOLE


@pytest.mark.parametrize(
    "candidate, said",
    [
        ({"start": 11, "end": 21}, "type is in none of .*it has start, end"),
        (
            {"type": "PERSON", "von": 11, "bis": 21},
            "neither start and end nor a value; it has type, von, bis",
        ),
        ({"type": "PERSON", "start": "a", "end": 21}, "not whole numbers"),
        ({"type": "PERSON", "start": "/div[1]/p", "end": "/div[1]/p"}, "not whole numbers"),
        ([1, 2, 3], "a list, but neither"),
        (["PERSON"], "a list, but neither"),
        (True, "neither a type's name nor an object"),
    ],
    ids=str,
)
def test_a_candidate_that_is_not_understood_says_what_it_has(candidate, said):
    with pytest.raises(NotARecord, match=said):
        read({"text": TEXT, "entities": [candidate]})


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 99)
    | st.floats(0, 1)
    | st.sampled_from(["PERSON", "Bruno Wolf", "x", "en"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "type", "start", "end", "PERSON"]), inner, max_size=3)
    ),
    max_leaves=6,
)
INVENTED = st.text("abcdefghijklmnopqrstuvwxyzABC_-. äß", min_size=1, max_size=12)
SPANS = st.sampled_from(
    [
        [SPAN],
        [[11, 21, "PERSON"]],
        [{"quelle": "PERSON", "wert": "Bruno Wolf"}],
        {"PERSON": ["Bruno Wolf"]},
        {"anything": {"PERSON": "Bruno Wolf"}},
        ["PERSON"],
        json.dumps([SPAN]),
    ]
)


@given(INVENTED, SPANS, st.dictionaries(INVENTED, st.integers() | st.none(), max_size=2))
@settings(deadline=None, max_examples=400)
def test_whatever_its_field_is_called_a_candidate_is_read_or_its_record_rejected(name, spans, more):
    assume(not known_fields(more, CANDIDATES))  # null under such a name says that there are none
    try:
        record = read({**more, "text": TEXT, name: spans} if name != "text" else {"text": TEXT, "x": spans})
    except NotARecord as error:
        assert "it has" in str(error) or "candidate" in str(error) or "id" in str(error)
    else:
        assert record.candidates


@pytest.mark.parametrize(
    "record",
    [
        {"text": 5, "note": 1},
        {"text": "x", "id": {}, "note": 1},
        {"text": "x", "entities": 5, "note": 1},
        {"text": "x", "entities": [{"type": "PERSON", "start": 0, "end": 9}], "note": 1},
        {"body_text": "x", "note": 1},
    ],
    ids=str,
)
def test_whatever_is_wrong_with_a_record_it_says_what_the_record_has(record):
    with pytest.raises(NotARecord, match=rf"it has {', '.join(record)}"):
        read(record)


@given(st.dictionaries(INVENTED | st.sampled_from([*CANDIDATES, "type", "value", "start"]), JSON, max_size=4))
@settings(deadline=None, max_examples=600)
def test_no_record_of_any_shape_is_more_than_rejected(record):
    try:
        got = read({**record, "text": TEXT})
    except NotARecord:
        return
    for one in got.candidates:
        assert one.start is None or 0 <= one.start < one.end <= len(TEXT)
    if not got.candidates:
        known = set(map(fold, CANDIDATES))
        empty = {
            name for name, value in record.items() if fold(name) in known and value in (None, [], {}, "")
        }
        read_all = {"id", "text", *got.unread, *empty}
        assert {name for name in record if name not in read_all} == set()


def test_the_page_names_every_field_that_is_read():
    page = (Path(__file__).parents[2] / "docs" / "pii.md").read_text(encoding="utf-8")
    missing = [
        name for name in (*TEXTS, *CANDIDATES, *TYPES, *VALUES, *BEGINS, *ENDS) if f"`{name}`" not in page
    ]
    assert missing == []
    assert f"{len(KNOWN.names)} types in" in page


def test_fields_are_named_on_the_command_line():
    assert fields_from(["text=body, candidates=hits", "ignored=a", "ignored=b"]) == {
        "text": "body",
        "candidates": "hits",
        "ignored": ("a", "b"),
    }
    for wrong, said in (
        ("body", "not like text=body"),
        ("txet=a", "nearest: text"),
        ("id=a,id=b", "given twice"),
    ):
        with pytest.raises(InputError, match=said):
            fields_from([wrong])
    fields = RecordFields(**fields_from(["text=body,candidates=hits,type=kind,start=von,length=n"]))
    hit = {"kind": "PERSON", "von": 11, "n": 10}
    assert found({"body": TEXT, "text": "another", "hits": [hit]}, fields) == WHOLE
