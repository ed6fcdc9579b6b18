"""Traces of passes on fake tensors against the same passes run on this processor.

python benchmarks/tracing_runs.py [--only llama,gpt2] [--seconds 120] [--minutes 90] [--jobs 2]

Of every type of causal language model that transformers has, a small model (`ullage.runtime.shrunk`) writes,
reads, scores and is read in chunks by the run's own loops, in fp32 and bf16, with random weights; torch's
profiler tells every byte that its allocator gives out, workspaces inside operations too. The trace has seen
neither weights nor tokens. The high value is that of plans (`memory.traced.ON_PROCESSOR`).
Figures: benchmarks/results/tracing_runs.json; tables.py writes the table.
"""

from __future__ import annotations

import argparse
import gc
import json
import multiprocessing
import os
import random
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import extract_families
import result_file
import small_families

from ullage.memory.traced import ON_PROCESSOR, Asked
from ullage.phases.phase import Work
from ullage.spec.capture import Capture

CONFIGURATIONS, TYPES, LARGEST_ERROR = 150, 100, 0.01
TOKENS, NEW = 40, 4
BATCHES = {"fp32": 16, "bf16": 128}
"""In bf16 so many rows that what matrix products pack of the weights is little of all."""
SITES = ("blocks.*.hook_resid_post", "ln_final")
WORKS = {
    "prefill": Work("prefill", prompt_tokens=TOKENS, new_tokens=NEW),
    "score": Work("prefill", prompt_tokens=TOKENS, cached_tokens=16),
    "chunks": Work("prefill", prompt_tokens=TOKENS, new_tokens=NEW, chunk_tokens=16),
    "long decode": Work("decode", prompt_tokens=TOKENS, new_tokens=20),
    "decode": Work("decode", prompt_tokens=TOKENS, new_tokens=NEW),
    "read": Work("prefill", prompt_tokens=TOKENS, caches=False, logits="none"),
}
TURNS = ("prefill", "score", "chunks", "long decode")
"""Every type writes and does one of these, in turn."""
DTYPES = {"fp32": "float32", "bf16": "bfloat16"}


def passes(at: int, captures: bool) -> Iterator[tuple[str, Work, str]]:
    """What is run of type number `at`: a name, the work, a precision."""
    yield "decode", WORKS["decode"], "bf16"
    turn = TURNS[at % len(TURNS)]
    yield turn, WORKS[turn], "fp32"
    if captures:
        kept = (Capture(sites=SITES, keep="disk"),)
        yield "read", WORKS["read"].but(captures=kept), "fp32"
        yield "captured prefill", WORKS["prefill"].but(captures=kept), "bf16"


def rows_of(family: str, at: int, captures: bool) -> list[dict[str, Any]]:
    """One type's rows."""
    return [
        row(family, name, work.but(batch=BATCHES[dtype]), dtype) for name, work, dtype in passes(at, captures)
    ]


def row(family: str, name: str, work: Work, dtype: str) -> dict[str, Any]:
    """What a pass was traced to take, and what it took."""
    from ullage.tracing.kept import summed
    from ullage.tracing.passes import trace_config

    found: dict[str, Any] = {"family": family, "pass": name, "dtype": dtype}
    try:
        kernel, ran = run(family, work, dtype)
        found |= {"kernel": kernel, "measured": ran}
    except Exception as error:  # what a run of this type raises is its row
        return found | {"not_run": said(error)}
    try:
        begun = time.perf_counter()
        traced = summed(trace_config(config_of(family), Asked(family, dtype, kernel, work, True)))
        found |= {"traced": traced.live, "stage": traced.stage, "components": dict(traced.components)}
        found["seconds"] = round(time.perf_counter() - begun, 2)
    except Exception as error:
        return found | {"not_traced": said(error)}
    return found | {"error": traced.live / ran - 1}


def config_of(family: str) -> Any:
    """A small config; of a family without a row with what its class leaves open."""
    known = family in small_families.FAMILIES
    return small_families.config_of(family, **({} if known else extract_families.OPEN.get(family, {})))


def run(family: str, work: Work, dtype: str) -> tuple[str, int]:
    """The attention kernel, and the bytes that the phase takes at most on top of the weights."""
    import torch
    from transformers import AutoModelForCausalLM

    from ullage.runtime.layout import find_layout

    torch.manual_seed(0)
    for kernel in ("sdpa", "eager"):
        try:
            options = {"dtype": getattr(torch, DTYPES[dtype]), "attn_implementation": kernel}
            model = AutoModelForCausalLM.from_config(config_of(family), **options).eval()
            break
        except ValueError as error:
            if "scaled_dot_product" not in str(error) or kernel == "eager":
                raise
    layout = find_layout(model)
    gc.disable()
    try:
        return kernel, measured(model, layout, family, work)
    finally:
        gc.enable()


def measured(model: Any, layout: Any, family: str, work: Work) -> int:
    """The peak within the phase."""
    from torch.profiler import ProfilerActivity, profile

    warm, points = work.but(batch=2, prompt_tokens=3), points_of(layout, family, work)
    with phase(False):
        do(model, layout, warm.but(cached_tokens=0), points)  # what is made once, as tables of angles
    with small_families.quiet(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        do(model, layout, work, points)
    return peak(seen.profiler.kineto_results.events())


def points_of(layout: Any, family: str, work: Work) -> Any:
    from ullage.capture.proofs import proven_points

    if not work.captures:
        return ()
    return proven_points(
        work.captures, layout, name=family, depth=len(layout.layers), ways=(False, work.caches)
    )


def peak(events: Any) -> int:
    """The most that lives inside the phase's spans, of all that the profiler saw."""
    events = sorted(events, key=lambda each: each.start_ns())
    spans = [(each.start_ns(), each.end_ns()) for each in events if each.name() == "ullage phase"]
    live = most = 0
    for event in events:
        if event.name() == "[memory]":
            live += event.nbytes()
            if any(begin <= event.start_ns() <= end for begin, end in spans):
                most = max(most, live)
    return most


@contextmanager
def phase(inside: bool) -> Iterator[None]:
    from torch.profiler import record_function

    if not inside:
        yield
        return
    with record_function("ullage phase"):
        yield


def do(model: Any, layout: Any, work: Work, points: Any) -> None:
    """The work, as the engines do it."""
    import torch

    from ullage.capture.choosing import Choosing
    from ullage.capture.listener import Listener
    from ullage.capture.reader import Reader
    from ullage.engines.branching import window_of
    from ullage.engines.engine import Sampling
    from ullage.engines.prefix import Beginning
    from ullage.engines.row import new_row
    from ullage.engines.scoring import Scorer
    from ullage.engines.writing import Writer

    texts = texts_of(layout, work)
    if not work.caches:
        with phase(True):
            held = Reader(model, layout, points, work.chunk_tokens).read(texts)
        del held
        return
    listener = Listener(points, layout, Choosing(work.batch)) if points else None
    if not work.new_tokens:
        scorer = Scorer(layout, "cpu", work.chunk_tokens)
        with torch.inference_mode():
            if work.cached_tokens:
                scorer._prefix.cache(texts[0][: work.cached_tokens], 1)
            with phase(True):
                scorer.scores(texts, [[(5,), (9,)]] * work.batch, listener)
        return
    beginning = None if window_of(layout.config) else Beginning(layout, "cpu", work.chunk_tokens)
    writer = Writer(model, "cpu", frozenset(), lambda _: "", work.chunk_tokens, beginning=beginning)
    texts[-1] = texts[-1][:-1]
    rows = [new_row(ids, seed) for seed, ids in enumerate(texts)]
    steps = writer.steps(rows, Sampling(work.new_tokens), listener)
    decodes = work.activity == "decode"
    with phase(not decodes):
        next(steps)
    for _ in range(work.new_tokens - 1) if decodes else ():
        with phase(True):
            next(steps)
    steps.close()


def texts_of(layout: Any, work: Work) -> list[tuple[int, ...]]:
    rows = min(layout.rows or 90, 90)
    shared = tuple((7 * place) % (rows - 4) + 3 for place in range(work.cached_tokens))
    own = [
        tuple((5 * place + 3 * number) % (rows - 4) + 3 for place in range(work.prompt_tokens))
        for number in range(work.batch)
    ]
    return [(*shared, number % rows, *each[1:]) for number, each in enumerate(own)]


def said(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]


def prepare() -> None:
    """Everything is imported once: the processes are forked."""
    import torch
    import transformers

    import ullage.engines.scoring
    import ullage.engines.writing
    import ullage.tracing.kept
    import ullage.tracing.passes

    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    assert transformers.AutoModelForCausalLM
    assert ullage.engines.scoring
    assert ullage.engines.writing
    assert ullage.tracing.kept
    assert ullage.tracing.passes
    gc.freeze()


def in_turn(family: str, at: int, seconds: float, captures: bool) -> list[dict[str, Any]]:
    """The rows of one type, from a process of its own that ends after so many seconds."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)

    def work() -> None:
        theirs.send(json.dumps(rows_of(family, at, captures)))

    process = context.Process(target=work)
    process.start()
    theirs.close()
    try:
        found: list[dict[str, Any]] = json.loads(ours.recv()) if ours.poll(seconds) else []
    except EOFError:
        found = []
    process.kill()
    process.join()
    return found or [{"family": family, "pass": "", "dtype": "", "not_run": f"no answer in {seconds:.0f} s"}]


def side_by_side(only: list[str], options: argparse.Namespace, until: float) -> list[dict[str, Any]]:
    """The rows of every type that is reached in time, by so many jobs at once."""
    context = multiprocessing.get_context("fork")
    done: Any = context.SimpleQueue()
    step = max(len(only) // max(options.captures, 1), 1)

    def work(number: int) -> None:
        for at in range(number, len(only), options.jobs):
            if time.monotonic() < until:
                captures = options.captures > 0 and at % step == 0
                done.put(in_turn(only[at], at, options.seconds, captures))
        done.put(None)

    jobs = [context.Process(target=work, args=(number,)) for number in range(options.jobs)]
    for job in jobs:
        job.start()
    found: list[dict[str, Any]] = []
    left = len(jobs)
    while left:
        rows = done.get()
        left -= rows is None
        for each in rows or ():
            found.append(each)
            print(line(each), flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="types, separated by commas")
    parser.add_argument("--jobs", type=int, default=2, help="types at once")
    parser.add_argument("--seconds", type=float, default=120, help="for one type")
    parser.add_argument(
        "--minutes", type=float, default=90, help="for all: the types after that are left out"
    )
    parser.add_argument("--captures", type=int, default=24, help="of how many types states are captured")
    options = parser.parse_args()
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    every = sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)
    only = options.only.split(",") if options.only else every
    made = result_file.start("tracing_runs")
    prepare()
    random.Random(0).shuffle(only)  # what time runs out for is of no letter
    until = time.monotonic() + 60 * options.minutes
    found = side_by_side(only, options, until)
    held = [each for each in found if "error" in each]
    errors = [abs(each["error"]) for each in held]
    above = [each for each in held if each["measured"] > each["traced"] * ON_PROCESSOR / 100]
    types = {each["family"] for each in held}
    figures = {
        "every_type": len(only),
        "reached": len({each["family"] for each in found}),
        "configurations": len(held),
        "types": len(types),
        "median": statistics.median(errors) if errors else None,
        "maximum": max(errors, default=None),
        "above_high": len(above),
        "not_traced": [each for each in found if "not_traced" in each],
        "not_run": [each for each in found if "not_run" in each],
        "rows": held,
    }
    print({name: value for name, value in figures.items() if not isinstance(value, list)})
    claims = {
        f"at least {CONFIGURATIONS} configurations of {TYPES} types": len(held) >= CONFIGURATIONS
        and len(types) >= TYPES,
        f"none is off by more than {LARGEST_ERROR:.0%}": max(errors, default=1) <= LARGEST_ERROR,
        "no run is above the high value": not above,
    }
    if not options.only:
        made.write(figures, claims)


def line(each: dict[str, Any]) -> str:
    name = f"{each['family']:28} {each['pass']:17} {each['dtype']:5}"
    if "error" in each:
        return f"{name} {each['measured']:12,} {each['traced']:12,} {each['error']:+8.3%}"
    return f"{name} {each.get('not_traced', each.get('not_run'))}"


if __name__ == "__main__":
    main()
