"""Types that are said to be readable are those that were measured to be."""

import json
from pathlib import Path

import pytest

from ullage.errors import UnsupportedError
from ullage.facts.config import read_config
from ullage.facts.families.proven import STATES, WHOLE
from ullage.facts.families.rows import known_types

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results" / "extract_families.json"


def test_the_list_is_what_was_measured():
    rows = json.loads(RESULTS.read_text())["figures"]["rows"]
    assert {row["family"] for row in rows if row["holds"] == "whole"} == WHOLE
    assert {row["family"] for row in rows if row["holds"] == "states"} == STATES
    assert len(WHOLE) >= 85
    assert len(WHOLE | STATES) >= 110


def test_a_family_that_is_not_counted_says_that_its_sites_hold():
    uncounted = min(WHOLE - set(known_types()))
    with pytest.raises(UnsupportedError, match=r"no reader .*Extractor reads its hidden states: every site"):
        read_config({"model_type": uncounted, "n_embd": 64}, "it", "test")
