"""All that was found about a machine, and about a file that is to be run there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from ullage.facts.health.cards import Cards
from ullage.facts.health.extras import Extra
from ullage.facts.health.finding import Finding
from ullage.facts.health.host import Host
from ullage.facts.health.tried import Libraries


@dataclass(frozen=True, slots=True)
class Part:
    """What was found about one part of the machine, and the seconds that took."""

    name: str
    findings: tuple[Finding, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class RoleReadiness:
    """Whether a role can be run here. `device_map` is where its model's blocks would be loaded, neighbours
    together, empty where none is held here or no plan was made; `fetched` the bytes that would come from a
    hub, about."""

    name: str
    model: str
    engine: str
    device_map: Mapping[str, str]
    fetched: int
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether a file can be run on this machine, and each of its roles. `gpus` is what was planned for,
    `verdict` "" where no plan could be made."""

    title: str
    kind: str
    gpus: str
    verdict: Literal["fits", "tight", "does not fit", ""]
    roles: tuple[RoleReadiness, ...]
    findings: tuple[Finding, ...]

    @property
    def all_findings(self) -> tuple[Finding, ...]:
        """The file's and its roles'."""
        return (*self.findings, *(each for role in self.roles for each in role.findings))

    @property
    def runs(self) -> bool:
        """Whether it can be run here as far as anything but its plan's verdict says."""
        return not any(each.state == "problem" for each in self.all_findings if each.about != VERDICT)

    @property
    def fits(self) -> bool:
        return self.verdict != "does not fit"


CARDS = "cards"
"""The part about the machine's cards."""
VERDICT = "verdict"
"""What the finding about a plan's verdict is about."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A machine, part by part, and the file it was asked about; what was read of it stands beside the
    findings. `quick` says that no library was tried and nothing measured; `runs` counts measured runs whose
    evidence plans take here."""

    parts: tuple[Part, ...]
    cards: Cards
    tried: Libraries = field(hash=False)
    extras: tuple[Extra, ...]
    host: Host
    runs: int
    quick: bool
    file: Readiness | None = None

    @property
    def findings(self) -> Iterator[Finding]:
        """All of the machine, and of the file."""
        for part in self.parts:
            yield from part.findings
        if self.file is not None:
            yield from self.file.all_findings

    def __repr__(self) -> str:
        states = [each.state for each in self.findings]
        about = "" if self.file is None else f" for {self.file.title}"
        return (
            f"<Diagnosis{about}: {states.count('problem')} problems, {states.count('note')} notes, "
            f"{states.count('ok')} ok>"
        )
