"""Whose turn it is: what a pool does next, decided from its state and the time alone.

A role that is there is lent at once to whoever asks (so A B A A C A is served as A A A A B C), until somebody
whose room it holds has waited `patience` seconds: from then on it is lent only to those who had asked before
it came, and leaves when they have given it back. So nobody waits longer than `patience`, the loans that run
then, and the loads and loans of those who asked before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from ullage.runtime.pool.accounts import Sizes, exceeding, together, without
from ullage.runtime.pool.moves import Move, moves_for, moves_to_rest
from ullage.runtime.pool.role import Resident
from ullage.runtime.pool.state import Job, State
from ullage.runtime.pool.telling import ended, pinned, stuck, waited_out
from ullage.runtime.pool.waiting import Request
from ullage.runtime.role_weights import HOST


def turn(state: State, now: float) -> list[Job]:
    """Lends what can be lent, refuses what has to be, and begins the jobs that it returns."""
    for request in state.queue:
        if state.closing or now >= request.deadline:
            state.queue.remove(request)
            request.refuse(ended(request) if state.closing else waited_out(state, request, now))
    if state.closing:
        return list(_closing(state, now))
    return [*_serve(state, now), *_foreseen(state, now), *_idle(state, now)]


def next_time(state: State, now: float) -> float | None:
    """When there is something to do next, if nothing happens until then."""
    times = [request.deadline for request in state.queue]
    times += [request.asked + state.patience for request in state.queue]
    here = [each for each in state.residents if each.ready and not each.lent]
    if len(state.queue) or state.expected:
        times += [each.since + each.minimum_seconds for each in here]
    times += [
        each.fresh + each.idle_seconds for each in here if each.idle_seconds is not None and not each.stays
    ]
    return min((each for each in times if each > now), default=None)


def _serve(state: State, now: float) -> Iterator[Job]:
    held: set[int] = set()
    """Those who are to leave for somebody who is overdue."""
    claimed: set[str] = set()
    """Places where somebody overdue is to come."""
    for request in state.queue:
        own = request.resident
        if own.ready:
            better = _better_form(state, own, now)
            if better is not None:
                yield better
            elif id(own) not in held or request.asked <= own.since:
                _lend(state, request, now)
        elif not own.moving and not claimed & _places(own):
            if own.stuck or _shut_out(state, own):
                state.queue.remove(request)
                request.refuse(stuck(own) if own.stuck else pinned(state, request))
                continue
            overdue = state.overdue(request, now)
            job = _come(state, own, now, overdue)
            if job is not None:
                yield job
                continue
            _call_off(state, own)
            if overdue:
                held |= _in_its_way(state, own, now)
                claimed |= _places(own)


def _lend(state: State, request: Request, now: float) -> None:
    state.queue.remove(request)
    request.resident.lent[request.number] = request.resident.used = now
    state.history = [*state.history[-999:], request.role]
    if state.predictor is not None:
        state.expected = dict(state.predictor(state.history))
    else:
        state.expected.pop(request.role, None)
    request.grant()


def _come(state: State, own: Resident, now: float, overdue: bool) -> Job | None:
    """The job that brings it, in the first of its forms that room can be made for; None while none can."""
    room = state.room(own, now, overdue)
    for form in own.forms:
        moves = None if form.moving else moves_for(own, form, room)
        if moves is not None:
            return state.begin(Job(own, moves, now))
    return None


def _better_form(state: State, own: Resident, now: float) -> Job | None:
    """The job that brings the full form of one that is there compressed, where there is room by itself."""
    full = own.forms[0]
    if (
        own.lent
        or own.here is full
        or full.moving
        or any(request.resident is not own for request in state.queue)
    ):
        return None
    alone = replace(state.room(own, now), leaving=(), shrinking=())
    moves = moves_for(own, full, alone)
    return None if moves is None else state.begin(Job(own, moves, now))


def _call_off(state: State, own: Resident) -> None:
    """Stops loads that nobody waits for, where they have room that somebody does."""
    for job in state.unwanted():
        if any(job.bound.get(place) for place in (*_places(own), HOST)):
            job.cancelled = True


def _in_its_way(state: State, own: Resident, now: float) -> set[int]:
    """Those who are lent and would have to leave."""
    room = state.room(own, now, overdue=True, lent=True)
    for form in own.forms:
        moves = moves_for(own, form, room)
        if moves is not None:
            return {id(move.resident) for move in moves if move.resident is not own}
    return set()


def _shut_out(state: State, own: Resident) -> bool:
    """Whether those who are pinned leave no room for any of its forms, whoever else would go."""
    pins = [each for each in state.residents if each.pinned and each.here is not None and each is not own]
    if not pins:
        return False
    staying = [each for each in state.residents if each.stays and each.here is not None and each is not own]
    left = without(state.accounts.budgets, together(*map(_least, staying)))
    return all(exceeding(form.during(form.where, "bring"), left) for form in own.forms)


def _least(resident: Resident) -> Sizes:
    """The least that it would take where it stays: a pinned one's form is the one that is there."""
    here = resident.here
    return resident.forms[-1].sizes if resident.persistent or here is None else here.taken(here.where)


def _places(own: Resident) -> set[str]:
    return {place for form in own.forms for place, size in form.peaks.items() if size and place != HOST}


def _foreseen(state: State, now: float) -> Iterator[Job]:
    """The load of what is expected next, if nobody waits for another; for it leaves who is less expected."""
    if state.unwanted() or any(not request.resident.moving for request in state.queue):
        return
    by_name = {name: each for each in state.residents for name in each.names}
    order = sorted(state.expected.items(), key=lambda each: -each[1])
    for name, likely in order:
        own = by_name.get(name)
        if own is None or own.ready or own.moving or own.forms[0].moving or likely <= 0:
            continue
        room = state.room(own, now)
        less = [each for each in room.leaving if _expected(state, each.names) < likely]
        moves = moves_for(own, own.forms[0], replace(room, leaving=less, shrinking=()))
        if moves is not None:
            yield state.begin(Job(own, moves, now))
            return


def _expected(state: State, names: Iterable[str]) -> float:
    return max(state.expected.get(name, 0.0) for name in names)


def _idle(state: State, now: float) -> Iterator[Job]:
    """Those who leave by themselves, whom nobody has used for long."""
    for each in state.residents:
        timer = each.idle_seconds
        if timer is None or each.stays or each.lent or not each.ready or state.queue.wants(each):
            continue
        if now >= each.fresh + timer:
            for name in each.names:
                state.expected.pop(name, None)
            yield state.begin(Job(each, moves_to_rest(each, state.room(each, now)), now))


def _closing(state: State, now: float) -> Iterator[Job]:
    """To disk with everyone whom nobody uses."""
    for job in state.jobs:
        job.cancelled = job.brings
    for each in state.residents:
        forms = [form for form in each.forms if form.where.place != "disk" and not form.moving]
        moves = tuple(Move(each, form, "drop") for form in forms)
        if moves and not each.moving and not each.lent:
            yield state.begin(Job(each, moves, now))
