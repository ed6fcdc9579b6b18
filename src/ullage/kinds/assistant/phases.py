"""Each request: the router chooses, one specialist is swapped in and works, the voice answers."""

from __future__ import annotations

from collections.abc import Collection

from ullage.kinds.assistant.section import Section
from ullage.phases.blocks import base_work, captures_of, load, own_section, spoken, ways
from ullage.phases.phase import LogitsKept, Phase, Resident, Work
from ullage.phases.residency import residency_of
from ullage.spec.workload import Workload


def phases(workload: Workload) -> tuple[Phase, ...]:
    """Unless the file says otherwise router and voice stay on the device, and specialists wait in
    host memory, each for its turn; all are asked for equally often.

    A specialist that was swapped in keeps its place until another needs it, so router and voice
    run beside it; they do so only where they stay, for what is swapped in pushes it out. The router reads a
    request and writes nothing, unless its word is to be `written`; rules ask none. Raises SpecError when
    router, voice or any specialist is missing.
    """
    return tuple(_Request(workload).phases())


class _Request:
    """Lays out one request. Invariant: of the roles that do not stay, one at most is on the
    device."""

    def __init__(self, workload: Workload) -> None:
        section = own_section(workload, Section)
        self._workload = workload
        self._voice, self._routing = section.voice, section.routing
        self._router = section.router if section.routing.asks else None
        self._specialists = section.chosen(workload)
        fixed = tuple(name for name in (self._router, self._voice) if name is not None)
        self._residency = residency_of(workload, (*fixed, *self._specialists), "host", fixed)
        self._local, self._staying = self._residency.names, self._residency.staying
        self._known: dict[tuple[str, float], tuple[Work, ...]] = {}
        self._beside: dict[frozenset[str], tuple[Resident, ...]] = {}

    def phases(self) -> list[Phase]:
        found = list(self._residency.first_loads())
        # Specialists beside which a role that stays runs its turns.
        guests = [n for n in self._specialists if n in self._local and n not in self._staying]
        swapped = [name for name in self._local if name not in self._staying]
        share = 1 / len(self._specialists)
        if self._router is not None:
            found += self._fixed_turn(self._router, guests, share)
        for name in self._specialists:
            if name in self._local:
                once = swapped == [name]
                found += self._turn(name, (name,), share, None if once else share)
        found += self._fixed_turn(self._voice, guests, share)
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

    def _works(self, name: str, share: float) -> tuple[Work, ...]:
        """What the role does for `share` of the requests, whoever is beside it."""
        known = self._known.get((name, share))
        if known is None:
            work = base_work(name, self._workload)
            work = work.but(passes=work.passes * share)
            logits: LogitsKept = "last"
            if name == self._router and self._routing.by != "written":
                # Words are weighed, or states compared, in the pass that reads the request.
                work = work.but(new_tokens=0)
                logits = "none" if self._routing.by == "examples" else "last"
            known = ways(self._workload.roles[name], work, captures_of(name, self._workload), logits)
            self._known[name, share] = known
        return known

    def _turn(
        self,
        name: str,
        active: Collection[str],
        share: float,
        loads: float | None,
        beside: str = "",
    ) -> list[Phase]:
        """`name` works for `share` of the requests, loaded before unless it stays."""
        guests = frozenset(active).difference(self._staying)
        if guests not in self._beside:
            self._beside[guests] = self._residency.while_active({*active, *self._staying})
        held = self._beside[guests]
        works = self._works(name, share)
        found: list[Phase] = []
        if name not in self._staying:
            found += load(name, held, None if loads is None else loads / works[0].batch)
        return [*found, *spoken(name, held, works, beside=beside)]
