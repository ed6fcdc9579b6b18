"""A picture of each analysis: matplotlib figures, which the caller shows or saves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from ullage.errors import MissingExtraError
from ullage.measures.geometry import Neighbours, Spectrum

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike

    from ullage.measures.geometry import Array

BLUE: Final = "#0072B2"
ORANGE: Final = "#D55E00"
GREY: Final = "#8A8A8A"
"""Colours that differ for every kind of colour vision (Okabe and Ito 2008)."""


def _axes(title: str, x: str, y: str) -> tuple[Figure, Axes]:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("matplotlib", "plot", "drawing") from error
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, loc="left", fontsize=11)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def plot_spectrum(found: Spectrum, share: float = 0.9, of: str = "") -> Figure:
    """Cumulative variance over components, with D_eff marked. `of` names the site."""
    import numpy as np

    figure, axes = _axes(_titled("Effective dimension", of), "principal components", "share of variance")
    total = found.variances.sum() or 1.0
    shares = np.cumsum(found.variances) / total
    axes.plot(np.arange(1, len(shares) + 1), shares, color=BLUE)
    dimension = found.effective_dimension(share)
    axes.axhline(share, color=GREY, linewidth=0.8, linestyle="--")
    axes.axvline(dimension, color=ORANGE, linewidth=1.2)
    note = f"D_eff = {dimension} at {share:.0%}; participation ratio {found.participation_ratio:.1f}"
    axes.annotate(note, (dimension, 0.05), xytext=(6, 0), textcoords="offset points", color=ORANGE)
    axes.set_ylim(0, 1.02)
    return figure


def plot_dimensions(by_layer: Mapping[str, Spectrum]) -> Figure:
    """D_eff and participation ratio, layer by layer."""
    figure, axes = _axes("Dimension by site", "site", "dimensions")
    names = list(by_layer)
    places = range(len(names))
    dimensions = [each.effective_dimension() for each in by_layer.values()]
    ratios = [each.participation_ratio for each in by_layer.values()]
    axes.plot(places, dimensions, "o-", color=BLUE, label="D_eff (90 % of variance)")
    axes.plot(places, ratios, "s--", color=ORANGE, label="participation ratio")
    _name_places(axes, names)
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    return figure


def plot_compression(by_layer: Mapping[str, float]) -> Figure:
    """beta of each site: D_eff of the same kind of site in the layer before over its own."""
    figure, axes = _axes("Compression", "site", "beta = D_eff before / D_eff here")
    axes.bar(range(len(by_layer)), list(by_layer.values()), color=BLUE)
    axes.axhline(1.0, color=GREY, linewidth=0.8, linestyle="--")
    _name_places(axes, list(by_layer))
    return figure


def plot_norms(by_layer: Mapping[str, Array]) -> Figure:
    """Median and quartiles of the rows' norms, layer by layer."""
    return _quartiles(by_layer, "Norms by site", "L2 norm")


def plot_sparsity(by_layer: Mapping[str, Array]) -> Figure:
    """Median and quartiles of the rows' sparsity, layer by layer."""
    figure = _quartiles(by_layer, "Sparsity by site", "share of entries near zero")
    figure.axes[0].set_ylim(0, 1)
    return figure


def _quartiles(by_layer: Mapping[str, Array], title: str, label: str) -> Figure:
    import numpy as np

    figure, axes = _axes(title, "site", label)
    quartiles = np.array([np.quantile(values, [0.25, 0.5, 0.75]) for values in by_layer.values()])
    places = range(len(quartiles))
    axes.fill_between(places, quartiles[:, 0], quartiles[:, 2], color=BLUE, alpha=0.2, label="quartiles")
    axes.plot(places, quartiles[:, 1], "o-", color=BLUE, label="median")
    _name_places(axes, list(by_layer))
    axes.legend(frameon=False)
    return figure


def plot_layer_cosine(cosines: Array, names: Sequence[str]) -> Figure:
    """The matrix of mean cosines between layers."""
    figure, axes = _axes("Cosine between sites", "site", "site")
    image = axes.imshow(cosines, vmin=-1, vmax=1, cmap="PuOr")
    figure.colorbar(image, label="mean cosine")
    _name_places(axes, names)
    axes.set_yticks(range(len(names)), names, fontsize=7)
    return figure


def plot_neighbours(
    states: ArrayLike, neighbours: Neighbours, query: int = 0, of: str = "", names: Sequence[str] = ()
) -> Figure:
    """All states on their first two principal components, row `query` and its nearest marked.

    `neighbours` are that row's. `of` names the site, `names` the rows.
    """
    import numpy as np

    from ullage.measures.geometry import checked_rows

    rows = checked_rows(states, "states").astype(np.float64)
    centred = rows - rows.mean(0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    flat = (
        centred @ directions[:2].T
        if len(directions) > 1
        else np.pad(centred @ directions.T, ((0, 0), (0, 1)))
    )
    figure, axes = _axes(_titled("Nearest neighbours", of), "first component", "second component")
    axes.scatter(flat[:, 0], flat[:, 1], s=12, color=GREY, label="states")
    near = neighbours.indices[0]
    axes.scatter(flat[near, 0], flat[near, 1], s=30, color=BLUE, label="nearest by cosine")
    shown = [name.replace("$", r"\$") for name in names] or [f"row {at}" for at in range(len(rows))]
    axes.scatter(flat[query, 0], flat[query, 1], s=60, marker="*", color=ORANGE, label=shown[query])
    for row in near:
        axes.annotate(
            shown[row], flat[row], xytext=(4, 4), textcoords="offset points", fontsize=6, color=BLUE
        )
    axes.legend(frameon=False)
    return figure


def _titled(title: str, of: str) -> str:
    return f"{title}: {of}" if of else title


def _name_places(axes: Axes, names: Sequence[str]) -> None:
    axes.set_xticks(range(len(names)), names, rotation=60, ha="right", fontsize=7)
