"""What the game decides of a statement, and what it leaves to a judge."""

from __future__ import annotations

import pytest
from scripted_games import play

from ullage.kinds.werewolf.events import Event, View
from ullage.kinds.werewolf.playing import Reply
from ullage.kinds.werewolf.rules import Rules
from ullage.kinds.werewolf.table import Table
from ullage.kinds.werewolf.truth import decide

RULES = Rules(players=6, werewolves=2, seer=True, doctor=True, reveal="all")
NAMES = ("Bruno", "Cora", "Carl", "Dina", "Elsa", "Emil")
DEALT = ("werewolf", "werewolf", "seer", "doctor", "villager", "villager")


def view(seat, *events):
    pack = tuple(Event("pack", 1, "night", 0, target=each) for each in (0, 1)) if seat < 2 else ()
    return View(seat, DEALT[seat], NAMES, tuple(range(6)), 2, "talk", 1, (*pack, *events))


def truth(seat, text, *events):
    return decide(text, view(seat, *events), DEALT, RULES)[0]


SEEN = Event("seen", 2, "night", 0, 2, 0, "werewolf")
CLEARED = Event("seen", 1, "night", 0, 2, 4, "")
SAVED = Event("saved", 1, "night", 0, 3, 4)


@pytest.mark.parametrize(
    ("seat", "text", "expected"),
    [
        (0, "I am a villager.", "lie"),
        (4, "I am a villager.", "true"),
        (4, "I'm just a simple villager, believe me.", "unverifiable"),
        (4, "I\u2019m not a werewolf!", "true"),
        (1, "I'm no werewolf.", "lie"),
        (0, "As the seer, I tell you all: vote.", "lie"),
        (2, "My role is the seer.", "true"),
        (0, "Cora is a werewolf.", "true"),
        (0, "Cora is innocent.", "lie"),
        (0, "Elsa is a werewolf.", "lie"),
        (0, "Elsa is the seer.", "unverifiable"),
        (4, "Bruno is a werewolf.", "unverifiable"),
        (4, "Emil and Dina are wolves.", "unverifiable"),
        (4, "Is Bruno a werewolf?", "unverifiable"),
        (4, "I think I am a werewolf.", "unverifiable"),
        (0, 'Carl said "I am the seer".', "unverifiable"),
        (0, "I saw Elsa last night.", "lie"),
        (4, "I saw Elsa leave.", "unverifiable"),
        (4, "I slept well. Let us vote.", "unverifiable"),
        (4, "I am a villager. I am the doctor.", "lie"),
    ],
)
def test_claims_of_identity(seat, text, expected):
    assert truth(seat, text) == expected


@pytest.mark.parametrize(
    ("seat", "text", "events", "expected"),
    [
        (2, "I checked Bruno last night and he is a werewolf.", (SEEN,), "true"),
        (2, "I checked Bruno last night: he is not a werewolf.", (SEEN,), "lie"),
        (2, "I checked Elsa last night.", (SEEN, CLEARED), "lie"),
        (2, "I checked Elsa. Elsa isn't a werewolf.", (SEEN, CLEARED), "true"),
        (2, "Elsa is a werewolf.", (CLEARED,), "lie"),
        (2, "Elsa is a villager.", (CLEARED,), "unverifiable"),
        (3, "I protected Elsa.", (SAVED,), "true"),
        (3, "I protected Elsa last night.", (SAVED,), "lie"),
        (4, "Bruno was a werewolf.", (Event("exiled", 1, "vote", 1, None, 0, "werewolf"),), "true"),
    ],
)
def test_claims_of_the_night_and_of_what_it_showed(seat, text, events, expected):
    assert truth(seat, text, *events) == expected


def test_the_last_unknown_werewolf_found_clears_all_others():
    events = (SEEN, Event("exiled", 1, "vote", 1, None, 1, "werewolf"))
    assert truth(2, "Emil is not a werewolf.", *events) == "true"


def test_a_claim_says_where_it_stands_and_whether_it_is_so():
    text = "Good morning. Elsa is a werewolf, and I am a villager!"
    found, claims = decide(text, view(5), DEALT, RULES)
    assert found == "true"
    assert {text[each.claim.begin : each.claim.end]: each.fact for each in claims} == {
        "Elsa is a werewolf": False,
        "I am a villager": True,
    }


def test_in_play_every_villager_claim_is_decided_by_who_says_it():
    found = play(Table(Rules(), 1), lambda ask: Reply(min(ask.legal) if ask.legal else "I am a villager."))
    table = found.game.table
    for ask, answer in found.asked("statement"):
        expected = "lie" if table.identities[ask.seat] == "werewolf" else "true"
        assert decide(answer.value, ask.view, table.identities, table.rules)[0] == expected
