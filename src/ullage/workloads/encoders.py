"""What a workload's encoders are, taken from their configs before anything is planned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ullage.facts.architecture import Architecture
from ullage.spec.workload import ONE_MODEL, SERVED, Workload

if TYPE_CHECKING:
    from ullage.facts.architecture import Model


def with_labels(workload: Workload, models: Mapping[str, Model]) -> Workload:
    """The workload with the labels of every role's encoder: they say whether it reads one text or two."""
    found = {}
    for name, role in workload.roles.items():
        model = models.get(role.model)
        labels = model.labels if isinstance(model, Architecture) and role.runs_with.local else ()
        found[name] = role if role.labels == labels else role.model_copy(update={"labels": labels})
    if all(found[name] is role for name, role in workload.roles.items()):
        return workload
    return workload.model_copy(update={"roles": found})


def read_alone(workload: Workload, models: Mapping[str, Model]) -> tuple[Workload, tuple[str, ...]]:
    """The workload of one model, or of served ones, without new tokens for encoders, and a line that says
    so."""
    encoders = [model for model in models.values() if isinstance(model, Architecture) and model.encodes]
    if workload.kind == SERVED:
        return _with_encoders(workload, {model.name for model in encoders}, models), ()
    if workload.kind != ONE_MODEL or not encoders or not workload.new_tokens:
        return workload, ()
    roles = {name: role.model_copy(update={"new_tokens": 0}) for name, role in workload.roles.items()}
    said = f"{encoders[0].name} is an encoder: it reads prompt_tokens in one pass, and writes nothing"
    return workload.model_copy(update={"roles": roles, "new_tokens": 0}), (said,)


def _with_encoders(workload: Workload, encoders: set[str], models: Mapping[str, Model]) -> Workload:
    roles = {
        name: role.model_copy(update={"new_tokens": 0})
        if role.model in models and models[role.model].name in encoders
        else role
        for name, role in workload.roles.items()
    }
    return workload.model_copy(update={"roles": roles})
