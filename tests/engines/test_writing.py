"""What cannot be written is told in a line."""

import pytest
import small_families

from ullage.engines.engine import Sampling
from ullage.engines.row import new_row
from ullage.engines.writing import Writer
from ullage.errors import UnsupportedError


@pytest.mark.parametrize("family", ["mamba", "recurrent_gemma"])
def test_a_model_that_gives_no_cache_to_go_on_from_is_refused(family):
    model = small_families.build(small_families.config_of(family)).model
    writer = Writer(model, "cpu", frozenset(), lambda tokens: "")
    with pytest.raises(UnsupportedError, match="is read here and not written"):
        writer.write([new_row((5, 6, 7), 0)], Sampling(2, 0.0, 1.0, ()))
