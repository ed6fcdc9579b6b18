"""What a stranger's code may take, and that the process is as before when it was too much."""

import subprocess
import sys

import pytest

ENDLESS = """
import sys
from ullage.runtime.bounded import TooLongError, bounded

def endless():
    while True:
        {body}

try:
    with bounded(0.2, 2**30):
        endless()
    print("ended")
except TooLongError:
    print("too long")
sys.settrace(lambda *what: None)
list(map(lambda number: number + 1, range(10)))
sys.settrace(None)
print("traced")
"""


@pytest.mark.parametrize(
    "body",
    [
        "pass",
        "sum(range(100_000))",
        "try:\n            1 / 0\n        except Exception:\n            pass",
    ],
    ids=["python", "c", "catches everything"],
)
def test_it_ends_and_a_tracer_still_runs(body):
    """Exceptions taken back from a thread leave CPython 3.11 in an endless loop under a tracer."""
    done = subprocess.run(
        [sys.executable, "-c", ENDLESS.format(body=body)], capture_output=True, text=True, timeout=60
    )
    assert (done.stdout.split(), done.stderr) == (["too", "long", "traced"], "")
