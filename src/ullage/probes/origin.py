"""Which model, in which precision, the states of a run are of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

from ullage.errors import FormatError
from ullage.fields import Fields
from ullage.probes.card import Origin
from ullage.records.manifest import Manifest


def origin_of(manifest: Manifest, role: str, model: str) -> Origin:
    """What a run's states of a role are of; `model` is how it is named."""
    return Origin(model, _revision(manifest.inputs, role), _precision(manifest.plan, role))


def _revision(inputs: Sequence[Mapping[str, str]], role: str) -> str:
    """A SHA-256 over the weights and the configuration of a role's model, as the run read them."""
    parts = sorted(
        (each["part"], each.get("sha256", each.get("sampled", "")))
        for each in inputs
        if each.get("role") == role
        and "token" not in each.get("part", "")
        and "chat" not in each.get("part", "")
    )
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest() if parts else ""


def _precision(plan: Mapping[str, object], role: str) -> str:
    try:
        found = Fields(plan, "plan").inner("roles").inner(role).inner("precision")
        storage, compute = found.text("storage"), found.text("compute")
    except FormatError:
        return ""
    return compute if storage == compute else f"{storage}, computed in {compute}"
