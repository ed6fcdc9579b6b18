"""What is alive on a device from moment to moment, and what torch's allocator reserves for it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from ullage.memory.allocator.caching import Act


class Lived(NamedTuple):
    """One tensor's memory: made by `operation` in the module at path `module`, as a tensor of `shape` and
    `dtype` (of no shape where it is a workspace). `born` is the moment from which it is there, `gone` the one
    from which it is not; None where it stays."""

    module: str
    operation: str
    component: str
    shape: tuple[int, ...]
    dtype: str
    bytes: int
    born: int
    gone: int | None = None

    def name(self) -> str:
        """As a page shows it."""
        shape = " x ".join(map(str, self.shape)) or "scalar"
        return f"{self.module or 'the pass'} ({self.operation}): {shape} {self.dtype}"


class Moment(NamedTuple):
    """Bytes once something came or went: of tensors, of their blocks, of segments (equal on a processor)."""

    stage: str
    live: int
    allocated: int
    reserved: int


class Shortage(NamedTuple):
    """The request that found no room: which tensor it was for, and torch's words."""

    tensor: Lived
    stage: str
    words: str


@dataclass(frozen=True)
class Timeline:
    """One pass of a role, from the moment at which its weights are there.

    `tensors` are those of `moments` in the order in which they came; the weights came at moment 0. `acts` say
    what the allocator did up to each moment (`acts_until`), each tensor under its place in `tensors`. Of a
    pass that does not fit `shortage` tells where it ended. `stages` are those of the phase itself: what comes
    before them only leads there. `stuck` are bytes reserved in the end that no tensor has and that could not
    be given back. `settings` is what the allocator was told, `notes` what a reader must know.
    """

    model: str
    role: str
    phase: str
    device: str
    capacity: int | None
    settings: str
    stages: tuple[str, ...]
    tensors: tuple[Lived, ...]
    moments: tuple[Moment, ...]
    acts: tuple[tuple[Act, int], ...]
    stuck: int
    shortage: Shortage | None = None
    notes: tuple[str, ...] = ()

    @cached_property
    def fullest(self) -> int:
        """The moment of the phase at which most is alive."""
        return max(self._own, key=lambda at: self.moments[at].live)

    @cached_property
    def _own(self) -> Sequence[int]:
        """The moments of the phase; of one that ended before it began, all."""
        own = [at for at, each in enumerate(self.moments) if not self.stages or each.stage in self.stages]
        return own or range(len(self.moments))

    @property
    def reserved(self) -> int:
        """Bytes of segments at most."""
        return max(each.reserved for each in self.moments)

    def alive(self, moment: int) -> list[Lived]:
        """The tensors that are there then, the largest first."""
        found = [
            each for each in self.tensors if each.born <= moment and (each.gone is None or each.gone > moment)
        ]
        return sorted(found, key=lambda each: -each.bytes)

    def components(self, moment: int) -> dict[str, int]:
        """Bytes then by component, the largest first."""
        found: dict[str, int] = {}
        for each in self.alive(moment):
            found[each.component] = found.get(each.component, 0) + each.bytes
        return dict(sorted(found.items(), key=lambda pair: -pair[1]))

    def peaks(self, count: int) -> list[int]:
        """The fullest moments of the phase, the fullest first: of what one module does in one stage one."""
        best: dict[str, int] = {}
        for at in self._own:
            where = self._where[at]
            if where not in best or self.moments[at].live > self.moments[best[where]].live:
                best[where] = at
        return sorted(best.values(), key=lambda at: (-self.moments[at].live, at))[:count]

    @cached_property
    def _where(self) -> Sequence[str]:
        """By moment the stage and module in which something came last, whatever its layer."""
        came: Mapping[int, Lived] = {each.born: each for each in self.tensors if each.born}
        found, now = [], ""
        for at, moment in enumerate(self.moments):
            if at in came:
                now = re.sub(r"\.\d+\b", ".*", came[at].module)
            found.append(f"{moment.stage} {now}")
        return found

    def where(self, moment: int) -> str:
        """The stage, and the module in which something came last, whatever its layer."""
        return self._where[moment]
