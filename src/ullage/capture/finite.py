"""States that are no numbers: found before they are stored."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from ullage.capture.entries import StoredBatches
from ullage.capture.gradients import GRADIENT, LOSS
from ullage.capture.sites import Point
from ullage.records.not_finite import KEY, NotFinite

if TYPE_CHECKING:
    from torch import Tensor

TOGETHER: Final = 2**18
"""Values that are joined to look at them at once: where calls are watched, each has its price."""


def not_finite(batch: Sequence[Mapping[str, Tensor]]) -> list[dict[str, int]]:
    """How many values of each site of each sequence are NaN or infinite; sites without any are left out."""
    import torch

    found: list[dict[str, int]] = [{} for _ in batch]
    for site in batch[0] if batch else ():
        tensors = [states[site] for states in batch]
        together = sum(tensor.numel() for tensor in tensors) <= TOGETHER
        same = len({tensor.shape[1:] for tensor in tensors}) == 1
        if together and same and _finite(torch.cat(tensors)):
            continue
        for place, tensor in enumerate(tensors):
            if not _finite(tensor):
                found[place][site] = tensor.numel() - int(tensor.isfinite().sum())
    return found


def _finite(tensor: Tensor) -> bool:
    """Whether all are numbers: both ends are NaN where anything is. Nothing is held beside the tensor."""
    return not tensor.numel() or all(math.isfinite(end.item()) for end in tensor.aminmax())


def refused(found: Mapping[str, int], points: Iterable[Point]) -> str | None:
    """The first site, in model order, that is not to hold what was `found`: what is said of it."""
    points = tuple(points)
    for point in points:
        layer = f" (layer {point.site.block - 1})" if point.name.startswith("blocks.") else ""
        for name in (point.name, f"{point.name}{GRADIENT}"):
            if name in found and not point.capture.allow_nan:
                return f"{name}{layer} holds {found[name]:,} values that are NaN or infinite"
    if LOSS in found and not all(point.capture.allow_nan for point in points):
        return "its loss is NaN or infinite"
    return None


def outcome_of(stored: Iterable[StoredBatches]) -> dict[str, object]:
    """What a record's outcome says of stored values that are not finite, if there are any."""
    sequences, sites = 0, dict[str, int]()
    for example in (example for each in stored for example in each.examples):
        sequences += bool(example.not_finite)
        for site, count in (example.not_finite or {}).items():
            sites[site] = sites.get(site, 0) + count
    return {KEY: asdict(NotFinite(sum(sites.values()), sequences, sites))} if sites else {}
