"""States of texts and of what a model writes after them."""

from __future__ import annotations

from collections.abc import Sequence

from ullage.capture.listener import ReadSequence
from ullage.capture.reader import Reader
from ullage.engines.engine import Sampling
from ullage.engines.row import Row
from ullage.engines.writing import Writer
from ullage.runtime.rope import check_written, frequencies_of, groups
from ullage.spec.positions import Range


def written_states(
    reader: Reader,
    writer: Writer,
    rows: Sequence[Row],
    sampling: Sampling,
    spans: Sequence[Range] = (),
) -> list[ReadSequence]:
    """What `reader` hears while `writer` writes: rows together, but where frequencies depend on length.
    `spans` are each row's own.

    Raises UnsupportedError for a row that would outgrow its frequencies, before anything is written.
    """
    config = reader.layout.config
    lengths = [len(row.prompt) for row in rows]
    check_written(config, lengths, sampling.new_tokens)
    found: dict[int, ReadSequence] = {}
    for places in groups(config, lengths):
        longest = max(lengths[place] for place in places) + sampling.new_tokens
        listener = reader.listener(len(places), [spans[place] for place in places] if spans else ())
        with frequencies_of(writer.model, config, longest):
            writer.write([rows[place] for place in places], sampling, listener)
        found |= zip(places, listener.finish(), strict=True)
    return [found[place] for place in range(len(rows))]
