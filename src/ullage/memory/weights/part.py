"""Which part of a model a run needs: layers after the last site, and a head nobody reads, stay unloaded."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache

from ullage.facts.architecture import Architecture
from ullage.memory.captures.sites import LOGITS, matched_sites
from ullage.phases.phase import Work


def needed_part(works: Iterable[Work], architecture: Architecture) -> Architecture:
    """`architecture` without the layers and the head that none of a role's `works`, its load apart, reads.

    A pass that keeps no logits and continues nothing is over at its last site.
    """
    if architecture.adapter is not None:
        return architecture  # its matrices find their places by the names of the whole model
    last = 0
    for work in works:
        if work.activity != "prefill" or work.logits != "none" or work.new_tokens or not work.captures:
            return architecture
        for capture in work.captures:
            sites = matched_sites(capture, architecture)
            if any(site.hook == LOGITS for site in sites):
                return architecture
            last = max(last, *(site.block for site in sites))
    if last == 0 or architecture.vision is not None:
        return architecture
    return _first_layers(architecture, min(last, len(architecture.layers)))


@lru_cache(maxsize=1024)
def _first_layers(architecture: Architecture, count: int) -> Architecture:
    return replace(architecture, layers=architecture.layers[:count], head=())
