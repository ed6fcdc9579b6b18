"""Predicted against measured memory of extractions on this machine's first CUDA GPU.

    python benchmarks/gpu.py        # under 8 minutes; prints, and writes results/gpu-NAME.json

The matrix of `extract_memory.py` with wider models, in bf16, and with int8 and nf4 where bitsandbytes is
there; live and reserved are torch's counters, process and device NVML's. Without a GPU it says so and ends.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
warnings.filterwarnings("ignore")

import extract_memory
import result_file

SIZE = {"hidden": 1024, "heads": 16, "kv_heads": 8, "layers": 6, "window": 256}
SECONDS = 420
QUANTIZED_FAMILIES = ("llama", "qwen3", "gemma2", "phi3", "gpt_neox", "opt")


def matrix() -> list[tuple[str, dict[str, Any]]]:
    """(precision, configuration): all of them in bf16, then some quantized."""
    found = [("bf16", configuration) for configuration in extract_memory.configurations()]
    if importlib.util.find_spec("bitsandbytes"):
        chosen = [c for c in extract_memory.configurations() if c["family"] in QUANTIZED_FAMILIES]
        found += [(precision, c) for precision in ("int8", "nf4") for c in chosen[::3]]
    return found


def main() -> None:
    import torch

    if not torch.cuda.is_available():
        print("no CUDA GPU here: nothing measured", file=sys.stderr)
        return
    name = torch.cuda.get_device_name(0)
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "0")
    made = result_file.start("gpu", re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-"))
    begun = time.monotonic()
    rows, failed = [], []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ULLAGE_HOME"] = folder
        for precision, configuration in matrix():
            if time.monotonic() - begun > SECONDS:
                print("time is up; the rest is left out", file=sys.stderr)
                break
            try:
                rows.append(extract_memory.measure(configuration, Path(folder), "local", precision, SIZE))
            except Exception as error:  # one row that fails must not cost the others
                failed.append(
                    {**configuration, "precision": precision, "error": f"{type(error).__name__}: {error}"}
                )
        evidence = (Path(folder) / "evidence.jsonl").read_text().splitlines()[-1:] if rows else []
    figures = {
        "gpu": name,
        "compute_capability": ".".join(map(str, torch.cuda.get_device_capability(0))),
        "driver": driver(),
        "cuda": torch.version.cuda,
        "seconds": round(time.monotonic() - begun),
        "evidence": [json.loads(line) for line in evidence],
        "summary": {level: extract_memory.summary_of(rows, level) for level in extract_memory.LEVELS},
        "failed": failed,
        "rows": rows,
    }
    extract_memory.show(rows)
    for each in failed:
        print(f"failed: {each}", file=sys.stderr)
    made.write(
        figures, extract_memory.none_above(figures["summary"]) | {"every configuration ran": not failed}
    )


def driver() -> str:
    import pynvml

    pynvml.nvmlInit()
    return str(pynvml.nvmlSystemGetDriverVersion())


if __name__ == "__main__":
    main()
