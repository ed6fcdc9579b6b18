"""Laws of advice over random workloads of all kinds.

    python benchmarks/advice_laws.py [--count 300] [--seed 27] [--minutes 15]

Writes results/advice_laws.json.

Of each of `count` random workloads (random_workloads.py) that are planned with advice, what is held:

- `ullage plan` and `ullage gpus` agree: no set that holds the workload as it is costs less than the cheapest
  entry, and an entry without a change has the verdict, the seconds and the dollars that `ullage gpus` says;
- no entry offers what the runtime refuses: each is planned as it is typed, fits, has its peak and its price,
  and transformers' own quantizers take it;
- no entry is beaten by another printed one on the same ground, the own cards or others, in quality loss,
  dollars and seconds;
- what is wholly known stands before what is not, where cost is asked for.

Where the minutes are over, the result says how many workloads were held.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import result_file
from plans_offered import ROUND, Violation, beaten, cheaper, offered, peaks, plan_of, priced_as, refused, told
from random_workloads import Case, drawn_apart

NEAR = 1e-6
"""Share by which the same seconds or dollars may differ."""


def agreeing(plan: Any) -> Iterator[str]:
    """Where the advice is not what `ullage gpus` says: it has a cheaper set for the workload as it is, or
    another answer to an entry without a change."""
    from ullage import api

    found = api.gpus(plan.workload, base=Path(), prices=priced_as(plan))
    yield from cheaper(plan, found)
    listed = {gpus.name: outcome for gpus, outcome in found}
    for entry in plan.advice:
        if entry.changes or entry.own_cards or entry.usd_per_hour is None:  # nobody rents it out
            continue
        other = listed.get(entry.gpus)
        if other is None:
            yield f"{entry.gpus}: advised as it is, and not listed"
        elif (other.verdict, other.peak.high) != (entry.verdict, entry.peak.high):
            yield f"{entry.gpus}: {entry.verdict}, and listed as {other.verdict}"
        elif not _alike(other.seconds_per_1000, entry.seconds_per_1000_examples):
            said = entry.seconds_per_1000_examples
            yield f"{entry.gpus}: {said} s, and listed with {other.seconds_per_1000}"
        elif not _alike(other.usd_per_1000, entry.usd_per_1000_examples):
            yield f"{entry.gpus}: ${entry.usd_per_1000_examples}, and listed with {other.usd_per_1000}"


def _alike(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return abs(one - other) <= NEAR * max(one, other)


def replanned(plan: Any, seen: Counter[str]) -> Iterator[tuple[str, str]]:
    """What is not so of entries that are planned as they are typed, by law."""
    entries = {f"advice {entry.changes} on {entry.gpus}": entry for entry in plan.advice}
    for what, other, verdict, peak in offered(plan):
        seen["entries"] += 1
        if verdict != "fits" or other.verdict != verdict:
            yield "what is offered fits", f"{what}: {verdict}, planned it is {other.verdict}"
        high = sum(size for device, size in peaks(other).items() if device not in ("host", "disk"))
        if abs(high - peak) > ROUND:
            yield "an entry has its peak", f"{what}: {high:,} for {peak:,}"
        usd = None if other.cost is None else other.cost.usd_per_1000_examples
        said = entries[what].usd_per_1000_examples
        if not _alike(None if usd is None else usd.expected, said):
            yield "an entry costs what it says", f"{what}: {usd} for {said}"
        for each in refused(other):
            yield "the runtime takes what is offered", f"{what}: {each}"


def checked(case: Case, seen: Counter[str]) -> list[Violation]:
    """Violations of one workload."""
    import ullage

    found: list[Violation] = []

    def violated(law: str, said: object) -> None:
        found.append({"name": case.name, "law": law, "said": str(said)[:400]})

    try:
        plan = plan_of(case.data, case.arguments, advice=True)
    except ullage.InputError:
        seen["refused"] += 1
        return found
    seen["planned"] += 1
    seen[f"of kind {plan.workload.kind}"] += 1
    for said in beaten(plan):
        violated("no entry is beaten", said)
    known = [not entry.unknown for entry in plan.advice]
    if known != sorted(known, reverse=True):
        violated("what is known comes first", [entry.gpus for entry in plan.advice])
    try:
        for said in islice(agreeing(plan), 1):
            violated("plan and gpus agree", said)
    except ullage.InputError:
        seen["no card of any list"] += 1
    try:
        for law, said in replanned(plan, seen):
            violated(law, said)
    except ullage.InputError as error:
        violated("what is offered is planned", error)
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=27)
    parser.add_argument("--minutes", type=float, default=15)
    given = parser.parse_args()
    made = result_file.start("advice_laws")
    seen: Counter[str] = Counter()
    violations: list[Violation] = []
    begun = time.monotonic()
    with drawn_apart(given.seed) as drawn:
        for case in drawn:
            if seen["planned"] == given.count or time.monotonic() - begun > 60 * given.minutes:
                break
            violations += told(case, partial(checked, case, seen))
            if sum(seen.values()) % 50 == 0:
                print(dict(seen), flush=True)
    figures = {"seed": given.seed, **dict(sorted(seen.items())), "violations": violations}
    made.write(figures, {"plan and gpus agree, and no entry is refused or beaten": not violations})


if __name__ == "__main__":
    main()
