"""Who a player may be, and on whose side."""

from __future__ import annotations

from typing import Final, Literal

Side = Literal["villagers", "werewolves"]

WEREWOLF: Final = "werewolf"
POSSESSED: Final = "possessed"
SEER: Final = "seer"
DOCTOR: Final = "doctor"
HUNTER: Final = "hunter"
WITCH: Final = "witch"
VILLAGER: Final = "villager"
EVERYBODY: Final = "all"
"""Where something is said by identity: of every player, whatever it is."""
IDENTITIES: Final = (WEREWOLF, POSSESSED, SEER, DOCTOR, HUNTER, WITCH, VILLAGER)
SPECIAL: Final = (SEER, DOCTOR, HUNTER, WITCH)
"""At most one of each in a game."""

ARTICLES: Final = {
    WEREWOLF: "a werewolf",
    POSSESSED: "the possessed",
    SEER: "the seer",
    DOCTOR: "the doctor",
    HUNTER: "the hunter",
    WITCH: "the witch",
    VILLAGER: "a villager",
}


def side_of(identity: str) -> Side:
    """Whose win is this identity's: the possessed is human, and wins with the werewolves."""
    return "werewolves" if identity in (WEREWOLF, POSSESSED) else "villagers"
