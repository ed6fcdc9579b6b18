"""A plan's advice: the search, and what is shown of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from ullage.errors import InputError, UnknownNameError
from ullage.facts.gpu import GpuSet
from ullage.facts.price import Prices
from ullage.planning.advice.axes import axes_of
from ullage.planning.advice.card_sets import ORDERS
from ullage.planning.advice.confirming import confirmed
from ullage.planning.advice.descent import relaxed
from ullage.planning.advice.entry import Advice, LossBasis, Nearest, Order, Search
from ullage.planning.advice.front import chosen, front, ordered
from ullage.planning.advice.host import Host
from ullage.planning.advice.kept import read_kept
from ullage.planning.advice.measured import NONE_MEASURED, Losses
from ullage.planning.advice.polishing import polished
from ullage.planning.advice.role_axes import Ground, ground_of
from ullage.planning.advice.search import search
from ullage.planning.advice.step import Axis, Changes, changes_of
from ullage.planning.advice.trials import Candidate, SearchLimit, Trials
from ullage.planning.outcome import Evaluate, Outcome
from ullage.spec.workload import Workload

UNITS: Final = 5400
"""What a search may take where nobody says: a setting takes a few, and one for each phase. That is half a
second's work to one and a quarter, the more the more roles there are (benchmarks/planner_page.py)."""
UNITS_OF_ONE: Final = 4
SECONDS: Final = 10.0
"""When a search ends on a machine that is busy with other things."""
SHARE_TO_POLISH: Final = 0.1
"""Of what a search may take, for what is one change away from the best."""
SHARE_TO_SIMPLIFY: Final = 0.1
"""Of what a search may take, to leave out of its entries what they do as well without."""


class Advised(NamedTuple):
    """Entries that no other printed one beats, and how they were searched for."""

    entries: tuple[Advice, ...]
    search: Search


def advise(
    workload: Workload,
    gpus: GpuSet,
    evaluate: Evaluate,
    apply: Callable[[Workload, Changes], Workload],
    prices: Prices,
    *,
    confirm: Evaluate | None = None,
    for_: str = "cost",
    keep: Iterable[str] = (),
    host: int | None = None,
    losses: Losses = NONE_MEASURED,
    stored: frozenset[str] = frozenset(),
    limit: SearchLimit,
) -> Advised:
    """The best found within `limit`, in the order `for_` asks for. Nothing in `keep` is changed.

    An entry on the cards that were asked for is beaten only by others on these: they may be all there is.
    `host` bytes of host memory are known to be there; None: as many as the plan as it is takes. `losses` are
    those of fewer bits that were measured, checkpoints of roles in `stored` are quantized. What is found is
    offered where it fits by `confirm` too, which may know more than `evaluate` and be slower, and with what
    it says. Raises InputError for an unknown order, for a path to nothing, and where all is kept.
    """
    order, kept = read_order(for_), read_kept(keep, workload)
    base = evaluate(workload, gpus)
    there = Host(host, base.host.high, gpus, prices)

    known: dict[Ground, tuple[Axis, ...]] = {}

    def axes(cards: GpuSet) -> tuple[Axis, ...]:
        ground = ground_of(cards, there.weights(cards))
        if ground not in known:
            known[ground] = axes_of(workload, ground, kept, losses)
        return known[ground]

    if kept.cards and not axes(gpus):
        raise InputError(f"--keep {', '.join(keep)}: nothing is left to change; keep less, or --no-advice")
    trials = Trials(workload, evaluate, apply, prices, there, limit, stored)
    trials.plan(gpus)
    together = any(role.runs_with.tensor_parallel for role in workload.roles.values())
    with trials.within(1 - SHARE_TO_SIMPLIFY):
        with trials.within(1 - SHARE_TO_POLISH):
            passed = search(trials, gpus, order, axes, not kept.cards, together)
        polished(trials, gpus, axes)
    left = sum(trials.untried(other, axes(other)) for other in passed)
    for each in _shown(trials.found, gpus, order):
        relaxed(trials, each, axes(each.gpus), quality_first=False)
    if confirm is None:
        shown = _shown(trials.found, gpus, order)
    else:
        shown, untold = confirmed(trials, lambda found: _shown(found, gpus, order), confirm)
        left += untold
    explicit = _settled(workload)
    entries = tuple(_entry(each, there, base, explicit) for each in shown)
    nearest = None if entries or base.verdict == "fits" else _nearest(trials.found)
    return Advised(entries, Search(order, tuple(keep), len(trials.found), left, nearest))


def usual_limit(phases: int) -> SearchLimit:
    """Of a workload of so many phases."""
    return SearchLimit(UNITS / (UNITS_OF_ONE + phases), SECONDS)


def read_order(text: str) -> Order:
    """Raises UnknownNameError for none."""
    for order in ORDERS:
        if text == order:
            return order
    raise UnknownNameError("order of advice (--for)", text, ORDERS, f"use {', '.join(ORDERS)}")


def _shown(found: list[Candidate], gpus: GpuSet, order: Order) -> list[Candidate]:
    fitting = [each for each in found if each.fits and each.gpus.abilities.has_kernels and not each.cuts]
    own = front(each for each in fitting if each.gpus == gpus)
    if not own:  # the last resort, as little of it as can be
        cut = [each for each in found if each.fits and each.gpus == gpus]
        own = ordered(cut, "quality")[:1]
    every = front(fitting)
    others = [each for each in every if each.gpus != gpus]
    own = [each for each in own if each.steps]
    shown = ordered([*chosen(own, order), *chosen(others, order)], order)
    return sorted(shown, key=lambda each: each.cuts)  # half the work is no cheaper way to do all of it


def _settled(workload: Workload) -> dict[str, tuple[str, str]]:
    """Precisions of roles that have others to fall back to: said with each entry, for on other cards, or
    beside other changes, another would be settled on."""
    others = {} if workload.section is None else workload.section.fallbacks(workload)
    return {
        f"roles.{name}.precision": (f"roles.{name}.precision", role.precision)
        for name, role in workload.roles.items()
        if role.fallback_precisions or others.get(name)
    }


def _entry(
    candidate: Candidate, there: Host, before: Outcome, explicit: dict[str, tuple[str, str]]
) -> Advice:
    outcome = candidate.outcome
    changes = changes_of(candidate.steps)
    said = {path for path, _ in changes}
    changes += tuple(change for path, change in explicit.items() if path not in said)
    notes = dict.fromkeys(step.note for step in candidate.steps)
    loss = round(candidate.loss, 4)
    return Advice(
        changes,
        candidate.gpus.name,
        outcome.verdict,
        loss,
        "; ".join(notes) or "unchanged",
        outcome.seconds_per_1000,
        outcome.usd_per_1000,
        before.peak.high - outcome.peak.high,
        outcome.peak,
        _basis(candidate),
        candidate.gpus == there.own,
        outcome.known_seconds,
        candidate.usd_per_hour,
        outcome.host,
        there.usd_per_hour(candidate.gpus, outcome.host.high),
        outcome.unknown,
        outcome.seconds,
        outcome.usd,
    )


def _basis(candidate: Candidate) -> LossBasis:
    """Assumed where a part of the loss is."""
    if any(step.loss and not step.measured for step in candidate.steps):
        return "assumed"
    return "measured" if any(step.measured for step in candidate.steps) else "unchanged"


def _nearest(found: list[Candidate]) -> Nearest | None:
    """What exceeded its cards least."""
    possible = [each for each in found if each.possible]
    best = min(possible, key=lambda each: (each.outcome.over, len(each.steps)), default=None)
    if best is None:
        return None
    return Nearest(changes_of(best.steps), best.gpus.name, best.outcome.over)
