"""A workload as the text of a file that says the same."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import yaml

from ullage.spec.workload import Workload


def workload_text(workload: Workload) -> str:
    """The workload as one file, JSON."""
    body = workload.model_dump(mode="json", exclude_defaults=True, exclude={"section"})
    body["kind"] = workload.kind
    body["roles"] = {name: role.model_dump(mode="json") for name, role in workload.roles.items()}
    if workload.section is not None:
        body[workload.kind] = workload.section.model_dump(mode="json")
    return json.dumps(body, indent=1)


class _Dumper(yaml.SafeDumper):
    """Words in quotes where the reader of workload files, which knows 1e5 as a number, could take them for
    something else; nothing is named once and referred to."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _word(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    plain = re.match(r"[A-Za-z]", text)
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if plain else '"')


_Dumper.add_representer(str, _word)


def document_text(data: Mapping[str, Any]) -> str:
    """Plain data as a workload file in YAML: read again, it is that data."""
    text: str = yaml.dump(
        dict(data), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100, default_flow_style=None
    )
    return text
