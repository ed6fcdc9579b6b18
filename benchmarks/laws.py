"""The laws of planning over every family, with many examples drawn at random: results/laws.json.

    python benchmarks/laws.py [--seed 0]

The tests of facts, spec, memory and planning, as `make test` runs them, with hypothesis's profile `attack`
(tests/conftest.py): another seed, thousands of examples a law instead of a hundred.
"""

from __future__ import annotations

import argparse
import os

import every_family
import result_file
import suites

ROOMS = ("facts", "spec", "memory", "planning")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3)))
    seed = parser.parse_args().seed
    made = result_file.start("laws")
    found = suites.run_tests(
        [
            *(f"tests/{room}" for room in ROOMS),
            "--long",
            "--hypothesis-profile=attack",
            f"--hypothesis-seed={seed}",
        ]
    )
    figures = {
        "tests": found.tests,
        "families": len(every_family.NAMES),
        "seed": seed,
        "seconds": found.seconds,
        "failed": found.failed,
    }
    made.write(figures, {"every law holds": not found.failed and found.tests > 0})


if __name__ == "__main__":
    main()
