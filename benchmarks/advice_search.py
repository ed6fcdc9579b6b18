"""Whether the advice of a search that ends early is as good as that of one that does not.

    python benchmarks/advice_search.py [--count 200] [--seed 25] [--minutes 4.5]

Writes results/advice_search.json.

Of every example and of `count` random workloads (random_workloads.py) that are planned, the advice is
searched for as `ullage plan` does, and once more without a limit. Held is

- how much dearer the cheapest entry is than the cheapest of the other search, of all entries and of those
  that lose no quality; where no price is known seconds stand for dollars; at most 5 % is asked for, and an
  entry wherever the other has one;
- how many settings each tried, and how long the first takes, by the processor's time and by the clock.

Where the minutes are over, the result says how many workloads were held.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import result_file
from plans_offered import plan_of
from random_workloads import Case, drawn_apart

ROOT = Path(__file__).resolve().parents[1]
WITHIN = 1.05
UNLIMITED_SECONDS = 60.0


def price(entry: Any) -> float:
    """Dollars for 1000 examples in the phases whose time is known, where no card has a price seconds."""
    hourly = entry.usd_per_hour
    return float(entry.known_seconds if hourly is None else hourly * entry.known_seconds / 3600)


def cheapest(entries: tuple[Any, ...], lossless: bool) -> tuple[bool, float] | None:
    """Of entries that can be compared: those whose time is known as a whole, where there are any; whether
    there are none, and the price."""
    found = [each for each in entries if not (lossless and each.quality_loss)]
    return min(((bool(each.unknown), price(each)) for each in found), default=None)


def held(name: str, plan: Any) -> dict[str, object]:
    """One workload's figures."""
    import ullage
    from ullage.planning.advice.advise import usual_limit

    clock, processor = time.perf_counter(), time.process_time()
    short = ullage.advise(plan, limit=usual_limit(len(plan.phases))._replace(seconds=UNLIMITED_SECONDS))
    clock, processor = time.perf_counter() - clock, time.process_time() - processor
    whole = ullage.advise(plan, limit=ullage.SearchLimit(1e9, UNLIMITED_SECONDS))
    dearer: dict[str, float | None] = {}
    lost = False
    for what, lossless in (("of_all", False), ("lossless", True)):
        one, other = cheapest(short.entries, lossless), cheapest(whole.entries, lossless)
        alike = one is not None and other is not None and one[0] == other[0]
        dearer[what] = round(one[1] / other[1], 4) if alike and other[1] else 1.0 if alike else None
        lost = lost or (other is not None and (one is None or one[0] > other[0]) and not lossless)
    return {
        "name": name,
        "dearer": dearer,
        "nothing_found": lost,
        "tried": short.search.tried,
        "left": short.search.left,
        "tried_without_limit": whole.search.tried,
        "entries": len(short.entries),
        "seconds": round(clock, 3),
        "processor_seconds": round(processor, 3),
    }


def plans(count: int, drawn: Iterator[Case]) -> Iterator[tuple[str, Any]]:
    """Every example, then random workloads."""
    import ullage

    for path in sorted((ROOT / "examples").glob("*.yaml")):
        yield path.stem, ullage.plan(path, advice=False)
    made = 0
    for case in drawn:
        if made == count:
            return
        try:
            plan = plan_of(case.data, case.arguments)
        except ullage.InputError:
            continue
        if plan.models:
            made += 1
            yield case.name, plan


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=25)
    parser.add_argument("--minutes", type=float, default=4.5)
    given = parser.parse_args()
    made = result_file.start("advice_search")
    rows: list[dict[str, Any]] = []
    begun = time.monotonic()
    with drawn_apart(given.seed) as drawn:
        for title, plan in plans(given.count, drawn):
            if time.monotonic() - begun > 60 * given.minutes:
                break
            rows.append(held(title, plan))
            print(rows[-1], flush=True)
    figures: dict[str, Any] = {"workloads": len(rows), "seed": given.seed}
    for what in ("of_all", "lossless"):
        ratios = [row["dearer"][what] for row in rows if row["dearer"][what] is not None]
        within = sum(ratio <= WITHIN for ratio in ratios)
        figures[what] = {
            "compared": len(ratios),
            "within_5_percent": within,
            "worst": max(ratios, default=None),
        }
    figures["nothing_found"] = [row["name"] for row in rows if row["nothing_found"]]
    for what in ("seconds", "processor_seconds"):
        times = sorted(row[what] for row in rows)
        figures[what] = {"median": statistics.median(times), "worst": times[-1]}
    figures["beyond"] = [
        {key: row[key] for key in ("name", "dearer", "tried", "tried_without_limit")}
        for row in rows
        if any((ratio or 0.0) > WITHIN for ratio in row["dearer"].values())
    ]
    claim = figures["of_all"]["within_5_percent"] == figures["of_all"]["compared"]
    claim = claim and not figures["nothing_found"]
    made.write(figures, {"the cheapest entry is at most 5 % dearer than without a limit": claim})


if __name__ == "__main__":
    main()
