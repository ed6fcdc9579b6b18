"""What was decided for the user, as it is printed: a subject, a choice and its reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ullage.memory.fidelity import Known
from ullage.memory.weights.precision import ResolvedPrecision
from ullage.planning.role_plan import EngineShare, LoadedPart, RolePlan
from ullage.planning.verdict import Verdict


class Decision(NamedTuple):
    """Something the plan decided for the user, with the reason that is printed beside it."""

    subject: str
    choice: str
    reason: str


def decisions_of(roles: Mapping[str, RolePlan], verdict: Verdict) -> tuple[Decision, ...]:
    """Of all roles, kind by kind."""
    return (
        *(_precision(name, role.precision) for name, role in roles.items()),
        *(_part(name, role.part) for name, role in roles.items() if role.part.layers is not None),
        *(
            Decision(f"{name} placement", roles[name].placement.where, roles[name].placement.reason)
            for name in sorted(roles)
        ),
        *(
            _share(name, role.share, verdict != "does not fit")
            for name, role in roles.items()
            if role.share is not None
        ),
        *(_known(name, each) for name, role in roles.items() for each in role.known if _said(each)),
    )


def _precision(name: str, chosen: ResolvedPrecision) -> Decision:
    choice = f"weights {chosen.storage}, arithmetic {chosen.compute}"
    return Decision(f"{name} precision", choice, chosen.reason)


def _part(name: str, part: LoadedPart) -> Decision:
    assert part.layers is not None
    head = "" if part.head else ", and no output layer"
    return Decision(f"{name} loaded part", f"layers 0 to {part.layers - 1}{head}", part.reason)


def _said(known: Known) -> bool:
    """Nothing is said of formulas that are proven."""
    return known.by == "trace" or not known.proven


def _known(name: str, known: Known) -> Decision:
    choice = "traced" if known.by == "trace" else "formula, not proven"
    return Decision(f"{name} fidelity ({known.activity})", choice, known.reason)


def _share(name: str, share: EngineShare, fits: bool) -> Decision:
    """What the engine is given. Of a cache that nothing is left for nothing is said."""
    subject = f"{name} gpu_memory_utilization"
    if share.needs > 1:
        reason = f"its work takes up to {share.needs:.2f} of the card"
        if share.graphs > 0 and share.needs - share.graphs <= 1:
            reason += f", {share.graphs:.2f} of that CUDA graphs, which enforce_eager: true does without"
        return Decision(subject, "more than one card", reason)
    choice = f"{share.given:.2f}, as the file says" if share.stated else f"{share.least:.2f} is enough"
    if share.stated and share.given + share.beside > 1:
        reason = (
            f"too much: {share.beside:.2f} of the card lies outside of it; at most {1 - share.beside:.2f}"
        )
        return Decision(subject, choice, reason)
    if not fits:
        return Decision(subject, choice, f"its work takes {share.least:.2f}, and what else is there the rest")
    if share.tokens.high == 0:
        return Decision(subject, choice, "its cache is as large for any number of tokens")
    low, expected, high = (f"{end:,}" for end in (share.tokens.low, share.tokens.expected, share.tokens.high))
    reason = f"at {share.given:.2f} the cache holds {expected} tokens ({low} to {high})"
    if share.stated:
        reason += f"; its work takes {share.least:.2f}"
    return Decision(subject, choice, reason)
