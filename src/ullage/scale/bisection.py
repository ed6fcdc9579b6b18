"""Which line of a partition ends whoever does it: found by doing halves of it, and kept to what was seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

DEATHS: Final = 3
"""Of actors at one partition, after which its lines are tried; of actors at one line alone, after which that
is rejected; and at none of its lines, after which those are not to blame."""

Found = Literal["nothing yet", "it is the line", "no line alone", "no line at all"]


@dataclass(slots=True)
class Bisection:
    """The search in one partition; the first trial is of none of its lines: what a partition does beside them
    (a judge's known answers) may end actors too.

    Invariant: if one line alone ends actors, it is among `suspects`. Once one is left it has to end DEATHS
    actors by itself: where others killed them, or only lines together do, no line is blamed.
    """

    suspects: range
    deaths: int = 0
    lines: bool = False

    @property
    def trial(self) -> range:
        """Lines to do alone: the first half of the suspects; none at first."""
        return self.suspects[: (len(self.suspects) + 1) // 2 if self.lines else 0]

    def lived(self) -> Found:
        """Whoever did the trial lived."""
        if not self.lines:
            self.lines, self.deaths = True, 0
            return "nothing yet"
        if len(self.suspects) == 1:
            return "no line alone"
        self.suspects = self.suspects[len(self.trial) :]
        return "nothing yet"

    def died(self) -> Found:
        """Whoever did the trial died."""
        if not self.lines:
            self.deaths += 1
            return "no line at all" if self.deaths == DEATHS else "nothing yet"
        self.suspects = self.trial
        if len(self.suspects) > 1:
            return "nothing yet"
        self.deaths += 1
        return "it is the line" if self.deaths == DEATHS else "nothing yet"
