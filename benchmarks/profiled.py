"""What torch's own profiler sees of memory on the processor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def peak(work: Callable[[], Any]) -> int:
    """Largest sum of bytes that torch's CPU allocator had handed out while `work` ran; its result counts."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as run:
        kept = work()
    del kept
    live = most = 0
    for event in run.profiler.kineto_results.events():
        if event.name() == "[memory]":
            live += event.nbytes()
            most = max(most, live)
    return most
