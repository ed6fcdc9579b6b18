"""Probes that have no one optimum: a hidden layer, or attention over tokens. Seeded, by epochs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from ullage.probes.logistic import Task
from ullage.probes.moments import Moments, moments
from ullage.probes.rows import Rows

if TYPE_CHECKING:
    from torch import Tensor

    from ullage.probes.probe import Floats

EPOCHS: Final = 40
UNITS: Final = 64
BATCH: Final = 256
"""Rows of a step; of attention, those of as many dialogues as have so many."""
RATE: Final = 3e-3
"""Adam's."""
Batch = tuple["Tensor", "Tensor", "Tensor"]
"""Rows (rows, width), whose each is (rows,) from 0 on, labels (dialogues,) or (rows,)."""


@dataclass(frozen=True, slots=True)
class Network:
    """Tensors as `Probe` holds them, and the epoch (from 1) whose loss on the rows held back was least."""

    tensors: dict[str, Floats]
    intercept: float
    moments: Moments
    epochs: int
    validation_loss: float


def fit_network(
    rows: Rows,
    held_back: Rows,
    task: Task,
    form: Literal["mlp", "attention"],
    seed: int,
    epochs: int = EPOCHS,
) -> Network:
    """The epoch that does best on `held_back`, of `epochs`. Rows are mixed within a block.

    The loss is the mean log loss of rows, of attention of dialogues, plus lambda / 2 of the squared weights
    over the number of rows, as `fit_logistic`'s.
    """
    import torch

    (spread,) = moments(rows, [task.sites])
    chance = torch.Generator().manual_seed(seed)
    weights = _begun(form, len(spread.mean), chance)
    adam = torch.optim.Adam(weights.values(), lr=RATE)
    held = task.strength / 2 / max(spread.count, 1)
    best = Network({}, 0.0, spread, 0, float("inf"))
    for epoch in range(1, epochs + 1):
        for batch in _batches(rows, task, spread, form, chance):
            adam.zero_grad()
            loss = _loss(form, weights, batch).mean()
            loss = loss + held * sum((w**2).sum() for name, w in weights.items() if "bias" not in name)
            loss.backward()
            adam.step()
        with torch.no_grad():
            losses = torch.cat(
                [_loss(form, weights, b) for b in _batches(held_back, task, spread, form, None)]
            )
        if float(losses.mean()) < best.validation_loss:
            kept = {name: w.detach().double().numpy().copy() for name, w in weights.items()}
            intercept = float(kept.pop("bias")[0])
            best = Network(kept, intercept, spread, epoch, float(losses.mean()))
    return best


def _begun(form: str, width: int, chance: object) -> dict[str, Tensor]:
    import torch

    def drawn(*shape: int, size: float) -> Tensor:
        made = torch.randn(*shape, generator=chance) * size  # type: ignore[call-overload]
        return torch.nn.Parameter(made)

    if form == "attention":
        return {
            "weight": drawn(width, size=0.0),
            "query": drawn(width, size=width**-0.5 / 10),
            "bias": drawn(1, size=0.0),
        }
    return {
        "inner": drawn(UNITS, width, size=width**-0.5),
        "inner_bias": drawn(UNITS, size=0.0),
        "weight": drawn(UNITS, size=UNITS**-0.5),
        "bias": drawn(1, size=0.0),
    }


def _batches(rows: Rows, task: Task, spread: Moments, form: str, chance: object) -> Iterator[Batch]:
    """Steps of one pass; mixed where there is chance. Of attention dialogues stay whole."""
    import numpy as np
    import torch

    for block in rows.blocks([task.sites], whole=form == "attention"):
        states = torch.from_numpy((block.states - spread.mean) / spread.scale).float()
        labels = torch.from_numpy(task.labels[block.dialogue]).float()
        if form == "mlp":
            order = torch.arange(len(states)) if chance is None else _mixed(len(states), chance)
            for some in order.split(BATCH):
                yield states[some], some, labels[some]
            continue
        begins = block.begins
        ends = np.append(begins[1:], len(states))
        order = torch.arange(len(begins)) if chance is None else _mixed(len(begins), chance)
        together = max(1, BATCH * len(begins) // len(states))
        for some in order.split(together):
            where = [torch.arange(int(begins[at]), int(ends[at])) for at in some.tolist()]
            whose = torch.repeat_interleave(torch.tensor([len(w) for w in where]))
            yield states[torch.cat(where)], whose, labels[torch.tensor([int(w[0]) for w in where])]


def _mixed(count: int, chance: object) -> Tensor:
    import torch

    return torch.randperm(count, generator=chance)  # type: ignore[call-overload, no-any-return]


def _loss(form: str, weights: dict[str, Tensor], batch: Batch) -> Tensor:
    """Log loss of each row, or of each dialogue."""
    import torch

    states, whose, labels = batch
    if form == "mlp":
        inner = torch.relu(states @ weights["inner"].T + weights["inner_bias"])
        scores = inner @ weights["weight"] + weights["bias"]
    else:
        scores = states @ weights["weight"] + weights["bias"]
        attends = states @ weights["query"]
        most = torch.full((len(labels),), -torch.inf).scatter_reduce(0, whose, attends, "amax").detach()
        shares = torch.exp(attends - most[whose])
        empty = torch.zeros(len(labels))
        scores = empty.index_add(0, whose, shares * scores) / empty.index_add(0, whose, shares)
    return torch.nn.functional.binary_cross_entropy_with_logits(scores, labels, reduction="none")
