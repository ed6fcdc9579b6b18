"""What is fitted to, chosen on and tested on is parted so that nothing stands on two sides."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from ullage.errors import InputError
from ullage.probes.labels import Labelled
from ullage.probes.parts import parted


def said(texts, groups=None):
    """A dialogue for each text, of which two with one text have the labels in turn."""
    return [
        Labelled(str(at), at, bool(at % 2), group="" if groups is None else str(groups[at]), text=text)
        for at, text in enumerate(texts)
    ]


def test_a_dialogue_that_stands_in_a_file_twice_is_on_one_side():
    texts = [f"The capital of {at % 40} is Paris." for at in range(120)]
    spaced = [text if at < 80 else text.upper().replace(" ", "  ") for at, text in enumerate(texts)]
    labelled = said(spaced)
    for seed in range(5):
        for part in parted(labelled, seed=seed):
            mine = {texts[at] for at in range(120) if part[at]}
            assert mine
            assert sum(part) == 3 * len(mine)


@settings(max_examples=40)
@given(some.lists(some.tuples(some.integers(0, 30), some.integers(0, 30)), min_size=60, max_size=60))
def test_neither_a_group_nor_a_text_is_on_two_sides(drawn):
    labelled = said([str(text) for text, _ in drawn], [group for _, group in drawn])
    try:
        parts = parted(labelled)
    except InputError:
        return
    assert sum(map(sum, parts)) == len(labelled)
    for of in (0, 1):
        sides = [{pair[of] for pair, mine in zip(drawn, part, strict=True) if mine} for part in parts]
        assert not any(one & other for at, one in enumerate(sides) for other in sides[:at])


def test_where_nothing_is_said_twice_groups_alone_decide():
    chance = random.Random(0)
    groups = [chance.randrange(20) for _ in range(200)]
    unlike = parted(said([f"{at} of them" for at in range(200)], groups))
    alike = parted(said([f"{group} of them" for group in groups], groups))
    assert [part.tolist() for part in unlike] == [part.tolist() for part in alike]


def test_dialogues_that_all_say_the_same_cannot_be_parted():
    with pytest.raises(InputError, match="which are not parted, nor is what says the same"):
        parted(said(["the same"] * 30))
