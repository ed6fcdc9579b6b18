"""From captures in a workload file to points of a loaded model."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ullage.capture.taps import Tap, tap_of
from ullage.errors import SpecError
from ullage.facts.architecture import Architecture
from ullage.memory.captures.sites import LAYER_SITES, MODEL_SITES, Site, matched_sites
from ullage.runtime.layout import Layout
from ullage.spec.capture import Capture


@dataclass(frozen=True, slots=True)
class Point:
    """One tensor to keep: its full name (`blocks.3.hook_resid_post`), how, and where it is."""

    name: str
    site: Site
    capture: Capture
    tap: Tap


def site_name(site: Site) -> str:
    """`blocks.{layer}.{hook}`, or the hook alone outside the layers."""
    return site.hook if site.hook in MODEL_SITES else f"blocks.{site.block - 1}.{site.hook}"


def find_points(captures: Iterable[Capture], architecture: Architecture, layout: Layout) -> tuple[Point, ...]:
    """Every point the captures name, in model order; of captures that name one site twice the first.

    `architecture` is the whole model's, though `layout` may be of its first layers alone. Raises
    SpecError listing the sites the model has where one is missing.
    """
    found: dict[str, Point] = {}
    lacking = []
    for capture in captures:
        for site in matched_sites(capture, architecture):
            tap = tap_of(site, layout)
            if tap is None:
                lacking.append(site)
            else:
                found.setdefault(site_name(site), Point(site_name(site), site, capture, tap))
    if lacking:
        names = ", ".join(site_name(site) for site in lacking[:5])
        block = lacking[0].block
        has = [hook for hook in LAYER_SITES if tap_of(Site(hook, block), layout) is not None]
        raise SpecError(
            [
                f"captures: {architecture.name} has no {names}; block {block - 1} has "
                f"{', '.join(has)}; the model has {', '.join(MODEL_SITES)}"
            ]
        )
    return tuple(sorted(found.values(), key=lambda point: (point.site.block, point.name)))
