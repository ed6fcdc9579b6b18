"""Probes fitted from stored states: the optimum in memory, what a sweep reads, and what a large fit takes.

    python benchmarks/probe_fits.py              # prints, and writes results/probe_fits.json

States are random: correlated and of unlike sizes for the comparison with scikit-learn, of 200,000 rows of
4,096 values in bf16 for memory. `bytes_above_start` is the most that the process held of memory (VmHWM, pages
of mapped shards included) above what it held with everything imported and the store opened; that fit runs in
a process of its own, whose matrix products take one thread.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

os.environ.setdefault("OMP_NUM_THREADS", "1")

import made_states
import numpy as np
import result_file

from ullage.capture.stored import open_states
from ullage.probes.dialogues import Dialogues, match
from ullage.probes.labels import Labelled
from ullage.probes.logistic import Task, fit_logistic
from ullage.probes.probe import Reading
from ullage.probes.rows import Held

ROWS: Final = 200_000
HIDDEN: Final = 4096
TOKENS: Final = 1000
"""Rows of a dialogue of the large store."""
LAYERS: Final = 32
STRENGTHS: Final = (1.0, 10.0, 100.0)
GIB: Final = 2**30


def dialogues_of(folder: Path, labels: Any) -> Dialogues:
    """Every dialogue of a store that `made_states` wrote."""
    store = open_states(folder)
    named = [Labelled(str(at), at, bool(each)) for at, each in enumerate(labels)]
    return match(named, store, list(store.sites), "labels")


def large_labels() -> Any:
    return np.arange(ROWS // TOKENS) % 2 == 0


def make_large(folder: Path) -> None:
    """200,000 x 4,096 in bf16, written dialogue by dialogue, with a direction that labels move a little."""
    import torch

    from ullage.capture.index import write_index
    from ullage.capture.store import Example, ShardStore

    chance = torch.Generator().manual_seed(0)
    direction = torch.randn(HIDDEN, generator=chance) / HIDDEN**0.5
    folder.mkdir(parents=True)
    store, written = ShardStore(folder / "states", 64 * 2**20, ()), []
    for at, label in enumerate(large_labels()):
        rows = torch.randn(TOKENS, HIDDEN, generator=chance)
        rows += torch.randn(TOKENS, 1, generator=chance) * direction * 20 + (1 if label else -1) * direction
        kept = {made_states.site(0): rows.to(torch.bfloat16)}
        spans = tuple((place, place + 1) for place in range(TOKENS))
        one = Example(at, str(at), "x" * TOKENS, (0,) * TOKENS, spans, TOKENS, kept, "model", "extract")
        written += store.add(at, [one])
    written += store.finish()
    write_index(folder / "states", lambda: iter(written), {"model": "made"})


def resident(name: str) -> int:
    """Bytes of this process: VmRSS now, VmHWM the most."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return 0


def large(folder: Path) -> dict[str, Any]:
    """The large fit, in this process."""
    labels = large_labels()
    rows = dialogues_of(folder, labels).rows(Reading())
    before = resident("VmRSS")
    begun = time.perf_counter()
    (fit,) = fit_logistic(rows, [Task((made_states.site(0),), 10.0, labels)])
    return {
        "rows": ROWS,
        "hidden": HIDDEN,
        "bytes_of_states": ROWS * HIDDEN * 2,
        "bytes_above_start": resident("VmHWM") - before,
        "passes": fit.passes,
        "bound": fit.bound,
        "seconds": round(time.perf_counter() - begun, 1),
    }


def exact(folder: Path) -> list[dict[str, Any]]:
    """Weights and AUROC of streamed fits beside scikit-learn's on the same rows."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.preprocessing import StandardScaler

    from ullage.probes import logistic

    states, labels, whose = made_states.separable(20_000, 256, tokens=20)
    made_states.save(folder, states, tokens=20, shard_bytes=2**20)
    (site,), found = tuple(states), []
    standard = StandardScaler().fit_transform(states[site].astype(np.float64))
    for strength in STRENGTHS:
        whole = LogisticRegression(C=1 / strength, tol=1e-10, max_iter=1000, solver="newton-cholesky")
        weight = whole.fit(standard, labels[whose]).coef_[0]
        for way in ("newton", "l-bfgs"):
            logistic.NEWTON_OPERATIONS = 10**15 if way == "newton" else 0
            rows = dialogues_of(folder, labels).rows(Reading())
            (fit,) = fit_logistic(rows, [Task((site,), strength, labels)])
            scores = standard @ fit.weight + fit.intercept
            apart = roc_auc_score(labels[whose], scores) - roc_auc_score(
                labels[whose], whole.decision_function(standard)
            )
            share = float(np.linalg.norm(fit.weight - weight) / np.linalg.norm(weight))
            found.append(
                {"lambda": strength, "way": way, "passes": fit.passes, "bound": fit.bound}
                | {"apart": share, "auroc_apart": abs(float(apart))}
            )
    return found


def sweep(folder: Path) -> dict[str, Any]:
    """Bytes read a layer by a sweep over 32 layers and three lambdas, and by the fit of one layer; L-BFGS,
    with nothing kept between passes."""
    from ullage.probes import logistic

    states, labels, _ = made_states.separable(2_000, 64, layers=LAYERS)
    made_states.save(folder, states, shard_bytes=2**20)
    logistic.NEWTON_OPERATIONS = 0

    def read(sites: list[str], strengths: tuple[float, ...]) -> float:
        rows = dialogues_of(folder, labels).rows(Reading())
        object.__setattr__(rows, "held", Held(room=0))
        fit_logistic(rows, [Task((site,), each, labels) for site in sites for each in strengths])
        return rows.held.bytes_read / len(sites)

    one = [read([site], STRENGTHS) for site in list(states)[:4]]
    return {"layers": LAYERS, "ratio": read(list(states), STRENGTHS) / (sum(one) / len(one))}


def apart(folder: Path) -> dict[str, Any]:
    """The large fit in a process of its own."""
    make_large(folder)
    command = [sys.executable, __file__, "--large", str(folder)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--large", type=Path)
    chosen = parser.parse_args()
    if chosen.large is not None:
        print(json.dumps(large(chosen.large)))
        return
    made = result_file.start("probe_fits")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows, swept = exact(folder / "exact"), sweep(folder / "sweep")
        print(json.dumps(rows), json.dumps(swept), file=sys.stderr)
        fit = apart(folder / "large")
    figures = {"large": fit, "sweep": swept, "exact_rows": rows}
    claims = {
        "weights within 1e-3 of scikit-learn's": all(row["apart"] <= 1e-3 for row in rows),
        "AUROC within 1e-4 of scikit-learn's": all(row["auroc_apart"] <= 1e-4 for row in rows),
        "no farther than the bound says": all(row["apart"] <= row["bound"] + 1e-5 for row in rows),
        "a sweep reads each layer at most 3 x as often": swept["ratio"] <= 3,
        "at most 1 GiB above start": fit["bytes_above_start"] <= GIB,
        "the large fit is proven within 1e-3": fit["bound"] <= 1e-3,
    }
    made.write(figures, claims)


if __name__ == "__main__":
    main()
