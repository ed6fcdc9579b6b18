"""No test asserts a time: machines differ, and are shared. Bounded work is counted, speed is `make bench`."""

import ast
from pathlib import Path

import pytest

TESTS = sorted((Path(__file__).parents[1]).rglob("*.py"))
CLOCKS = {"monotonic", "perf_counter", "time", "process_time", "monotonic_ns", "perf_counter_ns", "time_ns"}


def reads_a_clock(node):
    """Whether `time.X()` of CLOCKS is called anywhere in it."""
    calls = [one.func for one in ast.walk(node) if isinstance(one, ast.Call)]
    return any(
        isinstance(function, ast.Attribute)
        and isinstance(function.value, ast.Name)
        and function.value.id == "time"
        and function.attr in CLOCKS
        for function in calls
    )


def asserted_times(source):
    """Lines that assert on a clock, directly or by a name that was computed from one; and deadlines."""
    tree = ast.parse(source)
    timed = {
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and reads_a_clock(node.value)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert):
            names = {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}
            if reads_a_clock(node) or names & timed:
                found.append(node.lineno)
        if isinstance(node, ast.keyword) and node.arg == "deadline":
            value = node.value
            if not (isinstance(value, ast.Constant) and value.value is None):
                found.append(value.lineno)
    return found


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_no_test_asserts_a_time(path):
    assert asserted_times(path.read_text()) == []


@pytest.mark.parametrize(
    "source",
    [
        "import time\nassert time.monotonic() < 5",
        "begun = time.perf_counter()\nwork()\nassert clock() - begun < 1",
        "took = time.time() - begun\nassert took < 1",
        "@settings(deadline=2000)\ndef test_x(): pass",
    ],
)
def test_one_that_did_would_be_found(source):
    assert asserted_times(source)
