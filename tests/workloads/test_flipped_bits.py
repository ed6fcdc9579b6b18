"""A bit that is flipped anywhere in a run's folder is found, or changes no result."""

import flipped_bits
import pytest

CASES = {case.name: case for case in flipped_bits.cases(4)}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("state", ["finished", "unfinished"])
@pytest.mark.long
def test_a_flipped_bit_is_found_or_harmless(tmp_path, name, state):
    flipped_bits.inputs(tmp_path, 4)
    whole, half = flipped_bits.make(CASES[name], tmp_path)
    left = whole if state == "finished" else half
    found = flipped_bits.attack(CASES[name], whole, left, state == "finished", 10)
    assert found["found"] > 0
    assert found["silent_in"] == []
    assert found["lost_in"] == []
