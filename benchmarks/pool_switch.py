"""How long a model takes from host memory or from disk to its first answer, beside loading it anew.

    python benchmarks/pool_switch.py [--rounds N]  # prints, and writes results/pool_switch.json

A Llama of 147 tensors and random weights in bf16, about 469 MiB, on the processor. In every round, one after
the other and each followed by a pass over the same 16 tokens: `from_pretrained`; a model that was parked;
one that was dropped, from its checkpoint; beside them a pass of a model that is ready, and a plain read of
the file. Every weight but rows of the embedding is looked at by the pass; the rest is looked at after it.
Warm: the file lies in the page cache; cold: it was thrown out of it, as far as the system does that.
Figures are medians over rounds; ratios are medians of ratios within a round. One thread: beside other work
two would spend most of the pass waiting for one another, which a processor does by counting.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import result_file
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from ullage.memory.weights.parking import Parking
from ullage.runtime.batching import release
from ullage.runtime.loader import Loaded
from ullage.runtime.parking import ModelWeights

TOKENS = 16
MIB = 2**20
CACHES = ("warm", "cold")
WAYS = ("ready", "parked", "disk", "pretrained")
READ = 8 * MIB
"""Bytes of one plain read."""


def save_model(folder: Path) -> Path:
    """The model's only file."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=28000,
        hidden_size=1024,
        intermediate_size=2816,
        num_hidden_layers=16,
        num_attention_heads=16,
        num_key_value_heads=8,
        tie_word_embeddings=False,
    )
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    return folder / "model.safetensors"


class Rounds:
    """One model's file, what is timed of it, and the answer that each way must give."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.file = folder, save_model(folder)
        self.ids = torch.arange(3, 3 + TOKENS).reshape(1, TOKENS)
        self.size = self.file.stat().st_size
        self.parking = Parking({"cpu": self.size}, {"cpu": self.size}, self.size)
        self.weights = ModelWeights(self.fresh, self.parking, folder)
        self.model = self.weights.bring(_go_on).model
        self.answer = self.ask(self.model)
        self.equal, self.tensors = True, len(list(self.model.parameters()))

    def fresh(self) -> Loaded:
        model = LlamaForCausalLM.from_pretrained(self.folder, dtype=torch.bfloat16).eval()
        return Loaded(model, None, {"": "cpu"}, "cpu", None, False)  # type: ignore[arg-type]

    def ask(self, model: Any) -> Any:
        """The pass, and a look at every page of what it left out."""
        with torch.inference_mode():
            logits = model(self.ids).logits
            model.get_input_embeddings().weight.view(-1)[::2048].sum()
        return logits

    def timed(self, bring: Callable[[], Any]) -> tuple[float, float, float]:
        """Seconds until the model was there, until it had answered, and of processors for both."""
        worked = time.process_time()
        begin = time.perf_counter()
        model = bring()
        there = time.perf_counter()
        answer = self.ask(model)
        done = time.perf_counter()
        worked = time.process_time() - worked
        self.equal &= bool((answer == self.answer).all())
        return there - begin, done - begin, worked

    def cool(self, cache: str) -> None:
        """Has the file in the page cache, or out of it. Its pages leave only once nobody maps them."""
        release()
        with self.file.open("rb") as file:
            if cache == "cold":
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            else:
                while file.read(READ):
                    pass

    def read(self) -> float:
        """Seconds of a plain read of the file into one buffer that is there."""
        buffer = bytearray(READ)
        begin = time.perf_counter()
        with self.file.open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass
        return time.perf_counter() - begin

    def row(self, cache: str, number: int) -> dict[str, Any]:
        """One round; the file is read first in every other one, and last in the rest."""
        self.weights.drop()
        row: dict[str, Any] = {"cache": cache, "load": os.getloadavg()[0]}
        if number % 2:
            self.cool(cache)
            row["read"] = self.read()
        self.cool(cache)
        row["pretrained"] = self.timed(lambda: self.fresh().model)
        self.cool(cache)
        row["disk"] = self.timed(lambda: self.weights.bring(_go_on).model)
        row["ready"] = self.timed(lambda: self.weights.bring(_go_on).model)
        begin = time.perf_counter()
        self.weights.park()
        row["park"] = time.perf_counter() - begin
        row["parked"] = self.timed(lambda: self.weights.bring(_go_on).model)
        if not number % 2:
            self.weights.drop()
            self.cool(cache)
            row["read"] = self.read()
        return row


def _go_on() -> bool:
    return False


def summary(rows: list[dict[str, Any]], size: int) -> dict[str, Any]:
    """Milliseconds and ratios of one page cache's rows."""

    def median(of: Callable[[dict[str, Any]], float]) -> float:
        return statistics.median(of(row) for row in rows)

    return {
        "rounds": len(rows),
        "switch_ms": 1e3 * median(lambda row: row["parked"][0]),
        "longest_switch_ms": 1e3 * max(row["parked"][0] for row in rows),
        "park_ms": 1e3 * median(lambda row: row["park"]),
        "parked_ms": 1e3 * median(lambda row: row["parked"][1]),
        "ready_ms": 1e3 * median(lambda row: row["ready"][1]),
        "pretrained_ms": 1e3 * median(lambda row: row["pretrained"][1]),
        "disk_ms": 1e3 * median(lambda row: row["disk"][1]),
        "disk_there_ms": 1e3 * median(lambda row: row["disk"][0]),
        "read_ms": 1e3 * median(lambda row: row["read"]),
        "read_mib_per_second": median(lambda row: size / MIB / row["read"]),
        "beside_pretrained": median(lambda row: row["pretrained"][1] / row["parked"][1]),
        "work_beside_pretrained": median(lambda row: row["pretrained"][2] / row["parked"][2]),
        "work_ms": {way: 1e3 * median(lambda row, way=way: row[way][2]) for way in WAYS},
        "fastest_ms": {way: 1e3 * min(row[way][1] for row in rows) for way in WAYS},
        "disk_beside_pretrained": median(lambda row: row["pretrained"][1] / row["disk"][1]),
        "disk_beside_read": median(lambda row: row["read"] / row["disk"][0]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15, help="of each page cache")
    rounds = parser.parse_args().rounds
    made = result_file.start("pool_switch")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        switching = Rounds(Path(folder))
        rows = [switching.row(cache, number) for number in range(rounds) for cache in CACHES]
        size, tensors, equal = switching.size, switching.tensors, switching.equal
    found = {cache: summary([row for row in rows if row["cache"] == cache], size) for cache in CACHES}
    warm = found["warm"]
    figures = {
        "bytes": size,
        "tensors": tensors,
        "load": [min(row["load"] for row in rows), max(row["load"] for row in rows)],
        "equal": equal,
        **found,
        "rows": rows,
    }
    made.write(
        figures,
        {
            "every way gives the same logits": equal,
            "a switch takes at most 5 ms beside its pass": warm["switch_ms"] <= 5,
            "a parked model answers 1.5 x faster than from_pretrained": warm["beside_pretrained"] >= 1.5,
            "from disk at least 0.9 x as fast as the file is read": all(
                found[cache]["disk_beside_read"] >= 0.9 for cache in CACHES
            ),
        },
    )


if __name__ == "__main__":
    main()
