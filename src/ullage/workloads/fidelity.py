"""How what passes take is known: what a workload says of it, and the traces that it is known by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ullage.facts.architecture import Architecture

if TYPE_CHECKING:
    from ullage.facts.architecture import Model
    from ullage.memory.traced import Asked, Traced, Tracing
    from ullage.spec.workload import Fidelity, Workload


def with_fidelity(workload: Workload, fidelity: str) -> Workload:
    """The workload planned by formulas, by traces, or as it is best known. Raises SpecError."""
    from ullage.spec.parse import parse_part
    from ullage.spec.workload import Memory

    said = parse_part(Memory, {"fidelity": fidelity}).fidelity
    return workload.model_copy(update={"memory": workload.memory.model_copy(update={"fidelity": said})})


def tracing_by(fidelity: Fidelity, base: Path | None) -> Tracing:
    """Traces models whose paths are relative to `base`; torch is loaded once something is asked of it."""
    from ullage.memory.traced import Tracing

    def trace(asked: Asked) -> Traced:
        from ullage.workloads.traced import trace_model

        return trace_model(asked, base)

    return Tracing(trace, fidelity, transformers_here())


@cache
def transformers_here() -> str | None:
    """The version that would run, where one is installed: what the folder beside it is called, for
    `importlib.metadata` reads the whole description, which takes a tenth of a cold plan."""
    found = None
    with suppress(ImportError, ValueError):
        found = find_spec("transformers")
    if found is None or found.origin is None:
        return None
    folders = Path(found.origin).parents[1].glob("transformers-*.dist-info")
    return next((each.name.removesuffix(".dist-info").partition("-")[2] for each in folders), None)


def any_counted(models: Mapping[str, Model]) -> bool:
    """Whether there is a model that no row describes."""
    return any(isinstance(each, Architecture) and bool(each.counted) for each in models.values())


def unsearched(advice: bool, models: Mapping[str, Model]) -> Iterator[str]:
    """Why no advice is given, where none was looked for."""
    names = [name for name, each in models.items() if any_counted({name: each})]
    if advice and names:
        yield (
            f"no advice was searched: no row describes {', '.join(names)}, and each candidate would have to "
            "be traced; change batch, prompt_tokens or gpus and plan again"
        )
