"""Whether what plans offer is so: random workloads, their advice and the cards they are said to fit.

    python benchmarks/plans_offered.py [--count 3000] [--seed 24] [--minutes 240] [--jobs 1]

Writes results/plans_offered.json.

Of each of `count` random workloads (random_workloads.py) that are planned, what is held:

- its plan is coherent: line items come to the totals, peaks to the verdicts (as a written plan is checked);
- each entry of its advice, and of every tenth the first cards of `ullage gpus`, planned as it is offered,
  has the verdict and the peak it was offered with, and fits;
- no entry of its advice is beaten by another on the same ground, the own cards or others, in quality loss,
  dollars and seconds; and of every tenth no set that `ullage gpus` lists as fitting is cheaper than the
  cheapest entry, but for the cards that were asked for;
- the loader takes each of those and the plan itself where it fits: transformers' own quantizers are asked
  (`validate_environment`), told of the card the role is on and where the plan puts its modules, and what they
  turn into 16 bits is what the plan has in 16 bits;
- one more token of prompt, one more new token and one more sequence of a batch never take less on any device
  while the placement is the same; one more token moves no block that would fit where it was. A sequence by
  itself has no mask, and where grouped heads are in fp32 another kernel than two have, which takes more: what
  follows a batch of one is not held against it. Of a pass that is traced what is alive is held alone: what
  torch's allocator keeps around it is less for many a larger one.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import multiprocessing
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import result_file
from random_workloads import Case, drawn_apart

OFFERS_OF_GPUS = 10
CARDS_TRIED = 4
ROUND = 2**20
"""Bytes within which an offer's peak is the plan's: none differ, this is for the report."""
Violation = dict[str, object]


def plan_of(data: object, arguments: tuple[str, ...], gpus: str | None = None, advice: bool = False) -> Any:
    import ullage
    from ullage.workloads.loading import parse

    sets = [text for flag, text in zip(arguments[::2], arguments[1::2], strict=True) if flag == "--set"]
    named = [text for flag, text in zip(arguments[::2], arguments[1::2], strict=True) if flag == "--gpus"]
    workload = parse(json.dumps(data), "workload.json", sets)
    return ullage.plan(workload, gpus or (named[-1] if named else None), base=Path(), advice=advice)


def offered(plan: Any) -> Iterator[tuple[str, Any, str, int]]:
    """What each entry of the advice is planned to, and the verdict and peak it was offered with."""
    import ullage
    from ullage.spec.changes import apply_changes

    for entry in plan.advice:
        changed = apply_changes(plan.workload, entry.changes)
        gpus = entry.gpus.replace(" + ", ",")
        if entry.gpus == plan.gpus.name:
            gpus = plan.asked
        yield (
            f"advice {entry.changes} on {entry.gpus}",
            ullage.plan(changed, gpus, base=Path(), advice=False, prices=priced_as(plan)),
            entry.verdict,
            entry.peak.high,
        )


def priced_as(plan: Any) -> Any:
    """The lists by the label that a plan's price is of."""
    from ullage import api

    return api.lists(None, None if plan.cost is None else plan.cost.label)


def cards(plan: Any) -> Iterator[tuple[str, Any, str, int]]:
    """The first entries of `ullage gpus`."""
    import ullage
    from ullage import api

    for gpus, outcome in api.gpus(plan.workload, base=Path(), prices=priced_as(plan))[:CARDS_TRIED]:
        name = gpus.name.replace(" + ", ",")
        other = ullage.plan(plan.workload, name, base=Path(), advice=False)
        yield f"gpus {name}", other, outcome.verdict, outcome.peak.high


def beaten(plan: Any) -> Iterator[str]:
    """Entries that another on the same ground beats."""
    for own in (True, False):
        ground = [entry for entry in plan.advice if entry.own_cards is own]
        for one in ground:
            for other in ground:
                if points(other) != points(one) and all(
                    a <= b for a, b in zip(points(other), points(one), strict=True)
                ):
                    yield f"{one.changes} on {one.gpus} by {other.changes} on {other.gpus}"


def points(entry: Any) -> tuple[float, float, float, bool]:
    """Loss, dollars (without a price beyond all others) and seconds, of the phases whose time is known;
    whether there are others."""
    usd = math.inf if entry.usd_per_hour is None else entry.usd_per_hour * entry.known_seconds
    return entry.quality_loss, usd, entry.known_seconds, bool(entry.unknown)


def cheaper(plan: Any, holding: list[tuple[Any, Any]]) -> Iterator[str]:
    """Sets among those that hold the workload as it is that do so for less than any entry of the advice, and
    than the plan itself."""
    own = plan.cost and plan.cost.usd_per_1000_examples if plan.verdict == "fits" else None
    costs = [entry.usd_per_1000_examples for entry in plan.advice] + [own.expected if own else None]
    known = [cost for cost in costs if cost is not None]
    best = min(known, default=None)
    for gpus, outcome in holding:
        usd = outcome.usd_per_1000
        if gpus == plan.gpus or outcome.verdict != "fits" or usd is None:
            continue
        if best is None or usd < best * (1 - 1e-9):
            yield f"{gpus.name}: {usd} as it is, and {best} by advice"


def refused(plan: Any) -> Iterator[str]:
    """What transformers' loader says against a plan."""
    for name, role in plan.roles.items():
        if plan.workload.roles[name].runs_with.memory != "process" or plan.gpus.abilities.platform != "cuda":
            continue
        places = {place for place in role.placement.device_map.values() if place.startswith("gpu:")}
        for place in sorted(places):
            capability = plan.gpus.gpus[int(place[4:])].abilities.capability
            if capability is not None:
                yield from _said(plan, name, role, capability)


def _said(plan: Any, name: str, role: Any, capability: tuple[int, int]) -> Iterator[str]:
    import torch
    import transformers
    from transformers.quantizers.auto import AutoHfQuantizer

    from ullage.runtime.quantization import dequantizing_config, quantization_config

    architecture = plan.models.get(plan.workload.roles[name].model)
    stored = getattr(architecture, "quantization", None)
    device_map = {
        f"model.{block}": "cuda:0" if place.startswith("gpu:") else place
        for block, place in role.placement.device_map.items()
    }
    pre_quantized = False
    if role.precision.quantization is None and role.precision.scheme is not None:
        if role.precision.scheme.on_load is None:
            return  # of a checkpoint that the file supposes, which nothing here could load
        config = quantization_config(transformers, role.precision)
    elif stored is not None and stored.method in ("fp8", "mxfp4"):
        kind = {"fp8": transformers.FineGrainedFP8Config, "mxfp4": transformers.Mxfp4Config}[stored.method]
        told = dequantizing_config(transformers, {"quant_method": stored.method}, role.precision)
        config, pre_quantized = told or kind(), True
    else:
        return
    made = AutoHfQuantizer.from_config(config, pre_quantized=pre_quantized)
    accelerator = SimpleNamespace(type="cuda")
    module = "transformers.quantizers.quantizer_mxfp4"
    with (
        mock.patch.object(torch.cuda, "is_available", return_value=True),
        mock.patch.object(torch.cuda, "get_device_capability", return_value=capability),
        mock.patch.object(torch.accelerator, "current_accelerator", return_value=accelerator),
        mock.patch(f"{module}.is_triton_available", return_value=True),
        mock.patch(f"{module}.is_kernels_available", return_value=True),
    ):
        try:
            made.validate_environment(device_map=device_map)
        except (ValueError, RuntimeError) as error:
            yield f"{name}: {' '.join(str(error).split())[:200]}"
            return
    if pre_quantized:
        whole = role.precision.scheme is None
        if bool(made.quantization_config.dequantize) != whole and plan.workload.roles[name].precision in (
            "auto",
            "stored",
        ):
            yield f"{name}: {stored.method} on {capability} is planned as {role.precision.storage}"


def peaks(plan: Any) -> dict[str, int]:
    return {device.name: device.peak.device.high for device in plan.devices}


def alive(plan: Any) -> dict[str, int]:
    """Peaks without what an allocator keeps around passes that are traced."""
    found = peaks(plan)
    kept: Counter = Counter()
    for item in plan.bill.items:
        if item.basis == "traced" and item.level == "reserved":
            kept[item.device, item.phase] += item.bytes.high
    return {each.name: found[each.name] - kept[each.name, each.peak_phase] for each in plan.devices}


def precisions(plan: Any) -> dict[str, object]:
    return {name: role.precision for name, role in plan.roles.items()}


def places(plan: Any) -> dict[str, object]:
    return {name: dict(role.placement.device_map) for name, role in plan.roles.items()}


def holds(more: Any, plan: Any) -> bool:
    """Whether another workload fits where a plan has its blocks."""
    from ullage.planning.billing import device_peaks
    from ullage.planning.device import devices_of, limits_of
    from ullage.planning.placement import place
    from ullage.planning.verdict import verdict_of, worst
    from ullage.workloads.outcomes import estimate

    devices = devices_of(plan.gpus, plan.workload.budget)
    here = place(estimate(plan.workload, plan.models, plan.gpus), devices)
    found = device_peaks(estimate(more, plan.models, plan.gpus), here, devices)
    limits = limits_of(devices, plan.workload.budget)
    return worst(verdict_of(peak.high, *limits[name]) for name, peak in found.items()) == "fits"


def moved(plan: Any) -> Iterator[str]:
    """What one more of something takes less of, or moves although everything is where it fits."""
    import ullage

    base = plan.workload
    roles = base.roles
    changes = {
        "prompt_tokens": {"prompt_tokens": base.prompt_tokens + 1},
        "new_tokens": {"new_tokens": base.new_tokens + 1},
        "batch": {"batch": base.batch + 1},
    }
    for what, fields in changes.items():
        each = {
            name: role
            if getattr(role, what) is None
            else role.model_copy(update={what: getattr(role, what) + 1})
            for name, role in roles.items()
        }
        more = base.model_copy(update={**fields, "roles": each})
        try:
            other = ullage.plan(more, plan.asked, base=Path(), advice=False)
        except ullage.InputError:
            continue  # past a window
        if {n: r.precision for n, r in other.roles.items()} != {
            n: r.precision for n, r in plan.roles.items()
        }:
            continue
        if places(other) != places(plan):
            # A batch more may be balanced anew; a token more has no cause to be.
            if what != "batch" and plan.verdict == other.verdict == "fits" and holds(more, plan):
                yield f"{what} + 1: blocks move, and would fit where they are"
        else:
            if what == "batch" and 1 in {base.batch, *(role.batch for role in roles.values())}:
                continue
            before, now = alive(plan), alive(other)
            for device, size in before.items():
                if now.get(device, 0) < size:
                    yield f"{what} + 1: {device} takes {size - now.get(device, 0):,} bytes less"


def checked(case: Case, number: int, seen: Counter) -> list[Violation]:
    """Violations of one workload."""
    name, data, arguments = case.name, case.data, case.arguments
    import ullage
    from ullage import api
    from ullage.planning.coherence import check_coherent

    found: list[Violation] = []

    def violated(law: str, said: object) -> None:
        found.append({"name": name, "law": law, "said": str(said)[:400]})

    try:
        plan = plan_of(data, arguments, advice=True)
    except ullage.InputError:
        seen["refused"] += 1
        return found
    seen["planned"] += 1
    try:
        check_coherent(plan)
    except ValueError as error:
        violated("coherent", error)
    if plan.verdict == "fits":
        for said in refused(plan):
            violated("the loader takes what fits", said)
    for said in beaten(plan):
        violated("no entry is beaten", said)
    if number % OFFERS_OF_GPUS == 0:
        try:
            for said in cheaper(plan, api.gpus(plan.workload, base=Path(), prices=priced_as(plan))):
                violated("plan and gpus agree", said)
        except ullage.InputError:
            seen["no card of any list"] += 1
    sources = [offered(plan), *([cards(plan)] if number % OFFERS_OF_GPUS == 0 else [])]
    for source in sources:
        try:
            for what, other, verdict, peak in source:
                seen["offers"] += 1
                if verdict == "does not fit" or other.verdict != verdict:
                    violated("what is offered fits", f"{what}: {verdict}, planned it is {other.verdict}")
                high = sum(size for device, size in peaks(other).items() if device not in ("host", "disk"))
                if abs(high - peak) > ROUND:
                    violated("an offer has its peak", f"{what}: {high:,} for {peak:,}")
                for said in refused(other):
                    violated("the loader takes what is offered", f"{what}: {said}")
        except ullage.InputError as error:
            violated("what is offered is planned", error)
    for said in moved(plan):
        violated("more never takes less", said)
    return found


def told(case: Case, check: Callable[[], list[Violation]]) -> list[Violation]:
    """What `check` finds of a workload, printed; that it fails is a violation too."""
    try:
        found = check()
    except Exception:
        said = traceback.format_exc()[-400:]
        found = [{"name": case.name, "law": "nothing fails", "said": said}]
    for each in found:
        print(each, flush=True)
    return found


def held(numbered: tuple[int, Case]) -> tuple[list[Violation], Counter]:
    """Violations of one workload, and what was counted."""
    number, case = numbered
    seen: Counter = Counter()
    return told(case, lambda: checked(case, number, seen)), seen


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=24)
    parser.add_argument(
        "--minutes", type=float, default=240, help="ends after these, and says how many it held"
    )
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    given = parser.parse_args()
    made = result_file.start("plans_offered")
    seen: Counter = Counter()
    violations: list[Violation] = []
    begun = time.monotonic()
    with drawn_apart(given.seed) as some:
        drawn = enumerate(some)
        with multiprocessing.get_context("fork").Pool(given.jobs) as pool:
            while seen["planned"] < given.count and time.monotonic() - begun < 60 * given.minutes:
                for found, more in pool.map(held, itertools.islice(drawn, 10 * given.jobs), 1):
                    seen.update(more)
                    violations += found
                print(dict(seen), Counter(each["law"] for each in violations), flush=True)
    figures = {
        "seed": given.seed,
        **{key: seen[key] for key in ("planned", "refused", "offers")},
        "violations": violations,
    }
    made.write(figures, {"nothing is offered that is not so": not violations})


if __name__ == "__main__":
    main()
