"""What a workload needs: models, plans, the cheapest cards."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ullage.errors import InputError
from ullage.workloads.loading import sections
from ullage.workloads.planned import models_of, outcome, plan

if TYPE_CHECKING:
    from ullage.facts.architecture import Model
    from ullage.facts.gpu import GpuSet
    from ullage.planning.advice import Outcome
    from ullage.planning.plan import Plan
    from ullage.spec.workload import Memory, Training, Workload


def estimate_model(
    model: str,
    gpus: str = "1xA100-80GB",
    *,
    base: Path | None = None,
    advice: bool = False,
    examples: int = 1000,
    **fields: Any,
) -> Plan:
    """The one-model question: load, prefill and decode of a role with `fields`, without a file."""
    return plan(bare_workload(model, examples, **fields), gpus, base=base, advice=advice)


def bare_workload(
    model: str,
    examples: int = 1000,
    *,
    train: str | None = None,
    gradient_checkpointing: bool = False,
    training: Training | None = None,
    memory: Memory | None = None,
    **fields: Any,
) -> Workload:
    """One role that loads, reads a prompt and generates, or trains; no reserve is kept, and its layers
    are split over all GPUs as transformers' `device_map="auto"` does.

    Raises InputError for a field a role does not have or a value it cannot take.
    """
    from pydantic import ValidationError

    from ullage.spec.budget import Budget
    from ullage.spec.role import Role
    from ullage.spec.workload import Memory, Training, Workload
    from ullage.workloads import single_model

    try:
        role = Role(model=model, **({"placement": "balanced"} | fields))
        if train is not None:
            training = Training.model_validate({"optimizer": train})
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc']))} is {e['input']!r}: {e['msg']}" for e in error.errors()]
        raise InputError("; ".join(lines)) from error
    return Workload(
        kind=single_model.name,
        name=model,
        roles={"model": role},
        examples=examples,
        batch=role.batch or 1,
        prompt_tokens=1024 if role.prompt_tokens is None else role.prompt_tokens,
        new_tokens=0 if role.new_tokens is None else role.new_tokens,
        memory=memory or Memory(enable_gradient_checkpointing=gradient_checkpointing),
        training=training,
        budget=Budget(reserve="0%"),
    )


def gpus(workload: Workload, *, base: Path | None = None) -> list[tuple[GpuSet, Outcome]]:
    """Every priced GPU set that holds the workload, cheapest per 1000 examples first."""
    from ullage.planning.advice import fitting_sets

    models = models_of(workload, base)
    return fitting_sets(workload, lambda candidate, chosen: outcome(candidate, models, chosen))


def model(name: str, base: Path | None = None) -> Model:
    """A model by catalog name, folder, config.json or GGUF file."""
    from ullage.facts.model import open_model

    return open_model(name, base)


def sample(task: str, out: str | Path, split: str = "test", count: int = 100, seed: int = 0) -> Path:
    """Labelled examples of one task of the small world that `ullage:tiny` knows, as JSON lines in `out`.

    Raises InputError for a task or split that does not exist, or a file that cannot be written.
    """
    from ullage.records.atomic import write_text
    from ullage.tinyworld import json_lines

    if count < 1:
        raise InputError(f"count: {count} examples cannot be written; ask for 1 or more")
    path = Path(out)
    text = json_lines(task, split, count, seed)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
    except OSError as error:
        raise InputError(f"{out}: cannot be written: {error.strerror or error}") from error
    return path


def schema() -> dict[str, Any]:
    """JSON Schema of the workload file."""
    from ullage.spec.schema import json_schema

    return json_schema(sections())
