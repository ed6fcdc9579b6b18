"""Planned against measured times: 112 rows of Qwen2.5's speed benchmark, 63 of bitsandbytes' own, 76 that
others published of it, 32 of vLLM's.

    python benchmarks/time_accuracy.py            # writes results/time_accuracy.json
    python benchmarks/time_accuracy.py --docs     # also rewrites the table of docs/accuracy.md

Rows are of transformers 4.46, which copied grouped heads in front of the flash kernel; times are taken so
here (`repeats`), and as a plan takes them in `as_today`. A row's figure is tokens written over the time of
prompt and writing together. Constants were fitted to these rows: `left_out` is how far off each size of model
is when the two shares of bandwidth are fitted to the other sizes alone.

bitsandbytes' rows are tokens written in batches of 1, 8 and 32 on three cards (bitsandbytes 0.45,
transformers 4.46). Of them were read off how fast 4 bits are dequantized and what that and double
quantization take of the host, on an H100, and the fast end of hosts, of memory and of caches, on an RTX 4090;
the slow end of hosts is that of h2oGPT's RTX 3090 in fp16. No other row of the others, and none in 8 bits,
was used: they are `held out`. Versions before 0.50 dequantize for more than one row, and those before 0.48 by
branches: times are taken so (`THEN`), and as a plan takes them in `as_today`.
"""

from __future__ import annotations

import argparse
import csv
import statistics
from dataclasses import replace
from itertools import product
from typing import NamedTuple

import result_file
from accuracy import HERE, NEW_TOKENS, QUANTIZED

from ullage import api
from ullage.facts.catalog import find_model
from ullage.facts.gpu_set import parse_gpu_set
from ullage.planning import throughput
from ullage.planning.device import devices_of
from ullage.planning.pace import FAST, LIKELY, SLOW, Pace
from ullage.planning.passes import one_pass
from ullage.planning.placement import place
from ullage.planning.task import Held, Task

THEN = (FAST._replace(fused=1), LIKELY._replace(fused=1, decoded=1.5), SLOW)
"""As before bitsandbytes 0.48."""
TODAY = (FAST, LIKELY, SLOW)
DOCS = HERE.parent / "docs/accuracy.md"
BEGIN, END = "<!-- made by benchmarks/time_accuracy.py -->", "<!-- end of times -->"


class Row(NamedTuple):
    """One published figure, as milliseconds a token, with what it was measured on."""

    model: str
    quant: str
    input_tokens: int
    gpus: int
    measured: float


def rows() -> list[Row]:
    listed = csv.DictReader((HERE / "measured/qwen2.5-a100-transformers.csv").open())
    return [
        Row(
            each["model"],
            each["quant"],
            int(each["input_tokens"]),
            int(each["gpus"]),
            1000 / float(each["tokens_per_s"]),
        )
        for each in listed
    ]


def tasks(row: Row, *, repeats: bool = True) -> list[tuple[Task, Held]]:
    """Reading the prompt and writing, as they are planned, and where the model is held."""
    model = replace(find_model(row.model), quantization=QUANTIZED[row.quant], max_positions=None)
    fields = {"attention": "flash", "prompt_tokens": row.input_tokens, "new_tokens": NEW_TOKENS}
    if row.gpus > 1:
        fields["placement"] = "balanced"
    workload = api.bare_workload(row.model, **fields)
    gpus = parse_gpu_set(f"{row.gpus}xA100-80GB")
    demand = api.estimate(workload, {row.model: model}, gpus)
    devices = devices_of(gpus, workload.budget)
    placement = place(demand, devices)
    found = throughput.passes(demand, placement, devices)
    return [(replace(task, repeats=repeats), held) for task, held in found if task.work.activity != "load"]


class Written(NamedTuple):
    """One published figure of bitsandbytes, in milliseconds: of a token of every sequence of a batch, alone
    (`decode`) or with its share of the prompts before it (`token`); of reading the prompts (`prompt`)."""

    gpu: str
    model: str
    precision: str
    batch: int
    measured: float
    prompt_tokens: int = 128
    new_tokens: int = 64
    what: str = "decode"
    source: str = "bitsandbytes"

    def planned(self, paces: tuple[Pace, ...] = THEN) -> list[float]:
        """The same at a fast, a likely and a slow pace."""
        own = {"batch": self.batch, "precision": self.precision}
        lengths = {"prompt_tokens": self.prompt_tokens, "new_tokens": self.new_tokens}
        workload, gpus = api.bare_workload(self.model, **lengths, **own), parse_gpu_set(self.gpu)
        demand = api.estimate(workload, {self.model: find_model(self.model)}, gpus)
        devices = devices_of(gpus, workload.budget)
        done = {"decode": ("decode",), "prompt": ("prefill",), "token": ("prefill", "decode")}[self.what]
        found = throughput.passes(demand, place(demand, devices), devices)
        counted = [each for each in found if each[0].work.activity in done]
        tokens = 1 if self.what == "prompt" else self.new_tokens
        return [1000 / tokens * sum(one_pass(*each, pace).value for each in counted) for pace in paces]

    @property
    def quantized(self) -> bool:
        return self.precision not in ("bf16", "fp16")


def _row(row: dict[str, str], seconds: str) -> Written:
    """What rows of both files say, whose seconds stand under that name."""
    measured = 1000 * float(row[seconds])
    return Written(row["gpu"], row["model"], row["precision"], int(row["batch"]), measured)


def written() -> list[Written]:
    """Rows of bitsandbytes' own benchmark (benchmarking/README.md of its repository)."""
    listed = csv.DictReader((HERE / "measured/bitsandbytes-0.45-speed.csv").open())
    return [_row(each, "seconds_a_token") for each in listed]


def others() -> list[Written]:
    """Rows that others published of it, and of 16 bits beside it (measured/README.md)."""
    listed = csv.DictReader((HERE / "measured/bitsandbytes-others-speed.csv").open())
    return [
        _row(each, "seconds")._replace(
            prompt_tokens=int(each["prompt_tokens"]),
            new_tokens=int(each["new_tokens"]),
            what=each["what"],
            source=each["source"],
        )
        for each in listed
    ]


class Together(NamedTuple):
    """One published figure of vLLM over several cards: seconds of a batch that is read and written."""

    model: str
    gpus: str
    ranks: int
    batch: int
    prompt_tokens: int
    new_tokens: int
    measured: float
    precision: str

    def planned(self) -> list[float]:
        """The same at a fast, a likely and a slow pace."""
        own = {
            "engine": "vllm",
            "tensor_parallel": self.ranks,
            "precision": self.precision,
            "batch": self.batch,
        }
        fields = {"prompt_tokens": self.prompt_tokens, "new_tokens": self.new_tokens}
        plan = api.estimate_model(self.model, self.gpus, advice=False, **own, **fields)
        (time,) = (each for each in plan.times if each.phase.endswith("serve"))
        return [*time.seconds]


def together(name: str) -> list[Together]:
    """Rows of measured/NAME.csv, in fp16 where they do not say."""
    return [
        Together(
            each["model"],
            each["gpus"],
            int(each["tensor_parallel"]),
            int(each["batch"]),
            int(each["prompt_tokens"]),
            int(each["new_tokens"]),
            float(each["seconds"]),
            each.get("precision", "fp16"),
        )
        for each in csv.DictReader((HERE / f"measured/{name}.csv").open())
    ]


def milliseconds(found: list[tuple[Task, Held]], pace: Pace) -> float:
    """A token, at `pace`."""
    return 1000 / NEW_TOKENS * sum(one_pass(*each, pace).value for each in found)


def left_out(listed: list[Row]) -> dict[str, dict]:
    """By size of model: how far off it is with the shares of bandwidth that are best for all others."""
    shares = product((0.54, 0.6, 0.66, 0.72), (0.31, 0.34, 0.37, 0.4, 0.43))
    tried = [LIKELY._replace(memory=memory, cache=cache) for memory, cache in shares]
    planned = {row: tasks(row) for row in listed}
    off = {
        pace: {row: abs(milliseconds(planned[row], pace) / row.measured - 1) for row in listed}
        for pace in tried
    }
    found = {}
    for size in dict.fromkeys(row.model for row in listed):
        own = [row for row in listed if row.model == size]
        others = [row for row in listed if row.model != size]
        best = min(tried, key=lambda pace: statistics.fmean(off[pace][row] for row in others))
        errors = [off[best][row] for row in own]
        found[size] = {
            "memory": best.memory,
            "cache": best.cache,
            "median_percent": round(100 * statistics.median(errors), 1),
            "largest_percent": round(100 * max(errors), 1),
        }
    return found


def figures_of(listed: list[Row], *, repeats: bool = True) -> dict:
    """How far the expected values are off, and how many rows lie inside their interval."""
    found = [tasks(row, repeats=repeats) for row in listed]
    times = [[milliseconds(each, pace) for pace in (FAST, LIKELY, SLOW)] for each in found]
    return _off(times, [row.measured for row in listed])


def _off(times: list[list[float]], measured: list[float]) -> dict:
    errors = sorted(abs(time[1] / real - 1) for time, real in zip(times, measured, strict=True))
    inside = [time[0] <= real <= time[2] for time, real in zip(times, measured, strict=True)]
    return {
        "rows": len(measured),
        "median_percent": round(100 * statistics.median(errors), 1),
        "percentile_95_percent": round(100 * errors[int(0.95 * len(errors))], 1),
        "largest_percent": round(100 * errors[-1], 1),
        "inside_percent": round(100 * sum(inside) / len(inside)),
    }


def of_planned(listed: list[Written] | list[Together], **paces: tuple[Pace, ...]) -> dict:
    """The same of rows of bitsandbytes, and of vLLM over several cards."""
    return _off([row.planned(**paces) for row in listed], [row.measured for row in listed])


def of_bitsandbytes(own: list[Written], rest: list[Written]) -> dict[str, dict]:
    """By card of its own rows, and by who published the others: tokens and prompts apart."""
    quantized = [row for row in own if row.quantized]
    chosen = {
        f"bitsandbytes, {gpu}": [row for row in quantized if row.gpu == gpu]
        for gpu in dict.fromkeys(row.gpu for row in quantized)
    }
    chosen["bitsandbytes, int8 on an H100"] = [row for row in quantized if row[:3:2] == ("H100", "int8")]
    chosen["in 16 bits, the same cards"] = [row for row in own if not row.quantized]
    for source in dict.fromkeys(row.source for row in rest):
        for bits, are in (("4 and 8 bits", True), ("16 bits", False)):
            chosen[f"held out, {source}, {bits}"] = [
                row for row in rest if (row.source, row.quantized) == (source, are)
            ]
    chosen["held out, all in 4 and 8 bits"] = [row for row in rest if row.quantized]
    return {name: of_planned(rows) for name, rows in chosen.items()}


def table(figures: dict) -> str:
    head = (
        "| rows | count | median | 95 % within | largest | inside the interval |\n|---|---|---|---|---|---|"
    )
    lines = [head]
    for name, each in (figures["groups"] | figures["bitsandbytes"] | figures["several"]).items():
        lines.append(
            f"| {name} | {each['rows']} | {each['median_percent']} % | {each['percentile_95_percent']} % "
            f"| {each['largest_percent']} % | {each['inside_percent']} % |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--docs", action="store_true")
    chosen = parser.parse_args()
    made = result_file.start("time_accuracy")
    listed = rows()
    groups = {
        "all": figures_of(listed),
        **{name: figures_of([row for row in listed if row.quant == name]) for name in QUANTIZED},
        "prompts of 30,720": figures_of([row for row in listed if row.input_tokens == 30720]),
        "several GPUs": figures_of([row for row in listed if row.gpus > 1]),
    }
    own, rest = written(), others()
    served = of_planned(together("vllm-throughput"))
    found = {
        "bitsandbytes": of_bitsandbytes(own, rest),
        "several": {
            "vLLM, each layer over several cards": of_planned(together("vllm-0.2-tensor-parallel")),
            "vLLM, published by others": served,
        },
        "groups": groups,
        "as_today": {
            "Qwen2.5": figures_of(listed, repeats=False),
            "bitsandbytes": of_planned([row for row in own + rest if row.quantized], paces=TODAY),
        },
        "left_out": left_out(listed),
    }
    whole = groups["all"]
    claims = {
        "median at most 10 %": whole["median_percent"] <= 10,
        "95 % of the rows within 30 %": whole["percentile_95_percent"] <= 30,
        "none beyond 2 x": whole["largest_percent"] < 50,
        "at least 90 % inside their interval": whole["inside_percent"] >= 90,
        "of bitsandbytes' rows too": of_planned(own)["inside_percent"] >= 90,
        "of those held out too": of_planned(rest)["inside_percent"] >= 90,
        "85 % of vLLM's": served["inside_percent"] >= 85,
    }
    made.write(found, claims)
    if chosen.docs:
        text = DOCS.read_text()
        before, rest = text.split(BEGIN)
        DOCS.write_text(f"{before}{BEGIN}\n\n{table(found)}\n\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    main()
