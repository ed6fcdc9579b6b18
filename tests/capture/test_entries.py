"""What a journal says of stored states is read back as it was written, or refused."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ullage.capture.entries import Format, StoredBatches, StoredSequence, read_entries
from ullage.errors import FormatError

counts = st.integers(0, 2**40)
rows = st.lists(counts, min_size=3, max_size=4)
formats = st.builds(Format, st.sampled_from(["float32", "bfloat16"]), st.lists(counts, max_size=2))
sequences = st.builds(
    StoredSequence,
    *[st.text(), st.text(), counts, counts, st.text(), st.none() | st.text(), counts, counts],
    st.dictionaries(st.text(), rows),
    st.none() | counts,
)
stored = st.builds(
    StoredBatches,
    st.lists(counts),
    st.text(),
    st.dictionaries(st.text(), formats),
    st.lists(sequences, max_size=3),
    st.none() | st.text(),
    st.none() | counts,
)


@given(st.lists(stored, max_size=3))
def test_what_is_written_is_read_back(batches):
    lines = [json.dumps(each.to_json()) for each in batches]
    assert list(read_entries([json.loads(line) for line in lines])) == batches


@pytest.mark.parametrize("entry", [{}, {"units": "one"}, {"units": [0], "sha256": 3, "sites": {}}])
def test_an_entry_that_was_changed_is_refused(entry):
    with pytest.raises(FormatError, match="entries of states were changed"):
        list(read_entries([entry]))
