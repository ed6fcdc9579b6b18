"""Ullage: what an LLM workload needs before anyone rents a GPU.

>>> import ullage
>>> plan = ullage.plan(ullage.load("examples/werewolf.yaml"))
>>> plan.verdict
'fits'
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ullage.api import estimate_model, gpus, load, model, plan, schema

__version__ = "0.1.0"
__all__ = ["estimate_model", "gpus", "load", "model", "plan", "schema"]


def __getattr__(name: str) -> Any:
    """Public functions are imported when first used, so that `import ullage` stays light."""
    if name in __all__:
        return getattr(import_module("ullage.api"), name)
    raise AttributeError(f"module 'ullage' has no attribute {name!r}")
