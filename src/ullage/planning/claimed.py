"""What a plan says of the quantity that a claim is about."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Final, get_args

from ullage.errors import InputError
from ullage.memory.needs import ItemKind, Level
from ullage.planning.bill import LineItem
from ullage.planning.plan import DevicePlan, Plan
from ullage.units import ZERO, Estimate, Interval, peak, total

LEVELS: Final[tuple[str, ...]] = get_args(Level)
COMPONENTS: Final[tuple[str, ...]] = get_args(ItemKind)
NAMED: Final = ("weights", "kv_cache", "activations", "captures")
"""What guides count by name; `other` is all that is held beside it."""
BESIDE: Final = {"overhead": ("weights",), "other": NAMED}
PER_TOKEN: Final = "kv_cache_per_token"
ELSEWHERE: Final = ("host", "disk")
TIMES: Final = ("seconds", "tokens_per_second")
METRICS: Final = (*LEVELS, *COMPONENTS, *BESIDE, "all", PER_TOKEN, *ELSEWHERE, *TIMES)


def amount_in(plan: Plan, metric: str, on: str = "", role: str = "") -> Estimate:
    """The quantity of the whole plan, of one card (`on`) or of one `role`: bytes, seconds or tokens a second.

    Levels are each card's own peak, summed; components, joined by `+`, are at most so much in any phase,
    summed over the cards; `overhead` is all at the peak but weights, `other` all but weights, cache,
    activations and captures. Raises InputError for a metric that no plan has, and where it is not known.
    """
    if on and on not in {device.name for device in plan.devices}:
        raise InputError(f"on: the plan has no {on}")
    if role and role not in plan.workload.roles:
        raise InputError(f"role: the workload has no role {role}; it has: {', '.join(plan.workload.roles)}")
    if metric in TIMES:
        return _time(plan, metric)
    cards = [each for each in plan.devices if _is_card(each) and on in ("", each.name)]
    if metric in LEVELS:
        if role:
            raise InputError(f"metric: {metric} is of whole cards; of one role name a component, or all")
        return _estimate(total(getattr(card.peak, metric) for card in cards))
    if metric == "host":
        return _estimate(total(each.peak.device for each in plan.devices if each.name == "host"))
    if metric == "disk":
        return _estimate(total(each.bytes for each in plan.stored))
    if metric in BESIDE:
        return _estimate(
            total(_at_peak(plan, card, lambda item: item.component not in BESIDE[metric]) for card in cards)
        )
    parts = COMPONENTS if metric == "all" else tuple(part.strip() for part in metric.split("+"))
    unknown = [part for part in parts if part not in COMPONENTS]
    if unknown:
        raise InputError(f"metric: {unknown[0]!r} is not computed; there are: {', '.join(METRICS)}")
    return _estimate(total(_most(plan, card, parts, role) for card in cards))


def _is_card(device: DevicePlan) -> bool:
    return device.name.startswith("gpu:") or device.gpu == "CPU"


def _estimate(value: Interval) -> Estimate:
    return Estimate(*map(float, value))


def _at_peak(plan: Plan, card: DevicePlan, counts: Callable[[LineItem], bool]) -> Interval:
    """Bytes of the items that count, in the card's fullest phase."""
    here = (each for each in plan.bill.items if (each.device, each.phase) == (card.name, card.peak_phase))
    return total(each.bytes for each in here if counts(each))


def _most(plan: Plan, card: DevicePlan, parts: Iterable[str], role: str) -> Interval:
    """What these components take of a card in the phase where it is most."""
    found: dict[str, Interval] = defaultdict(lambda: ZERO)
    for item in plan.bill.items:
        if item.device == card.name and item.component in parts and role in ("", item.role):
            found[item.phase] += item.bytes
    return peak(found.values())


def _time(plan: Plan, metric: str) -> Estimate:
    """Of the whole workload, or of the slowest phase that writes."""
    if metric == "seconds":
        found = plan.total_seconds
    else:
        writing = {phase.name for phase in plan.phases if phase.activity == "decode"}
        known = [each.tokens_per_second for each in plan.times if each.phase in writing]
        rates = [each for each in known if each is not None]
        found = min(rates, key=lambda each: each.expected, default=None)
    if found is None:
        raise InputError("the time is not known: the speed of the card, or of a phase on it, is not")
    return found
