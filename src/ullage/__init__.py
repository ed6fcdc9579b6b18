"""Ullage: what an LLM workload needs before anyone rents a GPU.

>>> import ullage
>>> plan = ullage.plan(ullage.load("examples/werewolf.yaml"))
>>> plan.verdict
'fits'
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ullage.api import (
        check,
        estimate_model,
        gpus,
        load,
        model,
        plan,
        report,
        resume,
        run,
        sample,
        schema,
        verify,
    )
    from ullage.api.extractor import Extractor, collect, sites_of
    from ullage.facts.bundled import tiny_path
    from ullage.kinds.evaluate.verbs import judge
    from ullage.kinds.extract.verbs import extract, open_states, survey
    from ullage.kinds.pii.finished import calibrate_pii, compare_pii
    from ullage.kinds.pii.verbs import verify_pii, verify_with_each
    from ullage.runtime.monitor import can_allocate, check_threshold, reset_peak

__version__ = "0.1.0"
_PLACES = {
    "ullage.api": (
        "check",
        "estimate_model",
        "gpus",
        "load",
        "model",
        "plan",
        "report",
        "resume",
        "run",
        "sample",
        "schema",
        "verify",
    ),
    "ullage.api.extractor": ("Extractor", "collect", "sites_of"),
    "ullage.facts.bundled": ("tiny_path",),
    "ullage.runtime.monitor": ("can_allocate", "check_threshold", "reset_peak"),
}
__all__ = [
    "Extractor",
    "calibrate_pii",
    "can_allocate",
    "check",
    "check_threshold",
    "collect",
    "compare_pii",
    "estimate_model",
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
    """Public functions are imported when first used, so that `import ullage` stays light.

    Those of kinds of workload are found through the kinds that are installed.
    """
    for place, names in _PLACES.items():
        if name in names:
            return getattr(import_module(place), name)
    # `from ullage import api` asks here first, and what is a room is nobody's verb.
    if not name.startswith("_") and find_spec(f"{__name__}.{name}") is None:
        from ullage.workloads.registry import find_verb

        verb = find_verb(name)
        if verb is not None:
            return verb
    raise AttributeError(f"module 'ullage' has no attribute {name!r}")


def __dir__() -> list[str]:
    from ullage.workloads.registry import verb_names

    return sorted({*__all__, *verb_names(), *(name for name in globals() if name.startswith("__"))})
