"""The protocol a kind of workload follows."""

from __future__ import annotations

from typing import Protocol

from ullage.phases.phase import Phase
from ullage.spec.section import Section
from ullage.spec.workload import Workload


class Kind(Protocol):
    """`section` is the type of the file's part named like the kind; `phases` lays the work out.

    `phases` raises `SpecError` when roles or work the kind needs are missing. `runner` names the module
    whose `run(session)` does the work; "" while a kind can be planned but not run. `reporter` names the
    module whose `report(run, workload, base, record)` writes pages and tables of a run; "" for none.
    """

    name: str
    section: type[Section]
    runner: str
    reporter: str

    def phases(self, workload: Workload) -> tuple[Phase, ...]: ...
