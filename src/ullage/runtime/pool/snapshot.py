"""A pool's state as a value that can be kept and shown."""

from __future__ import annotations

from ullage.records.pool import PlaceUse, PoolSeen, RoleSeen, WaiterSeen
from ullage.runtime.pool.accounts import together
from ullage.runtime.pool.role import Resident
from ullage.runtime.pool.state import State


def seen(state: State, now: float, simulated: bool) -> PoolSeen:
    """What there is to see of it now."""
    accounts, used = state.accounts, state.accounts.used()
    return PoolSeen(
        simulated,
        state.closing,
        tuple(
            PlaceUse(place, budget, used[place], accounts.most[place])
            for place, budget in accounts.budgets.items()
        ),
        tuple(_role(each, now) for each in state.residents),
        tuple(WaiterSeen(each.role, now - each.asked, max(0.0, each.deadline - now)) for each in state.queue),
        dict(state.expected),
        state.failures,
    )


def _role(each: Resident, now: float) -> RoleSeen:
    somewhere = [form for form in each.forms if form.where.place != "disk"]
    shown = each.here or next(iter(somewhere), None)
    took = [seconds for form in each.forms for last in form.seconds.values() for seconds in last]
    return RoleSeen(
        each.name,
        each.names[1:],
        "moving" if each.moving else shown.where.place if shown else "disk",
        shown.form if shown else "",
        together(*(form.taken(form.where) for form in somewhere)),
        now - each.since,
        len(each.lent),
        now - min(each.lent.values()) if each.lent else 0.0,
        sum(form.loads for form in each.forms),
        sum(took) / len(took) if took else 0.0,
        "persistent" if each.persistent else "pinned" if each.pinned else "",
    )
