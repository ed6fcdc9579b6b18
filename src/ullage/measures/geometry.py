"""What users of captured states ask of them, each with one definition.

States are arrays (rows, hidden) of any float dtype; sums are float64. Every function raises InputError for
other shapes, empty arrays and rows that hold NaN or infinity, naming the first such row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ullage.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.floating[Any]]

BLOCK_ROWS: Final = 4096
"""Rows converted to float64 at a time."""


@dataclass(frozen=True, slots=True)
class Spectrum:
    """Variances along the principal components of L2-normalised, centred rows, largest first."""

    variances: Array

    def effective_dimension(self, share: float = 0.9) -> int:
        """D_eff: how many components it takes for `share` of the variance."""
        import numpy as np

        total = self.variances.sum()
        if total == 0:
            return 0
        return int(np.searchsorted(np.cumsum(self.variances) / total, share - 1e-12) + 1)

    @property
    def participation_ratio(self) -> float:
        """(sum of variances)^2 / sum of their squares: how many equal components would be as spread out
        (Gao et al. 2017, doi 10.1101/214262)."""
        squares = float((self.variances**2).sum())
        return float(self.variances.sum()) ** 2 / squares if squares else 0.0


def spectrum(states: ArrayLike) -> Spectrum:
    """The spectrum of (rows, hidden) states.

    Raises InputError for fewer than two rows, or a row of zeros, which has no direction.
    """
    import numpy as np

    rows = checked_rows(states, "states")
    if len(rows) < 2:
        raise InputError("states: one row has no variance; give two at least")
    mean = np.zeros(rows.shape[1])
    count = len(rows)
    for begin in range(0, count, BLOCK_ROWS):
        mean += _directions(rows, begin).sum(0) / count
    # The Gram matrix of the smaller side has the same nonzero eigenvalues as the covariance.
    if count <= rows.shape[1]:
        centred = np.concatenate([_directions(rows, b) - mean for b in range(0, count, BLOCK_ROWS)])
        gram = centred @ centred.T
    else:
        gram = np.zeros((rows.shape[1], rows.shape[1]))
        for begin in range(0, count, BLOCK_ROWS):
            centred = _directions(rows, begin) - mean
            gram += centred.T @ centred
    values = np.linalg.eigvalsh(gram / count)[::-1]
    return Spectrum(np.where(values > values[0] * 1e-12, values, 0.0))


def _directions(rows: Array, begin: int) -> NDArray[np.float64]:
    """A block of rows in float64, each of length one."""
    import numpy as np

    block = rows[begin : begin + BLOCK_ROWS].astype(np.float64)
    lengths = np.linalg.norm(block, axis=1, keepdims=True)
    if not lengths.all():
        first = begin + int(np.argmin(lengths[:, 0]))
        raise InputError(f"states: row {first} is all zeros and has no direction; leave it out")
    return np.asarray(block / lengths)


def effective_dimension(states: ArrayLike, share: float = 0.9) -> int:
    """D_eff of (rows, hidden) states: rows L2-normalised and centred, the number of principal components
    whose variances make up `share` of the whole."""
    if not 0 < share <= 1:
        raise InputError(f"share is {share}; give a share of the variance between 0 and 1")
    return spectrum(states).effective_dimension(share)


def participation_ratio(states: ArrayLike) -> float:
    """The participation ratio of the same normalised, centred rows."""
    return spectrum(states).participation_ratio


def compression(input_states: ArrayLike, output_states: ArrayLike, share: float = 0.9) -> float:
    """beta = D_eff of the input over D_eff of the output: above 1 where a stretch of layers compresses."""
    after = effective_dimension(output_states, share)
    if after == 0:
        raise InputError("output_states: all rows are the same; their effective dimension is 0")
    return effective_dimension(input_states, share) / after


def norms(states: ArrayLike) -> Array:
    """L2 norm of each row, (rows,) float64."""
    import numpy as np

    return np.asarray(np.linalg.norm(checked_rows(states, "states").astype(np.float64), axis=1))


def sparsity(states: ArrayLike, threshold: float = 0.01) -> Array:
    """Share of each row's entries that are at most `threshold` of its largest in size, (rows,) float64.

    A row of zeros is wholly sparse: 1.
    """
    import numpy as np

    sizes = np.abs(checked_rows(states, "states").astype(np.float64))
    return np.asarray((sizes <= threshold * sizes.max(1, keepdims=True)).mean(1))


def hoyer_sparsity(states: ArrayLike) -> Array:
    """(sqrt(n) - L1/L2) / (sqrt(n) - 1) of each row, (rows,) float64: 0 where all entries are equal in size,
    1 where one alone is not zero (Hoyer 2004, JMLR 5). A row of zeros counts as 1."""
    import numpy as np

    rows = checked_rows(states, "states").astype(np.float64)
    if rows.shape[1] == 1:
        return np.ones(len(rows))
    root = np.sqrt(rows.shape[1])
    length = np.linalg.norm(rows, axis=1)
    ratio = np.abs(rows).sum(1) / np.where(length == 0, 1.0, length)
    return np.asarray((root - ratio) / (root - 1))


def layer_cosine(layers: Sequence[ArrayLike]) -> Array:
    """Mean over rows of the cosine between the same row's states in each two layers, (layers, layers).

    `layers` are arrays (rows, hidden) of the same rows. A row of zeros in a layer counts as cosine 0.
    """
    import numpy as np

    if len(layers) < 2:
        raise InputError("layers: a cosine needs two layers at least")
    found = [checked_rows(states, f"layers[{index}]") for index, states in enumerate(layers)]
    wrong = next((i for i, states in enumerate(found) if states.shape != found[0].shape), None)
    if wrong is not None:
        raise InputError(
            f"layers[{wrong}] is {found[wrong].shape}, layers[0] {found[0].shape}: not the same rows"
        )
    total = np.zeros((len(found), len(found)))
    for begin in range(0, len(found[0]), BLOCK_ROWS):
        block = np.stack([states[begin : begin + BLOCK_ROWS].astype(np.float64) for states in found])
        lengths = np.linalg.norm(block, axis=2, keepdims=True)
        block /= np.where(lengths == 0, 1.0, lengths)
        total += np.einsum("arh,brh->ab", block, block)
    return np.asarray(total / len(found[0]))


@dataclass(frozen=True, slots=True)
class Neighbours:
    """`indices` into the states and `cosines`, both (queries, k), the nearest first."""

    indices: NDArray[np.int64]
    cosines: Array


def nearest_neighbours(states: ArrayLike, k: int, queries: ArrayLike | None = None) -> Neighbours:
    """The `k` rows of `states` with the largest cosine to each query, exactly; equal ones by their index.

    Without `queries` every row is compared with the others, never with itself.
    """
    import numpy as np

    rows = checked_rows(states, "states")
    asked = rows if queries is None else checked_rows(queries, "queries")
    most = len(rows) - (queries is None)
    if not 1 <= k <= most:
        raise InputError(f"k is {k}; there are {most} rows to choose from")
    if asked.shape[1] != rows.shape[1]:
        raise InputError(f"queries have {asked.shape[1]} columns, states {rows.shape[1]}")
    directions = np.concatenate([_directions(rows, b) for b in range(0, len(rows), BLOCK_ROWS)])
    indices, cosines = [], []
    for begin in range(0, len(asked), BLOCK_ROWS // 4):
        block = _directions(asked[begin : begin + BLOCK_ROWS // 4], 0)
        similar = block @ directions.T
        if queries is None:
            here = np.arange(len(block))
            similar[here, begin + here] = -np.inf
        # A stable sort keeps equal cosines in the order of their indices.
        order = np.argsort(-similar, axis=1, kind="stable")[:, :k]
        indices.append(order)
        cosines.append(np.take_along_axis(similar, order, axis=1))
    return Neighbours(np.concatenate(indices), np.concatenate(cosines))


def neighbours_of(states: ArrayLike, row: int, k: int) -> Neighbours:
    """The `k` other rows of `states` nearest to one of them, as `nearest_neighbours` gives them: (1, k)."""
    import numpy as np

    rows = checked_rows(states, "states")
    if not 0 <= row < len(rows):
        raise InputError(f"row is {row}; there are {len(rows)} rows")
    others = np.delete(np.arange(len(rows)), row)
    if not 1 <= k <= len(others):
        raise InputError(f"k is {k}; there are {len(others)} other rows to choose from")
    found = nearest_neighbours(rows[others], k, rows[row : row + 1])
    return Neighbours(others[found.indices], found.cosines)


def checked_rows(states: ArrayLike, name: str) -> Array:
    """`states` as a (rows, columns) float array; torch tensors of any float dtype are understood."""
    import numpy as np

    detach = getattr(states, "detach", None)
    if detach is not None:
        tensor = detach().cpu()
        states = tensor.float().numpy() if str(tensor.dtype) == "torch.bfloat16" else tensor.numpy()
    found = np.asarray(states)
    if found.ndim != 2 or not np.issubdtype(found.dtype, np.floating):
        raise InputError(f"{name}: {found.dtype} of shape {found.shape} is not a float array (rows, hidden)")
    if not found.size:
        raise InputError(f"{name}: empty, of shape {found.shape}")
    finite = np.isfinite(found).all(1)
    if not finite.all():
        raise InputError(f"{name}: row {int(np.argmin(finite))} holds NaN or infinity")
    return found
