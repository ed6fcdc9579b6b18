"""The rules of a game: every one a named option, and the presets a reader of the field knows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Final, Literal, NamedTuple

from ullage.kinds.werewolf.identities import POSSESSED, SPECIAL, VILLAGER, WEREWOLF

Speech = Literal["turns", "at_once", "bids"]
Whose = Literal["nobody", "exiled", "all"]
"""Of those who leave the game: nobody's, that of who is exiled, everybody's."""
Exile = Literal["plurality", "majority"]
Ties = Literal["nobody", "random", "second_ballot"]
Thoughts = Literal["none", "private", "public"]
Ballots = Literal["open", "counted", "secret"]

FEWEST: Final = 3
MOST: Final = 16
"""Players of a game."""
HIGHEST_BID: Final = 4


class WrongRule(NamedTuple):
    """A rule that cannot be played, and why."""

    rule: str
    problem: str


@dataclass(frozen=True, slots=True)
class Rules:
    """How a game is played. A night comes before each day; the game begins with a night.

    `rounds`: in turns and at once everybody speaks once a round; by bids a round is one speech, of whoever
    bids most for it. Where a ballot names nobody, or not by a majority of the living where that is asked,
    `ties` says what happens to those with the most votes: nobody is exiled, one of them is drawn, or there is
    a ballot between them, of which `second_tie` says the same. `ballots` are told to all by name, as numbers
    of votes, or not at all. `reveal` is whose identity is told when they leave. `asked_who`: once they know
    their identity, players say it, and nobody hears it.
    """

    players: int = 6
    werewolves: int = 2
    possessed: bool = False
    seer: bool = False
    doctor: bool = False
    hunter: bool = False
    witch: bool = False
    rounds: int = 2
    speech: Speech = "turns"
    thoughts: Thoughts = "private"
    thinkers: Literal["all", "villagers"] = "all"
    callouts: bool = False
    last_words: Whose = "nobody"
    exile: Exile = "plurality"
    ties: Ties = "random"
    second_tie: Literal["nobody", "random"] = "nobody"
    abstention: bool = False
    ballots: Ballots = "open"
    reveal: Whose = "nobody"
    asked_who: bool = False
    first_kill: bool = True
    night_talk: bool = False
    seer_learns: Literal["werewolf", "identity"] = "werewolf"
    doctor_saves_self: bool = True
    doctor_repeats: bool = True
    days: int = 20
    """After so many the werewolves have won."""

    @property
    def identities(self) -> tuple[str, ...]:
        """One of each player, in no player's order."""
        special = [name for name in (POSSESSED, *SPECIAL) if getattr(self, name)]
        found = [WEREWOLF] * self.werewolves + special
        return (*found, *[VILLAGER] * (self.players - len(found)))

    @property
    def plain(self) -> bool:
        """Whether nobody has a part at night but the werewolves."""
        return not any(getattr(self, name) for name in SPECIAL)

    @property
    def first_voters(self) -> int:
        """Players alive when the first ballot is taken, if whoever can die in the night does."""
        return self.players - self.first_kill

    def mistakes(self) -> Iterator[WrongRule]:
        """Rules that contradict each other, and a game that would be over before anyone votes."""
        if not FEWEST <= self.players <= MOST:
            yield WrongRule("players", f"{self.players} is not {FEWEST} to {MOST}")
        special = sum(getattr(self, name) for name in (POSSESSED, *SPECIAL))
        if self.werewolves + special > self.players:
            problem = (
                f"{self.werewolves} and {special} others with a part are more than {self.players} players"
            )
            yield WrongRule("werewolves", problem)
        elif self.werewolves >= self.players - self.werewolves:
            problem = f"the game ends before the first vote: {_against(self.werewolves, self.players)}"
            yield WrongRule("werewolves", problem)
        elif self.werewolves >= self.first_voters - self.werewolves:
            left = _against(self.werewolves, self.first_voters)
            problem = f"the game ends before the first vote: after one night {left}"
            yield WrongRule("first_kill", f"{problem}; give more players, or first_kill: false")
        if self.callouts and self.speech == "at_once":
            yield WrongRule("callouts", "needs speech: turns or bids; all at once nobody can answer")

    def written(self) -> dict[str, object]:
        """Every rule by name, as the record holds it."""
        return {each.name: getattr(self, each.name) for each in fields(self)}


def _against(werewolves: int, living: int) -> str:
    are = "is 1 werewolf" if werewolves == 1 else f"are {werewolves} werewolves"
    return f"there {are} against {living - werewolves}, who can no longer outvote them"


PRESETS: Final[Mapping[str, Rules]] = {
    "guide": Rules(reveal="exiled", ballots="secret", asked_who=True),
    "arena": Rules(
        players=8,
        seer=True,
        doctor=True,
        rounds=8,
        speech="bids",
        thoughts="none",
        exile="majority",
        ties="nobody",
        seer_learns="identity",
    ),
    "aiwolf5": Rules(
        players=5,
        werewolves=1,
        possessed=True,
        seer=True,
        rounds=3,
        speech="at_once",
        thoughts="none",
        ties="second_ballot",
        second_tie="random",
        first_kill=False,
    ),
}
"""`guide` is the experiment of the guide on deception probes; `arena` follows Werewolf Arena (Bailis,
Friedhoff and Chen 2024, arXiv:2407.13943); `aiwolf5` the five-player village of the AIWolf contests."""
