"""A picture of a sweep: AUROC by layer, a line a lambda."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from ullage.errors import MissingExtraError
from ullage.probes.probe import layer_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
"""That differ for every kind of colour vision (Okabe and Ito 2008); markers differ too."""
MARKERS: Final = ("o", "s", "^", "D", "v", "P")


def plot_sweep(document: Mapping[str, Any]) -> Figure:
    """Of a document `probe-fit`: AUROC where the choice was made, and on the test where it was chosen."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("matplotlib", "plot", "drawing a sweep") from error
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.add_subplot()
    rows = document["sweep"]
    names = list(dict.fromkeys(tuple(row["sites"]) for row in rows))
    layers = [layer_of(name[0]) if len(name) == 1 else None for name in names]
    places = [at if layer is None else layer for at, layer in enumerate(layers)]
    for at, strength in enumerate(dict.fromkeys(row["lambda"] for row in rows)):
        values = [row["auroc"] for row in rows if row["lambda"] == strength]
        colour, marker = COLOURS[at % len(COLOURS)], MARKERS[at % len(MARKERS)]
        label = f"lambda {strength:g}" if strength else document["method"]
        axes.plot(places, values, label=label, color=colour, marker=marker, markersize=4)
    axes.axhline(0.5, color="#8A8A8A", linewidth=0.8, linestyle="--")
    if document["test"]["auroc"] is not None:
        chosen = places[names.index(tuple(document["sites"]))]
        axes.plot([chosen], [document["test"]["auroc"]], "k*", markersize=10, label="chosen, on the test")
    axes.set_ylim(min(0.4, *(row["auroc"] for row in rows)) - 0.02, 1.02)
    axes.set_xlabel("layer" if None not in layers else "site")
    axes.set_ylabel("AUROC")
    axes.set_title(f"{document['method']} on {document['model']}", loc="left", fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
    return figure
