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
