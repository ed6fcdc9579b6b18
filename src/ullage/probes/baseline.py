"""What the words alone tell: a bag of the very tokens that probes read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ullage.errors import MissingExtraError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ullage.probes.probe import Floats


def words_scores(
    token_ids: Sequence[Sequence[int]],
    labels: NDArray[np.bool_],
    fitted: NDArray[np.bool_],
    strength: float = 1.0,
) -> Floats | None:
    """A score of every dialogue, (dialogues,), by logistic regression on the shares of its tokens, fitted to
    some of them; None where those have one token in common and no other, as states without their tokens have.
    Tokens that those do not have count for nothing."""
    try:
        from scipy.sparse import csr_matrix
        from sklearn.linear_model import LogisticRegression
    except ImportError as error:
        raise MissingExtraError("scikit-learn", "probes", "the text-only baseline") from error
    import numpy as np

    known = sorted({one for ids, kept in zip(token_ids, fitted, strict=True) if kept for one in ids})
    if len(known) < 2:
        return None
    columns = {one: at for at, one in enumerate(known)}
    where = [(row, columns[one]) for row, ids in enumerate(token_ids) for one in ids if one in columns]
    rows, places = (np.array(each, np.int64) for each in zip(*where, strict=True))
    counts = np.maximum([len(ids) for ids in token_ids], 1)
    values = 1.0 / counts[rows]
    bag = csr_matrix((values, (rows, places)), shape=(len(token_ids), len(known)))
    size = np.sqrt(np.maximum(bag.multiply(bag).sum(axis=1), 1e-12))
    bag = csr_matrix(bag.multiply(1 / size))
    fit = LogisticRegression(C=1 / strength, max_iter=1000).fit(bag[fitted], labels[fitted])
    return np.asarray(fit.decision_function(bag), np.float64)
