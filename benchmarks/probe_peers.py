"""Probes beside other libraries': their fits of the same rows, checkpoints scored by their own code, stores.

    pip install --no-deps probekit probelab lmprobe lie-detectors jaxtyping wadler-lindig
    python benchmarks/probe_peers.py             # prints, and writes results/probe_peers.json

Fits are of 20,000 x 256 random states, standardised, lambda 10 (what they call C = 0.1), as each library fits
them unless told otherwise. `apart` is the distance of the weights from scikit-learn's converged ones as a
share of their length. Stores are what lmprobe's own push_dataset writes, imported. Detectors of
deception-detection are not here: that repository is no package; what is read of them is held in the tests
against the formula that its files imply.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final
from unittest import mock

os.environ.setdefault("OMP_NUM_THREADS", "1")

import made_states
import numpy as np
import result_file
from probe_fits import dialogues_of

import ullage
from ullage.probes.logistic import Task, fit_logistic
from ullage.probes.probe import Reading

STRENGTH: Final = 10.0
WIDTH: Final = 256
PEERS: Final = ("probekit", "probelab", "lmprobe", "lie-detectors")


def fits(folder: Path) -> list[dict[str, Any]]:
    """Weights of standardised rows, and seconds of a core, of each library."""
    import torch
    from lmprobe.classifiers import build_classifier
    from probekit import fit_logistic as probekit_fit
    from probelab import Activations
    from probelab.probes import Logistic
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    states, labels, whose = made_states.separable(20_000, WIDTH, tokens=20)
    made_states.save(folder, states, tokens=20, shard_bytes=2**20)
    (site,) = states
    raw, label = states[site].astype(np.float64), labels[whose].astype(int)
    standard = StandardScaler().fit_transform(raw)

    def ours() -> Any:
        rows = dialogues_of(folder, labels).rows(Reading())
        (fit,) = fit_logistic(rows, [Task((site,), STRENGTH, labels)])
        return fit.weight

    def of_probelab() -> Any:
        rows = Activations(torch.from_numpy(raw).float(), "bh")
        probe = Logistic(C=1 / STRENGTH, seed=0).fit(rows, label.tolist())
        assert probe.linear is not None
        return probe.linear.weight.detach().numpy().reshape(-1)

    def of_lmprobe() -> Any:
        made = build_classifier("logistic_regression", 0, classifier_kwargs={"C": 1 / STRENGTH})
        return made.fit(standard, label).coef_[0]

    tight = LogisticRegression(C=1 / STRENGTH, tol=1e-10, max_iter=1000, solver="newton-cholesky")
    wanted = tight.fit(standard, label).coef_[0]
    ways = {
        "ullage, streamed from disk": ours,
        "probekit": lambda: probekit_fit(raw, label, c_param=1 / STRENGTH, cv_folds=None).weights,
        "probelab": of_probelab,
        "lmprobe": of_lmprobe,
    }
    found = []
    for name, fit in ways.items():
        begun = time.process_time()
        weight = np.asarray(fit(), np.float64)
        seconds = time.process_time() - begun
        share = float(np.linalg.norm(weight - wanted) / np.linalg.norm(wanted))
        found.append({"library": name, "apart": share, "core_seconds": round(seconds, 2)})
    return found


def scores(folder: Path) -> dict[str, float]:
    """The largest distance of scores from lie-detectors' own, of each form, as a share of the largest."""
    import torch
    from lie_detectors.loading import load_probe
    from lie_detectors.probes import PROBE_REGISTRY

    torch.manual_seed(0)
    states, most = torch.randn(2000, WIDTH), {}
    for kind, form in PROBE_REGISTRY.items():
        probe = form(WIDTH)
        held = {
            name: torch.randn(value.shape).abs() + 0.5 if name == "dataset_std" else torch.randn(value.shape)
            for name, value in probe.state_dict().items()
        }
        file = folder / f"{kind.value}.pt"
        settings = {"layer": 7, "probe_architecture": kind, "l2_lambda": STRENGTH}
        torch.save({"state_dict": held, "hyperparams": settings}, file)
        ullage.import_probe(file, folder / kind.value)
        mine = ullage.open_probe(folder / kind.value).tokens(states.double().numpy())
        with torch.inference_mode():
            theirs = load_probe(file).double()(states.double()).numpy()
        most[kind.value] = float(np.abs(mine - theirs).max() / np.abs(theirs).max())
    return most


def pushed(folder: Path, model: str, prompts: list[str], labels: list[int]) -> Path:
    """What lmprobe would upload of its cache to a hub."""
    import huggingface_hub
    from lmprobe.sharing import push_dataset

    class Hub:
        def __init__(self, token: str | None = None) -> None: ...

        def create_repo(self, *_: object, **__: object) -> None: ...

        def upload_large_folder(self, folder_path: str, **_: object) -> None:
            shutil.copytree(folder_path, folder / "pushed")

    with mock.patch.object(huggingface_hub, "HfApi", Hub):
        push_dataset(f"made/{model}", model, prompts, labels=labels, shard_max_bytes=2**11)
    return folder / "pushed"


def stores(folder: Path) -> dict[str, bool]:
    """Of stores that lmprobe writes, of whole sequences and of one row a prompt: whether every row and label
    is where it was."""
    import torch
    from lmprobe.cache import save_prompt_activations, save_prompt_pooled_activations

    os.environ["LMPROBE_CACHE_DIR"] = str(folder / "cache")
    chance, found = torch.Generator().manual_seed(0), {}
    for kind in ("whole", "last_token"):
        inside = folder / kind
        states = {f"prompt {at}": torch.randn(1 + at % 7, 16, generator=chance) for at in range(30)}
        for prompt, rows in states.items():
            if kind == "whole":
                mask = torch.ones(1, len(rows), dtype=torch.long)
                save_prompt_activations(kind, prompt, [0, 5], rows[None], mask)
            else:
                save_prompt_pooled_activations(kind, prompt, [0, 5], rows[-1:], kind)
        ullage.import_probe(pushed(inside, kind, [*states], [at % 2 for at in range(30)]), inside / "out")
        lines = (inside / "out/labels.jsonl").read_text(encoding="utf-8").splitlines()
        told = {one["text"]: one["label"] for one in map(json.loads, lines)}
        wanted = torch.cat([states[text] if kind == "whole" else states[text][-1:] for text in told])
        held = [ullage.open_states(inside / "out").matrix(made_states.site(layer)) for layer in (0, 5)]
        found[f"{kind}: rows"] = torch.equal(torch.cat(held, 1), wanted)
        found[f"{kind}: labels"] = told == {prompt: at % 2 for at, prompt in enumerate(states)}
    return found


def main() -> None:
    made = result_file.start("probe_peers")
    with tempfile.TemporaryDirectory() as name:
        figures = {"fits": fits(Path(name) / "states"), "scores": scores(Path(name))}
        figures["stores"] = stores(Path(name) / "stores")
    figures["packages"] = {peer: version(peer) for peer in PEERS}
    claims = {
        "streamed fit within 1e-3 of scikit-learn's": figures["fits"][0]["apart"] <= 1e-3,
        "imported probes score as lie-detectors' own, to 1e-5": max(figures["scores"].values()) <= 1e-5,
        "stores that lmprobe writes are read row for row": all(figures["stores"].values()),
    }
    made.write(figures, claims)


if __name__ == "__main__":
    main()
