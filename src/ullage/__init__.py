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
    from ullage.api import (
        calibrate_pii,
        check,
        clear_evidence,
        compare_pii,
        estimate_model,
        evidence,
        extract,
        gpus,
        judge,
        load,
        model,
        open_states,
        plan,
        report,
        resume,
        run,
        sample,
        schema,
        survey,
        verify,
        verify_pii,
        verify_with_each,
    )
    from ullage.capture.extractor import Extractor, collect, sites_of
    from ullage.facts.bundled import tiny_path
    from ullage.runtime.monitor import can_allocate, check_threshold, reset_peak

__version__ = "0.1.0"
_PLACES = {
    "ullage.api": (
        "calibrate_pii",
        "check",
        "clear_evidence",
        "compare_pii",
        "estimate_model",
        "evidence",
        "extract",
        "gpus",
        "judge",
        "load",
        "model",
        "open_states",
        "plan",
        "report",
        "resume",
        "run",
        "sample",
        "schema",
        "survey",
        "verify",
        "verify_pii",
        "verify_with_each",
    ),
    "ullage.capture.extractor": ("Extractor", "collect", "sites_of"),
    "ullage.facts.bundled": ("tiny_path",),
    "ullage.runtime.monitor": ("can_allocate", "check_threshold", "reset_peak"),
}
__all__ = [
    "Extractor",
    "calibrate_pii",
    "can_allocate",
    "check",
    "check_threshold",
    "clear_evidence",
    "collect",
    "compare_pii",
    "estimate_model",
    "evidence",
    "extract",
    "gpus",
    "judge",
    "load",
    "model",
    "open_states",
    "plan",
    "report",
    "reset_peak",
    "resume",
    "run",
    "sample",
    "schema",
    "sites_of",
    "survey",
    "tiny_path",
    "verify",
    "verify_pii",
    "verify_with_each",
]


def __getattr__(name: str) -> Any:
    """Public functions are imported when first used, so that `import ullage` stays light."""
    for place, names in _PLACES.items():
        if name in names:
            return getattr(import_module(place), name)
    raise AttributeError(f"module 'ullage' has no attribute {name!r}")
