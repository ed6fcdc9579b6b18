"""Points of which not the states are kept but their product with a few columns of weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ullage.capture.sites import Point
from ullage.capture.taps import Seen, Take
from ullage.errors import UnsupportedError
from ullage.memory.captures.probed import SLICE
from ullage.memory.captures.sites import HEAD_SITES, LOGITS
from ullage.spec.capture import Capture

if TYPE_CHECKING:
    from torch import Tensor

Products = dict[str, "Tensor"]
"""Of one sequence by site, (tokens, columns) fp32."""
PROBED: Final = "probed "
"""What the name of such a point begins with; its site follows."""


def projected_capture(site: str) -> Capture:
    """What is kept at a site of which the product is kept: fp32 numbers of every token."""
    return Capture(sites=(site,), positions="all", precision="fp32", allow_nan=True)


def projected(point: Point, weights: Tensor) -> Point:
    """A point where the states' product with `weights`, (width, columns) fp32, is kept: (tokens, columns).

    Raises UnsupportedError for a site that has no one state of that width a token.
    """
    if point.site.hook in HEAD_SITES or point.site.hook == LOGITS:
        raise UnsupportedError(
            f"{point.name}: a probe reads states of the residual stream or of a block's output, one a token"
        )
    return replace(
        point, name=PROBED + point.name, tap=replace(point.tap, take=_product(point.tap.take, weights))
    )


def stored_in(states: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The states among all that was read."""
    return {name: each for name, each in states.items() if not name.startswith(PROBED)}


def products_in(states: Mapping[str, Tensor]) -> Products:
    """What projected points gave, (tokens, columns) by their site's name, among all that was read."""
    return {name.removeprefix(PROBED): each for name, each in states.items() if name.startswith(PROBED)}


def _product(take: Take, weights: Tensor) -> Take:
    here = {weights.device: weights}

    def taken(seen: Seen) -> Tensor:
        import torch

        states = take(seen)
        where = here.get(states.device)
        if where is None:  # of a model over several devices
            where = here[states.device] = weights.to(states.device)
        rows = states.flatten(0, -2)
        # Slice by slice: states of a long prompt are not copied into fp32 whole.
        parts = [rows[at : at + SLICE].to(torch.float32) @ where for at in range(0, len(rows), SLICE)]
        found = parts[0] if len(parts) == 1 else torch.cat(parts)
        unfolded: Tensor = found.unflatten(0, states.shape[:-1])
        return unfolded

    return taken
