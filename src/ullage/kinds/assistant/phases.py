"""Each request: the router chooses, one specialist is swapped in and works, the voice answers."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

from ullage.kinds.assistant.section import Section
from ullage.phases.blocks import base_work, captures_of, load, own_section, spoken, ways
from ullage.phases.phase import LogitsKept, Phase, Resident, Work
from ullage.phases.residency import residency_of
from ullage.phases.way import Stage, Way
from ullage.spec.workload import Workload

EMBED: Final = "embed"
"""What the role does whose states are the vectors of notes."""
EMBEDDED: Final = 2
"""Texts of a request: it is looked for among the notes, and kept as one."""
SHARED: Final = 16
"""Texts that are read once, for what all texts' states share (`memory.embedder`)."""


def phases(workload: Workload) -> tuple[Phase, ...]:
    """Unless the file says otherwise router and voice stay on the device, and specialists wait in
    host memory, each for its turn; all are asked for equally often.

    A specialist that was swapped in keeps its place until another needs it, so router and voice
    run beside it; they do so only where they stay, for what is swapped in pushes it out. The router reads a
    request and writes nothing, unless its word is to be `written`; rules ask none. Raises SpecError when
    router, voice or any specialist is missing.
    """
    return tuple(_Request(workload).phases())


def request_ways(workload: Workload) -> tuple[Way, ...]:
    """A request to each specialist: `route`, `remember` where notes are embedded, `switch`, `specialist` and
    `voice`, in this order. Who looks at pictures is not found by the router, and pictures are not said."""
    return tuple(_Request(workload).ways())


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
        asked = None if section.memory is None else section.memory.embedding_role(section.router)
        self._embedder = asked if asked in self._local else None
        self._known: dict[tuple[str, float, str], tuple[Work, ...]] = {}
        self._beside: dict[frozenset[str], tuple[Resident, ...]] = {}

    def phases(self) -> list[Phase]:
        found = list(self._residency.first_loads())
        # Specialists beside which a role that stays runs its turns.
        guests = [n for n in self._specialists if n in self._local and n not in self._staying]
        swapped = [name for name in self._local if name not in self._staying]
        share = 1 / len(self._specialists)
        if self._router is not None:
            found += self._fixed_turn(self._router, guests, share)
        if self._embedder is not None:
            found += self._fixed_turn(self._embedder, guests, share, EMBED)
        for name in self._specialists:
            if name in self._local:
                once = swapped == [name]
                found += self._turn(name, (name,), share, None if once else share)
        found += self._fixed_turn(self._voice, guests, share)
        return found

    def ways(self) -> Iterator[Way]:
        """For each specialist. Those that stay throughout need no switch; where router, voice or who embeds
        notes leaves too, everyone who takes turns is brought for each request."""
        roles = self._workload.roles
        always = {name for name in (self._router, self._voice, self._embedder) if name in self._local}
        leave = not always.issubset(self._staying)
        for name in self._specialists:
            stages: list[Stage] = []
            if self._router is not None and not roles[name].images:
                stages += self._stages("route", self._router)
            if self._embedder is not None:
                stages += self._stages("remember", self._embedder, EMBED)
            for stage in self._stages("specialist", name, away=not leave):
                if stage.name != "switch" or name != self._embedder:  # which is there already
                    stages.append(stage)
            if roles[name].runs_with.memory != "pipeline":
                stages += self._stages("voice", self._voice)
            yield Way(name, tuple(stages))

    def _stages(self, stage: str, name: str, verb: str = "", away: bool = False) -> Iterator[Stage]:
        """What a role does for a request of this way, and, where it does not stay, its switch before."""
        if name not in self._local:
            yield Stage(stage, name, ())
            return
        brought = self._turn(name, (name,), 1.0, 1.0, verb=verb)
        loads = tuple(phase for phase in brought if phase.activity == "load")
        if loads:
            yield Stage("switch", name, loads, away)
        again = self._calls(name) if stage == "specialist" else 0
        yield Stage(stage, name, tuple(phase for phase in brought if phase.activity != "load"), again=again)

    def _calls(self, name: str) -> int:
        """How many tools a specialist may call for a request: after each it writes again."""
        role, section = self._workload.roles[name], own_section(self._workload, Section)
        writes = not role.images and role.runs_with.memory != "pipeline"
        may = bool(section.tools) and (section.callers is None or name in section.callers)
        return section.tool_limits.calls if writes and may else 0

    def _fixed_turn(self, name: str, guests: list[str], share: float, verb: str = "") -> list[Phase]:
        """A turn of router, voice or embedder: beside each specialist left from before, or alone."""
        if name not in self._local:
            return []
        if name not in self._staying:
            return self._turn(name, (name,), 1.0, 1.0, verb=verb)
        found: list[Phase] = []
        for guest in guests:
            found += self._turn(name, (name, guest), share, None, guest, verb)
        alone = 1 - share * len(guests)
        if not guests or alone > share / 2:
            found += self._turn(name, (name,), alone, None, verb=verb)
        return found

    def _works(self, name: str, share: float, verb: str) -> tuple[Work, ...]:
        """What the role does for `share` of the requests, whoever is beside it."""
        known = self._known.get((name, share, verb))
        if known is None:
            known = self._embedding(name, share) if verb == EMBED else self._own(name, share)
            self._known[name, share, verb] = known
        return known

    def _own(self, name: str, share: float) -> tuple[Work, ...]:
        work, role = base_work(name, self._workload), self._workload.roles[name]
        if name in self._specialists and (role.images or role.runs_with.memory == "pipeline"):
            work = work.but(batch=1, passes=1.0)  # pictures are looked at, and painted, one by one
        work = work.but(passes=work.passes * share)
        logits: LogitsKept = "last"
        if name == self._router and self._routing.by != "written":
            # Words are weighed, or states compared, in the pass that reads the request.
            work = work.but(new_tokens=0)
            logits = "none" if self._routing.by == "examples" else "last"
        return ways(role, work, captures_of(name, self._workload), logits)

    def _embedding(self, name: str, share: float) -> tuple[Work, ...]:
        """Texts are embedded one by one, each as long as a prompt at most; nothing is cached."""
        work = base_work(name, self._workload)
        passes = (EMBEDDED + SHARED / work.examples) * share
        return (work.but(batch=1, new_tokens=0, images=0, caches=False, logits="none", passes=passes),)

    def _turn(
        self,
        name: str,
        active: Collection[str],
        share: float,
        loads: float | None,
        beside: str = "",
        verb: str = "",
    ) -> list[Phase]:
        """`name` does `verb` for `share` of the requests, loaded before unless it stays."""
        guests = frozenset(active).difference(self._staying)
        if guests not in self._beside:
            self._beside[guests] = self._residency.while_active({*active, *self._staying})
        held = self._beside[guests]
        works = self._works(name, share, verb)
        found: list[Phase] = []
        if name not in self._staying:
            found += load(name, held, None if loads is None else loads / works[0].batch)
        return [*found, *spoken(name, held, works, verb, beside)]
