"""The workload file that the page was opened with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ullage.spec.document import LARGEST_TEXT, read_document
from ullage.spec.override import apply_overrides
from ullage.spec.written import document_text, workload_text

if TYPE_CHECKING:
    from ullage.planning.plan import Plan

NEW: Final = """\
kind: extract
name: a new workload
budget:
  gpus: RTX 4090
roles:
  model:
    model: Qwen/Qwen2.5-7B-Instruct
prompt_tokens: 2048
new_tokens: 0
batch: 1
captures:
  - sites: ["blocks.{l}.hook_resid_post"]
    positions: last
"""
"""What is planned where no file was given."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file's text, the name it has in messages, and the folder that its paths are relative to. `opens` are
    the models and probes that it names: beside the catalog's models, all that a plan of it may open."""

    text: str
    name: str
    base: Path
    opens: frozenset[str]

    def data(self) -> dict[str, Any]:
        """What the text says."""
        return dict(read_document(self.text, self.name).data)


def read_source(file: str | None) -> Source:
    """Raises SpecError or InputError for what is no workload, however wrong its values may be."""
    if file is None:
        return _source(NEW, "new.yaml", Path())
    from ullage.workloads.loading import folder_of, text_of

    text = text_of(Path(file), LARGEST_TEXT)
    return _source(text, file, folder_of(file))


def source_of(plan: Plan, name: str) -> Source:
    """The workload of a plan, as it was settled on, for the cards that it was asked for."""
    data: dict[str, Any] = json.loads(workload_text(plan.workload))
    if plan.asked:
        data["budget"] = {**data.get("budget", {}), "gpus": plan.asked}
    return Source(document_text(data), name, plan.base, frozenset(opened_by(data)))


def _source(text: str, name: str, base: Path) -> Source:
    from ullage.workloads.registry import find_reader

    document = read_document(text, name)
    reader = None if "kind" in document.data else find_reader(document)
    if reader is not None:  # of another form: from here on in that of a workload
        text = document_text(dict(reader.workload_in(document)))
        document = read_document(text, name)
    data = deepcopy(document.data)
    apply_overrides(document, ())
    return Source(text, name, base, frozenset(opened_by(data)))


def opened_by(data: Mapping[str, Any]) -> set[str]:
    """Models, and files and folders of probes, that planning opens by the names a file gives them.

    Whatever stands under such a key counts, wherever it stands: a part that is not understood opens nothing.
    """
    found: set[str] = set()
    roles, probes = data.get("roles"), data.get("probes")
    for role in roles.values() if isinstance(roles, Mapping) else ():
        found |= {role} if isinstance(role, str) else set(_texts_under(role, "model"))
    for probe in probes.values() if isinstance(probes, Mapping) else ():
        found |= set(_texts(probe))
    return found


def _texts_under(value: Any, key: str) -> set[str]:
    found: set[str] = set()
    if isinstance(value, Mapping):
        for name, inner in value.items():
            found |= set(_texts(inner)) if name == key else _texts_under(inner, key)
    return found


def _texts(value: Any) -> set[str]:
    if isinstance(value, str):
        return {value}
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return {text for each in inner for text in _texts(each)}
