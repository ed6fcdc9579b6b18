"""What fitting a probe takes in host memory, once its dialogues have been read."""

from __future__ import annotations

from typing import Final

from ullage.facts.architecture import Architecture
from ullage.memory.captures.sites import matched_sites
from ullage.memory.needs import Home, Need
from ullage.phases.phase import Work
from ullage.spec.fitting import SHARES, Fitting
from ullage.units import MIB, Interval

HELD: Final = 128 * MIB
"""Of rows that are kept between the passes of one part of the dialogues (probes.rows), in fp32."""
BLOCK: Final = 8 * MIB
"""Rows that are read at a time, in fp32; a pass makes of them some as large in fp64."""
BLOCKS: Final = 7
FP32, FP64 = 4, 8
SQUARE: Final = ("adjusted", "lat")
"""Methods that hold products of all values of a site with one another, twice."""


def fit_need(whole: Architecture, fitting: Fitting, on_host: bool, work: Work) -> Need:
    """Rows of each part of the dialogues as far as they are kept, blocks of them, and products of a site.

    How many tokens count in a dialogue is known at most. While rows are fitted to, nothing is left of the
    passes that read them.
    """
    (capture,) = work.captures
    sites = len(matched_sites(capture, whole))
    width = whole.hidden_size
    rows = fitting.texts * (1 if fitting.rows != "tokens" else capture.span_tokens or 1)
    all_rows = rows * width * sites * FP32
    block = min(all_rows, BLOCK)
    side = width * (sites if fitting.joined else 1)
    products = 2 * side * side * FP64 if fitting.method in SQUARE else 0
    most = sum(min(int(all_rows * share), HELD) for share in SHARES) + BLOCKS * block + products
    home: Home = "gpu" if on_host else "host"
    note = "rows of a fit, as far as they are kept"
    return Need("probes", (0,), Interval(0, most // 2, most), "derived", "max", home=home, note=note)
