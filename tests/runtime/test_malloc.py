"""What earlier phases freed goes back to the system, and only a session asks for that."""

import subprocess
import sys

import pytest

from ullage.runtime.malloc import hold_malloc

LEFT_BEHIND = """
import torch
from ullage.runtime.malloc import hold_malloc, trim_malloc
from ullage.runtime.reading import resident_bytes
{ask}
before = resident_bytes()
for size in range(5, 25):
    kept = [torch.ones(size << 18) for _ in range(6)]
    small = [torch.ones(64) for _ in range(2000)]
    between = kept[::2]
    del kept
    kept = between + [torch.ones(size << 17) for _ in range(6)]
del kept, between
trim_malloc()
print(resident_bytes() - before)
"""


def left_behind(ask):
    done = subprocess.run(
        [sys.executable, "-c", LEFT_BEHIND.format(ask=ask)], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc")
def test_little_is_left_of_what_was_freed():
    assert left_behind("assert hold_malloc() == ''") < 16 << 20


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc")
def test_what_a_phase_of_passes_held_is_given_back_after_it():
    body = """
import resource
from ullage.runtime.malloc import REPEATED, hold_malloc, holding_malloc, trim_malloc
from ullage.runtime.reading import resident_bytes
hold_malloc()
before = resident_bytes()
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def a_pass(): return sum(len(b'x' * (12 << 20)) for _ in range(4))
a_pass(); begun = faults(); a_pass(); taken = faults() - begun
with holding_malloc(REPEATED):
    a_pass(); begun = faults(); a_pass(); again = faults() - begun
trim_malloc()
print(taken, again, resident_bytes() - before)
"""
    done = subprocess.run([sys.executable, "-c", body], capture_output=True, text=True, check=True)
    taken, again, left = map(int, done.stdout.split())
    assert again * 10 < taken
    assert left < 4 << 20


def test_another_malloc_is_named(monkeypatch):
    monkeypatch.setenv("LD_PRELOAD", "/usr/lib/libjemalloc.so.2")
    assert "libjemalloc" in hold_malloc()


def test_importing_and_planning_leave_malloc_alone():
    body = """
import ctypes
calls = []
class Libc:
    def __init__(self, *a): calls.append(a)
ctypes.CDLL = Libc
import ullage
ullage.estimate_model("Qwen/Qwen2.5-0.5B-Instruct", "cpu")
print(calls)
"""
    done = subprocess.run([sys.executable, "-c", body], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
