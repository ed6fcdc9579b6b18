"""Formulas against traces: what a pass takes on top of the weights, by the planner and by the model's code.

    python benchmarks/formula_traces.py [--only llama,gpt2] [--minutes 12]

Of every family that has a row, passes of every kind are drawn by seed: batch, length, chunk, kernel and
precision; some of them through small models (`ullage.runtime.shrunk`), most through few layers of the widths
that are its class's own. Live bytes are compared: temporaries, cache, logits and captures, without weights,
without what allocators round up, and without the process.
Figures: benchmarks/results/formula_traces.json; what ships with the package, and says which formulas are
proven: src/ullage/facts/data/proof.json.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import statistics
import time
import zlib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import every_family
import result_file
import small_families

from ullage import api
from ullage.errors import UllageError
from ullage.facts.gpu_set import parse_gpu_set
from ullage.memory.estimate import estimate
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
SMALL_ALONE = ("deepseek_v2", "glm4v_moe_text", "granitemoehybrid", "lfm2")
"""Families whose defaults make no model that runs, or not of few layers."""
WIDE = 0.75
"""The share of models on a card that have their class's own widths."""
KINDS = (
    "prefill", "captures", "decode", "shared", "read", "chunks",
    "score", "prefix", "all logits", "captured prefill", "inside", "read chunks", "captured decode",
)  # fmt: skip
SELDOM = KINDS[6:]
LAYERS = re.compile(r"(^|_)layers?(_|$)|first_k|period|offset|interval|pattern|sparse_step|num_blocks")
"""Numbers of a config that say how its layers follow one another."""
STAGING = "buffers on their way to the host"
"""Copies that are under way while a card computes; fake tensors are copied at once."""
PRECISIONS = ("bf16", "fp16", "fp32", "int8", "nf4")
STREAM = Capture(sites=("blocks.*.hook_resid_post",), keep="disk")
INSIDE = Capture(sites=("blocks.*.attn.hook_z",), keep="disk")


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
        precision = precisions[number % len(precisions)]
        if processor:
            precision = ("bf16", "fp32")[number % 2]
        scheme = precision if precision in ("int8", "nf4") else None
        compute = precision if scheme is None else "bf16"
        wide = not processor and draw.random() < WIDE
        work = _work(kind, draw, wide)
        wide = wide and family not in SMALL_ALONE
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


def _work(kind: str, draw: random.Random, wide: bool) -> Work:
    """A pass of a kind, its sizes drawn."""
    tokens = round(64 * 8 ** draw.random()) if wide else draw.randint(24, 56)
    batch = draw.randint(1, 16) if wide else draw.randint(16, 64)
    chunk = tokens // draw.randint(2, 3)
    if kind in ("chunks", "read chunks"):
        tokens -= tokens % chunk
    work = Work("prefill", max(min(batch, MOST // tokens), 1), tokens, 4)
    read = work.but(caches=False, new_tokens=0, logits="none")
    return {
        "prefill": work,
        "score": work.but(new_tokens=0),
        "prefix": work.but(batch=1, new_tokens=0, logits="none"),
        "all logits": read.but(logits="all"),
        "chunks": work.but(chunk_tokens=chunk),
        "shared": work.but(prompt_tokens=tokens // 2, cached_tokens=tokens // 2, new_tokens=0),
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
    role = Role(model=case.family, precision=asked.scheme or asked.compute, attention=asked.kernel)
    shared = asked.work.cached_tokens
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


def traced(case: Case) -> int:
    """The same of the model's own code on fake tensors. Raises UllageError where it cannot be traced."""
    from ullage.tracing.kept import summed
    from ullage.tracing.passes import trace_config

    asked = case.asked._replace(kernel="auto" if case.asked.kernel == "sdpa" else case.asked.kernel)
    return summed(trace_config(config_of(case), asked)).live


class Traces:
    """Traced bytes by case, or why there are none: kept in a file, so that mends of formulas alone are held
    against them again in seconds."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._known: dict[str, int | str] = {}
        if file is not None and file.is_file():
            self._known = json.loads(file.read_text())

    def of(self, case: Case, until: float) -> int | str | None:
        """None where it is not known and time is up."""
        key = repr(case)
        if key not in self._known and time.monotonic() < until:
            try:
                self._known[key] = traced(case)
            except Exception as error:  # what a class says of its own defaults is the row
                self._known[key] = f"{type(error).__name__}: {error}"[:200]
            if self._file is not None:
                self._file.write_text(json.dumps(self._known))
        return self._known.get(key)


def row_of(case: Case, found_trace: int | str) -> dict[str, Any]:
    """The case, what both say, and how far apart they are."""
    asked = case.asked
    work = asked.work
    found: dict[str, Any] = {
        "family": case.family,
        "kind": kind_of(asked),
        "kernel": asked.kernel,
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
    parser.add_argument("--only", default="", help="families, separated by commas")
    parser.add_argument("--minutes", type=float, default=12, help="for traces: what comes after is left out")
    parser.add_argument("--traces", default="", help="a file in which traces are kept")
    parser.add_argument("--table", action="store_true", help="the package's table is made of these alone")
    parser.add_argument("--worst", type=int, default=40, help="how many of the worst rows are printed")
    options = parser.parse_args()
    import torch
    import transformers

    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    every = [*small_families.FAMILIES, *small_families.ENCODERS]
    made = result_file.start("formula_traces")
    traces = Traces(Path(options.traces) if options.traces else None)
    until = time.monotonic() + 60 * options.minutes
    rows = []
    of = {family: list(cases_of(family)) for family in (options.only.split(",") if options.only else every)}
    # Round by round, so that what time runs out for is no family.
    for number in range(max(map(len, of.values()))):
        for cases in of.values():
            if number < len(cases) and (trace := traces.of(cases[number], until)) is not None:
                rows.append(row_of(cases[number], trace))
        print(f"round {number}: {len(rows)} rows", flush=True)
    show(rows, options.worst)
    if options.only and not options.table:
        return
    write_table(
        table_of(rows, {"transformers": transformers.__version__, "torch": torch.__version__.split("+")[0]})
    )


def show(rows: list[dict[str, Any]], most: int) -> None:
    for row in sorted(rows, key=lambda each: -abs(each.get("error", 9)))[:most]:
        said = f"{row['error']:+9.2%}" if "error" in row else row.get("refused", row.get("not_traced"))
        names = " ".join(f"{row[each]!s:>9}" for each in ("kernel", "precision", "wide", "batch", "tokens"))
        print(f"{row['family']:18} {row['kind']:38} {names} {'cpu' if row['processor'] else '   '} {said}")


if __name__ == "__main__":
    main()
