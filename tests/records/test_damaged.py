"""What was changed on disk is refused in one line that says where, or is still what it was to be."""

import copy
import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ullage
from ullage.errors import FormatError
from ullage.records.folder import RunFolder
from ullage.records.journal import Journal, read_journal
from ullage.records.lines import LineStore
from ullage.records.manifest import Manifest, read_manifest
from ullage.records.record import Environment, Measured, Record, read_record
from ullage.records.seal import read_sealed, write_sealed
from ullage.records.verification import verify

WHERE = Environment("A100", "590", "2.11", "5.17", "3.11", "0.1.0", 2)
PLAN = ullage.estimate_model("Qwen/Qwen2.5-7B-Instruct", "1xA100-80GB", advice=False).to_json()
PEAKS = (
    Measured(
        "model prefill", "gpu:0", 10**10, 2 * 10**10, None, 3 * 10**10, 1.0, {"weights": 10**10}, "prefill"
    ),
    Measured("model prefill", "cpu", None, None, None, None, 1),
)
RECORD = Record(WHERE, PEAKS, 3, 90, 2.5, 1, {"freed": [{"role": "judge"}]})
MANIFEST = Manifest("../data", ({"file": "a", "sha256": "0"},), WHERE, PLAN)
OTHER = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=3),
    st.just([]),
    st.just({}),
    st.just([[]]),
)


def places(value, before=()):
    """Where anything stands in a document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield (*before, key)
        yield from places(each, (*before, key))


def _copy_to(document, place):
    """A copy, and what of it holds the last step of `place`."""
    new = copy.deepcopy(document)
    at = new
    for key in place[:-1]:
        at = at[key]
    return new, at


def changed(document, place, other):
    new, at = _copy_to(document, place)
    at[place[-1]] = other
    return new


def without(document, place):
    new, at = _copy_to(document, place)
    del at[place[-1]]
    return new


def plain(value):
    return json.loads(json.dumps(value))


RECORD_PLACES = sorted(places(plain(RECORD.to_json())), key=str)
MANIFEST_PLACES = sorted(places(plain({**MANIFEST.to_json(), "plan": {}})), key=str)


def reads_or_refuses(read, document):
    """One line that begins with the name of what is read, or a value that can be written again."""
    try:
        found = read(document, "here")
    except FormatError as error:
        assert str(error).startswith("here: not ")
        assert "\n" not in str(error)
        assert len(str(error)) < 300
        return None
    json.dumps(found.to_json())
    return found


@given(st.sampled_from(RECORD_PLACES), OTHER)
def test_a_record_with_anything_changed(place, other):
    document = plain(RECORD.to_json())
    found = reads_or_refuses(read_record, changed(document, place, other))
    if found is not None:
        verify(PLAN, found)
        repr(found)
    reads_or_refuses(read_record, without(document, place))


@given(st.sampled_from(MANIFEST_PLACES), OTHER)
def test_a_manifest_with_anything_changed(place, other):
    document = plain(MANIFEST.to_json())
    reads_or_refuses(read_manifest, changed(document, place, other))
    reads_or_refuses(read_manifest, without(document, place))


PLAN_PLACES = sorted(
    (place for place in places(plain({"devices": PLAN["devices"], "items": PLAN["items"]}))), key=str
)


@given(st.sampled_from(PLAN_PLACES), OTHER)
def test_a_plan_with_anything_changed(place, other):
    try:
        verify(changed(plain(PLAN), place, other), RECORD)
    except FormatError as error:
        assert str(error).startswith("the manifest holds no plan document: ")
        assert "\n" not in str(error)


def test_a_plan_whose_interval_is_upside_down():
    prefill = next(
        index
        for index, phase in enumerate(PLAN["devices"][0]["phases"])
        if phase["name"] == RECORD.measured[0].phase
    )
    upside_down = changed(plain(PLAN), ("devices", 0, "phases", prefill, "live", "low"), 2**62)
    with pytest.raises(FormatError, match="not in this order"):
        verify(upside_down, RECORD)


@pytest.mark.parametrize(
    "change, said",
    [
        ({"measured": [{"warp": 1}]}, "measured[0]: phase is missing"),
        ({"measured": {}}, "measured is an object, not an array"),
        ({"environment": {}}, "environment: gpu is missing"),
        ({"examples": True}, "examples is true, not a whole number"),
        ({"seconds": "1" * 1000}, "not a number"),
        ({"outcome": []}, "outcome is an array, not an object"),
    ],
)
def test_a_record_that_is_none_says_what_of_it(tmp_path, change, said):
    folder = RunFolder(tmp_path)
    folder.write_manifest(MANIFEST)
    folder.write_record(RECORD)
    path = tmp_path / "record.json"
    write_sealed(path, read_sealed(path) | change)
    with pytest.raises(FormatError) as refused:
        ullage.verify(tmp_path)
    assert str(refused.value).startswith(f"{path}: not a record of a run: ")
    assert said in str(refused.value)
    assert len(str(refused.value)) < 2 * len(str(path)) + 200


def test_names_that_were_read_stay_on_one_line():
    components = {"a\nb" * 50: "many"}
    document = RECORD.to_json() | {"measured": [dataclasses.asdict(PEAKS[0]) | {"components": components}]}
    with pytest.raises(FormatError) as refused:
        read_record(document, "here")
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 300


def test_a_record_of_a_later_version_may_have_more_in_it():
    assert read_record({**RECORD.to_json(), "more": 1}, "here") == RECORD


def test_a_manifest_that_lacks_something_names_it(tmp_path):
    folder = RunFolder(tmp_path)
    folder.write_manifest(MANIFEST)
    path = tmp_path / "manifest.json"
    document = read_sealed(path)
    del document["inputs"]
    write_sealed(path, document)
    with pytest.raises(FormatError, match=r"manifest\.json: not the manifest of a run: inputs is missing"):
        folder.manifest()


@pytest.mark.parametrize("line", ["3", "[]", "null", "[" * 100_000])
def test_a_journal_with_a_line_that_is_no_entry_is_refused_by_whoever_reads_it(tmp_path, line):
    path = tmp_path / "journal.jsonl"
    Journal(path).append({})
    with path.open("a") as journal:
        journal.write(line + "\n")
    with pytest.raises(FormatError, match=r"journal\.jsonl:2: not "):
        Journal(path)
    with pytest.raises(FormatError, match=r"journal\.jsonl:2: not "):
        read_journal(path)
    with pytest.raises(FormatError, match=r"journal\.jsonl:2: not "):
        RunFolder(tmp_path).done  # noqa: B018


@pytest.mark.parametrize(
    "entry, said",
    [
        ({}, "unit is missing"),
        ({"unit": [1]}, "unit is an array, not a whole number"),
        ({"unit": 0}, "bytes is missing"),
        ({"unit": 0, "bytes": 3}, "bytes is 3, not an object"),
        ({"unit": 0, "bytes": {"other": 3}}, "bytes: judge is missing"),
        ({"unit": 0, "bytes": {"judge": "3"}}, 'bytes: judge is "3", not a whole number'),
        ({"unit": 0, "bytes": {"judge": -3}}, "judge has -3 bytes"),
    ],
)
def test_a_journal_whose_entries_say_nothing_of_their_lines_is_refused(tmp_path, entry, said):
    Journal(tmp_path / "journal.jsonl").append({"stage": "judge", **entry})
    with pytest.raises(FormatError) as refused:
        LineStore(tmp_path, "judge", Journal(tmp_path / "journal.jsonl"))
    assert said in str(refused.value)
    assert str(refused.value).startswith(str(tmp_path / "journal.jsonl"))


def test_a_fact_that_is_no_number_is_refused(tmp_path):
    store = LineStore(tmp_path, "judge", Journal(tmp_path / "journal.jsonl"))
    store.add(0, {"judge": []}, tokens=3)
    store.add(1, {"judge": []}, tokens="many")
    with pytest.raises(FormatError, match='tokens is "many", not a whole number'):
        list(store.told("tokens"))
