"""A kind's own part of the file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, ClassVar, Final

from ullage.spec.value import Schedule, Value

if TYPE_CHECKING:
    from ullage.facts.architecture import Model
    from ullage.spec.mistake import Mistake
    from ullage.spec.precision import Precision
    from ullage.spec.stored import Stored
    from ullage.spec.workload import Workload

RUNS: Final = "runs"
"""Where runs are that are given no folder."""


class Section(Value):
    """What stands under the key named like the kind, and what the kind asks of the rest.

    `taking_turns` is the `schedule` under which the kind's roles are in memory one after another;
    `shows_pictures` says that its run gives roles pictures beside texts, `has_several` that a role may have
    several sequences of one example: samples, candidates, players.
    """

    taking_turns: ClassVar[Schedule] = "sequential"
    shows_pictures: ClassVar[bool] = False
    has_several: ClassVar[bool] = False

    def mistakes(self, workload: Workload) -> Iterable[Mistake]:
        """Roles the kind lacks or does not know, settings it has no use for."""
        return ()

    def heard(self, workload: Workload) -> tuple[str, ...]:
        """Roles that probes read while they work."""
        return ()

    def encoders(self, workload: Workload) -> Mapping[str, tuple[str, ...]]:
        """Roles that may be encoders, with what these may give: `states` of a text, or `labels` of two."""
        return {}

    def fallbacks(self, workload: Workload) -> Mapping[str, tuple[Precision, ...]]:
        """Precisions that roles without `fallback_precisions` take where the plan does not fit."""
        return {}

    def notes(self, workload: Workload) -> Iterable[str]:
        """What a plan of the workload is to say beside its bill."""
        return ()

    def carried_out(self, workload: Workload) -> Workload:
        """What a run does of the workload: all of it, itself."""
        return workload

    def stored(self, workload: Workload, models: Mapping[str, Model]) -> Iterable[Stored]:
        """What the kind keeps on disk beyond a run, at its limit; `models` by the names roles give them."""
        return ()

    def files(self) -> tuple[str, ...]:
        """Files the run reads, as the workload file names them."""
        return ()

    def extras(self) -> Mapping[str, str]:
        """Optional extras that a run makes use of, and what it goes without where one is missing."""
        return {}

    def runs_in(self) -> str:
        """The folder for runs that are given none."""
        return RUNS
