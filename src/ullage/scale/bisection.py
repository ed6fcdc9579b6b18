"""Which line of a partition ends whoever does it: found by doing halves of it, and kept to what was seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

DEATHS: Final = 3
"""Of actors at one partition, after which its lines are tried; of actors at one line alone, after which that
is rejected."""

Found = Literal["nothing yet", "it is the line", "no line alone"]


@dataclass(slots=True)
class Bisection:
    """The search in one partition.

    Invariant: if one line alone ends actors, it is among `suspects`. Once one is left it has to end DEATHS
    actors by itself: where others killed them, or only lines together do, no line is blamed.
    """

    suspects: range
    deaths: int = 0

    @property
    def trial(self) -> range:
        """Lines to do alone: the first half of the suspects."""
        return self.suspects[: (len(self.suspects) + 1) // 2]

    def lived(self) -> Found:
        """Whoever did the trial lived."""
        if len(self.suspects) == 1:
            return "no line alone"
        self.suspects = self.suspects[len(self.trial) :]
        return "nothing yet"

    def died(self) -> Found:
        """Whoever did the trial died."""
        self.suspects = self.trial
        if len(self.suspects) > 1:
            return "nothing yet"
        self.deaths += 1
        return "it is the line" if self.deaths == DEATHS else "nothing yet"
