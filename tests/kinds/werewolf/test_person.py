"""A person takes a seat and reads what a model would read there, every line once."""

from __future__ import annotations

import subprocess
import sys

import pytest
from scripted_games import at_random

from ullage.kinds.werewolf.conditions import Condition
from ullage.kinds.werewolf.person import Person, play_with
from ullage.kinds.werewolf.playing import Playing
from ullage.kinds.werewolf.prompts import Prompts
from ullage.kinds.werewolf.rules import PRESETS
from ullage.kinds.werewolf.table import Table

RULES = PRESETS["aiwolf5"]


def seated(seat, typed, seed=1):
    """A game with somebody who types `typed(what was shown last)`; what was shown, and how it ended."""
    shown = []
    prompts = Prompts(RULES, Condition(), 10**6, lambda prompt: 0)
    person = Person(seat, prompts, shown.append, lambda mark: typed(shown[-1]))
    player = at_random(seed)
    game = Playing(Table(RULES, seed))
    outcome = play_with(person, game, lambda asks: [player(ask) for ask in asks])
    return shown, game, outcome


def first_choice(text):
    return (
        text.rpartition("exactly one of: ")[2].split(",")[0].rstrip(".")
        if "exactly one of" in text
        else "Hm."
    )


@pytest.mark.parametrize("seat", range(RULES.players))
def test_every_line_is_read_once_and_none_of_anothers(seat):
    shown, game, outcome = seated(seat, first_choice)
    text = "\n".join(shown)
    own = game.table.identities[seat]
    assert text.count("You play Werewolf.") == 1
    assert (
        f"{'win' if (own in ('werewolf', 'possessed')) == (outcome.winner == 'werewolves') else 'lose'}."
        in text
    )
    before, _, after = text.partition("\nThe ")
    assert all(f"{name} was" in after for name in game.table.names)
    assert all(f"{name} was" not in before for name in game.table.names)
    for event in game.table.events:
        if event.what == "said" and event.word:
            line = f"- {game.table.names[event.actor]}: {event.word}"
            said = [
                each
                for each in game.table.events
                if (each.what, each.actor, each.word) == ("said", event.actor, event.word)
            ]
            assert before.count(line) <= len(said)


def test_what_cannot_be_read_is_asked_again():
    shown, game, _ = seated(0, lambda text: "Er...")
    assert any("Your answer could not be read." in text for text in shown)
    assert game.outcome is not None


def test_the_end_of_the_input_ends_the_game():
    def gone(text):
        raise EOFError

    with pytest.raises(EOFError):
        seated(0, gone)


def test_games_and_their_pages_need_no_torch():
    names = ("results", "page", "playing", "person", "guide_file", "section", "phases", "forecast")
    code = "; ".join(f"import ullage.kinds.werewolf.{name}" for name in names)
    code += "; import sys; print({'torch', 'transformers', 'numpy', 'sklearn', 'pyarrow'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
