"""Predicted against measured memory, row by row, beside other estimators.

    python benchmarks/accuracy.py            # prints a summary, writes results/accuracy.json
    python benchmarks/accuracy.py --docs     # also rewrites the tables of docs/accuracy.md

The measurements in benchmarks/measured were taken and published by others. Estimators beside Ullage:
accelerate's `estimate-memory` (its own function on an empty model of the same config), hf-mem (its own
functions on the safetensors header such a model has), both where they are installed, and
"parameters x bytes x 1.2". None of the three claims to count activations.
"""

from __future__ import annotations

import argparse
import csv
import statistics
from dataclasses import replace
from pathlib import Path

import result_file
import vllm_logs

from ullage import api
from ullage.facts.architecture import StoredQuantization
from ullage.facts.catalog import find_model
from ullage.facts.gpu_set import parse_gpu_set
from ullage.memory.estimate import estimate
from ullage.phases.phase import Phase, Resident, Work
from ullage.planning.billing import make_bill
from ullage.planning.device import devices_of
from ullage.planning.placement import place
from ullage.planning.planner import make_plan
from ullage.spec.role import Role
from ullage.units import GIB, Interval, total

HERE = Path(__file__).parent
QUANTIZED = {
    "BF16": None,
    "GPTQ-Int8": StoredQuantization("autogptq", 8, 128),
    "GPTQ-Int4": StoredQuantization("autogptq", 4, 128),
    "AWQ": StoredQuantization("autoawq", 4, 128),
}
"""As transformers 4 loaded them: these rows were measured with AutoGPTQ and AutoAWQ."""
BYTES = {"BF16": 2.0, "GPTQ-Int8": 1.0, "GPTQ-Int4": 0.5, "AWQ": 0.5}
NEW_TOKENS = 2048
ONE, SEVERAL = "Qwen2.5 in BF16, one GPU", "Qwen2.5 in BF16, several GPUs"
HISTORY = "Qwen2.5 in GPTQ and AWQ"
FORWARD, RESERVED = "Llama-2-7B, a pass that keeps all logits", "Llama-2-7B, the same pass's segments"
TOLD = {
    ONE: "4.46 | live | today's rules, nothing fitted | 0.5 % / 2 %",
    SEVERAL: "4.46 | live | today's rules, nothing fitted | 4 %",
    FORWARD: "4.35 | live | today's rules, nothing fitted | 2 %",
    RESERVED: "4.35 | reserved | today's rules, nothing fitted | 2 % median",
    HISTORY: "4.46 | live | history: AutoGPTQ's and AutoAWQ's rules | 6 %",
}
"""Of each group of rows: versions of transformers, level, how it stands, target."""
PUBLISHED_DIGIT = 0.005
"""Half the last digit the measurements are published with, in GiB."""


def transformers_rows() -> list[dict]:
    """Every row of the Qwen2.5 measurements: live peak, summed over the GPUs' own peaks."""
    found = []
    for row in csv.DictReader((HERE / "measured/qwen2.5-a100-transformers.csv").open()):
        model = replace(find_model(row["model"]), quantization=QUANTIZED[row["quant"]], max_positions=None)
        fields = {"attention": "flash", "prompt_tokens": int(row["input_tokens"]), "new_tokens": NEW_TOKENS}
        workload = api.bare_workload(row["model"], **fields)
        gpus = parse_gpu_set(f"{row['gpus']}xA100-80GB")
        demand = api.estimate(workload, {row["model"]: model}, gpus)
        plan = make_plan(workload, demand, {row["model"]: model}, gpus)
        peak = total(device.peak.live for device in plan.devices)
        found.append(
            {
                "model": row["model"],
                "input_tokens": int(row["input_tokens"]),
                "quant": row["quant"],
                "gpus": int(row["gpus"]),
                **compare(peak, float(row["memory_gib"])),
                "parameters_x_bytes_x_1.2": model.parameters * BYTES[row["quant"]] * 1.2 / GIB,
            }
        )
    return found


def compare(peak: Interval, measured: float) -> dict:
    low, expected, high = (value / GIB for value in (peak.low, peak.expected, peak.high))
    return {
        "measured_gib": measured,
        "low_gib": low,
        "expected_gib": expected,
        "high_gib": high,
        "error_percent": 100 * (expected / measured - 1),
        "covered": low <= measured + PUBLISHED_DIGIT and high >= measured - PUBLISHED_DIGIT,
        "high_covers": high >= measured - PUBLISHED_DIGIT,
    }


def forward_rows(level: str) -> list[dict]:
    """Llama-2-7B, one forward pass that keeps every position's logits: peaks of `level` (live or reserved),
    transformers 4.35."""
    found = []
    gpus = parse_gpu_set("A100-80GB")
    for row in csv.DictReader((HERE / "measured/llama2-7b-forward-optimum.csv").open()):
        if row["level"] != level:
            continue
        stored = QUANTIZED["GPTQ-Int4"] if row["precision"] == "gptq-int4" else None
        model = replace(find_model(row["model"]), quantization=stored)
        role = Role(model="m", precision="auto" if stored else "fp16", attention="flash")
        here = (Resident("model", role),)
        work = Work("prefill", batch=int(row["batch"]), prompt_tokens=int(row["prompt"]), logits="all")
        phases = (Phase("load", here, "model", Work("load")), Phase("read", here, "model", work))
        demand = estimate(phases, {"m": model}, gpus.abilities)
        devices = devices_of(gpus, api.bare_workload("m").budget)
        bill = make_bill(demand, place(demand, devices), devices)
        peak = getattr(bill.totals["gpu:0"]["read"], level)
        found.append(
            {
                "precision": row["precision"],
                "batch": int(row["batch"]),
                **compare(peak, float(row["measured_bytes"]) / GIB),
            }
        )
    return found


def accelerate_estimates(names: set[str]) -> dict[str, float]:
    """accelerate's estimate-memory total for bf16, in GiB: the real function on an empty model."""
    try:
        from accelerate import init_empty_weights
        from accelerate.utils import calculate_maximum_sizes
        from transformers import AutoModelForCausalLM, Qwen2Config
    except ImportError:
        return {}
    found = {}
    for name in names:
        model = find_model(name)
        layer = model.layers[0]
        config = Qwen2Config(
            hidden_size=model.hidden_size,
            intermediate_size=layer.feed_forward.intermediate,
            num_hidden_layers=len(model.layers),
            num_attention_heads=layer.mixer.heads,
            num_key_value_heads=layer.mixer.kv_heads,
            vocab_size=model.vocab_size,
            tie_word_embeddings=model.tied,
        )
        with init_empty_weights():
            empty = AutoModelForCausalLM.from_config(config)
            empty.tie_weights()
        size, _ = calculate_maximum_sizes(empty)
        found[name] = size / 2 / GIB
    return found


def hf_mem_estimates(rows: list[dict]) -> None:
    """Adds hf-mem's estimate to each row: its own functions on the header this model would have."""
    try:
        from hf_mem.safetensors.kv_cache import compute_safetensors_kv_cache_size
        from hf_mem.safetensors.metadata import parse_safetensors_metadata
    except ImportError:
        return
    for row in rows:
        model = find_model(row["model"])
        parts = [(f"layers.{i}", layer.weights) for i, layer in enumerate(model.layers)]
        parts += [("model", model.embeddings + model.final + model.head)]
        header = {
            f"{where}.{weight.name}": {"dtype": "BF16", "shape": list(weight.shape)}
            for where, weights in parts
            for weight in weights
        }
        weights_bytes = parse_safetensors_metadata({"model": header}).bytes_count
        mixer = model.layers[0].mixer
        config = {
            "hidden_size": model.hidden_size,
            "num_attention_heads": mixer.heads,
            "num_key_value_heads": mixer.kv_heads,
            "num_hidden_layers": len(model.layers),
        }
        length = row["input_tokens"] + NEW_TOKENS
        cache = compute_safetensors_kv_cache_size(config, "BF16", length)
        row["hf_mem"] = (weights_bytes + cache) / GIB


def summary(rows: list[dict], key: str = "error_percent") -> dict:
    errors = [abs(row[key]) for row in rows]
    return {
        "rows": len(errors),
        "median_percent": round(statistics.median(errors), 3),
        "maximum_percent": round(max(errors), 3),
    }


def other_errors(rows: list[dict], estimates: dict[str, float], key: str) -> dict:
    """Errors of another estimator: `key` in the rows, else by model."""
    errors = []
    for row in rows:
        guess = row.get(key, estimates.get(row["model"]))
        if guess is not None:
            errors.append(abs(100 * (guess / row["measured_gib"] - 1)))
    if not errors:
        return {"rows": 0}
    return {
        "rows": len(errors),
        "median_percent": round(statistics.median(errors), 2),
        "maximum_percent": round(max(errors), 2),
    }


START, END = "<!-- made by benchmarks/accuracy.py -->", "<!-- end -->"


def write_docs(document: dict) -> None:
    """Rewrites the tables between the markers of docs/accuracy.md."""
    lines = ["| rows | transformers | level | how they stand | target | count | median error | maximum |"]
    lines += ["|" + 8 * "---|"] + [table_row(name, group) for name, group in document["ullage"].items()]
    lines += ["", f"Measurements above the high value: {document['rows_above_high']} of the transformers "]
    lines[-1] += f"rows. Measurements outside the whole interval: {document['rows_outside_interval']}."
    lines += ["", *vllm_tables(document["vllm"]), "", "On the BF16 rows, beside other estimators:", ""]
    lines += ["| estimator | rows | median error | maximum error |", "|---|---|---|---|"]
    for name, group in document["beside_others_on_bf16"].items():
        if group["rows"]:
            cells = f"{group['median_percent']:.2f} % | {group['maximum_percent']:.2f} %"
            lines.append(f"| {name} | {group['rows']} | {cells} |")
    page = HERE.parent / "docs/accuracy.md"
    text = page.read_text()
    before, rest = text.split(START, 1)
    after = rest.split(END, 1)[1]
    page.write_text(before + START + "\n\n" + "\n".join(lines) + "\n\n" + END + after)


def vllm_tables(groups: dict) -> list[str]:
    """By group of logs and level: in sample and left out beside each other."""
    lines = ["| vLLM's logs | level | rows | in sample | left out | intervals that hold, of both |"]
    lines.append("|---|---|---|---|---|---|")
    for name, levels in groups.items():
        for level, both in levels.items():
            told = [both[which] for which in ("in_sample", "left_out")]
            errors = [f"{each['median_percent']:.2f} % / {each['maximum_percent']:.1f} %" for each in told]
            held = " and ".join(str(each["held"]) for each in told)
            words = level.replace("kv_tokens", "cache tokens").replace("_", " ")
            lines.append(f"| {name} | {words} | {told[0]['rows']} | {' | '.join(errors)} | {held} |")
    return lines


def table_row(name: str, group: dict) -> str:
    errors = f"{group['median_percent']:.2f} % | {group['maximum_percent']:.2f} %"
    return f"| {name} | {TOLD[name]} | {group['rows']} | {errors} |"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--docs", action="store_true")
    arguments = parser.parse_args()
    made = result_file.start("accuracy")
    rows, every = transformers_rows(), vllm_logs.logs()
    groups = {
        ONE: [r for r in rows if r["quant"] == "BF16" and r["gpus"] == 1],
        SEVERAL: [r for r in rows if r["quant"] == "BF16" and r["gpus"] > 1],
        FORWARD: forward_rows("live"),
        RESERVED: forward_rows("reserved"),
        HISTORY: [r for r in rows if r["quant"] != "BF16"],
    }
    served = [vllm_logs.row_of(log, every) for log in every]
    single = [r for r in served if r["version"] == "0.19" and r["tensor_parallel"] == 1]
    parallel = [r for r in served if r["version"] == "0.19" and r["tensor_parallel"] > 1]
    others = [r for r in served if r["version"] != "0.19"]
    accelerate = accelerate_estimates({r["model"] for r in rows})
    bf16 = [r for r in rows if r["quant"] == "BF16"]
    hf_mem_estimates(bf16)
    document = {
        "ullage": {name: summary(group) for name, group in groups.items()},
        "rows_outside_interval": sum(not r["covered"] for r in rows),
        "rows_above_high": sum(not r["high_covers"] for r in rows),
        "beside_others_on_bf16": {
            "ullage": other_errors(bf16, {}, "expected_gib"),
            "accelerate estimate-memory": other_errors(bf16, accelerate, "accelerate"),
            "hf-mem, weights and KV cache": other_errors(bf16, {}, "hf_mem"),
            "parameters x bytes x 1.2": other_errors(bf16, {}, "parameters_x_bytes_x_1.2"),
        },
        "vllm": {
            name: {
                level: {which: vllm_logs.summary(some, which, level) for which in ("in_sample", "left_out")}
                for level in (*vllm_logs.LEVELS, "kv_tokens")
            }
            for name, some in (
                ("0.19, H100", single),
                ("0.19, 2 and 4 H100", parallel),
                ("0.7 to 0.31, other cards", others),
            )
        },
        "transformers_rows": rows,
        "vllm_rows": served,
    }
    made.write(document)
    if arguments.docs:
        write_docs(document)


if __name__ == "__main__":
    main()
