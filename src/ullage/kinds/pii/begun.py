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
from ullage.workloads.inputs import files_of
from ullage.workloads.portable import portable_names, with_names


def check_same(held: RunFolder, made: Workload, gpus: str, base: Path) -> None:
    """Raises InputError unless a run was begun with the settings and the files that are given now.

    Its batch may differ: `auto` may come to another one.
    """
    manifest = held.manifest()
    plan = Fields(manifest.plan, f"{held.path}: the plan in manifest.json")
    now_as = with_names(made, portable_names(made, base))
    before, now = _flat(plan.inner("settled").values), _flat(json.loads(workload_text(now_as)))
    before["gpus"], now["gpus"] = plan.text("asked"), gpus
    different = {name for name in before | now if name != "batch" and before.get(name) != now.get(name)}
    shown = ", ".join(sorted(different))
    if different:
        raise InputError(
            f"{held.path}: was begun with other settings ({shown}); give the same, or name another output"
        )
    files = files_of(now_as, base)
    for old, new in zip([one for one in manifest.inputs if "file" in one], files, strict=True):
        if old != new:
            raise InputError(f"{new['file']}: has changed since {held.path} was begun; name another output")


def _flat(document: Mapping[str, object], before: str = "") -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in document.items():
        found |= _flat(value, f"{before}{name}.") if isinstance(value, dict) else {before + name: value}
    return found
