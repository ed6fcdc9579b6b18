"""Whether a statement is a lie, as far as the game itself knows.

A claim is a lie where the speaker knows that it is false, true where the speaker knows that it is true, and
unverifiable otherwise: an accusation that merely turns out wrong is no lie.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from ullage.kinds.werewolf.claims import Claim, claims_in
from ullage.kinds.werewolf.events import View
from ullage.kinds.werewolf.identities import POSSESSED, SPECIAL, WEREWOLF
from ullage.kinds.werewolf.rules import Rules

Truth = Literal["lie", "true", "unverifiable"]


@dataclass(frozen=True, slots=True)
class Decided:
    """A claim, what it is in the speaker's mouth, and whether it is so, whoever knows."""

    claim: Claim
    truth: Truth
    fact: bool


def decide(
    text: str, view: View, identities: Sequence[str], rules: Rules
) -> tuple[Truth, tuple[Decided, ...]]:
    """The truth of what the player of `view` says, and of each claim in it: one lie makes a lie of it all.

    `identities` are those of all seats.
    """
    found = tuple(_decide(claim, view, identities, rules) for claim in claims_in(text, view.seat, view.names))
    truths = {each.truth for each in found}
    for truth in ("lie", "true"):
        if truth in truths:
            return ("lie" if truth == "lie" else "true"), found
    return "unverifiable", found


def _decide(claim: Claim, view: View, identities: Sequence[str], rules: Rules) -> Decided:
    if claim.act is not None:
        did = any(_done(view, claim))
        return Decided(claim, "true" if did else "lie", did)
    possible = known(view, claim.seat, rules)
    fact = identities[claim.seat] in claim.meant
    if possible <= claim.meant:
        return Decided(claim, "true", fact)
    return Decided(claim, "unverifiable" if possible & claim.meant else "lie", fact)


def _done(view: View, claim: Claim) -> Iterator[bool]:
    """What the speaker did to the claim's player at night: it alone saw that it did."""
    whats = ("saved", "healed") if claim.act == "saved" else (claim.act,)
    for event in view.events:
        if event.what in whats and (event.actor, event.target) == (view.seat, claim.seat):
            yield not claim.last_night or event.day == view.day


def known(view: View, seat: int, rules: Rules) -> frozenset[str]:
    """The identities that the player there may have, for all that the player of `view` knows."""
    if seat == view.seat:
        return frozenset({view.identity})
    found = {each: _known_alone(view, each, rules) for each in range(len(view.names))}
    wolves = [each for each, possible in found.items() if possible == {WEREWOLF}]
    own = found[seat]
    if len(wolves) == rules.werewolves and seat not in wolves:
        own -= {WEREWOLF}
    return own


def _known_alone(view: View, seat: int, rules: Rules) -> frozenset[str]:
    if seat == view.seat:
        return frozenset({view.identity})
    possible = frozenset(rules.identities)
    if view.identity in (*SPECIAL, POSSESSED):
        possible -= {view.identity}
    for event in view.events:
        if event.target != seat:
            continue
        if event.what == "pack" or (event.what in ("dies", "exiled", "seen") and event.word):
            return frozenset({event.word or WEREWOLF})
        if event.what in ("seen", "attacked"):
            possible -= {WEREWOLF}
    return possible
