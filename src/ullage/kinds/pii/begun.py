"""A verification that was begun: whether what is asked now is the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from ullage.errors import InputError
from ullage.fields import Fields
from ullage.records.folder import RunFolder
from ullage.spec.workload import Workload
from ullage.spec.written import workload_text
from ullage.workloads.execution import inputs_of


def check_same(held: RunFolder, made: Workload, gpus: str) -> None:
    """Raises InputError unless a run was begun with the settings and the files that are given now.

    Its batch may differ: `auto` may come to another one.
    """
    manifest = held.manifest()
    plan = Fields(manifest.plan, f"{held.path}: the plan in manifest.json")
    before, now = _flat(plan.inner("settled").values), _flat(json.loads(workload_text(made)))
    before["gpus"], now["gpus"] = plan.text("asked"), gpus
    different = {name for name in before | now if name != "batch" and before.get(name) != now.get(name)}
    shown = ", ".join(sorted(different))
    if different:
        raise InputError(
            f"{held.path}: was begun with other settings ({shown}); give the same, or name another output"
        )
    for old, new in zip(manifest.inputs, inputs_of(made, Path()), strict=True):
        if old != new:
            name = new.get("file") or new.get("model")
            raise InputError(f"{name}: has changed since {held.path} was begun; name another output")


def _flat(document: Mapping[str, object], before: str = "") -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in document.items():
        found |= _flat(value, f"{before}{name}.") if isinstance(value, dict) else {before + name: value}
    return found
