"""The laws of planning over every family, with many examples drawn at random: results/laws.json.

    python benchmarks/laws.py [--seed 0]

The tests of facts, spec, memory and planning, as `make test` runs them, with hypothesis's profile `attack`
(tests/conftest.py): another seed, thousands of examples a law instead of a hundred.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from xml.etree import ElementTree

import every_family
import result_file

ROOMS = ("facts", "spec", "memory", "planning")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3)))
    seed = parser.parse_args().seed
    made = result_file.start("laws")
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        report = Path(name) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-n", "2", *(f"tests/{room}" for room in ROOMS)]
        command += ["--hypothesis-profile=attack", f"--hypothesis-seed={seed}", f"--junitxml={report}"]
        subprocess.run(command, cwd=result_file.ROOT, check=False)
        suite = next(ElementTree.parse(report).iter("testsuite"))
    failed = [
        f"{case.get('classname')}::{case.get('name')}"
        for case in suite.iter("testcase")
        if case.find("failure") is not None or case.find("error") is not None
    ]
    figures = {
        "tests": int(suite.get("tests", 0)),
        "families": len(every_family.NAMES),
        "seed": seed,
        "seconds": round(time.monotonic() - begun),
        "failed": failed,
    }
    made.write(figures, {"every law holds": not failed and figures["tests"] > 0})


if __name__ == "__main__":
    main()
