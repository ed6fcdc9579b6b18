"""The one-model question: what a model needs, without a file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Unpack

from ullage.spec.role_fields import RoleFields
from ullage.workloads.fidelity import with_fidelity
from ullage.workloads.planned import plan

if TYPE_CHECKING:
    from ullage.planning.plan import Plan
    from ullage.spec.role import Role
    from ullage.spec.workload import Workload

USUAL_CARD: Final = "1xA100-80GB"
PROMPT_TOKENS: Final = 1024
"""Of a prompt that nobody gave a length; fewer where the model's window is smaller."""
OF_THE_WORKLOAD: Final = ("batch", "prompt_tokens", "new_tokens")
"""Amounts that stand beside the one role and not in it, so that one setting rules each of them."""


def estimate_model(
    model: str,
    gpus: str | None = None,
    *,
    base: Path | None = None,
    advice: bool = False,
    examples: int = 1000,
    train: str | None = None,
    lora: int | Mapping[str, object] | None = None,
    gradient_checkpointing: bool = False,
    captures: Sequence[str] = (),
    set_: Sequence[str] = (),
    fidelity: str | None = None,
    **fields: Unpack[RoleFields],
) -> Plan:
    """Load, prefill and decode of a role with `fields` on `gpus` (None: USUAL_CARD, or what `set_` names);
    with `train`, an optimizer, its training: of all its weights, or of adapters beside them where `lora` is
    their rank, or fields as peft's LoraConfig has. `captures` are sites whose states are kept; `set_` are
    `path=value` as in a file of one role, `model`. `fidelity` is how it is known what passes take: formula,
    traced or auto, which is the default.

    Raises SpecError for a field that a role does not have or a value it cannot take, as a file does.
    """
    workload = bare_workload(
        model,
        examples,
        base=base,
        train=train,
        lora=lora,
        gradient_checkpointing=gradient_checkpointing,
        captures=captures,
        set_=set_,
        fidelity=fidelity,
        **fields,
    )
    return plan(workload, cards_of(workload, gpus), base=base, advice=advice)


def cards_of(workload: Workload, gpus: str | None) -> str:
    """Those asked for, those that a setting names, or the usual one."""
    return gpus or workload.budget.gpus or USUAL_CARD


def bare_workload(
    model: str,
    examples: int = 1000,
    *,
    base: Path | None = None,
    train: str | None = None,
    lora: int | Mapping[str, object] | None = None,
    gradient_checkpointing: bool = False,
    captures: Sequence[str] = (),
    set_: Sequence[str] = (),
    fidelity: str | None = None,
    **fields: Unpack[RoleFields],
) -> Workload:
    """One role that loads, reads a prompt and generates, or trains; the reserve is any plan's, and its layers
    are split over all GPUs as transformers' `device_map="auto"` does.

    Raises SpecError as `estimate_model`.
    """
    from ullage.errors import SpecError
    from ullage.spec.capture import Capture
    from ullage.spec.parse import parse_part, parse_role
    from ullage.spec.rules import mistakes_in
    from ullage.spec.training import Training
    from ullage.spec.workload import Memory, Workload
    from ullage.workloads import single_model

    role = parse_role({"placement": "balanced", "model": model, **fields})
    if lora is not None and train is None:
        raise SpecError(["lora: adapters are trained by an optimizer; give train as well: adamw"])
    if gradient_checkpointing and train is None:
        raise SpecError(
            ["gradient_checkpointing: saves nothing without a backward pass; give train as well: adamw"]
        )
    training = None
    if train is not None:
        beside = {} if lora is None else {"lora": {"r": lora} if isinstance(lora, int) else dict(lora)}
        training = parse_part(Training, {"optimizer": train, **beside})
    sites = (parse_part(Capture, {"sites": list(captures)}),) if captures else ()
    made = Workload(
        kind=single_model.name,
        name=model,
        roles={"model": role.model_copy(update=dict.fromkeys(OF_THE_WORKLOAD))},
        examples=examples,
        batch=role.batch or 1,
        prompt_tokens=_prompt(role, base) if role.prompt_tokens is None else role.prompt_tokens,
        new_tokens=(role.new_tokens or 0) if train is None else 0,
        captures=sites,
        memory=Memory(enable_gradient_checkpointing=gradient_checkpointing),
        training=training,
    )
    made = with_settings(made, set_)
    taken = [each for each in mistakes_in(made) if each.path[0] == "captures"]
    if taken:
        raise SpecError([f"{'.'.join(map(str, each.path))}: {each.problem}" for each in taken])
    return made if fidelity is None else with_fidelity(made, fidelity)


def with_settings(workload: Workload, settings: Sequence[str]) -> Workload:
    """A workload of one model with `path=value` set, as `--set` does for a file's. The role's own fields may
    be named alone, with hyphens too. Raises SpecError."""
    from ullage.spec.parse import parse_mapping
    from ullage.spec.section import Section
    from ullage.spec.written import workload_text

    if not settings:
        return workload
    given = json.loads(workload_text(workload))
    parsed = parse_mapping(given, {workload.kind: lambda: Section}, [*map(placed, settings)])
    return parsed.model_copy(update={"section": None})


def placed(setting: str) -> str:
    """`precision=nf4` as `roles.model.precision=nf4`, and so `vllm.block_size=32`; a whole path stays."""
    from ullage.spec.installed import OWN
    from ullage.spec.role import Role

    path, equals, value = setting.partition("=")
    name = path.strip().replace("-", "_")
    role = "roles.model."
    if name.removeprefix(role).partition(".")[0] in OF_THE_WORKLOAD:
        return f"{name.removeprefix(role)}{equals}{value}"
    if name.partition(".")[0] in (*Role.model_fields, *OWN):
        return f"{role}{name}{equals}{value}"
    return setting


def _prompt(role: Role, base: Path | None) -> int:
    """How long a prompt is that nobody gave a length: it and what follows are in the model's window."""
    window = _window(role, base)
    return PROMPT_TOKENS if window is None else max(min(PROMPT_TOKENS, window - (role.new_tokens or 0)), 1)


def _window(role: Role, base: Path | None) -> int | None:
    """Positions of the role's model; None where it has no limit, runs elsewhere, or is none: its plan says
    so."""
    from ullage.errors import InputError
    from ullage.facts.model import open_model
    from ullage.phases.blocks import is_local
    from ullage.spec.rope import model_of

    if not is_local(role):
        return None
    try:
        model = model_of(role, {role.model: open_model(role.model, base)})
    except InputError:
        return None
    found: int | None = getattr(model, "max_positions", None)
    return found
