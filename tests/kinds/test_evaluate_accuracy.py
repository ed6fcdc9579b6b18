"""Whether an answer is right by its words."""

import pytest

from ullage.kinds.evaluate import accuracy


@pytest.mark.parametrize(
    "text, references, wanted",
    [
        ("The Drosa.", ["drosa"], 1),
        (" Drosa\n", ["Rask", "Drosa"], 1),
        ("Drosa City", ["Drosa"], 0),
        ("", [], 1),
        ("unknown", [], 0),
    ],
)
def test_exact_match_is_squads(text, references, wanted):
    assert accuracy.exact_match(text, references) == wanted


@pytest.mark.parametrize(
    ("text", "references", "wanted"),
    [
        ("The capital of France is Paris.", ("Paris",), 1),
        ("In 1984, of all years", ("4", "four"), 0),
        ("by William  SHAKESPEARE, it is said", ("the William Shakespeare",), 1),
        ("Shakespeare, William", ("William Shakespeare",), 0),
        ("anything", ("the",), 0),
        ("anything", (), 0),
        (" the ", (), 1),
    ],
)
def test_an_answer_contains_the_words_of_a_reference_in_a_row(text, references, wanted):
    assert accuracy.contains(text, references) == wanted


def test_f1_counts_shared_words():
    assert accuracy.f1("in the old town of Drosa", ["old Drosa"]) == pytest.approx(4 / 7)
    assert accuracy.f1("no idea", ["Drosa", "idea"]) == pytest.approx(2 / 3)
    assert accuracy.f1("", ["Drosa"]) == 0
    assert accuracy.f1("", []) == 1
    assert accuracy.f1("the", ["a"]) == 1


def test_rouge_l_is_the_longest_common_subsequence():
    assert accuracy.rouge_l("the cat sat here", ["the cat was here"]) == pytest.approx(3 / 4)
    assert accuracy.rouge_l("cats", ["cat"]) == 1
    assert accuracy.rouge_l("", []) == 1
