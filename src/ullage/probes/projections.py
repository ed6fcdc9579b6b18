"""Probes that read a model while it speaks: the columns they ask of each site, and the scores these make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ullage.probes.probe import Probe, aggregated, attended

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


class Projections:
    """Probes by name. `weights` are those of each site, (hidden, columns) float64, of all probes that read
    it: a token's state there times these is all that is ever kept of it."""

    def __init__(self, probes: Mapping[str, Probe]) -> None:
        import numpy as np

        self.probes = dict(probes)
        found: dict[str, list[Floats]] = {}
        self._places: dict[str, list[tuple[str, int, int]]] = {}
        for name, probe in self.probes.items():
            whole = _columns(probe)
            for number, site in enumerate(probe.sites):
                part = whole[number * probe.hidden : (number + 1) * probe.hidden]
                begin = sum(each.shape[1] for each in found.get(site, ()))
                found.setdefault(site, []).append(part)
                self._places.setdefault(name, []).append((site, begin, begin + part.shape[1]))
        self.weights: dict[str, Floats] = {site: np.concatenate(each, 1) for site, each in found.items()}

    def read(self, name: str, products: Mapping[str, Floats]) -> ReadTokens:
        """What a probe makes of tokens whose `products` with the weights are (tokens, columns) by site."""
        import numpy as np

        parts = [np.asarray(products[site], np.float64)[:, b:e] for site, b, e in self._places[name]]
        probe = self.probes[name]
        centre = (probe.mean @ _columns(probe)).ravel()
        return ReadTokens(probe, np.sum(parts, axis=0) - centre)


@dataclass(frozen=True, slots=True, eq=False)
class ReadTokens:
    """Tokens as a probe sees them: (tokens, columns), before what is no sum over states."""

    probe: Probe
    values: Floats

    def scores(self) -> Floats:
        """Each token's score, (tokens,), larger for label 1."""
        import numpy as np

        if self.probe.form != "mlp":
            return np.asarray(self.values[:, 0] + self.probe.intercept)
        inner = np.maximum(self.values + self.probe.tensors["inner_bias"], 0.0)
        return np.asarray(inner @ self.probe.tensors["weight"] + self.probe.intercept)

    def score(self, begin: int = 0, end: int | None = None) -> float | None:
        """The one score of tokens [begin, end), as the probe was fitted to make it; None of no tokens."""
        import numpy as np

        reading, values = self.probe.reading, self.values[begin:end]
        if not len(values):
            return None
        values = values[min(reading.skip_first, len(values) - 1) :] if reading.skip_first else values
        if reading.rows == "last":
            values = values[-1:]
        elif reading.rows == "mean":
            values = values.mean(0, keepdims=True)
        mine = ReadTokens(self.probe, values).scores()
        first = np.zeros(1, np.int64)
        if reading.aggregation == "attention":
            return float(attended(mine, values[:, 1], first)[0])
        return float(aggregated(mine, first, reading)[0])


def _columns(probe: Probe) -> Floats:
    """(width, columns): what standardised states are multiplied with, the scale folded in."""
    import numpy as np

    if probe.form == "mlp":
        return np.asarray(probe.tensors["inner"].T / probe.scale[:, None])
    names = ("weight", "query") if probe.form == "attention" else ("weight",)
    return np.stack([probe.tensors[name] / probe.scale for name in names], 1)
