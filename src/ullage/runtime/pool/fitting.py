"""Whether the roles of a pool can ever be served within its budgets, before anything is loaded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ullage.errors import DoesNotFitError
from ullage.runtime.pool.accounts import Sizes, either, exceeding, together, without
from ullage.runtime.pool.holding import Holding
from ullage.runtime.pool.role import Resident
from ullage.runtime.pool.telling import told
from ullage.runtime.role_weights import HOST

ADVICE = "give it a compressed form, more devices, or make fewer roles persistent"


def check_fit(residents: Sequence[Resident], budgets: Sizes) -> None:
    """Raises DoesNotFitError, a line for each role that would never be served."""
    lines = [*_alone(residents, budgets), *_beside(residents, budgets)]
    if lines:
        raise DoesNotFitError(*dict.fromkeys(lines))


def never_parked(residents: Sequence[Resident], budgets: Sizes) -> frozenset[str]:
    """Persistent roles whose forms are not parked, since host memory would not then do for all others' loads.

    What is parked of them could not be dropped again while they are on a device.
    """
    most = max((form.peaks.get(HOST, 0) for each in residents for form in each.forms), default=0)
    left = budgets.get(HOST, 0) - most
    kept: set[str] = set()
    for each in residents:
        size = sum(form.parked for form in each.forms)
        if each.persistent and size > left:
            kept.add(each.name)
        elif each.persistent:
            left -= size
    return frozenset(kept)


def _alone(residents: Sequence[Resident], budgets: Sizes) -> Iterator[str]:
    for each in residents:
        over = [exceeding(form.peaks, budgets) for form in each.forms]
        if all(over):
            where = told({place: budgets.get(place, 0) for place in over[-1]})
            need = told({place: each.forms[-1].peaks[place] for place in over[-1]})
            yield f"role {each.name}: takes {need} while it is loaded, but the budget is {where}; {ADVICE}"


def _beside(residents: Sequence[Resident], budgets: Sizes) -> Iterator[str]:
    """Persistent roles in the least of their forms, and each other one beside all of those."""
    staying = [each for each in residents if each.persistent]
    held: dict[str, int] = {}
    # Who needs most beyond what it keeps comes first, while the others are not there yet.
    for each in sorted(staying, key=lambda one: -_passing(one.forms[-1])):
        over = exceeding(together(held, each.forms[-1].peaks), budgets)
        if over:
            yield f"role {each.name}: is {told(over)} too large beside the other persistent roles; {ADVICE}"
        held = together(held, each.forms[-1].sizes)
    for each in residents:
        if each.persistent:
            continue
        overs = [exceeding(together(held, form.peaks), budgets) for form in each.forms]
        if all(overs) and not all(exceeding(form.peaks, budgets) for form in each.forms):
            names = " and ".join(one.name for one in staying)
            yield f"role {each.name}: is {told(overs[-1])} too large beside {names}, which stay; {ADVICE}"


def _passing(form: Holding) -> int:
    return sum(without(either(form.peaks, form.sizes), form.sizes).values())
