"""From captures in a workload file to points of a loaded model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, cast

from ullage.capture.final import NORMALIZED, Normed, without_gain
from ullage.capture.identities import Broken
from ullage.capture.taps import FindTap, Seen, Tap, given, given_back, kind_of, tap_at
from ullage.errors import SpecError, UnsupportedError
from ullage.facts.families.places import Place
from ullage.memory.captures.sites import LAYER_SITES, LOGITS, MODEL_SITES, Site, Sited, matched, site_name
from ullage.runtime.layout import Layout
from ullage.spec.capture import Capture
from ullage.spec.site_patterns import EVERY

if TYPE_CHECKING:
    from torch import Tensor, nn

Blocks = Mapping[str, Mapping[str, Place | Broken]]
COPIED: Final = "copied"
"""How an embedding is read that the model goes on to change."""
Ends = Mapping[str, str | Broken]


@dataclass(frozen=True, slots=True)
class Point:
    """One tensor to keep: its full name (`blocks.3.hook_resid_post`), how, and where it is."""

    name: str
    site: Site
    capture: Capture
    tap: Tap


@dataclass(frozen=True, slots=True)
class Places:
    """Where sites are: in `blocks` by the kind of a block and the hook, in `ends` those of the model; or what
    is broken about them."""

    blocks: Blocks
    ends: Ends

    def of(self, block: nn.Module) -> Mapping[str, Place | Broken] | None:
        """Places of one block, None for a kind of block that nothing is known of."""
        return self.blocks.get(kind_of(block))


def find_points(
    captures: Iterable[Capture],
    layout: Layout,
    places: Places,
    *,
    name: str,
    depth: int | None = None,
    find: FindTap = tap_at,
) -> tuple[Point, ...]:
    """Every point the captures name, in model order; captures that name one site keep the same of it.

    The pattern `*` takes those that hold. `depth` is the whole model's, though `layout` may be of its first
    layers alone; `name` is what errors call it. Raises SpecError for a site the model lacks, listing those it
    has, UnsupportedError for one whose proof failed, with the identity that broke and the sites that hold.
    """
    sited = sites_in(layout, places, name, depth)
    found: dict[str, Point] = {}
    for capture in captures:
        for site in matched(capture, sited):
            tap = _tap(site, layout, places, find)
            if EVERY in capture.sites and not isinstance(tap, Tap):
                continue
            if tap is None:
                has = ", ".join(
                    hook for hook in MODEL_SITES if _end_tap(hook, layout, places.ends) is not None
                )
                raise SpecError([f"captures: {name} has no {site_name(site)}; the model has {has}"])
            if isinstance(tap, Broken):
                raise UnsupportedError(
                    f"captures: {name}: {site_name(site)} is not what its name says: {tap}. What holds: "
                    f"{', '.join(held_in(places)) or 'no site'}"
                )
            found.setdefault(site_name(site), Point(site_name(site), site, capture, tap))
    return tuple(sorted(found.values(), key=lambda point: (point.site.block, point.name)))


def sites_in(layout: Layout, places: Places, name: str, depth: int | None = None) -> Sited:
    """The sites that a model's blocks define, whether they hold or not. A block of an unknown kind has
    all."""
    hooks = []
    for block in layout.layers:
        known = places.of(block)
        hooks.append(frozenset(LAYER_SITES if known is None else known))
    hooks += [frozenset()] * ((depth or 0) - len(hooks))
    return Sited(name, tuple(hooks))


def held_in(places: Places) -> list[str]:
    """Hooks that hold in every kind of block that defines them, and the model's own sites that do."""
    found = []
    for hook in LAYER_SITES:
        each = [block[hook] for block in places.blocks.values() if hook in block]
        if each and all(isinstance(one, Place) for one in each):
            found.append(hook)
    return [*found, *(site for site in MODEL_SITES if isinstance(places.ends.get(site), str))]


def held_sites(layout: Layout, places: Places) -> tuple[str, ...]:
    """Names of all sites of a model that hold, in model order."""
    count = len(layout.layers)
    sites = [Site("hook_embed", 0)]
    sites += [Site(hook, block) for block in range(1, count + 1) for hook in LAYER_SITES]
    sites += [Site(hook, count + 1) for hook in MODEL_SITES if hook != "hook_embed"]
    return tuple(site_name(site) for site in sites if isinstance(_tap(site, layout, places, tap_at), Tap))


def _tap(site: Site, layout: Layout, places: Places, find: FindTap) -> Tap | Broken | None:
    if site.hook in MODEL_SITES:
        return _end_tap(site.hook, layout, places.ends)
    block = layout.layers[site.block - 1]
    known = places.of(block)
    if known is None:
        return Broken("a small model of this config has such a block", float("inf"))
    place = known.get(site.hook)
    return find(place, site.hook, block, layout.config) if isinstance(place, Place) else place


def _end_tap(hook: str, layout: Layout, ends: Ends) -> Tap | Broken | None:
    how = ends.get(hook)
    if how is None or isinstance(how, Broken):
        return how
    if hook == "hook_embed":
        return Tap(layout.embedding, "end", _copied if how == COPIED else given_back)
    norm = layout.final_norm
    if norm is None or (hook == LOGITS and layout.head is None):
        return None
    if hook == NORMALIZED:
        return Tap(norm, "begin", partial(_without_gain, norm, cast("Normed", how)))
    return Tap(norm, "end", given_back)


def _copied(seen: Seen) -> Tensor:
    return given_back(seen).clone()


def _without_gain(norm: nn.Module, how: Normed, seen: Seen) -> Tensor:
    return without_gain(given(seen), norm, how)
