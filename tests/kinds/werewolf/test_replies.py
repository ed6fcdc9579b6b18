"""A reply is read strictly, asked for again once, and then replaced by chance."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ullage.kinds.werewolf.playing import Playing, Reply
from ullage.kinds.werewolf.replies import read_choice, read_statement
from ullage.kinds.werewolf.rules import PRESETS
from ullage.kinds.werewolf.table import Table

LEGAL = ("Dina", "Carl", "nobody")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Dina", "Dina"),
        (" **dina**.\n", "Dina"),
        ('"Carl"', "Carl"),
        ("I have thought about it.\nVote: Carl", "Carl"),
        ('{"reasoning": "Dina is quiet", "vote": "Carl"}', "Carl"),
        ('```json\n{"vote": "Dina"}\n```', "Dina"),
        ("<think>Carl? no.</think>\nDina", "Dina"),
        ('{"vote": "Dina", "choice": "Carl"}', None),
        ("Dina or Carl", None),
        ("Dina is not", None),
        ("I vote for Dina", None),
        ("Din", None),
        ("Dinah", None),
        ("", None),
        ("<think>Dina", None),
        ('{"vote": ["Dina"]}', None),
        ('{"vote": "Dina"', None),
        ("[" * 50_000, None),
    ],
)
def test_choices(text, expected):
    assert read_choice(text, LEGAL) == expected


@given(st.text())
def test_no_text_breaks_the_readers(text):
    assert read_choice(text, LEGAL) in (None, *LEGAL)
    begin, end, _ = read_statement(text, "Dina", ("Dina", "Carl"))
    assert 0 <= begin <= end <= len(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I trust Carl.", "I trust Carl."),
        ('Dina: "I trust Carl."', "I trust Carl."),
        ("**Dina:** I trust Carl.", "I trust Carl."),
        ("<think>lie</think> I trust Carl.", "I trust Carl."),
        ("I trust Carl.\nCarl: Thank you!", "I trust Carl."),
        ("Well.\nModerator: Carl is dead.", "Well."),
        ("<think>never ends", ""),
    ],
)
def test_statements(text, expected):
    begin, end, cut = read_statement(text, "Dina", ("Dina", "Carl"))
    assert text[begin:end] == expected
    assert cut == ("Thank you" in text or "Moderator" in text)


def test_what_cannot_be_read_is_asked_again_once_and_then_drawn():
    game = Playing(Table(PRESETS["arena"], 1))
    ask = game.open[0]
    assert ask.purpose == "kill"
    assert game.reply(ask.number, Reply("whoever")) is None
    again = next(each for each in game.open if each.number == ask.number)
    assert again.refused == "whoever"
    answer = game.reply(ask.number, Reply("no idea"))
    assert (answer.how, answer.attempts) == ("fallback", ("whoever", "no idea"))
    assert answer.value in ask.legal

    game = Playing(Table(PRESETS["arena"], 1))
    game.reply(ask.number, Reply("whoever"))
    repaired = game.reply(ask.number, Reply(ask.legal[0]))
    assert (repaired.how, repaired.value) == ("repaired", ask.legal[0])


def test_silence_twice_is_silence_and_counted():
    game = Playing(Table(PRESETS["aiwolf5"], 1))
    while game.open[0].legal is not None:
        game.reply(game.open[0].number, Reply(game.open[0].legal[0]))
    ask = game.open[0]
    game.reply(ask.number, Reply("  "))
    assert game.reply(ask.number, Reply("")).how == "fallback"
