"""Weights of a linear probe as plain arrays, for scikit-learn and for whoever multiplies by himself."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ullage.errors import UnsupportedError
from ullage.probes.card import Card
from ullage.probes.probe import Probe
from ullage.records.atomic import write_text, write_with

HOW: Final = '''"""The probe as scikit-learn's pipeline: scores are `decision_function(states)`, larger for
label 1.

States (rows, {width}) are of {sites}, side by side in this order, of {model}.
"""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

held = np.load("probe.npz", allow_pickle=False)
scaler, regression = StandardScaler(), LogisticRegression()
scaler.mean_, scaler.scale_, scaler.n_features_in_ = held["mean"], held["scale"], len(held["mean"])
regression.coef_, regression.intercept_ = held["coef"], held["intercept"]
regression.classes_ = np.array([0, 1])
probe = make_pipeline(scaler, regression)
'''


def export(probe: Probe, card: Card, out: Path) -> list[Path]:
    """Writes weights.safetensors (folded: states @ weight + bias), probe.npz (as scikit-learn names them) and
    probe.py, which makes a pipeline of that. Raises UnsupportedError for a probe that is not linear."""
    import numpy as np
    from safetensors.numpy import save_file

    if probe.form != "linear":
        raise UnsupportedError(
            f"a probe of form {probe.form} is no one product; read probe.safetensors and its card"
        )
    out.mkdir(parents=True, exist_ok=True)
    weight = probe.tensors["weight"] / probe.scale
    bias = np.array([probe.intercept - probe.mean @ weight])
    files = [out / name for name in ("weights.safetensors", "probe.npz", "probe.py")]
    write_with(files[0], lambda path: save_file({"weight": weight, "bias": bias}, path))

    def arrays(path: Path) -> None:
        with path.open("wb") as file:
            np.savez(
                file,
                mean=probe.mean,
                scale=probe.scale,
                coef=probe.tensors["weight"][None],
                intercept=np.array([probe.intercept]),
                threshold=np.array([np.nan if card.threshold is None else card.threshold]),
            )

    write_with(files[1], arrays)
    sites, width = " and ".join(probe.sites), len(probe.mean)
    said = HOW.replace("{width}", str(width)).replace("{sites}", sites)
    write_text(files[2], said.replace("{model}", card.origin.model or "the model it was fitted to"))
    return files
