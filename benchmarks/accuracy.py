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

from ullage import api
from ullage.facts.abilities import nvidia
from ullage.facts.architecture import StoredQuantization
from ullage.facts.catalog import find_model
from ullage.facts.gpu_set import parse_gpu_set
from ullage.memory.vllm.sizes import cache_tokens, serving
from ullage.memory.weights.precision import resolve_precision
from ullage.planning.planner import make_plan
from ullage.spec.role import Role
from ullage.units import GIB, Interval, total

HERE = Path(__file__).parent
QUANTIZED = {
    "BF16": None,
    "GPTQ-Int8": StoredQuantization("gptq", 8, 128),
    "GPTQ-Int4": StoredQuantization("gptq", 4, 128),
    "AWQ": StoredQuantization("awq", 4, 128),
}
BYTES = {"BF16": 2.0, "GPTQ-Int8": 1.0, "GPTQ-Int4": 0.5, "AWQ": 0.5}
NEW_TOKENS = 2048
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


def vllm_rows() -> list[dict]:
    """vLLM start-up logs: weights and KV tokens of one rank."""
    found = []
    for row in csv.DictReader((HERE / "measured/vllm-0.19-h100.csv").open()):
        if row["pp"] != "1":
            continue
        try:
            found.append(vllm_row(row))
        except Exception as error:
            found.append({"model": row["model"], "tp": int(row["tp"]), "refused": str(error)})
    return found


def vllm_row(row: dict) -> dict:
    model = find_model(row["model"])
    precision = {"torch.float32": "fp32", "torch.float16": "fp16"}.get(row["dtype"], "bf16")
    if model.quantization is not None:
        precision = "auto"
    elif row["quantization"] == "fp8":
        precision = "fp8"
    fields = {"engine": "vllm", "tensor_parallel": int(row["tp"]), "precision": precision}
    fields["cache"] = {"precision": "fp8" if row["kv_cache_dtype"] == "fp8" else "auto"}
    # The logs are of `vllm serve`, whose scheduler defaults on this card are these.
    fields["vllm"] = {"max_num_batched_tokens": 8192, "max_num_seqs": 1024}
    role = Role(model=row["model"], **fields)
    hopper = nvidia((9, 0))
    sizes = serving(model, role, resolve_precision(role, model, hopper), hopper)
    share = float(row["gpu_memory_utilization"])
    total_bytes = int(float(row["init_total_memory_gib"]) * GIB)
    tokens = cache_tokens(sizes, total_bytes, share, 16)
    measured_tokens = int(row["kv_cache_tokens"])
    return {
        "model": row["model"],
        "tp": int(row["tp"]),
        "max_model_len": int(row["max_model_len"]),
        "quantization": row["quantization"],
        "weights": compare(sizes.weights, float(row["weights_memory_gib"])),
        "beside_cache": compare(sizes.beside_cache, float(row["total_non_kv_cache_gib"])),
        "tokens_measured": measured_tokens,
        "tokens_expected": tokens.expected,
        "tokens_low": tokens.low,
        "tokens_error_percent": 100 * (tokens.expected / measured_tokens - 1),
        "tokens_low_holds": tokens.low <= measured_tokens,
    }


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
    lines = ["| rows | count | median error | maximum error | target |", "|---|---|---|---|---|"]
    targets = {
        "BF16, one GPU": "0.5 % / 2 %",
        "GPTQ and AWQ, one GPU": "6 %",
        "several GPUs": "4 %",
    }
    for name, group in document["ullage"].items():
        lines.append(table_row(name, group, targets[name]))
    served = document["vllm_tp1"]
    lines.append(table_row("vLLM, one GPU: weights", served["weights"], "1 %"))
    lines.append(table_row("vLLM, one GPU: KV-cache tokens", served["kv_tokens"], "2 % median"))
    parallel = document["vllm_tp2_tp4"]
    lines.append(table_row("vLLM, 2 and 4 GPUs: weights", parallel["weights"], "none"))
    lines.append(table_row("vLLM, 2 and 4 GPUs: KV-cache tokens", parallel["kv_tokens"], "none"))
    lines += ["", f"Measurements above the high value: {document['rows_above_high']} of the transformers "]
    lines[-1] += f"rows, {served['rows_above_high']} of the vLLM rows on one GPU. Measurements outside the "
    lines[-1] += f"whole interval: {document['rows_outside_interval']}."
    lines += ["", "On the BF16 rows, beside other estimators:", ""]
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


def table_row(name: str, group: dict, target: str) -> str:
    median, maximum = group["median_percent"], group["maximum_percent"]
    return f"| {name} | {group['rows']} | {median:.2f} % | {maximum:.2f} % | {target} |"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--docs", action="store_true")
    arguments = parser.parse_args()
    made = result_file.start("accuracy")
    rows, served = transformers_rows(), vllm_rows()
    groups = {
        "BF16, one GPU": [r for r in rows if r["quant"] == "BF16" and r["gpus"] == 1],
        "GPTQ and AWQ, one GPU": [r for r in rows if r["quant"] != "BF16" and r["gpus"] == 1],
        "several GPUs": [r for r in rows if r["gpus"] > 1],
    }
    known = [r for r in served if "refused" not in r]
    single = [r for r in known if r["tp"] == 1]
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
        "vllm_tp1": {
            "weights": summary([r["weights"] for r in single]),
            "kv_tokens": summary(single, "tokens_error_percent"),
            "rows_where_low_tokens_exceed_measured": sum(not r["tokens_low_holds"] for r in single),
            "rows_above_high": sum(not r["beside_cache"]["high_covers"] for r in single),
        },
        "vllm_tp2_tp4": {
            "weights": summary([r["weights"] for r in known if r["tp"] > 1]),
            "kv_tokens": summary([r for r in known if r["tp"] > 1], "tokens_error_percent"),
        },
        "refused": [r for r in served if "refused" in r],
        "transformers_rows": rows,
        "vllm_rows": known,
    }
    made.write(document)
    if arguments.docs:
        write_docs(document)


if __name__ == "__main__":
    main()
