"""What people report of other frameworks in which language models play, and cannot happen here.

Each test names the public report it follows.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from scripted_games import FULL, at_random, play

from ullage.kinds.werewolf.asks import NOBODY
from ullage.kinds.werewolf.playing import Playing, Reply
from ullage.kinds.werewolf.prompts import Prompts
from ullage.kinds.werewolf.replies import read_choice, read_statement
from ullage.kinds.werewolf.rules import PRESETS, Rules
from ullage.kinds.werewolf.table import Table

GUIDE = PRESETS["guide"]


def first(ask):
    return Reply(ask.legal[0] if ask.legal else "Well.")


def test_an_invalid_name_is_not_taken_for_an_abstention():
    """agentscope issue 486: a vote in a form that was not foreseen silently became an abstention."""
    for text in ("Player5", "invalid name, wait and see", "Dina (or Carl)", "I abstain"):
        assert read_choice(text, ("Dina", "Carl", NOBODY)) is None
    found = play(
        Table(replace(GUIDE, abstention=True), 1), lambda ask: Reply("whoever" if ask.legal else "Well.")
    )
    assert {answer.how for ask, answer in found.turns if ask.legal} == {"fallback"}
    assert {answer.value for ask, answer in found.asked("vote")} - {NOBODY}


def test_a_denial_is_not_an_answer():
    """bojieli/ai-agent-book pull request 575: "P1 is not" counted as an abstention."""
    assert read_choice("Dina is not", ("Dina", NOBODY)) is None
    assert read_choice("not Dina", ("Dina", NOBODY)) is None


def test_who_is_exiled_is_who_has_the_most_votes_and_was_alive():
    """MetaGPT issue 1201: a player with most votes stayed, one who was dead already was exiled, without end.
    MetaGPT issue 1919: of all votes only the last was counted."""
    for seed in range(10):
        table = play(Table(replace(GUIDE, ballots="open"), seed), at_random(seed)).game.table
        for event in table.events:
            if event.what == "exiled":
                votes = Counter(
                    each.target for each in table.events if each.what == "ballot" and each.day == event.day
                )
                assert votes[event.target] == max(votes.values())
                assert sum(votes.values()) == len(
                    {each.actor for each in table.events if each.what == "ballot" and each.day == event.day}
                )


def test_no_ballot_of_the_dead_or_for_them_is_told():
    """hoodwinked issue 1: the summary of votes listed a vote for a player who was dead."""
    table = play(Table(replace(FULL, ballots="open"), 4), at_random(4)).game.table
    dead: set[int] = set()
    for event in table.events:
        if event.what == "ballot":
            assert {event.actor, event.target}.isdisjoint(dead)
        if event.what in ("dies", "exiled"):
            dead.add(event.target)


def test_a_fallback_is_never_a_vote_for_oneself_or_for_the_dead():
    """GreyWolfDev/Werewolf issue 213: when the bot chose for a player it named that player, or a dead one."""
    found = play(Table(FULL, 2), lambda ask: Reply(""))
    for ask, answer in found.asked("vote"):
        assert answer.how == "fallback"
        assert answer.value != ask.view.name
        assert answer.value in (*(ask.view.names[seat] for seat in ask.view.living), NOBODY)


def test_werewolves_who_disagree_kill_one_of_those_with_most_votes():
    """bojieli/ai-agent-book pull request 706: on a tie the first vote won, even of a minority."""
    rules = Rules(players=11, werewolves=5, thoughts="none", rounds=1)
    for seed in range(12):
        game = Playing(Table(rules, seed))
        prey = game.open[0].legal
        for ask, name in zip(game.open, (prey[0], prey[1], prey[1], prey[2], prey[2]), strict=True):
            game.reply(ask.number, Reply(name))
        (victim,) = [event.target for event in game.table.events if event.what == "victim"]
        assert game.table.names[victim] in prey[1:3]


def test_werewolves_who_disagree_still_leave_the_witch_her_poison():
    """MARBLE issue 244: no agreed victim, then poison, ended the game with a KeyError."""
    rules = Rules(players=8, werewolves=2, witch=True, doctor=True)

    def poison(ask):
        if ask.purpose == "heal":
            return Reply("yes")
        if ask.purpose == "kill":
            return Reply(ask.legal[ask.seat % len(ask.legal)])
        return first(ask)

    found = play(Table(rules, 3), poison)
    night = [event for event in found.game.table.events if (event.day, event.stage) == (1, "night")]
    assert [event.what for event in night if event.seen_by is None] == ["dies"]
    assert next(event.target for event in night if event.what == "dies") == next(
        event.target for event in night if event.what == "poisoned"
    )


@pytest.mark.parametrize(("ties", "gone"), [("nobody", 0), ("random", 1), ("second_ballot", 0)])
def test_a_tie_never_exiles_everybody_in_it(ties, gone):
    """slackwolf issue 33: in a tie of five all five were exiled."""
    rules = Rules(players=6, werewolves=1, ties=ties, first_kill=False, rounds=1, thoughts="none")
    table = Table(rules, 1)
    game = Playing(table)
    while game.open and table.day == 1:
        for ask in game.open:
            other = ask.view.names[(ask.seat + 1) % 6]  # a ring: everybody has one vote
            game.reply(ask.number, Reply(other if ask.purpose == "vote" else first(ask).text))
    assert sum(event.what == "exiled" for event in table.events if event.day == 1) == gone


def test_the_whole_of_a_statement_is_heard():
    """TextArena pull request 155: of several quoted sentences only the first was kept."""
    text = '"I trust Carl." Then, after a pause: "Dina lies."'
    begin, end, _ = read_statement(text, "Elsa", ("Elsa", "Carl", "Dina"))
    assert "I trust Carl." in text[begin:end]
    assert "Dina lies" in text[begin:end]


def test_nobody_is_asked_to_speak_who_has_left_and_all_are_told_who_is_alive():
    """wolfcha issue 10: players voted for one who had left, and waited for what that one would say."""
    found = play(Table(GUIDE, 6), first)
    prompts = Prompts(GUIDE, found.game.table.condition, 10**6, lambda prompt: 0)
    for ask, _ in found.asked("statement", "vote"):
        alive = sorted(ask.view.names[seat] for seat in ask.view.living)
        assert f"Alive: {', '.join(alive)}." in prompts.prompt(ask)[1].content


def test_a_witch_may_heal_herself():
    """DeepSeek-Reasonix issue 4966: the witch could not be saved in the first night."""
    rules = Rules(players=7, werewolves=2, witch=True)
    table = Table(rules, 2)
    witch = table.named(table.living_as("witch"))[0]
    game = Playing(table)
    while game.open and game.open[0].purpose != "heal":
        for ask in game.open:
            game.reply(ask.number, Reply(witch if ask.purpose == "kill" else first(ask).text))
    (ask,) = game.open
    assert ask.view.name == witch
    assert ask.about == ask.seat
    game.reply(ask.number, Reply("yes"))
    assert table.living_as("witch")


def test_a_game_of_players_who_never_agree_ends():
    """MetaGPT issue 1919 again: a ballot that decides nothing was repeated for ever."""
    rules = Rules(players=8, werewolves=1, doctor=True, ties="nobody", days=4, rounds=1, thoughts="none")
    table = Table(rules, 1)
    saved = table.named(table.others(*table.pack))[0]

    def stubborn(ask):
        if ask.purpose in ("kill", "save"):
            return Reply(saved)
        if ask.purpose == "vote":
            return Reply(ask.view.names[(ask.seat + 1) % 8])
        return first(ask)

    found = play(table, stubborn)
    assert (found.game.outcome.winner, found.game.outcome.why) == ("werewolves", "the days ran out")
    assert len(table.living) == 8
