"""Every type of causal language model that transformers has: is it known from its config.json alone?

python benchmarks/known_families.py [--only llama,gpt2] [--seconds 60]

Parameters: the config that its class gives, as `config.json` holds it, is read without torch and its
parameters counted; then transformers builds the model of it on the meta device. The same for a small config
(`ullage.runtime.shrunk`). Live peak: a real run (`ullage.run`, fp32 and bf16, 16 texts of 40 tokens, every
layer's last position) of that small model beside its plan. A type that is refused says why.
Figures: benchmarks/results/known_families.json; tables.py writes the table.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import extract_families
import extract_memory
import result_file
import small_models

KNOWN, LARGEST_ERROR = 90, 0.01
TEXTS = 16
PRECISIONS = ("fp32", "bf16")
CAPTURE = {"sites": ["blocks.*.hook_resid_post"], "positions": "last", "keep": "disk"}


def known(family: str) -> dict[str, Any]:
    """One type's row."""
    import transformers
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    from ullage.runtime.shrunk import build_small, shrink

    transformers.logging.set_verbosity_error()
    begun = time.perf_counter()
    row: dict[str, Any] = {"family": family, "built": False}
    try:
        config = CONFIG_MAPPING[family](**extract_families.OPEN.get(family, {}))
        row["default"] = counted(config)
        row["small"] = counted(shrink(config))
        row["built"] = True
        if row["small"]["counted"] == row["small"]["real"]:
            with tempfile.TemporaryDirectory() as folder:
                row["live"] = live(build_small(config), Path(folder))
    except Exception as error:  # what one type raises is its row
        row["said"] = f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
    return row | {"seconds": round(time.perf_counter() - begun, 2)}


def counted(config: Any) -> dict[str, Any]:
    """Parameters as they are counted from the file, and as the built model has them."""
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

    from ullage.errors import UllageError
    from ullage.facts.config import read_config

    kind = AutoModelForCausalLM
    if type(config) in AutoModelForImageTextToText._model_mapping and hasattr(config, "vision_config"):
        kind = AutoModelForImageTextToText  # the causal class of some leaves the tower out
    with torch.device("meta"):
        model = kind.from_config(config)
    real = sum(each.numel() for each in model.parameters())
    held = json.loads(config.to_json_string(use_diff=True)) | {"model_type": config.model_type}
    try:
        return {"real": real, "counted": read_config(held, config.model_type, "class").parameters}
    except UllageError as error:
        return {"real": real, "counted": None, "said": str(error)[:300]}


def live(model: Any, folder: Path) -> dict[str, Any]:
    """Live peaks in bytes of a run in each precision, beside the plan's; or why there is no plan."""
    import ullage
    from ullage.errors import UllageError
    from ullage.runtime.shrunk import TOKENS

    words = small_models.tokenizer(size=300)
    model.save_pretrained(folder / "model")
    words.save_pretrained(folder / "model")
    small_models.write_tokens(
        folder / "input.jsonl", [TOKENS] * TEXTS, model.config.get_text_config().vocab_size
    )
    found: dict[str, Any] = {}
    for precision in PRECISIONS:
        body = {
            "kind": "extract",
            "roles": {"model": {"model": str(folder / "model"), "precision": precision}},
            "budget": {"gpus": "cpu"},
            "batch": TEXTS,
            "prompt_tokens": TOKENS,
            "examples": TEXTS,
            "captures": [CAPTURE],
            "extract": {"input": "input.jsonl"},
        }
        (folder / "workload.json").write_text(json.dumps(body))
        try:
            out, _ = ullage.run(ullage.load(folder / "workload.json"), folder / precision, base=folder)
        except UllageError as error:
            found[precision] = {"said": str(error)[:300]}
            continue
        compared = {(c.phase, c.what): c for c in ullage.verify(out).comparisons}
        one = compared["model extract", "live"]
        found[precision] = {
            **extract_memory.interval(one.predicted),
            "measured": one.measured,
            "error": one.error,
        }
    return found


def summary_of(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """How many are known, and how far the live peaks lie from their plans."""
    exact = [row for row in rows if row["built"] and exact_in(row)]
    runs = [run for row in rows for run in row.get("live", {}).values() if "measured" in run]
    return {
        "types": len(rows),
        "built": sum(row["built"] for row in rows),
        "exact": len(exact),
        "counted_wrongly": [
            row["family"]
            for row in rows
            if row["built"] and not exact_in(row) and row["default"]["counted"] is not None
        ],
        "runs": len(runs),
        "median_error": statistics.median(abs(run["error"]) for run in runs) if runs else None,
        "largest_error": max((abs(run["error"]) for run in runs), default=None),
        "within_1_percent": sum(abs(run["error"]) <= LARGEST_ERROR for run in runs),
        "above_high": [
            row["family"]
            for row in rows
            for run in row.get("live", {}).values()
            if "measured" in run and run["measured"] > run["high"]
        ],
    }


def exact_in(row: dict[str, Any]) -> bool:
    """Whether both configs' parameters are counted exactly."""
    return all(row[which]["counted"] == row[which]["real"] for which in ("default", "small"))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default="")
    parser.add_argument("--seconds", type=float, default=60.0)
    given = parser.parse_args()
    made = result_file.start("known_families")
    names = given.only.split(",") if given.only else extract_families.types()
    with tempfile.TemporaryDirectory() as home:
        os.environ["ULLAGE_HOME"] = home
        rows = extract_families.rows(names, given.seconds, known)
    summary = summary_of(rows)
    print(json.dumps(summary if not given.only else rows, indent=1))
    if given.only:
        return
    claims = {
        f"parameters of at least {KNOWN} types are exact": summary["exact"] >= KNOWN,
        "no type is counted wrongly": not summary["counted_wrongly"],
        "no live peak above the high value": not summary["above_high"],
        "every live peak within 1 %": summary["within_1_percent"] == summary["runs"],
    }
    made.write({"summary": summary, "rows": rows}, claims)


if __name__ == "__main__":
    main()
