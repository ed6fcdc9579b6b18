"""Laws of the pool under random operations."""

from __future__ import annotations

from hypothesis import settings
from pool_machine import PoolMachine

TestPoolMachine = PoolMachine.TestCase
TestPoolMachine.settings = settings(max_examples=10, stateful_step_count=30)
"""300 operations; benchmarks/pool_operations.py does 10,000."""
