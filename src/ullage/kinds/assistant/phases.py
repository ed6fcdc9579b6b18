"""Each request: the router chooses, one specialist is swapped in and works, the voice answers."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from ullage.kinds.assistant.section import Section
from ullage.phases.blocks import (
    Rest,
    base_work,
    captures_of,
    generate,
    is_local,
    load,
    own_section,
    residents,
    rest,
)
from ullage.phases.phase import Phase, Resident
from ullage.spec.workload import Workload


def phases(workload: Workload) -> tuple[Phase, ...]:
    """Unless the file says otherwise router and voice stay on the device, and specialists wait in
    host memory, each for its turn; all are asked for equally often.

    A specialist that was swapped in keeps its place until another needs it, so router and voice
    run beside it; they do so only where they stay, for what is swapped in pushes it out. Raises
    SpecError when router, voice or any specialist is missing.
    """
    return tuple(_Request(workload).phases())


class _Request:
    """Lays out one request. Invariant: of the roles that do not stay, one at most is on the
    device."""

    def __init__(self, workload: Workload) -> None:
        section = own_section(workload, Section)
        self._workload = workload
        self._router, self._voice = section.router, section.voice
        self._specialists = section.chosen(workload)
        fixed = (self._router, self._voice)
        self._rests: list[tuple[str, Rest]] = [
            (name, rest(name, workload, "device" if name in fixed else "host"))
            for name in (*fixed, *self._specialists)
            if is_local(workload.roles[name])
        ]
        self._local = [name for name, _ in self._rests]
        self._staying = [name for name, idle in self._rests if idle == "device"]

    def phases(self) -> list[Phase]:
        found = self._first_loads()
        # Specialists beside which a role that stays runs its turns.
        guests = [n for n in self._specialists if n in self._local and n not in self._staying]
        swapped = [name for name in self._local if name not in self._staying]
        share = 1 / len(self._specialists)
        found += self._fixed_turn(self._router, guests, share)
        for name in self._specialists:
            if name in self._local:
                once = swapped == [name]
                found += self._turn(name, (name,), share, None if once else share)
        found += self._fixed_turn(self._voice, guests, share)
        return found

    def _first_loads(self) -> list[Phase]:
        found: list[Phase] = []
        for count, name in enumerate(self._staying, 1):
            here = self._staying[:count]
            known = [pair for pair in self._rests if pair[0] in here or pair[1] != "device"]
            found += load(name, residents(self._workload, known, here))
        return found

    def _fixed_turn(self, name: str, guests: list[str], share: float) -> list[Phase]:
        """A turn of router or voice: beside each specialist left from before, or alone."""
        if name not in self._local:
            return []
        if name not in self._staying:
            return self._turn(name, (name,), 1.0, 1.0)
        found: list[Phase] = []
        for guest in guests:
            found += self._turn(name, (name, guest), share, None, guest)
        alone = 1 - share * len(guests)
        if not guests or alone > share / 2:
            found += self._turn(name, (name,), alone, None)
        return found

    def _turn(
        self,
        name: str,
        active: Collection[str],
        share: float,
        loads: float | None,
        beside: str = "",
    ) -> list[Phase]:
        """`name` works for `share` of the requests, loaded before unless it stays."""
        held: tuple[Resident, ...] = residents(self._workload, self._rests, active)
        work = base_work(name, self._workload)
        work = replace(work, passes=work.passes * share)
        found: list[Phase] = []
        if name not in self._staying:
            found += load(name, held, None if loads is None else loads / work.batch)
        captures = captures_of(name, self._workload)
        found += generate(name, held, work, captures=captures, beside=beside)
        return found
