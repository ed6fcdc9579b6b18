"""The one-model question: what a model needs, without a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from ullage.spec.role_fields import RoleFields
from ullage.workloads.fidelity import with_fidelity
from ullage.workloads.planned import plan

if TYPE_CHECKING:
    from ullage.planning.plan import Plan
    from ullage.spec.training import Training
    from ullage.spec.workload import Memory, Workload


def estimate_model(
    model: str,
    gpus: str = "1xA100-80GB",
    *,
    base: Path | None = None,
    advice: bool = False,
    examples: int = 1000,
    train: str | None = None,
    lora: int | Mapping[str, object] | None = None,
    gradient_checkpointing: bool = False,
    fidelity: str | None = None,
    **fields: Unpack[RoleFields],
) -> Plan:
    """Load, prefill and decode of a role with `fields`; with `train`, an optimizer, its training: of all its
    weights, or of adapters beside them where `lora` is their rank, or fields as peft's LoraConfig has.
    `fidelity` is how it is known what passes take: formula, traced or auto, which is the default.

    Raises SpecError for a field that a role does not have or a value it cannot take, as a file does.
    """
    workload = bare_workload(
        model,
        examples,
        train=train,
        lora=lora,
        gradient_checkpointing=gradient_checkpointing,
        fidelity=fidelity,
        **fields,
    )
    return plan(workload, gpus, base=base, advice=advice)


def bare_workload(
    model: str,
    examples: int = 1000,
    *,
    train: str | None = None,
    lora: int | Mapping[str, object] | None = None,
    gradient_checkpointing: bool = False,
    training: Training | None = None,
    memory: Memory | None = None,
    fidelity: str | None = None,
    **fields: Unpack[RoleFields],
) -> Workload:
    """One role that loads, reads a prompt and generates, or trains; no reserve is kept, and its layers
    are split over all GPUs as transformers' `device_map="auto"` does.

    Raises SpecError as `estimate_model`.
    """
    from ullage.errors import SpecError
    from ullage.spec.budget import Budget
    from ullage.spec.parse import parse_part, parse_role
    from ullage.spec.training import Training
    from ullage.spec.workload import Memory, Workload
    from ullage.workloads import single_model

    role = parse_role({"placement": "balanced", "model": model, **fields})
    if lora is not None and train is None:
        raise SpecError(["lora: adapters are trained by an optimizer; give train as well: adamw"])
    if train is not None:
        beside = {} if lora is None else {"lora": {"r": lora} if isinstance(lora, int) else dict(lora)}
        training = parse_part(Training, {"optimizer": train, **beside})
    made = Workload(
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
    return made if fidelity is None else with_fidelity(made, fidelity)
