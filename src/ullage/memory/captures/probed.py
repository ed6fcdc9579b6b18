"""What probes take that read a model while it runs: their weights, one product a layer, the scores."""

from __future__ import annotations

from typing import Final

from ullage.errors import SpecError
from ullage.facts.architecture import Architecture
from ullage.memory.captures.sites import HEAD_SITES, LOGITS, Site, matched_sites
from ullage.memory.needs import Home, Need
from ullage.phases.phase import Probed, Work
from ullage.spec.capture import Capture
from ullage.units import Interval

SLICE: Final = 1024
"""Tokens whose states are multiplied at a time."""
FP32: Final = 4
"""Bytes of a weight of a probe, and of a score."""


def probe_needs(
    whole: Architecture, compute: str, on_host: bool, work: Work, new: int, seen: int
) -> list[Need]:
    """Weights (width x columns a site), states of a slice in fp32, and a score a token and column.

    `new` tokens of each sequence go through one pass, `seen` is how many there are at its end. Raises
    SpecError for a site that the model lacks, or whose width is not the probe's.
    """
    columns: dict[Site, int] = {}
    for probed in work.probed:
        for site in _sites(probed, whole):
            columns[site] = columns.get(site, 0) + probed.columns
    width = whole.hidden_size
    home: Home = "gpu" if on_host else "host"
    needs = []
    for site, count in columns.items():
        weights = Interval.exactly(width * count * FP32)
        needs.append(Need("probes", (site.block,), weights, "exact", note=f"weights at {site.hook}"))
        kept = work.batch * seen * count * FP32
        needs.append(
            Need("probes", (site.block,), Interval(0, kept, kept), "derived", home=home, note="scores")
        )
        rows = min(work.batch * new, SLICE)
        states = 0 if compute == "fp32" else rows * width * FP32
        made = work.batch * new * count * FP32  # in slices, and joined
        passing = Interval(made, states + made, states + 2 * made)
        note = "states of a slice in fp32, and their products"
        needs.append(Need("probes", (site.block,), passing, "derived", "max", note=note))
    return needs


def _sites(probed: Probed, whole: Architecture) -> tuple[Site, ...]:
    try:
        found = matched_sites(Capture(sites=probed.sites), whole)
    except SpecError as error:
        raise SpecError([f"probes.{probed.name}: {each}" for each in error.mistakes]) from error
    wrong = [site.hook for site in found if site.hook in HEAD_SITES or site.hook == LOGITS]
    if wrong:
        raise SpecError(
            [f"probes.{probed.name}: reads {wrong[0]}, which has no one state a token; refit it elsewhere"]
        )
    if probed.hidden != whole.hidden_size:
        raise SpecError(
            [
                f"probes.{probed.name}: reads states of {probed.hidden:,} values, and {whole.name} has "
                f"{whole.hidden_size:,}: it is of another model"
            ]
        )
    return found
