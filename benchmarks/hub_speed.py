"""How long `ullage estimate OWNER/NAME` takes beside what it waits for the hub.

    python benchmarks/hub_speed.py

Writes results/hub_speed.json. The hub is tools/hub_server.py on loopback, which answers each request after a
delay, as a distant one would; its clock says when at least one request was under way (`waited`). `beside` is
the whole process's time less that, `processor` what it took of a processor, which other work on the machine
changes less. Each home holds nothing at first (`first`), then what was read (`again`: the hub is asked for
the commit alone; `pinned`: it is in the name, and nobody is asked). Medians over `ROUNDS`, and the least
`beside`. Held to a second is `processor`, which is what `beside` comes to where a core is free: on a machine
with more to do than cores (`load_before`), `beside` is of the others too.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import result_file

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

from hub_server import COMMIT, Hub, Serving

ROUNDS: Final = 7
DELAYS: Final = (0.0, 0.08)
MOST: Final = 1.0
"""Seconds."""
CONFIG: Final = {
    "model_type": "llama",
    "hidden_size": 64,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 128,
    "vocab_size": 4096,
    "tie_word_embeddings": False,
    "dtype": "bfloat16",
}
MODELS: Final = {"one file": (28, 1), "100 shards": (80, 100)}
"""Layers and weight files."""


def tensors(layers: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of such a Llama's weights."""
    shapes = {"embed_tokens": (4096, 64), "norm": (64,)}
    parts = {
        "self_attn.q_proj": (64, 64),
        "self_attn.k_proj": (32, 64),
        "self_attn.v_proj": (32, 64),
        "self_attn.o_proj": (64, 64),
        "mlp.gate_proj": (128, 64),
        "mlp.up_proj": (128, 64),
        "mlp.down_proj": (64, 128),
        "input_layernorm": (64,),
        "post_attention_layernorm": (64,),
    }
    found = {f"model.{name}.weight": shape for name, shape in shapes.items()}
    for layer in range(layers):
        found |= {f"model.layers.{layer}.{name}.weight": shape for name, shape in parts.items()}
    return found | {"lm_head.weight": (4096, 64)}


def safetensors(shapes: dict[str, tuple[int, ...]]) -> bytes:
    """A file of these tensors in bf16, all zeros."""
    header, at = {}, 0
    for name, shape in shapes.items():
        size = 2 * shape[0] * (shape[1] if len(shape) > 1 else 1)
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(at)


def repository(layers: int, count: int) -> dict[str, bytes]:
    """A model's files, its weights in `count` of them."""
    shapes = tensors(layers)
    files = {"config.json": json.dumps({**CONFIG, "num_hidden_layers": layers}).encode()}
    if count == 1:
        return files | {"model.safetensors": safetensors(shapes)}
    parts: dict[str, dict[str, tuple[int, ...]]] = {}
    for at, (name, shape) in enumerate(shapes.items()):
        part = f"model-{at * count // len(shapes) + 1:05d}-of-{count:05d}.safetensors"
        parts.setdefault(part, {})[name] = shape
    index = {"weight_map": {name: part for part, held in parts.items() for name in held}}
    files["model.safetensors.index.json"] = json.dumps(index).encode()
    return files | {part: safetensors(held) for part, held in parts.items()}


def seconds(command: list[str], hub: Hub | None = None) -> tuple[float, float, float]:
    """Of the whole process, of that waited for the hub, and of a processor."""
    spans = [] if hub is None else hub.spans
    spans.clear()
    before, start = processor_seconds(), time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True, cwd=ROOT)
    return time.perf_counter() - start, covered(spans), processor_seconds() - before


def processor_seconds() -> float:
    """That ended child processes took."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def covered(spans: list[tuple[float, float]]) -> float:
    """Seconds within at least one of `spans`."""
    total = ended = 0.0
    for begin, end in sorted(spans):
        total += max(end - max(begin, ended), 0.0)
        ended = max(ended, end)
    return total


def estimate(name: str) -> list[str]:
    return [
        sys.executable,
        "-m",
        "ullage",
        "estimate",
        name,
        "--gpus",
        "T4",
        "--prompt-tokens",
        "64",
        "--json",
    ]


def measured(hub: Hub, name: str) -> dict[str, dict[str, float]]:
    """Medians of each way to name a model, over rounds with a new home each."""
    rounds: dict[str, list[tuple[float, float, float]]] = {"first": [], "again": [], "pinned": []}
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as home:
            os.environ["ULLAGE_HOME"] = home
            for way, found in rounds.items():
                found.append(seconds(estimate(f"{name}@{COMMIT}" if way == "pinned" else name), hub))
    return {
        way: {
            "whole": round(statistics.median(one[0] for one in found), 3),
            "waited": round(statistics.median(one[1] for one in found), 3),
            "beside": round(statistics.median(one[0] - one[1] for one in found), 3),
            "least_beside": round(min(one[0] - one[1] for one in found), 3),
            "processor": round(statistics.median(one[2] for one in found), 3),
        }
        for way, found in rounds.items()
    }


def main() -> None:
    made = result_file.start("hub_speed")
    document: dict[str, object] = {"rounds": ROUNDS, "most_seconds": MOST}
    document["load_before"] = round(os.getloadavg()[0], 1)
    rows: dict[str, dict[str, dict[str, float]]] = {}
    with Serving() as hub, tempfile.TemporaryDirectory() as bytecode:
        os.environ |= {"HF_ENDPOINT": hub.url, "PYTHONPYCACHEPREFIX": bytecode}
        os.environ.pop("HF_HUB_OFFLINE", None)
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        for label, (layers, count) in MODELS.items():
            hub.files[f"owner/{count}"] = repository(layers, count)
            seconds(estimate(f"owner/{count}"))
            for delay in DELAYS:
                hub.delay = delay
                row = f"{label}, {delay * 1000:.0f} ms a request"
                rows[row] = measured(hub, f"owner/{count}")
                print(row, json.dumps(rows[row]), flush=True)
        code = {"huggingface_hub": "from huggingface_hub import HfApi, hf_hub_url", "nothing": ""}
        for name, text in code.items():
            took = [seconds([sys.executable, "-c", text])[0] for _ in range(ROUNDS)]
            document[f"import_{name}"] = round(statistics.median(took), 3)
    document["models"] = rows
    most = max(way["processor"] for row in rows.values() for way in row.values())
    document["most_processor"] = most
    print(json.dumps({key: value for key, value in document.items() if key != "models"}))
    made.write(document, {"a hub's model takes less than a second of a processor": most <= MOST})


if __name__ == "__main__":
    main()
