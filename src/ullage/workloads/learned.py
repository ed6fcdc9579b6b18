"""What plans take from past runs on this machine: memory that no formula knows, and times."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

from ullage.units import MIB

if TYPE_CHECKING:
    from ullage.facts.gpu import GpuSet
    from ullage.memory.process import Overhead
    from ullage.planning.measured_time import MeasuredTimes
    from ullage.records.evidence import Evidence
    from ullage.records.observation import Here, Key
    from ullage.spec.workload import Workload


_ANYWHERE: Final = ContextVar("anywhere", default=False)


@contextmanager
def as_anywhere() -> Iterator[None]:
    """Plans made within are the same on every machine: nothing is taken from runs on this one."""
    token = _ANYWHERE.set(True)
    try:
        yield
    finally:
        _ANYWHERE.reset(token)


def past_runs() -> Evidence | None:
    """What past runs left, None where they left nothing, or are not to count."""
    from ullage.records.evidence_place import is_there

    if _ANYWHERE.get():
        return None
    if not is_there():
        return None
    from ullage.records.evidence_file import known_evidence

    return known_evidence()


def overhead(known: Evidence | None, workload: Workload, gpus: GpuSet, here: Here | None) -> Overhead | None:
    """What evidence says a process takes on `gpus` beside its tensors; None where there is nothing to say.

    Without the process itself, observations under the newest key of this card count.
    """
    held = here.held if here is not None else 0
    nothing = known is None or not known.observations
    if (nothing and not held) or len({gpu.id for gpu in gpus.gpus}) != 1 or gpus.abilities.simulated:
        return None
    from ullage.facts.quantization.known import by_transformers
    from ullage.memory.process import Overhead, beside_tensors
    from ullage.records.evidence import NOTHING
    from ullage.records.observation import shape_of

    quantized = any(role.precision in by_transformers() for role in workload.roles.values())
    usual = beside_tensors(gpus.abilities.processor, held, quantized)
    known = known or NOTHING
    key = _key(known, gpus, here)
    found = known.overhead(key, shape_of(workload), usual, held) if key is not None else None
    if found is None and held:
        found = Overhead(usual, "")
    if found is None or not held:
        return found
    return found._replace(source=f"{held / MIB:,.0f} MiB held before any model. {found.source}".rstrip(". "))


def times(known: Evidence | None, workload: Workload, gpus: GpuSet, here: Here | None) -> MeasuredTimes:
    """How long the workload's phases took on such a set under the same key, by this version of Ullage; none
    where nothing was measured."""
    from ullage.planning.measured_time import NO_TIMES

    key = None if known is None or not known.timings else _key(known, gpus, here)
    if known is None or key is None:
        return NO_TIMES
    from importlib.metadata import version

    from ullage.records.observation import shape_of
    from ullage.records.timing import times_of

    shape = shape_of(workload, sizes=False)  # of each phase, its manner has them
    return times_of(known.timings, key, gpus.name, shape, version("ullage"))


def _key(known: Evidence, gpus: GpuSet, here: Here | None) -> Key | None:
    """That of the process, or of the last run on this card."""
    return here.key if here is not None else known.newest(gpus.gpus[0].id)
