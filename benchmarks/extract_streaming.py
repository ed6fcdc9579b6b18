"""Memory of a streamed extraction while the sequence grows eightfold, on the processor.

    python benchmarks/extract_streaming.py     # prints, and writes results/extract_streaming.json

Activations are the largest sum of live tensors less weights and key-value cache. Each length is a real run;
predicted is what the plan of that run said.
"""

from __future__ import annotations

import json
import os
import tempfile
import warnings
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
warnings.filterwarnings("ignore")

import result_file
import small_models

FAMILIES = ("llama", "gpt2", "gemma3_text")
LENGTHS = (8192, 65536)
CHUNK = 512
LAYERS_RUN = 2


def measure(family: str, tokens: int, folder: Path) -> dict[str, Any]:
    """Bytes measured and predicted of one run over one sequence of `tokens`."""
    import ullage

    model = folder / family
    if not model.exists():
        small_models.save(
            model, family, hidden=256, heads=4, kv_heads=2, layers=4, window=1024, positions=LENGTHS[-1]
        )
    small_models.write_tokens(folder / "input.jsonl", [tokens], len(small_models.tokenizer()))
    body = {
        "kind": "extract",
        "roles": {"model": {"model": str(model)}},
        "budget": {"gpus": "cpu"},
        "batch": 1,
        "prompt_tokens": tokens,
        "examples": 1,
        "memory": {"streaming_chunk_size": CHUNK},
        "captures": [{"sites": ["blocks.1.hook_resid_post"], "positions": "last", "keep": "disk"}],
        "extract": {"input": "input.jsonl"},
    }
    file = folder / "workload.json"
    file.write_text(json.dumps(body))
    run, _ = ullage.run(ullage.load(file), folder / f"{family}-{tokens}", base=folder)
    plan = json.loads((run / "manifest.json").read_text())["plan"]
    found = {c.what: c for c in ullage.verify(run).comparisons if c.phase == "model extract"}
    cache = sum(
        item["bytes"]["expected"]
        for item in plan["items"]
        if item["component"] == "kv_cache" and item["phase"] == "model extract"
    )
    live, weights = found["live"], found["weights"].measured
    return {
        "family": family,
        "tokens": tokens,
        "live": live.measured,
        "predicted_live": live.predicted.expected,
        "weights": weights,
        "kv_cache": cache,
        "activations": live.measured - weights - cache,
        "error": live.error,
    }


def main() -> None:
    made = result_file.start("extract_streaming")
    with tempfile.TemporaryDirectory() as name:
        os.environ["ULLAGE_HOME"] = name
        rows = [measure(family, tokens, Path(name)) for family in FAMILIES for tokens in LENGTHS]
    ratios = {
        family: rows[2 * index + 1]["activations"] / rows[2 * index]["activations"]
        for index, family in enumerate(FAMILIES)
    }
    for row in rows:
        print(
            f"{row['family']:12} {row['tokens']:6} tokens: activations {row['activations'] / 2**20:6.2f}, "
            f"cache {row['kv_cache'] / 2**20:7.1f} MiB, live {100 * row['error']:+.2f} % of measured"
        )
    claims = {"activations grow by less than 1.2 x over eight times the length": max(ratios.values()) < 1.2}
    made.write({"ratios": ratios, "rows": rows}, claims)


if __name__ == "__main__":
    main()
