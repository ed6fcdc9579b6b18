"""A workload as the text of a file that says the same."""

from __future__ import annotations

import json

from ullage.spec.workload import Workload


def workload_text(workload: Workload) -> str:
    """The workload as one file, JSON."""
    body = workload.model_dump(mode="json", exclude_defaults=True, exclude={"section"})
    body["kind"] = workload.kind
    body["roles"] = {name: role.model_dump(mode="json") for name, role in workload.roles.items()}
    if workload.section is not None:
        body[workload.kind] = workload.section.model_dump(mode="json")
    return json.dumps(body, indent=1)
