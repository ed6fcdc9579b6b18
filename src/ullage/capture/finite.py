"""States that are no numbers: found before they are stored."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

from ullage.capture.entries import StoredBatches
from ullage.capture.sites import Point
from ullage.records.not_finite import KEY, NotFinite

if TYPE_CHECKING:
    from torch import Tensor


def not_finite(states: Mapping[str, Tensor]) -> dict[str, int]:
    """How many values of each site of a sequence are NaN or infinite; sites without any are left out."""
    found = {}
    for site, tensor in states.items():
        # Both ends are NaN where anything is; nothing is held beside the states.
        if tensor.numel() and not all(math.isfinite(end.item()) for end in tensor.aminmax()):
            found[site] = tensor.numel() - int(tensor.isfinite().sum())
    return found


def refused(found: Mapping[str, int], points: Iterable[Point]) -> str | None:
    """The first site, in model order, that is not to hold what was `found`: what is said of it."""
    for point in points:
        if point.name in found and not point.capture.allow_nan:
            layer = f" (layer {point.site.block - 1})" if point.name.startswith("blocks.") else ""
            return f"{point.name}{layer} holds {found[point.name]:,} values that are NaN or infinite"
    return None


def outcome_of(stored: Iterable[StoredBatches]) -> dict[str, object]:
    """What a record's outcome says of stored values that are not finite, if there are any."""
    sequences, sites = 0, dict[str, int]()
    for example in (example for each in stored for example in each.examples):
        sequences += bool(example.not_finite)
        for site, count in (example.not_finite or {}).items():
            sites[site] = sites.get(site, 0) + count
    return {KEY: asdict(NotFinite(sum(sites.values()), sequences, sites))} if sites else {}
