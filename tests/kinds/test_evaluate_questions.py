"""Questions from rows of published data sets, and from mapped fields."""

import pytest

from ullage.errors import InputError
from ullage.kinds.evaluate.questions import FORMATS, Fields, Question, read_questions

ROWS = {
    "triviaqa": (
        {
            "question": "Which river flows through Drosa?",
            "question_id": "tc_1",
            "answer": {"value": "Dorn", "aliases": ["the Dorn", "Dorn"], "normalized_aliases": ["dorn"]},
        },
        [Question("tc_1", "Which river flows through Drosa?", ("Dorn", "the Dorn"))],
    ),
    "squad_v2": (
        {
            "id": "56",
            "title": "Drosa",
            "context": "Drosa lies on the Dorn.",
            "question": "Where is Rask?",
            "answers": {"text": [], "answer_start": []},
        },
        [Question("56", "Where is Rask?", (), "Drosa lies on the Dorn.")],
    ),
    "natural_questions": (
        {"question": "who sings here", "answer": ["Ada", "Ada Holm"]},
        [Question("1", "who sings here", ("Ada", "Ada Holm"))],
    ),
    "bioasq": (
        {
            "id": "b1",
            "body": "Which gene?",
            "type": "factoid",
            "exact_answer": [["BRCA1", "breast cancer 1"]],
            "snippets": [{"text": "One."}, {"text": "Two."}],
        },
        [Question("b1", "Which gene?", ("BRCA1", "breast cancer 1"), "One.\nTwo.")],
    ),
    "svamp": (
        {"ID": "chal-1", "Body": "Ada has 3 pears", "Question": "How many?", "Answer": 3.0, "Type": "x"},
        [Question("chal-1", "Ada has 3 pears. How many?", ("3",))],
    ),
    "coqa": (
        {
            "story": "Ada lives in Drosa.",
            "questions": ["Where does Ada live?", "Why?"],
            "answers": {"input_text": ["in Drosa", "unknown"], "answer_start": [0, -1]},
        },
        [
            Question("1-0", "Where does Ada live?", ("in Drosa",), "Ada lives in Drosa."),
            Question("1-1", "Why?", (), "Ada lives in Drosa.", (("Where does Ada live?", "in Drosa"),)),
        ],
    ),
}


def read(rows, reader, limit=None):
    return [question for _, question in read_questions(lambda: iter(rows), reader, limit)]


@pytest.mark.parametrize("name", FORMATS)
def test_rows_of_published_data_sets(name):
    row, wanted = ROWS[name]
    assert read([("data.jsonl", 1, row)], FORMATS[name]) == wanted


@pytest.mark.parametrize("name", FORMATS)
def test_a_row_of_something_else_is_named(name):
    with pytest.raises(InputError, match=r"data\.jsonl:7: "):
        read([("data.jsonl", 7, {"colour": "red"})], FORMATS[name])


def test_own_fields_are_found_by_dotted_paths():
    record = {"key": 4, "ask": {"text": "Where?"}, "gold": ["Drosa", " Drosa ", "Rask"], "about": "Ada."}
    fields = Fields("ask.text", "gold", "about", "key")
    assert read([("d", 1, record)], fields.read) == [Question("4", "Where?", ("Drosa", "Rask"), "Ada.")]


def test_a_path_goes_through_every_object_of_a_list():
    listed = {"question": "a", "answers": [{"text": "Drosa"}, {"start": 4}, {"text": ["Rask"]}]}
    rows = [("d", 1, listed), ("d", 2, {"question": "b", "answers": []})]
    found = read(rows, Fields(references="answers.text").read)
    assert [question.references for question in found] == [("Drosa", "Rask"), ()]
    lacking = Fields(references="answers.words").lacking([listed])
    assert "no record has the field 'answers.words'" in lacking


def test_a_single_reference_and_none():
    rows = [("d", 1, {"question": "a", "references": 12}), ("d", 2, {"question": "b"})]
    found = read(rows, Fields().read)
    assert [question.references for question in found] == [("12",), ()]
    assert len({question.id for question in found}) == 2


@pytest.mark.parametrize(
    "record, said",
    [
        ({"q": "x"}, "no text under 'question' \\(it has: q\\); set evaluate.fields"),
        ({"question": "  "}, "no text under 'question'"),
        ({"question": "x", "references": {"a": 1}}, "references: not a text or a list of texts"),
        ({"question": "x", "references": [True]}, "references: not a text"),
        (
            {"question": "x", "references": {"start": [0], "text": ["a"]}},
            "it has: start, text\\); set evaluate.fields.references, as references.text",
        ),
        ({"question": "x", "references": [{"value": "a"}]}, "as references.value"),
    ],
)
def test_what_is_missing_is_said(record, said):
    with pytest.raises(InputError, match=said):
        read([("d.jsonl", 3, record)], Fields().read)


def test_two_questions_of_one_id_are_refused():
    rows = [("d", 1, {"id": "a", "question": "x"}), ("d", 2, {"id": "a", "question": "y"})]
    with pytest.raises(InputError, match="d:2: id 'a' is that of d:1 too"):
        read(rows, Fields().read)


def test_no_more_than_the_limit():
    rows = [("d", number, {"question": str(number)}) for number in range(9)]
    assert len(read(rows, Fields().read, limit=4)) == 4
