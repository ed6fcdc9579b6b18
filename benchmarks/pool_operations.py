"""The residency pool under load: ten thousand random operations, threads and tasks at once, loads foreseen.

    python benchmarks/pool_operations.py             # prints, and writes results/pool_operations.json

The random operations are pool_machine.py's: after each of them no budget is exceeded, nobody who waits is
forgotten, and at the end nothing is held. Then 16 threads and 16 tasks ask for six roles, of which two fit at
once, with loads that take a moment and fail now and then. Then a load of 500 ms is foreseen while another
role is used for 700 ms, and the wait for it is held against that of a load nobody foresaw.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import threading
import time
from typing import Any, Final

import pool_machine
import result_file
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from ullage.errors import UllageError
from ullage.runtime.pool import Pool, Role
from ullage.runtime.pool.simulated import Memory, SimulatedWeights
from ullage.runtime.role_weights import HOST

STEPS: Final = 50
DEVICE, SIZE = "a", 40
LOAD_SECONDS, USE_SECONDS = 0.5, 0.7


def random_operations(count: int) -> int:
    """How many were done, `count` or some more; raises what breaks a law."""
    pool_machine.PoolMachine.operations = 0
    while pool_machine.PoolMachine.operations < count:
        run_state_machine_as_test(
            pool_machine.PoolMachine,
            settings=settings(
                max_examples=count // STEPS,
                stateful_step_count=STEPS,
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
    return pool_machine.PoolMachine.operations


def opened(names: str, memory: Memory, seconds: float, chance: random.Random | None = None) -> Pool:
    """Roles of equal size, of which two fit a device and one more the host; loads take so long."""

    def slow(*_: object) -> None:
        time.sleep(seconds)

    made = []
    for name in names:
        weights = SimulatedWeights(name, memory, {DEVICE: SIZE}, {}, SIZE)
        weights.on_part = slow
        if chance is not None and chance.random() < 0.3:
            weights.fails.append(RuntimeError("broken file"))
        made.append(Role(name, (weights,)))
    return Pool(made, {DEVICE: 2 * SIZE}, SIZE)


def at_once(each: int) -> dict[str, Any]:
    """16 threads and 16 tasks, `each` of which asks so often; what was served, failed, and how long one
    waited at most."""
    memory = Memory({DEVICE: 2 * SIZE, HOST: SIZE})
    pool = opened("ABCDEF", memory, 0.0005, random.Random(0))
    lock, served, failed, longest = threading.Lock(), 0, 0, 0.0

    def note(begun: float, done: bool) -> None:
        nonlocal served, failed, longest
        with lock:
            served, failed = served + done, failed + (not done)
            longest = max(longest, time.monotonic() - begun)

    def threaded(number: int) -> None:
        chance = random.Random(number)
        for _ in range(each):
            begun = time.monotonic()
            try:
                with pool.lease(chance.choice("ABCDEF"), 60.0) as lease:
                    note(begun, True)
                    assert lease.run(lambda model: model is not None)
            except UllageError:  # a load that failed
                note(begun, False)

    async def task(number: int) -> None:
        chance = random.Random(100 + number)
        for _ in range(each):
            begun = time.monotonic()
            try:
                async with pool.lease(chance.choice("ABCDEF"), 60.0):
                    note(begun, True)
                    await asyncio.sleep(0.0001)
            except UllageError:  # a load that failed
                note(begun, False)

    async def tasks() -> None:
        await asyncio.gather(*(task(number) for number in range(16)))

    threads = [threading.Thread(target=threaded, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    asyncio.run(tasks())
    for thread in threads:
        thread.join()
    pool.close()
    return {
        "asked": 32 * each,
        "served": served,
        "failed": failed,
        "longest_wait_s": round(longest, 2),
        "beyond_a_budget": len(memory.beyond),
        "held_after": sum(memory.held.values()),
    }


def foreseen(rounds: int) -> dict[str, float]:
    """The mean wait for a role whose load takes 500 ms, foreseen or not, while another is used for 700."""

    def waited(expects: bool) -> float:
        total = 0.0
        for _ in range(rounds):
            memory = Memory({DEVICE: 2 * SIZE, HOST: SIZE})
            with opened("AB", memory, LOAD_SECONDS / 4) as pool:
                with pool.lease("A"):
                    if expects:
                        pool.expect({"B": 1.0})
                    time.sleep(USE_SECONDS)
                begun = time.monotonic()
                with pool.lease("B"):
                    total += time.monotonic() - begun
        return total / rounds

    alone, hidden = waited(False), waited(True)
    share = 1 - hidden / alone
    return {"wait_s": round(alone, 4), "foreseen_s": round(hidden, 4), "hidden": round(share, 4)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--operations", type=int, default=10_000)
    options = parser.parse_args()
    made = result_file.start("pool_operations")
    figures = {
        "operations": random_operations(options.operations),
        "at_once": at_once(100),
        "foreseen": foreseen(5),
    }
    print(figures)
    claims = {
        "ten thousand random operations break no law": figures["operations"] >= 10_000,
        "threads and tasks: no budget exceeded, nothing held afterwards, everybody told": (
            not figures["at_once"]["beyond_a_budget"]
            and not figures["at_once"]["held_after"]
            and figures["at_once"]["served"] + figures["at_once"]["failed"] == figures["at_once"]["asked"]
        ),
        "a load of 500 ms that was foreseen: >= 90 % of the wait is hidden": figures["foreseen"]["hidden"]
        >= 0.9,
    }
    made.write(figures, claims)
    return 0 if all(claims.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
