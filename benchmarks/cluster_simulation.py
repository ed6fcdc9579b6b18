"""The formulas of a cluster's time against events one by one.

    python benchmarks/cluster_simulation.py [--seed 28] [--most 400]

Writes results/cluster_simulation.json.

A discrete-event simulation knows none of the formulas of planning/cluster: machines with replicas take the
next partition each; a machine is lost at times of a Poisson process, what its replicas had in hand comes back
to the queue, and another machine works `back` seconds later. The wall time from the first partition's
beginning to the last one's end, and the seconds of work that were lost, are held against `wall_seconds` and
`lost_seconds`: from one machine to 1,000, without losses and with one of a machine in fifty hours to one in
two, partitions of seconds and of ten minutes, few and very many of them, and two kinds of machines at once.
Each setting is simulated until its mean is known to half a percent (its standard error), at least 20 times
(100 where it has few partitions) and at most `--most` times.
"""

from __future__ import annotations

import argparse
import heapq
import random
from collections.abc import Sequence
from math import ceil
from statistics import mean, median, stdev
from typing import Any, NamedTuple

import result_file

from ullage.planning.cluster.crew import Crew
from ullage.planning.cluster.interruptions import lost_seconds
from ullage.planning.cluster.partition import best_partition
from ullage.planning.cluster.passes import Passes
from ullage.planning.cluster.wall import wall_seconds
from ullage.units import Estimate

HOUR = 3600.0
ASKED = 0.05
KNOWN = 0.005
LEAST = 20
RARE = 100
"""Simulations of what has hardly any interruption in one."""


class Fleet(NamedTuple):
    """Machines that are alike, each with so many replicas of what the crew says."""

    machines: int
    each: int
    record: float
    beside: float
    an_hour: float
    back: float

    @property
    def crew(self) -> Crew:
        record = Passes(1.0, 1, Estimate(self.record, self.record, self.record))
        return Crew(
            self.machines * self.each,
            self.machines,
            (record,),
            1,
            0.0,
            self.beside,
            self.an_hour / HOUR,
            self.back,
        )


class Setting(NamedTuple):
    name: str
    fleets: tuple[Fleet, ...]
    examples: int
    records: int


def simulate(setting: Setting, random_: random.Random) -> tuple[float, float]:
    """Seconds until the last partition is whole, and seconds of work that were lost on the way."""
    waiting, done, partitions = ceil(setting.examples / setting.records), 0, 0
    partitions = waiting
    events: list[tuple[float, int, int, str]] = []
    machines = [fleet for fleet in setting.fleets for _ in range(fleet.machines)]
    # By machine: the life it is in, when each busy replica began, and how many replicas have nothing to do.
    life, busy, idle = [0] * len(machines), [{} for _ in machines], [0] * len(machines)
    idlers: dict[int, None] = {}
    lost, number = 0.0, 0

    def push(when: float, machine: int, what: str) -> int:
        nonlocal number
        number += 1
        heapq.heappush(events, (when, number, machine, what))
        return number

    def work(machine: int, now: float) -> None:
        """Gives a machine's idle replicas what waits."""
        nonlocal waiting
        fleet = machines[machine]
        while idle[machine] and waiting:
            waiting -= 1
            idle[machine] -= 1
            token = push(
                now + fleet.beside + setting.records * fleet.record, machine, f"done {life[machine]}"
            )
            busy[machine][token] = now
        if idle[machine]:
            idlers[machine] = None
        else:
            idlers.pop(machine, None)

    def begin(machine: int, now: float) -> None:
        life[machine] += 1
        idle[machine] = machines[machine].each
        if machines[machine].an_hour:
            taken = random_.expovariate(machines[machine].an_hour / HOUR)
            push(now + taken, machine, f"taken {life[machine]}")
        work(machine, now)

    for machine in range(len(machines)):
        begin(machine, 0.0)
    now = 0.0
    while done < partitions:
        now, token, machine, event = heapq.heappop(events)
        what, _, of = event.partition(" ")
        if what == "back":
            begin(machine, now)
        elif int(of) != life[machine]:
            continue
        elif what == "done":
            del busy[machine][token]
            done += 1
            idle[machine] += 1
            work(machine, now)
        else:
            lost += sum(now - began for began in busy[machine].values())
            waiting += len(busy[machine])
            busy[machine].clear()
            idle[machine] = 0
            idlers.pop(machine, None)
            life[machine] += 1
            push(now + machines[machine].back, machine, "back 0")
            for other in [*idlers]:
                if not waiting:
                    break
                work(other, now)
    return now, lost


def settings() -> list[Setting]:
    """One fleet each, then two at once, then the sizes that the plan would take."""
    found = []
    for machines, each in ((1, 1), (3, 2), (20, 8), (1000, 8)):
        for an_hour in (0.0, 0.02, 0.1, 0.5):
            for seconds in (20.0, 120.0, 600.0):
                for rounds in (0.5, 1, 3, 20):
                    fleet = Fleet(machines, each, seconds / 100, 0.5, an_hour, 300.0)
                    examples = round(machines * each * rounds) * 100
                    if not examples or (an_hour and machines == 1 and rounds <= 3):
                        continue  # one lucky or unlucky hour, and no mean
                    name = f"{machines} x {each}, {an_hour} an hour, {seconds:.0f} s, {rounds} rounds"
                    found.append(Setting(name, (fleet,), examples, 100))
    fast, slow = Fleet(100, 8, 0.5, 1.0, 0.05, 300.0), Fleet(50, 4, 2.0, 1.0, 0.0, 0.0)
    found.append(Setting("two kinds", (fast, slow), 3_000_000, 100))
    few, many = Fleet(1, 8, 0.09, 0.5, 0.5, 300.0), Fleet(30, 1, 1.2, 0.5, 0.5, 300.0)
    found.append(Setting("two kinds, one of them in its second round", (few, many), 80_000, 400))
    for machines, back in ((20, 1800.0), (2, 600.0), (1, 3600.0)):
        fleet = Fleet(machines, 8, 0.4, 0.5, 1.0, back)
        name = f"{machines} x 8, one an hour, {back:.0f} s until replaced"
        found.append(Setting(name, (fleet,), machines * 8 * 10 * 100, 100))
    for an_hour in (0.2, 1.0):
        fleets = (Fleet(10, 8, 0.3, 0.5, an_hour, 300.0), Fleet(20, 2, 0.6, 0.5, an_hour, 300.0))
        records = best_partition([fleet.crew for fleet in fleets], 600_000, 8)
        name = f"two kinds, {an_hour} an hour, {records} a partition, as the plan has it"
        found.append(Setting(name, fleets, 600_000, records))
    for examples, fleet in (
        (10**6, Fleet(8, 8, 0.3, 0.5, 0.05, 300.0)),
        (10**9, Fleet(1000, 8, 0.1, 0.5, 0.05, 300.0)),
    ):
        records = best_partition([fleet.crew], examples, 32)
        found.append(Setting(f"{examples:.0e} records, {records} a partition", (fleet,), examples, records))
    return found


def compared(setting: Setting, random_: random.Random, most: int) -> dict[str, Any]:
    """A setting's mean wall time beside the formula's, and the seconds of work lost."""
    walls, losses = [], []
    least = RARE if setting.examples / setting.records < 2_000 else LEAST
    while len(walls) < most and (len(walls) < least or _standard_error(walls) > KNOWN * mean(walls)):
        wall, lost = simulate(setting, random_)
        walls.append(wall)
        losses.append(lost)
    crews = [fleet.crew for fleet in setting.fleets]
    predicted, simulated = wall_seconds(crews, setting.records, setting.examples), mean(walls)
    row = {
        "setting": setting.name,
        "simulated_seconds": round(simulated, 1),
        "standard_error": round(_standard_error(walls), 1),
        "simulations": len(walls),
        "predicted_seconds": round(predicted, 1),
        "error": round(predicted / simulated - 1, 4),
        "partitions": ceil(setting.examples / setting.records),
    }
    if len(crews) == 1 and crews[0].rate:
        lost = lost_seconds(crews[0].partition(setting.records), crews[0].rate) * row["partitions"]
        row |= {"simulated_lost": round(mean(losses), 1), "predicted_lost": round(lost, 1)}
    return row


def _standard_error(values: list[float]) -> float:
    return stdev(values) / len(values) ** 0.5


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=28)
    parser.add_argument("--most", type=int, default=400)
    given = parser.parse_args(arguments)
    measurement = result_file.start("cluster_simulation")
    random_ = random.Random(given.seed)
    rows = []
    for setting in settings():
        rows.append(compared(setting, random_, given.most))
        print(rows[-1], flush=True)
    errors = sorted(abs(row["error"]) for row in rows)
    figures = {
        "settings": len(rows),
        "median_error": median(errors),
        "largest_error": errors[-1],
        "beyond": [row for row in rows if abs(row["error"]) > ASKED],
        "rows": rows,
    }
    claims = {"simulated and computed wall times agree within 5 %": errors[-1] <= ASKED}
    print(measurement.write(figures, claims))


if __name__ == "__main__":
    main()
