"""What users of detectors reported in public about shapes and offsets, each tried here."""

import json

import pytest

from ullage.errors import InputError
from ullage.kinds.pii.offsets import NotARecord
from ullage.kinds.pii.records import RecordReader
from ullage.kinds.pii.section import RecordFields, Section
from ullage.kinds.pii.sources import Source
from ullage.kinds.pii.survey import surveyed
from ullage.kinds.pii.types import read_types

KNOWN = read_types()


def spans(record, unit="characters"):
    """Each candidate's value, or why it fails."""
    read = RecordReader(KNOWN, RecordFields(), unit).read(1, record)
    return [one.reason or read.text[one.start : one.end] for one in read.candidates]


def records(folder, data, name="a.jsonl", **section):
    path = folder / name
    path.write_text(data, encoding="utf-8")
    source = Source(name, path, 2**20)
    reader, _ = surveyed(source, Section(**section), KNOWN, lambda said: None, False, False)
    return reader.offsets, [reader.read(line.number, line.record) for line in source.lines()]


DANI = "Hi \U0001f600 ich bin der Dani"
FIRE = "\U0001f468\U0001f3fb\u200d\U0001f692 firemen drive firetrucks"


def test_presidio_counts_code_points_and_javascript_does_not(tmp_path):
    """sgasser/pasteguard #145, ayunis-core/ayunis-core #1620: a name's last letter stayed in the clear."""
    for start, unit in ((17, "characters"), (18, "utf16"), (20, "utf8")):
        one = {"entity_type": "PERSON", "start": start, "end": start + 4, "text": "Dani"}
        row = {"text": DANI, "analyzer_results": [one]}
        assert spans(row, unit) == ["Dani"]
        assert records(tmp_path, json.dumps(row), offsets="auto")[0] == unit


def test_doccanos_labels_have_no_value_that_could_tell_the_unit(tmp_path):
    """doccano/doccano #2290, #2484: what Python has at 19 doccano has at 22."""
    assert spans({"text": FIRE, "label": [[22, 32, "PRODUCT"]]}, "utf16") == ["firetrucks"]
    with pytest.raises(InputError, match="both agree with all stated values, and mean different places"):
        records(tmp_path, json.dumps({"text": FIRE, "label": [[19, 29, "PRODUCT"]]}), offsets="auto")


def test_offsets_of_grapheme_clusters_are_none_of_the_units(tmp_path):
    """doccano/doccano #108: an emoji of several characters counted as one."""
    one = {"start": 2, "end": 9, "label": "PERSON", "text": "firemen"}
    with pytest.raises(InputError, match="under no unit"):
        records(tmp_path, json.dumps({"text": FIRE, "entities": [one]}), offsets="auto")


def test_label_studios_table_has_a_list_in_a_cell_and_counts_as_javascript(tmp_path):
    """HumanSignal/label-studio #1347."""
    cell = '"[{""start"": 13, ""end"": 23, ""text"": ""annotation"", ""labels"": [""Person""]}]"'
    data = f"ID\tTEXT\tid\tlabel\tannotator\n1\t\U0001f4a9This is an annotation.\t1\t{cell}\ta.a@a.net\n"
    unit, (record,) = records(tmp_path, data, "export.tsv", offsets="auto")
    (one,) = record.candidates
    assert (unit, record.text[one.start : one.end]) == ("utf16", "annotation")


def test_label_studio_loses_blanks_within_a_value():
    """HumanSignal/label-studio #3078: the offsets are right, the text is not."""
    region = {"start": 6, "end": 22, "text": "Berlin, German", "labels": ["LOC"]}
    task = {
        "id": 1875,
        "data": {"text": "Text: Berlin,  Germany."},
        "annotations": [{"id": 1, "result": [{"value": region}]}],
    }
    assert spans({**task, "annotations": [{"result": [{"value": {**region, "end": 21}}]}]}) == [
        "Berlin,  German"
    ]
    assert spans(task)[0].startswith("its value is not what its span holds")


def test_an_older_export_of_label_studio_is_rejected_by_name():
    """HumanSignal/label-studio #539."""
    value = {"start": 0, "end": 4, "text": "Rome", "labels": ["City"]}
    with pytest.raises(
        NotARecord, match=r"completions may hold some; it has completions; .*candidates=completions"
    ):
        spans({"data": {"text": "Rome"}, "completions": [{"result": [{"value": value}]}]})
    fields = RecordFields(candidates="completions")
    (one,) = (
        RecordReader(KNOWN, fields)
        .read(1, {"data": {"text": "Rome"}, "completions": [{"result": [{"value": value}]}]})
        .candidates
    )
    assert (one.type.name, one.start, one.end) == ("city", 0, 4)


def test_places_in_html_are_no_offsets_of_a_text():
    """HumanSignal/label-studio #2777, #1164."""
    value = {"start": "/div[3]/p[4]/text()[1]", "end": "/div[3]/p[4]/text()[1]", "labels": ["Person"]}
    with pytest.raises(NotARecord, match="start and end are not whole numbers"):
        spans({"text": "x", "annotations": [{"result": [{"value": value}]}]})


def test_spacys_training_data_with_values_instead_of_offsets(tmp_path):
    """explosion/spaCy #2009, #7974."""
    pair = ["Who is Shaka Khan?", {"entities": [["Shaka Khan", "PERSON"]], "links": {"(7, 17)": {"Q1": 1.0}}}]
    for data, name in ((json.dumps(pair) + "\n", "a.jsonl"), (json.dumps([pair]), "a.json")):
        _, (record,) = records(tmp_path, data, name)
        assert [(one.type.name, one.start, one.end) for one in record.candidates] == [("person", 7, 17)]


def test_a_slow_tokenizer_gives_no_offsets():
    """huggingface/transformers #22034."""
    words = [("B-PER", "Shaka"), ("I-PER", "##n"), ("I-PER", "Khan")]
    found = [
        {"entity": tag, "word": word, "score": 0.9, "index": n, "start": None, "end": None}
        for n, (tag, word) in enumerate(words)
    ]
    assert spans({"text": "Khan is not Shakan Khan", "entities": found}) == ["Shakan", "Khan"]


def test_a_tokenizer_counts_the_blank_before_a_word():
    """huggingface/transformers #18111."""
    for word, start in ((" Khan", 5), ("\u2581Khan", 5), ("\u0120Khan", 5), ("khan", 6)):
        one = {"entity_group": "PER", "word": word, "start": start, "end": 10}
        assert [value.strip() for value in spans({"text": "Shaka Khan", "entities": [one]})] == ["Khan"]


def test_a_model_that_begins_at_every_token_loses_none():
    """huggingface/transformers #23322."""
    tokens = [("\u25815.", 0, 2), ("97", 2, 4), ("5,7", 4, 7), ("4", 7, 8)]
    found = [{"entity": "B-AMOUNT", "word": word, "start": start, "end": end} for word, start, end in tokens]
    assert spans({"text": "5.975,74", "entities": found}) == ["5.", "97", "5,7", "4"]


def test_gliner2_groups_by_label_without_offsets():
    """fastino-ai/GLiNER2 #5."""
    row = {
        "text": "Tim Cook runs Apple.",
        "entities": {"person": ["Tim Cook"], "company": ["Apple"], "date": []},
    }
    assert spans(row) == ["Tim Cook", "Apple"]


def test_labelboxs_export_is_not_read_as_nothing():
    """Labelbox/labelbox-python #399."""
    label = {"objects": [{"data": {"location": {"start": 0, "end": 4}}, "title": "Nome", "value": "nome"}]}
    with pytest.raises(NotARecord, match="it has ID, Labeled Data, Label; name its text"):
        spans({"ID": "c", "Labeled Data": "https://example.com/a.txt", "Label": label})
    assert spans({"text": "Anna", "Label": label}) == [
        "its type is not among the known ones; add it to a file of types"
    ]


def test_a_column_called_data_is_the_text():
    """doccano/doccano #1904."""
    assert spans({"data": "take gemcitabine now", "label": [[5, 16, "MEDICATION"]]}) == ["gemcitabine"]


def test_a_start_of_0_that_is_left_out_is_asked_for():
    """vllm-project/semantic-router #3146: offsets in bytes, and none where they are 0."""
    text = "\u3053\u3093\u306b\u3061\u306f John"
    one = {"type": "PERSON", "start_position": 16, "end_position": 20, "value": "John"}
    assert spans({"text": text, "entities": [one]}, "utf8") == ["John"]
    with pytest.raises(NotARecord, match="has an end and no start"):
        spans({"text": "John", "entities": [{"type": "PERSON", "end_position": 4, "value": "John"}]})
    with pytest.raises(NotARecord, match="has a start and no end"):
        spans({"text": "John", "entities": [{"type": "PERSON", "start": 0}]})


def test_places_in_the_masked_text_are_not_taken_for_those_in_the_text():
    """BerriAI/litellm #24160: the anonymizer's items count in what it wrote."""
    text = "My name is John Smith, my email is john@example.com"
    items = [{"entity_type": "PERSON", "start": 11, "end": 19, "text": "<PERSON>", "operator": "replace"}]
    (said,) = spans({"text": text, "results": items})
    assert said.startswith("its value is not what its span holds")


def test_places_in_a_normalized_text_are_not_taken_for_those_in_the_text():
    """maziyarpanahi/openmed #514: NFC and single blanks before detection move everything behind them."""
    text = "Jose\u0301  Mu\u0308ller called"
    (said,) = spans(
        {
            "text": text,
            "entities": [{"type": "PERSON", "start": 0, "end": 11, "text": "Jos\u00e9 M\u00fcller"}],
        }
    )
    assert said.startswith("its value is not what its span holds")
    assert spans({"text": text, "entities": [{"type": "PERSON", "value": "Jos\u00e9 M\u00fcller"}]}) == [
        text[:-7]
    ]
