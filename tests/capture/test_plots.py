"""Every analysis has a picture that shows its numbers."""

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from ullage.capture import plots
from ullage.measures.geometry import layer_cosine, neighbours_of, norms, sparsity, spectrum

STATES = {f"blocks.{n}.hook_resid_post": np.random.default_rng(n).normal(size=(40, 12)) for n in range(4)}
SPECTRA = {name: spectrum(states) for name, states in STATES.items()}
FIRST = next(iter(STATES.values()))
FIGURES = {
    "spectrum": lambda: plots.plot_spectrum(next(iter(SPECTRA.values()))),
    "dimensions": lambda: plots.plot_dimensions(SPECTRA),
    "compression": lambda: plots.plot_compression({"blocks.0": 1.5, "blocks.1": 0.8}),
    "norms": lambda: plots.plot_norms({name: norms(states) for name, states in STATES.items()}),
    "sparsity": lambda: plots.plot_sparsity({name: sparsity(states) for name, states in STATES.items()}),
    "cosine": lambda: plots.plot_layer_cosine(layer_cosine(list(STATES.values())), list(STATES)),
    "neighbours": lambda: plots.plot_neighbours(FIRST, neighbours_of(FIRST, 5, 3), 5, "ln_final"),
}


@pytest.mark.long
@pytest.mark.parametrize("name", FIGURES)
def test_axes_are_labelled_and_it_can_be_saved(name, tmp_path):
    figure = FIGURES[name]()
    axes = figure.axes[0]
    assert axes.get_xlabel()
    assert axes.get_ylabel()
    assert axes.get_title(loc="left")
    figure.savefig(tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 5000


def test_what_is_drawn_is_what_was_given():
    figure = FIGURES["dimensions"]()
    drawn = figure.axes[0].lines[0].get_ydata()
    assert list(drawn) == [each.effective_dimension() for each in SPECTRA.values()]
    bars = FIGURES["compression"]().axes[0].patches
    assert [bar.get_height() for bar in bars] == [1.5, 0.8]


def test_neighbours_are_named_and_are_others():
    axes = plots.plot_neighbours(
        FIRST, neighbours_of(FIRST, 5, 3), 5, "ln_final", [f"t{n}: $x" for n in range(40)]
    ).axes[0]
    assert axes.get_title(loc="left") == "Nearest neighbours: ln_final"
    shown = [text.get_text().partition(":")[0] for text in axes.texts]
    assert shown == [f"t{row}" for row in neighbours_of(FIRST, 5, 3).indices[0]]
    assert "t5" not in shown
    assert axes.get_legend().get_texts()[2].get_text().startswith("t5")
