"""A probe: what it reads, and the score it gives each token and each dialogue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, get_args

from ullage.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

Form = Literal["linear", "mlp", "attention"]
RowsOf = Literal["tokens", "mean", "last"]
Aggregation = Literal["mean", "max", "last", "rolling", "attention"]
FORMS: Final[tuple[str, ...]] = get_args(Form)
WINDOW: Final = 5
"""Tokens of a rolling mean."""
TENSORS: Final[Mapping[str, tuple[str, ...]]] = {
    "linear": ("weight",),
    "mlp": ("inner", "inner_bias", "weight"),
    "attention": ("weight", "query"),
}
"""What each form holds beside mean and scale: weight (width,), or (units,) of an mlp, whose inner is
(units, width) and inner_bias (units,); query (width,)."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Which states are rows, and how the scores of a dialogue's rows become one.

    `rows` are its counted tokens, their mean, or the last of them; `skip_first` of the counted tokens are
    left out (of a dialogue that has no more than these, none). `aggregation` is of the scores: of `rolling`
    the largest mean of `window` scores that follow one another.
    """

    rows: RowsOf = "tokens"
    aggregation: Aggregation = "mean"
    window: int = WINDOW
    skip_first: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Probe:
    """A fitted probe. `sites` are read side by side, each `hidden` wide; width = sites x hidden.

    Rows (rows, width) are standardised with `mean` and `scale`, (width,) each, before `tensors` (see TENSORS)
    and `intercept` make a score of them, larger for label 1. Everything is float64.
    """

    form: Form
    sites: tuple[str, ...]
    hidden: int
    mean: Floats
    scale: Floats
    tensors: Mapping[str, Floats]
    intercept: float
    reading: Reading

    def __post_init__(self) -> None:
        """Raises InputError for tensors of other shapes than the form has, or that are no numbers."""
        import numpy as np

        width = len(self.sites) * self.hidden
        units = self.tensors["inner_bias"].shape if self.form == "mlp" else (width,)
        wanted = {"mean": (width,), "scale": (width,), "weight": units}
        wanted |= {"inner": (*units, width), "inner_bias": units} if self.form == "mlp" else {}
        wanted |= {"query": (width,)} if self.form == "attention" else {}
        found = {"mean": self.mean, "scale": self.scale, **self.tensors}
        for name, shape in wanted.items():
            if name not in found or found[name].shape != shape:
                have = found[name].shape if name in found else "missing"
                raise InputError(f"{name} of a probe of {width:,} values is {have}, not {shape}")
            if not np.isfinite(found[name]).all():
                raise InputError(f"{name} of the probe holds NaN or infinity")
        if not np.isfinite(self.intercept):
            raise InputError("intercept of the probe is NaN or infinity")
        if not self.sites or not (self.scale > 0).all():
            raise InputError(
                "scale of the probe is not above 0 everywhere" if self.sites else "the probe reads no site"
            )

    def tokens(self, states: Floats) -> Floats:
        """The score of each row, (rows,), of states (rows, width)."""
        import numpy as np

        weight = self.tensors["weight"]
        if self.form != "mlp":
            folded = weight / self.scale
            return np.asarray(states @ folded + (self.intercept - float(self.mean @ folded)))
        inner = ((states - self.mean) / self.scale) @ self.tensors["inner"].T + self.tensors["inner_bias"]
        return np.asarray(np.maximum(inner, 0.0) @ weight + self.intercept)

    def attends(self, states: Floats) -> Floats:
        """How much each row counts beside others of its dialogue, before the softmax, (rows,)."""
        import numpy as np

        folded = self.tensors["query"] / self.scale
        return np.asarray(states @ folded - float(self.mean @ folded))

    def dialogues(self, states: Floats, begins: Ints) -> Floats:
        """The score of each dialogue, (dialogues,), whose rows begin at `begins` and follow one another."""
        scores = self.tokens(states)
        if self.reading.aggregation != "attention":
            return aggregated(scores, begins, self.reading)
        return attended(scores, self.attends(states), begins)


def aggregated(scores: Floats, begins: Ints, reading: Reading) -> Floats:
    """One score a dialogue, (dialogues,), of the scores of its rows; each has one row at least."""
    import numpy as np

    ends = np.append(begins[1:], len(scores))
    if reading.aggregation == "last":
        return np.asarray(scores[ends - 1])
    if reading.aggregation == "max":
        return np.asarray(np.maximum.reduceat(scores, begins))
    if reading.aggregation == "mean":
        return np.asarray(np.add.reduceat(scores, begins) / (ends - begins))
    if reading.aggregation != "rolling":
        raise InputError(f"aggregation {reading.aggregation}: only an attention probe has weights to take")
    return np.array([rolling(scores[b:e], reading.window).max() for b, e in zip(begins, ends, strict=True)])


def rolling(scores: Floats, window: int) -> Floats:
    """Means of each `window` scores that follow one another; of fewer, their mean."""
    import numpy as np

    size = min(window, len(scores))
    sums = np.cumsum(np.append(0.0, scores))
    return np.asarray((sums[size:] - sums[:-size]) / size)


def attended(scores: Floats, weights: Floats, begins: Ints) -> Floats:
    """The mean of each dialogue's scores under the softmax of its weights."""
    import numpy as np

    counts = np.diff(np.append(begins, len(scores)))
    shares = np.exp(weights - np.repeat(np.maximum.reduceat(weights, begins), counts))
    return np.asarray(np.add.reduceat(shares * scores, begins) / np.add.reduceat(shares, begins))


def layer_of(site: str) -> int | None:
    """The layer in a site's name; None for one of no layer."""
    parts = site.split(".")
    return int(parts[1]) if len(parts) > 1 and parts[0] == "blocks" and parts[1].isdigit() else None
