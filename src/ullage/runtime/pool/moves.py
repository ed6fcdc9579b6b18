"""What has to be done for a role to come: who leaves, where to, in which order. Pure; nothing is moved."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ullage.runtime.pool.accounts import Sizes, either, exceeding, together, without
from ullage.runtime.pool.eviction import Candidate, victims
from ullage.runtime.pool.holding import Action, Holding, Place, Where
from ullage.runtime.pool.role import Resident
from ullage.runtime.role_weights import HOST


@dataclass(frozen=True, slots=True)
class Move:
    """One thing to do with one form."""

    resident: Resident
    holding: Holding
    action: Action


@dataclass(frozen=True, slots=True)
class Room:
    """What there is to make room of.

    `free` bytes by place; `leaving` may go from their devices, `parked` forms from host; `shrinking` are
    those that stay, but in their compressed form would take less.
    """

    free: Sizes
    leaving: Sequence[Resident]
    parked: Sequence[tuple[Resident, Holding]]
    shrinking: Sequence[Resident]
    keeps: frozenset[str]
    """Names of those whose forms are not parked: host memory would then not do for every other load."""
    now: float

    def parts(self) -> tuple[str, ...]:
        """Its devices."""
        return tuple(place for place in self.free if place != HOST)


@dataclass(slots=True)
class _Draft:
    """Moves as they are added one by one, and what is free after them; `target` is the form that comes."""

    room: Room
    target: Holding | None
    free: dict[str, int]
    moves: list[Move] = field(default_factory=list)
    where: dict[str, Where] = field(default_factory=dict)

    def at(self, holding: Holding) -> Where:
        return self.where.get(holding.key, holding.where)

    def add(self, resident: Resident, holding: Holding, action: Action) -> None:
        before = self.at(holding)
        after = before.after(action)
        self.free = without(together(self.free, holding.taken(before)), holding.taken(after))
        self.where[holding.key] = after
        self.moves.append(Move(resident, holding, action))

    def rest(self, resident: Resident, holding: Holding, kept: int) -> None:
        """Off its devices: to host where that holds it beside `kept` bytes, else to disk."""
        if not holding.parked or resident.name in self.room.keeps:
            self.add(resident, holding, "drop")
            return
        lacking = 0 if self.at(holding).copied else holding.parked - (self.free.get(HOST, 0) - kept)
        if lacking > 0:
            newcomer = _candidate(holding, resident, {HOST: holding.parked}, self.room.now)
            less = [each for each in self.on_host() if each[0].worth < newcomer.worth]
            lacking = 0 if self.drop(lacking, less) else lacking
        self.add(resident, holding, "drop" if lacking > 0 else "park")

    def drop(self, lacking: int, known: Sequence[tuple[Candidate, Resident, Holding]]) -> bool:
        """Drops of those known as many as make `lacking` bytes of host free; none where all are too few."""
        chosen = victims({HOST: lacking}, [each[0] for each in known])
        for candidate, resident, holding in known if chosen else ():
            if candidate in (chosen or ()):
                self.add(resident, holding, "drop")
        return chosen is not None

    def on_host(self) -> list[tuple[Candidate, Resident, Holding]]:
        """Parked forms that may be dropped, and what each would free."""
        return [
            (_candidate(holding, resident, {HOST: holding.parked}, self.room.now), resident, holding)
            for resident, holding in self.room.parked
            if self.at(holding).place == "host" and holding is not self.target
        ]

    def leaving(self) -> list[tuple[Holding, Resident]]:
        """Those on devices who may leave and have not."""
        here = [(each.here, each) for each in self.room.leaving]
        return [(form, each) for form, each in here if form and self.at(form).place == "device"]


def moves_for(target: Resident, holding: Holding, room: Room) -> tuple[Move, ...] | None:
    """The moves after which `target` is ready in that form, itself the last of them; None if no moves are."""
    draft = _Draft(room, holding, dict(room.free))
    need = without(holding.during(holding.where, "bring"), holding.taken(holding.where))
    kept = max(0, need.get(HOST, 0))
    if not _host_for(kept, target, draft):
        return None
    for other in target.forms:
        if other is not holding and other.where.place == "device":
            draft.rest(target, other, kept)
    short = exceeding({place: need.get(place, 0) for place in room.parts()}, draft.free)
    if short and not _leave(short, kept, draft):
        return None
    draft.add(target, holding, "bring")
    return tuple(draft.moves) if _fits(draft.moves, room.free) else None


def moves_again(target: Resident, holding: Holding, room: Room) -> tuple[Move, ...] | None:
    """The moves for a second try after memory ran out: as many bytes as the load needs leave first, or all
    that may. None where even then there is no room by the accounts."""
    draft = _Draft(room, holding, dict(room.free))
    need = holding.during(holding.where, "bring")
    held = together(*(form.sizes for form, _ in draft.leaving()))
    most = {place: min(need.get(place, 0), held.get(place, 0)) for place in room.parts()}
    _leave(most, max(0, need.get(HOST, 0)), draft)
    draft.add(target, holding, "bring")
    return tuple(draft.moves) if _fits(draft.moves, room.free) else None


def moves_to_rest(resident: Resident, room: Room) -> tuple[Move, ...]:
    """The moves after which it is on no device."""
    draft = _Draft(room, None, dict(room.free))
    if resident.here is not None:
        draft.rest(resident, resident.here, 0)
    return tuple(draft.moves)


def envelope(moves: Iterable[Move]) -> dict[str, int]:
    """The most bytes that those who move hold at any instant of it, by place."""
    moves = tuple(moves)
    where = {move.holding.key: move.holding.where for move in moves}
    holdings = {move.holding.key: move.holding for move in moves}
    found: dict[str, int] = {}
    for move in moves:
        key = move.holding.key
        still = [holdings[other].taken(at) for other, at in where.items() if other != key]
        found = either(found, together(*still, move.holding.during(where[key], move.action)))
        where[key] = where[key].after(move.action)
    return either(found, together(*(holdings[key].taken(at) for key, at in where.items())))


def _fits(moves: Sequence[Move], free: Sizes) -> bool:
    before = together(*(holding.taken(holding.where) for holding in {move.holding for move in moves}))
    return not exceeding(envelope(moves), together(free, before))


def _host_for(kept: int, target: Resident, draft: _Draft) -> bool:
    """Frees the host memory that a load takes while it runs; whether that could be done."""
    lacking = kept - draft.free.get(HOST, 0)
    if lacking <= 0:
        return True
    copies = [
        (_candidate(form, each, {HOST: form.parked}, draft.room.now), each, form)
        for form, each in draft.leaving()
        if form.where.copied and each is not target
    ]
    return draft.drop(lacking, [*draft.on_host(), *copies])


def _leave(short: Sizes, kept: int, draft: _Draft) -> bool:
    """Has go from the devices who must, so that `short` bytes come free; those who stay shrink if nobody
    else is left."""
    known = {form.key: (form, each) for form, each in draft.leaving()}
    candidates = [_candidate(form, each, form.sizes, draft.room.now) for form, each in known.values()]
    found = victims(short, candidates)
    shrunk: list[Resident] = []
    for resident in draft.room.shrinking if found is None else ():
        shrunk.append(resident)
        less = without(short, together(*(_saved(each) for each in shrunk)))
        found = victims({place: size for place, size in less.items() if size > 0}, candidates)
        if found is not None:
            break
    for candidate in found or ():
        form, resident = known[candidate.name]
        draft.rest(resident, form, kept)
    for resident in shrunk if found is not None else ():
        full, compressed = resident.forms
        draft.rest(resident, full, kept)
        draft.add(resident, compressed, "bring")
    return found is not None


def _candidate(holding: Holding, resident: Resident, frees: Sizes, now: float) -> Candidate:
    back: Place = "host" if holding.where.place == "device" and holding.parked else "disk"
    return Candidate(holding.key, frees, max(0.0, now - resident.fresh), holding.reload(back))


def _saved(resident: Resident) -> dict[str, int]:
    full, compressed = resident.forms
    return without(full.sizes, compressed.sizes)
