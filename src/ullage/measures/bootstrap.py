"""Intervals from resamples of what was seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

RESAMPLES: Final = 1000
BLOCK_WEIGHTS: Final = 2_000_000
"""Weights held at a time: 16 MB."""


def resamples(counts: Floats, draws: int = RESAMPLES, seed: int = 0) -> Iterator[Floats]:
    """How often each of (rows,) is in each of `draws` resamples with replacement, in blocks (draws, rows).

    `counts` is how often each is there: rows that are alike may stand as one.
    """
    import numpy as np

    chance = np.random.default_rng(seed)
    answers = int(counts.sum())
    most = max(1, BLOCK_WEIGHTS // len(counts))
    for done in range(0, draws, most):
        size = min(most, draws - done)
        yield chance.multinomial(answers, counts / answers, size).astype(float)


def resamples_of_groups(
    groups: Sequence[int] | Floats, draws: int = RESAMPLES, seed: int = 0
) -> Iterator[Floats]:
    """How often each row is in each resample of whole groups, in blocks (draws, rows): rows of one group, as
    of one game, hang together and are drawn together. `groups` is each row's, (rows,)."""
    import numpy as np

    kinds, place = np.unique(np.asarray(groups), return_inverse=True)
    most = max(1, BLOCK_WEIGHTS // len(place))
    for drawn in resamples(np.ones(len(kinds)), draws, seed):
        for begin in range(0, len(drawn), most):
            yield drawn[begin : begin + most, place]


def interval(values: Floats) -> tuple[float, float]:
    """The 2.5th and the 97.5th percentile of (draws,) values: Efron's percentile interval of 95 %."""
    import numpy as np

    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
