"""One version's side of plan_speed.py: makes a walk over candidates, or walks it.

PYTHON plan_speed_walk.py make FILE STEPS COUNT     writes (path, value) of COUNT steps to STEPS
PYTHON plan_speed_walk.py go FILE STEPS             reads lines `first last`, answers with seconds
"""

from __future__ import annotations

import gc
import json
import random
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ullage import api
from ullage.errors import InputError
from ullage.spec.changes import apply_changes

if TYPE_CHECKING:
    from ullage.planning.outcome import Outcome
    from ullage.spec.workload import Workload

Step = tuple[str, str]
SEED = 13
STRIDE = 3
"""Batches and prompts go up or down by at most so many steps of their grid."""


def settler(workload: Workload) -> Callable[[Workload], Outcome]:
    """What a candidate comes to, as advice asks for it."""
    gpus = api.gpu_set(workload, None)
    models = api.models_of(workload)
    if hasattr(api, "outcomes"):  # version 0.1 has no such function
        come_to = api.outcomes(models)
        return lambda candidate: come_to(candidate, gpus)
    return lambda candidate: api.outcome(candidate, models, gpus)


def axes(workload: Workload) -> dict[str, tuple[str, ...]]:
    """Every path that advice changes and the values it may take, the file's own among them."""
    found: dict[str, tuple[str, ...]] = {}
    if len(workload.roles) > 1:
        turns = "swapped" if workload.kind == "assistant" else "sequential"
        together = "simultaneous" if workload.schedule == turns else turns
        found["schedule"] = (workload.schedule, together)
    for index, capture in enumerate(workload.captures):
        found[f"captures.{index}.keep"] = _with(capture.keep, "device", "host", "disk")
    chunk = workload.memory.streaming_chunk_size
    own = "null" if chunk is None else str(chunk)
    found["memory.streaming_chunk_size"] = _with(own, "null", "256", "512", "1024")
    if workload.training is not None:
        found["memory.enable_gradient_checkpointing"] = ("false", "true")
    for name, role in workload.roles.items():
        batch = role.batch or workload.batch
        found[f"roles.{name}.batch"] = tuple(str(number) for number in range(1, max(4 * batch, 32) + 1))
        if role.engine == "transformers":
            kernel = "sdpa" if role.attention == "auto" else role.attention
            found[f"roles.{name}.attention"] = _with(kernel, "sdpa", "eager", "sdpa-math")
            precision = "bf16" if role.precision == "auto" else role.precision
            found[f"roles.{name}.precision"] = _with(precision, "bf16", "int8", "nf4", "nf4-dq")
            found[f"roles.{name}.max_memory"] = ("null", "{cpu: 4TiB}")
    longest = workload.prompt_tokens
    lengths = range(longest, longest // 8 - 1, -max(longest // 128, 1))
    found["prompt_tokens"] = tuple(str(length) for length in lengths)
    return found


def _with(own: str, *others: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys((own, *others)))


def start(workload: Workload, choices: dict[str, tuple[str, ...]]) -> dict[str, str]:
    """The candidate that a walk begins with: the file's own values."""
    at = {path: values[0] for path, values in choices.items()}
    for name, role in workload.roles.items():
        at[f"roles.{name}.batch"] = str(role.batch or workload.batch)
    return at


def walk(workload: Workload, count: int) -> Iterator[Step]:
    """`count` steps to candidates that differ from the last in one value, never twice the same one."""
    settled = settler(workload)
    choices = axes(workload)
    paths = list(choices)
    at = start(workload, choices)
    here = apply_changes(workload, tuple(at.items()))
    for path, value in at.items():
        yield path, value
    seen = {tuple(at.values())}
    draw = random.Random(SEED)
    while count:
        path = draw.choice(paths)
        value = _other(draw, choices[path], at[path])
        there = at | {path: value}
        if tuple(there.values()) in seen:
            continue
        seen.add(tuple(there.values()))
        candidate = apply_changes(here, ((path, value),))
        try:
            settled(candidate)
        except InputError:
            continue
        at, here = there, candidate
        count -= 1
        yield path, value


def _other(draw: random.Random, values: tuple[str, ...], now: str) -> str:
    if len(values) <= 8:
        return draw.choice([value for value in values if value != now])
    index = values.index(now)
    near = range(max(index - STRIDE, 0), min(index + STRIDE + 1, len(values)))
    return values[draw.choice([number for number in near if number != index])]


def go(workload: Workload, steps: list[Step]) -> None:
    """Walks the blocks that standard input names."""
    settled = settler(workload)
    whole = len(axes(workload))
    for step in steps[:whole]:
        workload = apply_changes(workload, (step,))
    steps = steps[whole:]
    outcomes: list[Outcome] = []
    for line in sys.stdin:
        if line.strip() == "end":
            break
        first, last = map(int, line.split())
        began = time.perf_counter()
        block = []
        for step in steps[first:last]:
            workload = apply_changes(workload, (step,))
            block.append(workload)
        made = time.perf_counter() - began
        gc.collect()
        began, used = time.perf_counter(), time.process_time()
        outcomes = [settled(candidate) for candidate in block]
        answer = {"seconds": time.perf_counter() - began, "processor": time.process_time() - used}
        print(json.dumps(answer | {"making": made}), flush=True)
    print(json.dumps([[o.verdict, o.peak.high, o.over, o.seconds_per_1000] for o in outcomes]))


def main() -> None:
    mode, file, steps = sys.argv[1:4]
    workload = api.load(file)
    if mode == "make":
        Path(steps).write_text(json.dumps(list(walk(workload, int(sys.argv[4])))))
    else:
        go(workload, [tuple(step) for step in json.loads(Path(steps).read_text())])


if __name__ == "__main__":
    main()
