"""How many replicas of a workload share one card: in plans of clusters, and in runs on them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from ullage.errors import DoesNotFitError, UnsupportedError
from ullage.planning.plan import DevicePlan, Plan
from ullage.units import NO_TIME, Estimate, gib

AT_WORK: Final = Estimate(0.25, 0.5, 1.0)
"""Share of its time in which a card computes where the processor is what a phase waits for: assumed."""


class _Took(NamedTuple):
    """Seconds of phases that wait for the processor, and for the card."""

    host: Estimate
    card: Estimate


def replicas_of_a_card(plan: Plan) -> int:
    """How many processes, each with all of the plan's models, share one card: what the workload's
    `partition.per_card` says; without it, as many as keep the card at work, by expectation, where it waits
    for the processor, and as fit into its budget. One where a replica has several cards or none, where an
    engine keeps a memory of its own, and where no time is known.

    Raises UnsupportedError for a number of replicas where they cannot share, DoesNotFitError for more than
    the budget holds.
    """
    partition = plan.workload.partition
    asked = None if partition is None else partition.per_card
    why = _alone(plan)
    if why:
        if asked is not None and asked > 1:
            raise UnsupportedError(f"partition.per_card: {asked}: {why}")
        return 1
    card = plan.devices[0]
    fit = _fit(card)
    if asked is None:
        return min(fit, _kept_at_work(plan))
    if asked > fit:
        assert card.budget is not None
        raise DoesNotFitError(
            f"partition.per_card: {asked} replicas of up to {gib(card.peak.device.high)} each do not fit "
            f"{gib(card.budget)} of {card.gpu}; {fit} would"
        )
    return asked


def shared(seconds: Estimate, plan: Plan, replicas: int) -> Estimate:
    """Seconds of a record on a card that so many `replicas` share, from those on one of its own: the card
    does the work of all of them one after another, and none is faster than alone."""
    if replicas == 1:
        return seconds
    took = _took(plan)
    at_work = (
        (card + host * share) / (card + host) if card + host else 1.0
        for host, card, share in zip(*took, AT_WORK, strict=True)
    )
    return Estimate(
        *(max(each, each * replicas * share) for each, share in zip(seconds, at_work, strict=True))
    )


def _alone(plan: Plan) -> str:
    """Why replicas cannot share a card, "" where they can."""
    cards = [device for device in plan.devices if device.name.startswith("gpu:")]
    if len(cards) != 1:
        return f"a replica is on {len(cards)} cards" if cards else "a replica is on no card"
    for name, role in plan.workload.roles.items():
        if role.runs_with.memory not in ("process", "none"):
            return f"roles.{name}: engine {role.engine} takes a share of the whole card itself"
    return ""


def _fit(card: DevicePlan) -> int:
    most = card.peak.device.high
    return 1 if card.budget is None or not most else max(card.budget // most, 1)


def _kept_at_work(plan: Plan) -> int:
    took = _took(plan)
    busy = took.card.expected + took.host.expected * AT_WORK.expected
    return max(int((took.card.expected + took.host.expected) / busy), 1) if busy else 1


def _took(plan: Plan) -> _Took:
    """Nothing of either where a phase's time is not known."""
    host = card = NO_TIME
    for seconds, bound in _steady(plan):
        if seconds is None:
            return _Took(NO_TIME, NO_TIME)
        if bound == "host":
            host += seconds
        else:
            card += seconds
    return _Took(host, card)


def _steady(plan: Plan) -> Iterator[tuple[Estimate | None, str]]:
    once = {phase.name for phase in plan.phases if phase.once}
    return ((time.total_seconds, time.bound) for time in plan.times if time.phase not in once)
