"""A plan whose paths hold wherever its run is taken, and name no user."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from ullage.facts.bundled import local_path
from ullage.planning.plan import Plan
from ullage.records.places import impersonal, portable
from ullage.spec.workload import Workload


def portable_plan(plan: Plan) -> Plan:
    """The same plan; absolute paths in its workload are relative to its base or to the user's home."""
    renamed = portable_names(plan.workload, plan.base)
    workload = with_names(plan.workload, renamed)
    places = {"BASE": plan.base}
    return replace(
        plan,
        workload=workload,
        models={renamed.get(name, name): model for name, model in plan.models.items()},
        notes=tuple(impersonal(text, places) for text in plan.notes),
        warnings=tuple(impersonal(text, places) for text in plan.warnings),
    )


def portable_names(workload: Workload, base: Path) -> dict[str, str]:
    """What each absolute path in a workload is called in a run's folder: models, and files that are read."""
    start = base.resolve()
    files = workload.section.files() if workload.section is not None else ()
    models = [role.model for role in workload.roles.values() if local_path(role.model, base).exists()]
    probes = [name for probe in workload.probes.values() for name in probe.files]
    absolute = (name for name in (*models, *files, *probes) if Path(name).is_absolute())
    return {name: portable(Path(name), start) for name in absolute}


def with_names(workload: Workload, renamed: dict[str, str]) -> Workload:
    """The workload, with these paths called otherwise."""
    if not renamed:
        return workload
    roles = {
        name: role.model_copy(update={"model": renamed.get(role.model, role.model)})
        for name, role in workload.roles.items()
    }
    probes = {name: probe.renamed(renamed) for name, probe in workload.probes.items()}
    section = workload.section
    if section is not None:
        document = _walked(json.loads(section.model_dump_json()), renamed)
        section = type(section).model_validate_json(json.dumps(document))
    return workload.model_copy(update={"roles": roles, "probes": probes, "section": section})


def _walked(value: object, renamed: dict[str, str]) -> object:
    if isinstance(value, dict):
        return {key: _walked(each, renamed) for key, each in value.items()}
    if isinstance(value, list):
        return [_walked(each, renamed) for each in value]
    return renamed.get(value, value) if isinstance(value, str) else value
