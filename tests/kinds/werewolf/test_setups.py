"""What the guide's set-ups of seventy billion weights come to: the table of the docs is the tool's own."""

from __future__ import annotations

from pathlib import Path

import pytest

import ullage
from ullage.planning.document import plan_document
from ullage.planning.plan import Plan

EXAMPLE = Path(__file__).parents[3] / "examples/werewolf.yaml"
DOCS = Path(__file__).parents[3] / "docs/werewolf.md"
ENDS = ("low", "expected", "high")
SETUPS = {
    "4x RTX A6000": ("bf16", (1, 3)),
    "2x A100-80GB": ("bf16", (1, 2)),
    "A100-80GB": ("nf4", (1, 8)),
}
"""The precision, and batches: one game's asks at a time, and as many as the plan calls `fits`."""


def planned(gpus: str, precision: str, batch: int) -> Plan:
    sets = ["captures=[]", f"roles.player.precision={precision}", f"batch={batch}"]
    return ullage.plan(ullage.load(EXAMPLE, sets), gpus)


def row(gpus: str, precision: str, batch: int) -> str:
    made = planned(gpus, precision, batch)
    assert made.verdict == "fits"
    told = plan_document(made)
    total, price = told["total"]["device"], told["cost"]["usd_per_1000_examples"]
    sizes = " | ".join(f"{total[end] / 2**30:.1f}" for end in ENDS)
    low, game, high = (f"{price[end] / 1000:.2f}" for end in ENDS)
    return f"| {gpus} | {precision} | {batch} | {sizes} | {game} ({low}-{high}) |"


@pytest.mark.parametrize(
    ("gpus", "batch"), [(gpus, batch) for gpus, (_, batches) in SETUPS.items() for batch in batches]
)
def test_the_docs_tell_the_bytes_and_the_cost_of_a_game(gpus: str, batch: int) -> None:
    assert row(gpus, SETUPS[gpus][0], batch) in DOCS.read_text().splitlines()


@pytest.mark.parametrize("gpus", SETUPS)
def test_a_larger_batch_does_not_fit_with_room_to_spare(gpus: str) -> None:
    precision, (_, most) = SETUPS[gpus]
    assert planned(gpus, precision, most + 1).verdict != "fits"


if __name__ == "__main__":
    for gpus, (precision, batches) in SETUPS.items():
        for batch in batches:
            print(row(gpus, precision, batch))
