"""What one pass over rows tells of them: means, spread, products."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ullage.probes.rows import Block, Group, Rows

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ullage.probes.probe import Floats


@dataclass(slots=True)
class Moments:
    """Count, mean (width,) and summed squares of deviations (width,) of rows; of one site the products of
    deviations, (width, width), too, where they are asked for.

    Chan, Golub and LeVeque 1983, Algorithms for computing the sample variance, section 2: blocks are merged
    by their own means, so that large means cost no digits.
    """

    count: int
    mean: Floats
    squares: Floats
    products: Floats | None = None

    @property
    def scale(self) -> Floats:
        """The standard deviation of each value, as StandardScaler's: 1 where it does not vary."""
        import numpy as np

        variance = self.squares / max(self.count, 1)
        still = variance <= 10 * np.finfo(np.float64).eps * self.mean**2
        return np.asarray(np.where(still | (variance == 0), 1.0, np.sqrt(variance)))

    def add(self, states: Floats) -> None:
        """More rows, (rows, width)."""
        import numpy as np

        rows = len(states)
        mean = states.mean(axis=0, dtype=np.float64)
        centred = states - mean
        apart = mean - self.mean
        share = self.count * rows / (self.count + rows)
        self.squares += np.einsum("ij,ij->j", centred, centred) + share * apart**2
        if self.products is not None:
            self.products += centred.T @ centred
            self.products += share * np.outer(apart, apart)
        self.mean += apart * (rows / (self.count + rows))
        self.count += rows


def moments(rows: Rows, groups: Sequence[Group], products: bool = False) -> list[Moments]:
    """Of each group, in one pass."""
    import numpy as np

    found = [
        Moments(0, np.zeros(width), np.zeros(width), np.zeros((width, width)) if products else None)
        for width in map(rows.width, groups)
    ]
    for block in rows.blocks(groups):
        found[block.group].add(block.states)
    return found


def class_means(
    rows: Rows, groups: Sequence[Group], labels: NDArray[np.bool_]
) -> list[tuple[Floats, Floats]]:
    """Of each group the means of rows of label 0 and 1, (labelings, width) each, in one pass.

    `labels` is (labelings, dialogues): several may be tried at once.
    """
    import numpy as np

    sums = [np.zeros((2, len(labels), rows.width(group))) for group in groups]
    counts = np.zeros((2, len(labels)))
    for block in rows.blocks(groups):
        mine = labels[:, block.dialogue].astype(np.float64)
        sums[block.group][1] += mine @ block.states
        sums[block.group][0] += (1 - mine) @ block.states
        if block.group == 0:
            counts[1] += mine.sum(axis=1)
            counts[0] += (1 - mine).sum(axis=1)
    return [(total[0] / counts[0][:, None], total[1] / counts[1][:, None]) for total in sums]


def paired_products(rows: Rows, groups: Sequence[Group], pair: NDArray[np.int64]) -> list[tuple[Floats, int]]:
    """Of each group the summed outer products of differences within pairs, and how many pairs.

    `pair` (dialogues,) names the pair each dialogue is of, -1 none; rows are one a dialogue. A row waits
    until the other of its pair comes.
    """
    import numpy as np

    found = [np.zeros((rows.width(group),) * 2) for group in groups]
    waiting: list[dict[int, Floats]] = [{} for _ in groups]
    counts = [0] * len(groups)
    for block in rows.blocks(groups):
        differences = _differences(block, pair, waiting[block.group])
        if len(differences):
            found[block.group] += differences.T @ differences
            counts[block.group] += len(differences)
    return list(zip(found, counts, strict=True))


def _differences(block: Block, pair: NDArray[np.int64], waiting: dict[int, Floats]) -> Floats:
    import numpy as np

    parts = []
    for state, name in zip(block.states, pair[block.dialogue], strict=True):
        if name < 0:
            continue
        other = waiting.pop(int(name), None)
        if other is None:
            waiting[int(name)] = state.astype(np.float64)
        else:
            parts.append(state - other)
    return np.array(parts)
