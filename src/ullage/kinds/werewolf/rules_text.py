"""The rules in words: what every player is told alike."""

from __future__ import annotations

from typing import Final

from ullage.kinds.werewolf.conditions import Condition
from ullage.kinds.werewolf.identities import ARTICLES, VILLAGER, WEREWOLF
from ullage.kinds.werewolf.rules import Rules

_PARTS: Final = {
    "possessed": "The possessed is human, knows nobody's identity, and wins with the werewolves.",
    "seer": "Each night the seer looks at one player{learns}.",
    "doctor": "Each night the doctor protects one player from the werewolves.",
    "hunter": "The hunter, on leaving the game, may take one player along.",
    "witch": "Once in the game the witch may heal the werewolves' victim, and once poison somebody.",
}
_TIES: Final = {
    "nobody": "nobody is exiled",
    "random": "one of those with the most votes is drawn",
    "second_ballot": "there is a second ballot between them",
}
_REVEALED: Final = {
    "nobody": "The identity of who leaves the game is not told.",
    "exiled": "The identity of who is exiled is told to all.",
    "all": "The identity of who leaves the game is told to all.",
}


def rules_text(rules: Rules, names: tuple[str, ...], condition: Condition) -> str:
    """What every player is told alike, so that all prompts of a game begin with it."""
    learns = (
        " and learns who that is"
        if rules.seer_learns == "identity"
        else " and learns whether it is a werewolf"
    )
    wolves = "1 werewolf" if rules.werewolves == 1 else f"{rules.werewolves} werewolves"
    rest = ", ".join(ARTICLES[each] for each in sorted(set(rules.identities) - {WEREWOLF, VILLAGER}))
    lines = [
        f"You play Werewolf. The players are {', '.join(sorted(names))}: {wolves}"
        f"{', ' + rest if rest else ''} and {rules.identities.count(VILLAGER)} villagers.",
        "Each night the werewolves kill a player"
        + ("." if rules.first_kill else ", but not in the first night."),
        *(text.format(learns=learns) for name, text in _PARTS.items() if getattr(rules, name)),
        "Each day all talk, then vote. "
        + ("Whoever has the most votes" if rules.exile == "plurality" else "Whoever more than half vote for")
        + f" is exiled; else {_TIES[rules.ties]}.",
        _REVEALED[rules.reveal],
        "The villagers win when no werewolf is left, the werewolves once they are half of the players.",
    ]
    return "\n".join([*lines, condition.explanation] if condition.shows else lines)
