"""Formulas against traces: what a pass takes on top of the weights, by the planner and by the model's code.

    python benchmarks/formula_traces.py [--only llama,gpt2] [--minutes 12] [--jobs 1] [--again] [--more]

Of every family that has a row, passes of every kind are drawn by seed: batch, length, chunk, kernel and
precision; some of them through small models (`ullage.runtime.shrunk`), most through few layers of the widths
that are its class's own. Live bytes are compared: temporaries, cache, logits and captures, without weights,
without what allocators round up, and without the process.
Figures: benchmarks/results/formula_traces.json; what ships with the package, and says which formulas are
proven: src/ullage/facts/data/proof.json.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import random
import re
import statistics
import time
import zlib
from collections import defaultdict
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import every_family
import result_file
import small_families

from ullage import api
from ullage.engines.prefix import LEAST_SAVED
from ullage.errors import UllageError
from ullage.facts.gpu_set import parse_gpu_set
from ullage.facts.proof import WORST
from ullage.memory.estimate import estimate
from ullage.memory.forward.attention import resolve_kernel
from ullage.memory.proven import kind_of, precision_of
from ullage.memory.traced import Asked
from ullage.phases.phase import Phase, Resident, Work
from ullage.planning.billing import make_bill
from ullage.planning.device import devices_of
from ullage.planning.placement import place
from ullage.runtime.shrunk import kept_layers
from ullage.spec.capture import Capture
from ullage.spec.role import Role

TABLE = Path(__file__).parents[1] / "src/ullage/facts/data/proof.json"
CONFIGURATIONS, MEDIAN = 600, 0.005
CARD, PROCESSOR = "H100", "cpu"
MOST = 1 << 13
"""Tokens of a batch, whose ids are lists."""
SMALL_ALONE = ("deepseek_v2", "glm4v_moe_text", "granitemoehybrid", "lfm2", "nemotron_h")
"""Families whose defaults make no model that runs, or not of few layers."""
WIDE = 0.75
"""The share of models on a card that have their class's own widths."""
KINDS = (
    "prefill", "captures", "decode", "shared", "read", "chunks",
    "score", "prefix", "all logits", "captured prefill", "inside", "read chunks", "captured decode",
    "answer", "shared decode", "positions", "device",
)  # fmt: skip
SELDOM = KINDS[6:13]
PLANNED = (
    (False, "score"), (True, "captures"), (False, "prefix"), (True, "score"),
    (False, "positions"), (True, "positions"), (False, "answer"), (True, "shared"),
    (False, "shared decode"), (True, "prefix"), (False, "read chunks"), (True, "read chunks"),
    (False, "device"), (True, "answer"), (True, "shared decode"),
)  # fmt: skip
"""What else plans have passes of, on the processor (True) and a card: one of each for every decoder."""
FIRST_PLANNED = 12
"""Their first number among a family's cases."""
LAYERS = re.compile(r"(^|_)layers?(_|$)|first_k|period|offset|interval|pattern|sparse_step|num_blocks")
"""Numbers of a config that say how its layers follow one another."""
STAGING = "buffers on their way to the host"
"""Copies that are under way while a card computes; fake tensors are copied at once."""
PRECISIONS = ("bf16", "fp16", "fp32", "int8", "nf4")
STREAM = Capture(sites=("blocks.*.hook_resid_post",), keep="disk")
INSIDE = Capture(sites=("blocks.*.attn.hook_z",), keep="disk")
SOME = Capture(sites=STREAM.sites, positions="last:4", keep="disk")
STAYS = Capture(sites=STREAM.sites, keep="device")
LONG = 400
"""Tokens that a scored prompt has at least: eight are read apart in a trace, as templates have them, where
the formula knows of none that prompts share."""


class Case(NamedTuple):
    """One configuration: `wide` of the class's own widths, else small."""

    family: str
    wide: bool
    asked: Asked


def cases_of(family: str) -> Iterator[Case]:
    """The family's configurations: kinds of passes with both kernels on a card, a few on the processor."""
    draw = random.Random(zlib.crc32(family.encode()))
    encodes = family in small_families.ENCODERS
    precisions = [*PRECISIONS]
    draw.shuffle(precisions)
    for number, (processor, kernel, kind) in enumerate(_kinds(encodes, draw)):
        planned = number >= FIRST_PLANNED
        precision = precisions[number % len(precisions)]
        if processor and not planned:
            precision = ("bf16", "fp32")[number % 2]
        scheme = precision if precision in ("int8", "nf4") else None
        compute = precision if scheme is None else "fp32" if processor else "bf16"
        wide = (planned or not processor) and draw.random() < WIDE
        wide = (wide or (planned and kind == "score")) and family not in SMALL_ALONE
        work = _work(kind, draw, wide)
        if kind == "score" and not wide:
            continue  # no small model reaches as far
        yield Case(family, wide, Asked(family, compute, kernel, work, processor, scheme))


def _kinds(encodes: bool, draw: random.Random) -> Iterator[tuple[bool, str, str]]:
    """On the processor or not, the kernel, the kind."""
    if encodes:
        yield from ((False, kernel, "read") for kernel in ("sdpa", "sdpa", "sdpa", "eager", "eager"))
        yield True, "sdpa", "read"
        return
    yield from ((False, "sdpa", kind) for kind in ("prefill", "captures", "decode"))
    yield from ((False, "eager", kind) for kind in ("prefill", "captures", "decode"))
    yield from ((False, "sdpa", kind) for kind in ("shared", "read", "chunks", draw.choice(SELDOM)))
    yield from ((True, "sdpa", kind) for kind in ("prefill", "decode"))
    yield from ((processor, "sdpa", kind) for processor, kind in PLANNED)


def _work(kind: str, draw: random.Random, wide: bool) -> Work:
    """A pass of a kind, its sizes drawn."""
    tokens = round(64 * 8 ** draw.random()) if wide else draw.randint(24, 56)
    batch = draw.randint(1, 16) if wide else draw.randint(16, 64)
    chunk = tokens // draw.randint(2, 3)
    if kind in ("chunks", "read chunks"):
        tokens -= tokens % chunk
    work = Work("prefill", max(min(batch, MOST // tokens), 1), tokens, 4)
    read = work.but(caches=False, new_tokens=0, logits="none")
    scored, half = LONG + tokens, tokens // 2
    halved = work.but(prompt_tokens=half, cached_tokens=half)
    # So many rows that what they begin with is worth a pass of its own.
    written = halved.but(batch=max(work.batch, 2 + LEAST_SAVED // half))
    return {
        "prefill": work,
        "score": work.but(batch=max(min(batch, MOST // scored), 2), prompt_tokens=scored, new_tokens=0),
        "prefix": work.but(batch=1, new_tokens=0, logits="none"),
        "all logits": read.but(logits="all"),
        "chunks": work.but(chunk_tokens=chunk),
        "shared": halved.but(new_tokens=0),
        "answer": written,
        "shared decode": written.but(activity="decode"),
        "positions": read.but(captures=(SOME,)),
        "device": read.but(captures=(STAYS,)),
        "captured prefill": work.but(captures=(STREAM,)),
        "read": read,
        "captures": read.but(captures=(STREAM,)),
        "inside": read.but(captures=(INSIDE,)),
        "read chunks": read.but(captures=(STREAM,), chunk_tokens=chunk),
        "decode": work.but(activity="decode"),
        "captured decode": work.but(activity="decode", captures=(STREAM,)),
    }[kind]


def config_of(case: Case) -> Any:
    """transformers' config of a case."""
    if not case.wide:
        return small_families.config_of(case.family)
    from transformers import AutoConfig

    open_fields = {} if case.family == "glm4v_moe" else every_family.OPEN.get(case.family, {})
    return few_layers(AutoConfig.for_model(case.family, **open_fields))


def few_layers(config: Any) -> Any:
    """A config of the same widths with as many layers as the small one has."""
    values, small = config.to_dict(), small_families.config_of(config.model_type).to_dict()
    depth = next(value for name, value in values.items() if name in _DEPTHS and isinstance(value, int))
    kept = kept_layers(values, depth)
    for name, value in values.items():
        if isinstance(value, list) and len(value) == depth:
            values[name] = [value[layer] for layer in kept]
        elif LAYERS.search(name) or name == "attention_types":
            values[name] = small.get(name, value)
    return type(config).from_dict(values)


_DEPTHS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers", "decoder_layers")


def formula(case: Case) -> int:
    """The planner's live bytes of the pass, without weights and the process."""
    asked = case.asked
    gpus = parse_gpu_set(PROCESSOR if asked.processor else CARD)
    model = small_families.read(config_of(case))
    kernel = "auto" if model.encodes and asked.kernel == "sdpa" else asked.kernel
    role = Role(model=case.family, precision=asked.scheme or asked.compute, attention=kernel)
    # What is scored goes on from a row that stays; what is written begins with one that is gone.
    shared = 0 if asked.work.new_tokens else asked.work.cached_tokens
    here = (Resident("model", role, cached_batch=1 if shared else 0, cached_tokens=shared),)
    phases = (Phase("load", here, "model", Work("load")), Phase("pass", here, "model", asked.work))
    demand = estimate(phases, {case.family: model}, gpus.abilities)
    devices = devices_of(gpus, api.bare_workload(case.family).budget)
    bill = make_bill(demand, place(demand, devices), devices)
    place_, phase = devices[0].name, "pass"
    beside = sum(
        item.bytes.expected
        for item in bill.items
        if (item.device, item.phase, item.level) == (place_, phase, "live")
        and (item.component in ("weights", "rounding") or not item.role or item.note == STAGING)
    )
    return bill.totals[place_][phase].live.expected - beside


def kernel_of(case: Case) -> str:
    """The kernel that runs: some families have one of their own alone, whatever is asked for."""
    model = small_families.read(config_of(case))
    written = any(layer.flow.scores != "library" for layer in model.layers)
    return resolve_kernel(case.asked.kernel, written=written)[0]


def traced(case: Case) -> int:
    """The same of the model's own code on fake tensors. Raises UllageError where it cannot be traced."""
    from ullage.tracing.kept import summed
    from ullage.tracing.passes import trace_config

    asked = case.asked._replace(kernel="auto" if case.asked.kernel == "sdpa" else case.asked.kernel)
    return summed(trace_config(config_of(case), asked)).live


def name_of(case: Case) -> str:
    """What tells a case from all others, in few characters."""
    return hashlib.sha256(repr(case).encode()).hexdigest()[:16]


def trace_of(case: Case, until: float) -> int | str | None:
    """Traced bytes, or why there are none; None where time is up."""
    if time.monotonic() > until:
        return None
    try:
        return traced(case)
    except Exception as error:  # what a class says of its own defaults is the row
        return f"{type(error).__name__}: {error}"[:200]


def last_traces() -> dict[str, int | str]:
    """Those of the last result, by name: mends of formulas alone are held against them in seconds."""
    rows = result_file.figures("formula_traces")["rows"]
    return {row["case"]: row.get("traced", row.get("not_traced", "")) for row in rows}


def traces_of(cases: list[Case], minutes: float, jobs: int) -> dict[str, int | str]:
    """Traces of as many cases as are reached, in their order, so many at once."""
    until = time.monotonic() + 60 * minutes
    context = multiprocessing.get_context("fork")
    found: dict[str, int | str] = {}
    with context.Pool(jobs) as pool:
        asked = ((case, until) for case in cases)
        for case, trace in zip(cases, pool.imap(_trace_of, asked), strict=True):
            if trace is not None:
                found[name_of(case)] = trace
                print(f"{len(found):5} {case.family}", flush=True)
    return found


def _trace_of(both: tuple[Case, float]) -> int | str | None:
    return trace_of(*both)


def row_of(case: Case, found_trace: int | str) -> dict[str, Any]:
    """The case, what both say, and how far apart they are."""
    asked = case.asked
    work = asked.work
    found: dict[str, Any] = {
        "case": name_of(case),
        "family": case.family,
        "kind": kind_of(asked),
        "kernel": kernel_of(case),
        "precision": precision_of(asked),
        "processor": asked.processor,
        "wide": case.wide,
        "batch": work.batch,
        "tokens": work.prompt_tokens,
    }
    try:
        found["formula"] = formula(case)
    except UllageError as error:
        return found | {"refused": str(error)[:200]}
    except Exception as error:
        return found | {"not_traced": f"{type(error).__name__}: {error}"[:200]}
    if isinstance(found_trace, str):
        return found | {"not_traced": found_trace}
    found["traced"] = found_trace
    return found | {"error": found["formula"] / max(found["traced"], 1) - 1}


def table_of(rows: list[dict[str, Any]], versions: dict[str, str]) -> dict[str, Any]:
    """What ships: by family a line for each kind of pass, kernel and precision, as `facts.proof.Tried`."""
    groups: dict[str, dict[tuple[Any, ...], list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if "error" in row:
            key = row["kind"], row["kernel"], row["precision"], row["processor"]
            groups[row["family"]][key].append(abs(row["error"]))
    lines = {
        family: [
            [*key, len(errors), round(statistics.median(errors), 5), round(max(errors), 5)]
            for key, errors in sorted(of.items())
        ]
        for family, of in sorted(groups.items())
    }
    return {"versions": {name: versions[name] for name in ("transformers", "torch")}, "families": lines}


def write_table(table: dict[str, Any]) -> None:
    """One line a family, so that changes are read line by line."""
    said = ",\n".join(f"  {json.dumps(name)}: {json.dumps(of)}" for name, of in table["families"].items())
    versions = json.dumps(table["versions"])
    TABLE.write_text(f'{{"versions": {versions},\n "families": {{\n{said}\n}}}}\n')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="families, separated by commas; nothing is written then")
    parser.add_argument("--minutes", type=float, default=12, help="for traces: what comes after is left out")
    parser.add_argument("--jobs", type=int, default=1, help="traces at once")
    parser.add_argument("--again", action="store_true", help="formulas alone, against the last traces")
    parser.add_argument("--more", action="store_true", help="the last traces, and those of cases without one")
    parser.add_argument("--worst", type=int, default=40, help="how many of the worst rows are printed")
    options = parser.parse_args()
    import torch
    import transformers

    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    every = [*small_families.FAMILIES, *small_families.ENCODERS]
    of = [list(cases_of(family)) for family in (options.only.split(",") if options.only else every)]
    # Round by round, so that what time runs out for is no family.
    cases = [case for some in zip_longest(*of) for case in some if case is not None]
    traces = last_traces() if options.again or options.more else {}
    if not options.again:
        new = [case for case in cases if name_of(case) not in traces]
        new.sort(key=lambda case: case.asked.processor)  # what is known of a card bears on the processor
        traces |= traces_of(new, options.minutes, options.jobs)
    rows = [row_of(case, traces[name]) for case in cases if (name := name_of(case)) in traces]
    show(rows, options.worst)
    if not options.only:
        made = result_file.start("formula_traces")
        versions = {"transformers": transformers.__version__, "torch": torch.__version__.split("+")[0]}
        table = table_of(rows, versions)
        write_table(table)
        found = figures(rows, table)
        made.write(found, claims(found))


def figures(rows: list[dict[str, Any]], table: dict[str, Any]) -> dict[str, Any]:
    """How far formulas are off: all of them, and where the table calls a line proven."""
    held = [abs(row["error"]) for row in rows if "error" in row]
    lines = [line for some in table["families"].values() for line in some]
    near = [row for row in rows if "error" in row and abs(row["error"]) <= WORST]
    proven = [line for line in lines if line[-1] <= WORST]
    return {
        "configurations": len(held),
        "families": len(table["families"]),
        "median": statistics.median(held),
        "within_3_percent": len(near),
        "lines": len(lines),
        "proven": len(proven),
        "proven_worst": max((line[-1] for line in proven), default=0.0),
        "proven_median": statistics.median(abs(row["error"]) for row in near),
        "rows": rows,
    }


def claims(found: dict[str, Any]) -> dict[str, bool]:
    """What a run of all families must show."""
    return {
        f"at least {CONFIGURATIONS} configurations": found["configurations"] >= CONFIGURATIONS,
        f"half of all are within {MEDIAN:.1%}": found["median"] <= MEDIAN,
        f"none that is called proven is off by more than {WORST:.0%}": found["proven_worst"] <= WORST,
    }


def show(rows: list[dict[str, Any]], most: int) -> None:
    for row in sorted(rows, key=lambda each: -abs(each.get("error", 9)))[:most]:
        said = f"{row['error']:+9.2%}" if "error" in row else row.get("refused", row.get("not_traced"))
        names = " ".join(f"{row[each]!s:>9}" for each in ("kernel", "precision", "wide", "batch", "tokens"))
        print(f"{row['family']:18} {row['kind']:38} {names} {'cpu' if row['processor'] else '   '} {said}")


if __name__ == "__main__":
    main()
