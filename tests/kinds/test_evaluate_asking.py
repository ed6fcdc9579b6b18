"""Prompts: what is in them, in which order, and what must never be."""

from hypothesis import given
from hypothesis import strategies as st

from ullage.kinds.evaluate.asking import Asking, stops
from ullage.kinds.evaluate.questions import Question
from ullage.workloads.templates import fill

SHOT = Question("s", "Which pet?", ("cat", "a cat"), "Ada keeps a cat.")
ASKED = Question("q", "Where?", ("Drosa",), "Ada lives in a town.")


def test_a_chat_has_instruction_examples_and_question():
    assert Asking(shots=(SHOT,)).prompt(ASKED) == (
        {"role": "system", "content": "Answer the question as briefly as possible."},
        {"role": "user", "content": "Ada keeps a cat.\nWhich pet?"},
        {"role": "assistant", "content": "cat"},
        {"role": "user", "content": "Ada lives in a town.\nWhere?"},
    )


def test_a_plain_prompt_ends_where_the_answer_begins():
    text = Asking(style="long", chat=False, shots=(SHOT,)).prompt(ASKED)
    assert text == (
        "Answer the question in one complete sentence.\n\n"
        "Question: Ada keeps a cat.\nWhich pet?\nAnswer: cat\n\n"
        "Question: Ada lives in a town.\nWhere?\nAnswer:"
    )
    assert stops("short", False) == ("\n",)
    assert stops("short", True) == ()


def test_earlier_turns_are_kept_and_the_context_is_told_once():
    turn = Question("c-1", "Why?", ("rain",), "A story.", (("Who?", "Ada"), ("When?", "today")))
    said = Asking(instruction="").prompt(turn)
    assert [one["content"] for one in said] == ["A story.\nWho?", "Ada", "When?", "today", "Why?"]
    assert str(Asking(chat=False).prompt(turn)).count("A story.") == 1


def test_a_question_is_no_example_of_itself():
    assert "cat" not in str(Asking(shots=(SHOT,)).prompt(Question("s", "Which pet?", ("cat",)))).replace(
        "Which pet?", ""
    )


def test_unanswerable_examples_say_so():
    shot = Question("u", "Who?", ())
    assert Asking(shots=(shot,)).prompt(ASKED)[2]["content"] == "unknown"


@given(st.text(alphabet="{}questioncx ", max_size=30), st.text(alphabet="{}questioncx ", max_size=30))
def test_braces_in_a_question_are_never_filled(question, context):
    filled = fill("<{context}|{question}>", {"question": question, "context": context})
    assert filled == f"<{context}|{question}>"


@given(st.text(min_size=1, max_size=20).filter(str.strip))
def test_no_reference_is_in_its_prompt(reference):
    marked = f"\u2603{reference}\u2603"
    for chat in (True, False):
        assert marked not in str(Asking(chat=chat, shots=(SHOT,)).prompt(Question("q", "Where?", (marked,))))
