"""Predicted against measured live memory of extractions on the processor.

    python benchmarks/extract_memory.py          # prints, and writes results/extract_memory.json

Every configuration is a real run (`ullage.run`): model folder, input file, plan, run, record. Measured is
the largest sum of live tensors, which `tests/runtime/test_live.py` holds against torch's own profiler.
"""

from __future__ import annotations

import itertools
import json
import os
import statistics
import tempfile
import warnings
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
warnings.filterwarnings("ignore")

import result_file
import small_models

SHAPES = ((1, 512), (4, 256), (16, 96))
CAPTURES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("every layer, last", {"sites": ["blocks.*.hook_resid_post"], "positions": "last"}),
    ("layer 1, all", {"sites": ["blocks.1.hook_resid_post"], "positions": "all"}),
    ("every layer, all", {"sites": ["blocks.*.hook_resid_post"], "positions": "all"}),
    ("layer 1 attention, mean", {"sites": ["blocks.1.hook_attn_out"], "positions": "mean"}),
)


def configurations() -> list[dict[str, Any]]:
    """Families x shapes x captures, thinned out so that each pair of choices occurs; then streaming."""
    found = []
    for index, family in enumerate(small_models.FAMILIES):
        grid = list(itertools.product(SHAPES, CAPTURES))
        for (batch, tokens), (name, capture) in grid[index % 3 :: 3]:
            found.append(
                {"family": family, "batch": batch, "tokens": tokens, "captures": name, "capture": capture}
            )
        name, capture = CAPTURES[index % 3]
        for batch, tokens, chunk in ((1, 2048, 256), (2, 1024, 128)):
            found.append(
                {
                    "family": family,
                    "batch": batch,
                    "tokens": tokens,
                    "captures": name,
                    "capture": capture,
                    "chunk": chunk,
                }
            )
    return found


SIZE = {"hidden": 256, "heads": 8, "kv_heads": 4, "layers": 4, "window": 128}
LEVELS = ("live", "reserved", "process", "device")


def run(
    configuration: dict[str, Any],
    folder: Path,
    gpus: str = "cpu",
    precision: str = "auto",
    size: dict[str, int] = SIZE,
) -> tuple[Path, Any]:
    """One run of a configuration: its folder and its record."""
    import ullage

    family, batch, tokens = configuration["family"], configuration["batch"], configuration["tokens"]
    model = folder / family
    if not model.exists():
        small_models.save(model, family, **size)
    vocabulary = len(small_models.tokenizer())
    count = batch * 2
    small_models.write_tokens(folder / "input.jsonl", [tokens] * count, vocabulary)
    chunk = configuration.get("chunk")
    body = {
        "kind": "extract",
        "roles": {"model": {"model": str(model), "precision": precision}},
        "budget": {"gpus": gpus},
        "batch": batch,
        "prompt_tokens": tokens,
        "examples": count,
        "memory": {"streaming_chunk_size": chunk} if chunk else {},
        "captures": [{**configuration["capture"], "keep": "disk"}],
        "extract": {"input": "input.jsonl"},
    }
    file = folder / "workload.json"
    file.write_text(json.dumps(body))
    number = len(list(folder.glob("run-*")))
    return ullage.run(ullage.load(file), folder / f"run-{number}", base=folder)


def interval(found: Any) -> dict[str, int]:
    """Its three values by name."""
    return {"low": found.low, "expected": found.expected, "high": found.high}


def measure(configuration: dict[str, Any], folder: Path, precision: str = "auto") -> dict[str, Any]:
    """One run; bytes predicted (low, expected, high) and measured of each level, and of the weights."""
    import ullage

    out, _ = run(configuration, folder, precision=precision)
    found = {c.what: c for c in ullage.verify(out).comparisons if c.phase == "model extract"}
    shown = {key: value for key, value in configuration.items() if key != "capture"}
    levels = {
        level: {
            **interval(found[level].predicted),
            "measured": found[level].measured,
            "error": found[level].error,
        }
        for level in LEVELS
        if level in found
    }
    return {**shown, "precision": precision, "weights": found["weights"].measured, **levels}


def summary_of(rows: list[dict[str, Any]], level: str) -> dict[str, Any]:
    """Errors of one level over all rows, and how many lie outside the interval."""
    held = [row[level] for row in rows if level in row]
    errors = [abs(each["error"]) for each in held]
    return {
        "configurations": len(held),
        "median_error": statistics.median(errors),
        "largest_error": max(errors),
        "above_high": sum(each["measured"] > each["high"] for each in held),
        "below_low": sum(each["measured"] < each["low"] for each in held),
    }


def none_above(summary: dict[str, Any]) -> dict[str, bool]:
    """No measurement above the high value, as a claim a level."""
    return {
        f"no {level} peak above the high value": found["above_high"] == 0 for level, found in summary.items()
    }


def show(rows: list[dict[str, Any]]) -> None:
    """One line a row, the largest error first."""
    for row in sorted(rows, key=lambda row: -abs(row["live"]["error"])):
        live = row["live"]
        print(
            f"{row['family']:20} {row['precision']:7} {row['batch']:3} x {row['tokens']:5} "
            f"chunk {row.get('chunk', '-')!s:5} {row['captures']:26} live {live['measured'] / 2**20:8.2f} "
            f"error {100 * live['error']:+6.2f} %   beside weights "
            f"{(live['measured'] - row['weights']) / 2**20:7.2f}, predicted "
            f"{(live['expected'] - row['weights']) / 2**20:7.2f}"
            f"{'  ABOVE' if live['measured'] > live['high'] else ''}"
        )


def main() -> None:
    made = result_file.start("extract_memory")
    with tempfile.TemporaryDirectory() as name:
        os.environ["ULLAGE_HOME"] = name
        rows = [measure(configuration, Path(name)) for configuration in configurations()]
        rows += [measure(each, Path(name), precision="bf16") for each in configurations()[::3]]
    figures = {
        "summary": {level: summary_of(rows, level) for level in ("live", "process")},
        "rows": rows,
    }
    show(rows)
    made.write(figures, none_above(figures["summary"]))


if __name__ == "__main__":
    main()
