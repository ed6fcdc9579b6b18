"""Tests run by pytest, and what became of them."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import result_file


class Suite(NamedTuple):
    """How many tests there were, the names of those that failed, and how long all took."""

    tests: int
    failed: list[str]
    seconds: int


def run_tests(arguments: Iterable[str]) -> Suite:
    """Those that pytest's `arguments` choose, in two processes."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        report = Path(name) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-n", "2", *arguments, f"--junitxml={report}"]
        subprocess.run(command, cwd=result_file.ROOT, check=False)
        suite = next(ElementTree.parse(report).iter("testsuite"))
    failed = [
        f"{case.get('classname')}::{case.get('name')}"
        for case in suite.iter("testcase")
        if case.find("failure") is not None or case.find("error") is not None
    ]
    return Suite(int(suite.get("tests", 0)), failed, round(time.monotonic() - begun))
