"""A kind's own part of the file."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ullage.spec.value import Value

if TYPE_CHECKING:
    from ullage.spec.mistake import Mistake
    from ullage.spec.workload import Workload


class Section(Value):
    """What stands under the key named like the kind, and what the kind asks of the rest."""

    def mistakes(self, workload: Workload) -> Iterable[Mistake]:
        """Roles the kind lacks or does not know, settings it has no use for."""
        return ()

    def files(self) -> tuple[str, ...]:
        """Files the run reads, as the workload file names them."""
        return ()
