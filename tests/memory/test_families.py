"""Rows against a real pass of a small model on the processor: its cache, and its live peak.

Here so many that each mechanism is among them; every row by benchmarks/laws.py, every type in both dtypes by
benchmarks/known_families.py.
"""

import every_family
import pytest
import small_families

from ullage.facts.families.rows import family_of

WITHIN = 0.01
OPEN = {family for family in small_families.FAMILIES if family_of(family).flow_open}
SEEN = {"falcon"}
"""Rows that say their flow is not held against the real code yet: this list only shrinks."""


@pytest.mark.parametrize("family", every_family.covering(small_families.FAMILIES))
@pytest.mark.long
def test_a_pass_keeps_the_cache_and_peaks_where_the_row_says(family):
    dtype = ("fp32", "bf16")[sum(map(ord, family)) % 2]
    small = small_families.build(small_families.config_of(family), dtype)
    batch = 1 if family in OPEN else small_families.BATCH
    peak, cache = small_families.run(small, batch)
    expected, kept = small_families.planned(small, dtype, batch)
    assert kept == cache
    if family not in OPEN:
        assert expected == pytest.approx(peak, rel=WITHIN)


@pytest.mark.parametrize("family", every_family.covering(small_families.ENCODERS))
def test_an_encoder_keeps_nothing_and_peaks_where_the_row_says(family):
    dtype = ("fp32", "bf16")[sum(map(ord, family)) % 2]
    small = small_families.build(small_families.config_of(family), dtype)
    batch = small_families.BATCH
    for padded in (False, True):
        peak, cache = small_families.run(small, batch, padded)
        expected, kept = small_families.planned(small, dtype, batch, padded)
        assert (cache, kept) == (0, 0)
        assert expected == pytest.approx(peak, rel=WITHIN)


def test_no_further_flow_is_open():
    assert OPEN <= SEEN
