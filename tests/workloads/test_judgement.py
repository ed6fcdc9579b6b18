"""Judgements: nothing but an offered verdict is one, whoever gave it and however."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ullage.workloads.judgement import Judgement, Rule, vote, wrong_pattern

GRADES = r"(?i)GRADE:\s*(?:(?P<right>C)|(?P<wrong>I))\b"
ARENA = r"\[\[(?:(?P<right>A)|(?P<wrong>B))\]\]"


@pytest.mark.parametrize("text", ["yes", " Yes.", "YES\n", "yes, it is correct", "**Yes**", "_yes_", '"yes"'])
def test_a_reply_that_begins_with_a_verdict_is_one(text):
    found = Rule().written(text)
    assert found.verdict == "yes"
    assert found.reply == text


@pytest.mark.parametrize(
    "text", ["", "  ", "maybe", "I think yes", "yes and no", "no? yes!", "yesterday", "not sure", "y"]
)
def test_anything_else_is_unscored_and_never_a_no(text):
    found = Rule().written(text)
    assert found.verdict is None
    assert found.reason
    assert found.reply == text


@pytest.mark.parametrize(
    "text, verdict, why",
    [
        ("<think>No, that is not it. Yes?</think>\n\nNo.", "no", ""),
        ("so the answer is no... wait</think>yes", "yes", ""),
        ("<think>a</think><think>yes</think> no", "no", ""),
        ("<think>yes, it says", None, "still thinking"),
        ("<think>yes</think>  ", None, "said nothing after its thoughts"),
    ],
)
def test_a_judge_that_thinks_is_judged_by_what_follows_its_thoughts(text, verdict, why):
    found = Rule().written(text)
    assert found.verdict == verdict
    assert why in found.reason


@pytest.mark.parametrize(
    "pattern, text, verdict",
    [
        (GRADES, "The answer names the town.\nGRADE: C", "yes"),
        (GRADES, "grade: i", "no"),
        (GRADES, "GRADE: C or I? GRADE: I", None),
        (GRADES, "GRADE: Incomplete", None),
        (GRADES, "Correct.", None),
        (GRADES, "<think>GRADE: C?</think>GRADE: I", "no"),
        (ARENA, "Both are short. My verdict: [[A]]", "yes"),
        (ARENA, "[[B]]", "no"),
        (ARENA, "[[C]]", None),
    ],
)
def test_a_pattern_finds_verdicts_anywhere(pattern, text, verdict):
    found = Rule(pattern=pattern).written(text)
    assert found.verdict == verdict
    assert bool(found.reason) == (verdict is None)


@pytest.mark.parametrize("words", [("not right", "right"), ("right", "not right")])
def test_a_verdict_may_be_several_words(words):
    assert Rule(words).written("Not right: it is another town.").verdict == "not right"
    assert Rule(words).written("Right.").verdict == "right"
    assert Rule(words).written("Right, or not right").verdict is None


def test_patterns_need_two_groups():
    assert wrong_pattern(GRADES) == wrong_pattern(ARENA) == ""
    assert "no regular expression" in wrong_pattern("(?P<right>")
    assert "two named groups" in wrong_pattern("GRADE: (C|I)")
    assert "two named groups" in wrong_pattern("(?P<right>A)|(?P<wrong>B)|(?P<tie>C)")


logprobs = st.floats(-30, 0) | st.just(-math.inf)


@given(logprobs, logprobs, st.floats(0, 1))
def test_a_weighed_verdict_has_the_least_mass_and_is_the_likelier(yes, no, least):
    found = Rule(least_mass=least).weighed((yes, no))
    mass = min(math.exp(yes) + math.exp(no), 1.0)
    assert found.mass == pytest.approx(mass)
    if found.verdict is None:
        assert found.reason
        assert not mass or mass < least + 1e-12 or yes == no
    else:
        assert mass >= least
        assert found.verdict == ("yes" if yes > no else "no")
        assert found.probability == pytest.approx(math.exp(yes) / (math.exp(yes) + math.exp(no)))


def test_a_tie_is_no_verdict():
    found = Rule().weighed((-0.7, -0.7))
    assert (found.verdict, found.probability) == (None, 0.5)
    assert "equally probable" in found.reason


def test_a_verdict_without_a_number_is_none():
    for scores in ((math.nan, -0.1), (-0.1, math.nan), (math.inf, -0.1)):
        assert "no number" in Rule(least_mass=0).weighed(scores).reason
    assert Rule(least_mass=0).weighed((-math.inf, -math.inf)).verdict is None
    assert Rule().weighed((-math.inf, -2.0)).verdict == "no"


def test_votes():
    yes, no, none = Judgement("yes"), Judgement("no"), Judgement(None)
    assert vote([yes, yes, no], ("yes", "no")) == "yes"
    assert vote([no, none, none], ("yes", "no")) == "no"
    assert vote([yes, no, none], ("yes", "no")) is None
    assert vote([none], ("yes", "no")) is None
