"""vLLM's start-up logs against what is predicted of them: benchmarks/accuracy.py reads them by this.

Each is predicted twice. In sample, by the constants as they stand, with the log's version told; and left out:
constants that are read off logs are read off those of other cards and versions alone, and the version is not
told. What follows from vLLM's code stays.
"""

from __future__ import annotations

import csv
import json
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from unittest import mock

from ullage.facts.abilities import Abilities, nvidia
from ullage.facts.catalog import find_model
from ullage.facts.gpu_set import parse_gpu_set
from ullage.memory.vllm import sizes, startup
from ullage.memory.vllm.sizes import Serving, logged_tokens, serving
from ullage.memory.weights.precision import resolve_precision
from ullage.spec.role import Role
from ullage.units import GIB, Interval

MEASURED = Path(__file__).parent / "measured"
NAMES = {"config:qwen3-4b": "Qwen/Qwen3-4B"}
LEVELS = ("weights", "activations", "non_torch", "cuda_graphs")


class Log(NamedTuple):
    """One start of an engine: sizes in bytes by level, as far as the log gives them; 0 tokens: not given."""

    source: str
    model: str
    card: str
    version: str
    role: Role
    abilities: Abilities
    share: float
    total: int
    measured: dict[str, float]
    tokens: int


def logs() -> list[Log]:
    return [*_h100(), *_others()]


def _h100() -> Iterator[Log]:
    """`vllm serve` 0.19, whose scheduler defaults on this card are these."""
    for row in csv.DictReader((MEASURED / "vllm-0.19-h100.csv").open()):
        if row["pp"] != "1":
            continue
        precision = {"torch.float32": "fp32", "torch.float16": "fp16"}.get(row["dtype"], "bf16")
        if find_model(row["model"]).quantization is not None:
            precision = "auto"
        elif row["quantization"] == "fp8":
            precision = "fp8"
        fields = {"engine": "vllm", "tensor_parallel": int(row["tp"]), "precision": precision}
        fields["cache"] = {"precision": "fp8" if row["kv_cache_dtype"] == "fp8" else "auto"}
        fields["vllm"] = {"max_num_batched_tokens": 8192, "max_num_seqs": 1024, "version": "0.19"}
        columns = ("weights_memory", "activation_memory", "non_torch_forward", "cuda_graph_actual")
        measured = {
            level: float(row[f"{column}_gib"]) * GIB for level, column in zip(LEVELS, columns, strict=True)
        }
        yield Log(
            f"{row['model']} {row['max_model_len']}",
            row["model"],
            "H100",
            "0.19",
            Role(model=row["model"], **fields),
            nvidia((9, 0)),
            float(row["gpu_memory_utilization"]),
            int(float(row["init_total_memory_gib"]) * GIB),
            measured,
            int(row["kv_cache_tokens"]),
        )


def _others() -> Iterator[Log]:
    found: dict[str, list[dict[str, str]]] = {}
    for row in csv.DictReader((MEASURED / "vllm-other-cards.csv").open()):
        found.setdefault(row["source"], []).append(row)
    for source, rows in found.items():
        first, settings = rows[0], json.loads(rows[0]["settings"])
        name = NAMES.get(first["model"], first["model"])
        version = first["versions"].split()[1]
        own: dict[str, object] = {} if "x" in version else {"version": version}
        for short, key in (("seqs", "max_num_seqs"), ("tokens", "max_num_batched_tokens")):
            own |= {key: settings[short]} if short in settings else {}
        fields = {"engine": "vllm", "precision": first["precision"], "tensor_parallel": settings["tp"]}
        gpus = parse_gpu_set(first["gpu"])
        measured = {row["level"]: float(row["measured_bytes"]) for row in rows}
        tokens = int(measured.pop("kv_tokens", 0))
        yield Log(
            source,
            name,
            gpus.gpus[0].id.split("-")[0],
            ".".join(version.split(".")[:2]),
            Role(model=name, vllm=own, **fields),
            gpus.abilities,
            settings["share"],
            int(settings["total_gib"] * GIB),
            measured,
            tokens,
        )


def predicted(log: Log, told: bool = True) -> Serving:
    """What one rank takes, with the version told or not."""
    role, model = log.role, find_model(log.model)
    if not told:
        settings = role.settings.model_copy(update={"version": None})
        role = Role.model_validate({**role.model_dump(), "vllm": settings.model_dump()})
    return serving(model, role, resolve_precision(role, model, log.abilities), log.abilities)


@contextmanager
def without(log: Log, every: list[Log]) -> Iterator[None]:
    """Inside, constants are those that the logs of other cards and versions give."""
    others = [each for each in every if log.card != each.card and log.version != each.version]

    def like(ranks: bool) -> list[float]:
        return [
            each.measured["non_torch"]
            for each in others
            if "non_torch" in each.measured and (each.role.tensor_parallel > 1) == ranks
        ]

    alone, ranks = (Interval(*(int(end(like(several))) for end in ENDS)) for several in (False, True))
    captured = [each for each in others if each.measured.get("cuda_graphs")]
    ratio = statistics.median(
        each.measured["cuda_graphs"] / predicted(each).cuda_graphs.expected for each in captured
    )
    fused = any(each.version == "0.19" for each in others)
    capability = startup.FUSING_CAPABILITY if fused else (99, 0)
    with (
        mock.patch.object(startup, "NON_TORCH", alone),
        mock.patch.object(startup, "NON_TORCH_RANKS", ranks),
        mock.patch.object(startup, "NON_TORCH_RANKS_BUS", ranks),
        mock.patch.object(startup, "FUSING_CAPABILITY", capability),
        mock.patch.object(startup, "GRAPHS", int(startup.GRAPHS * ratio)),
        mock.patch.object(startup, "GRAPHS_LAYER", int(startup.GRAPHS_LAYER * ratio)),
    ):
        sizes._serving.cache_clear()
        yield
    sizes._serving.cache_clear()


ENDS = (min, statistics.median, max)


def row_of(log: Log, every: list[Log]) -> dict:
    """In sample and left out: each level's error, and that of the cache's tokens."""
    found: dict[str, object] = {"source": log.source, "card": log.card, "version": log.version}
    found["tensor_parallel"] = log.role.tensor_parallel
    found["in_sample"] = _errors(log, predicted(log))
    with without(log, every):
        found["left_out"] = _errors(log, predicted(log, told=False))
    return found


def _errors(log: Log, made: Serving) -> dict[str, object]:
    found: dict[str, object] = {}
    for level, size in log.measured.items():
        each: Interval = getattr(made, level)
        digit = 0.01 * GIB
        found[level] = {
            "measured_gib": round(size / GIB, 3),
            "error_percent": 100 * (each.expected / size - 1),
            "inside": each.low <= size + digit and size - digit <= each.high,
            "above_high": size - digit > each.high,
        }
    if log.tokens:
        tokens = logged_tokens(made, log.total, log.share, 16)
        found["kv_tokens"] = {
            "measured": log.tokens,
            "error_percent": 100 * (tokens.expected / log.tokens - 1),
            "low_holds": tokens.low <= log.tokens,
        }
    return found


def summary(rows: list[dict], which: str, level: str) -> dict:
    """Median and largest error of a level over rows, and how many the interval holds."""
    found = [row[which][level] for row in rows if level in row[which]]
    errors = [abs(each["error_percent"]) for each in found]
    held = "low_holds" if level == "kv_tokens" else "inside"
    return {
        "rows": len(errors),
        "median_percent": round(statistics.median(errors), 3),
        "maximum_percent": round(max(errors), 3),
        "held": sum(bool(each[held]) for each in found),
    }
