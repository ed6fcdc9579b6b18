"""Sixteen threads and sixteen tasks at once, with real threads under them."""

from __future__ import annotations

from pool_operations import at_once


def test_threads_and_tasks_are_all_served_or_told_and_nothing_is_left():
    found = at_once(3)
    assert found["served"] + found["failed"] == found["asked"] == 96
    assert (found["beyond_a_budget"], found["held_after"]) == (0, 0)
