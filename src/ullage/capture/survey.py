"""All analyses of one finished extraction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ullage.capture.gradients import LOSS, is_gradient, is_pattern
from ullage.capture.stored import StoredStates
from ullage.documents import document
from ullage.errors import InputError
from ullage.measures.geometry import (
    Spectrum,
    hoyer_sparsity,
    layer_cosine,
    neighbours_of,
    norms,
    sparsity,
    spectrum,
)
from ullage.text import one_line

if TYPE_CHECKING:
    from ullage.measures.geometry import Array


NEAREST: Final = 5
LONGEST_SHOWN: Final = 40
"""Characters of a record in a picture."""


@dataclass(frozen=True, slots=True)
class SiteSurvey:
    """One site: spectrum of its rows, and per row norm, sparsity and Hoyer sparsity."""

    rows: int
    spectrum: Spectrum
    norms: Array
    sparsity: Array
    hoyer: Array


@dataclass(frozen=True, slots=True)
class Survey:
    """All sites of a store in model order.

    Formulas and their sources stand with `ullage.measures`. `compression` is, for a site, D_eff of the same
    kind of site in the layer captured before it over its own; `cosines` is (sites, sites), where all hold the
    same rows.
    """

    sites: dict[str, SiteSurvey]
    compression: dict[str, float]
    cosines: Array | None


def survey(store: StoredStates) -> Survey:
    """Analyses of every site's states but attention patterns, whose rows are no vectors.

    Raises InputError for a store without such a site, or with a single row.
    """
    names = [name for name in store.sites if name != LOSS and not is_pattern(name) and not is_gradient(name)]
    if not names:
        raise InputError(f"{store.folder}: holds attention patterns alone, whose rows are no states")
    matrices = {name: store.matrix(name).flatten(1).float().numpy() for name in names}
    found = {
        name: SiteSurvey(len(rows), spectrum(rows), norms(rows), sparsity(rows), hoyer_sparsity(rows))
        for name, rows in matrices.items()
    }
    dimensions = {name: each.spectrum.effective_dimension() for name, each in found.items()}
    compression = {
        after: dimensions[before] / dimensions[after]
        for kind in dict.fromkeys(map(_kind_of, names))
        for before, after in pairwise(name for name in names if _kind_of(name) == kind)
        if dimensions[after]
    }
    same = len(names) > 1 and len({rows.shape for rows in matrices.values()}) == 1
    return Survey(found, compression, layer_cosine(list(matrices.values())) if same else None)


def _kind_of(name: str) -> str:
    """What a site is, whatever its layer: `hook_resid_post` of `blocks.3.hook_resid_post`."""
    return name.split(".", 2)[-1] if name.startswith("blocks.") else name


Quartiles = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class SiteDocument:
    """One site, with quartiles of what each row has."""

    rows: int
    effective_dimension: int
    participation_ratio: float
    norm_quartiles: Quartiles
    sparsity_quartiles: Quartiles
    hoyer_quartiles: Quartiles


@dataclass(frozen=True, slots=True)
class SurveyDocument:
    """One entry a site, then what lies between sites."""

    sites: Mapping[str, SiteDocument]
    compression: Mapping[str, float]
    cosines: list[list[float]] | None


def survey_document(found: Survey) -> dict[str, object]:
    """As JSON."""
    said = SurveyDocument(
        {
            name: SiteDocument(
                each.rows,
                each.spectrum.effective_dimension(),
                each.spectrum.participation_ratio,
                _quartiles(each.norms),
                _quartiles(each.sparsity),
                _quartiles(each.hoyer),
            )
            for name, each in found.sites.items()
        },
        found.compression,
        None if found.cosines is None else found.cosines.tolist(),
    )
    return document("survey", SurveyDocument, said)


def _quartiles(values: Array) -> Quartiles:
    import numpy as np

    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    return float(low), float(middle), float(high)


def draw_survey(found: Survey, store: StoredStates, out: Path) -> list[Path]:
    """A PNG for each analysis in the folder `out`; their paths."""
    from ullage.capture import plots

    names = list(found.sites)
    site = names[-1]
    figures = {
        "dimensions": plots.plot_dimensions({name: each.spectrum for name, each in found.sites.items()}),
        "spectrum": plots.plot_spectrum(found.sites[site].spectrum, of=site),
        "norms": plots.plot_norms({name: each.norms for name, each in found.sites.items()}),
        "sparsity": plots.plot_sparsity({name: each.sparsity for name, each in found.sites.items()}),
    }
    if found.compression:
        figures["compression"] = plots.plot_compression(found.compression)
    if found.cosines is not None:
        figures["cosine"] = plots.plot_layer_cosine(found.cosines, names)
    states = store.matrix(site).flatten(1)
    if len(states) > 1:
        near = neighbours_of(states, 0, min(NEAREST, len(states) - 1))
        figures["neighbours"] = plots.plot_neighbours(states, near, of=site, names=_row_names(store, site))
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, figure in figures.items():
            figure.savefig(out / f"{name}.png", dpi=150)
    except OSError as error:
        raise InputError(f"{out}: pictures cannot be written there: {error.strerror or error}") from error
    return [out / f"{name}.png" for name in figures]


def _row_names(store: StoredStates, site: str) -> list[str]:
    """Of each row of a site's matrix the record it is of and, where a record has several, its place in it."""
    named = []
    for row in store.rows:
        for place in row["states"]:
            if place["site"] == site:
                said = one_line(f"{row['id']}: {row['text'] or ''}")
                said = said if len(said) <= LONGEST_SHOWN else said[: LONGEST_SHOWN - 3] + "..."
                count = place["shape"][0]
                named += [said] if count == 1 else [f"{said} [{at}]" for at in range(count)]
    return named
