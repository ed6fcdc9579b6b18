"""What the command line does, as functions. Each is imported when it is first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ullage.api.auditing import audit as audit
    from ullage.api.auditing import draft_claims as draft_claims
    from ullage.api.catalog import cards as cards
    from ullage.api.catalog import models as models
    from ullage.api.clusters import cluster_file as cluster_file
    from ullage.api.clusters import plan_cluster as plan_cluster
    from ullage.api.documents import document_schema as document_schema
    from ullage.api.guides import check_guide as check_guide
    from ullage.api.guides import guide as guide
    from ullage.api.machine import doctor as doctor
    from ullage.api.one_model import bare_workload as bare_workload
    from ullage.api.one_model import estimate_model as estimate_model
    from ullage.api.past_runs import clear_evidence as clear_evidence
    from ullage.api.past_runs import evidence as evidence
    from ullage.api.planning import gpus as gpus
    from ullage.api.planning import model as model
    from ullage.api.planning import sample as sample
    from ullage.api.planning import sample_model as sample_model
    from ullage.api.planning import schema as schema
    from ullage.api.probe_precision import probe_drift as probe_drift
    from ullage.api.probe_scores import apply_probes as apply_probes
    from ullage.api.probes import evaluate_probe as evaluate_probe
    from ullage.api.probes import export_probe as export_probe
    from ullage.api.probes import fit_probe as fit_probe
    from ullage.api.probes import import_probe as import_probe
    from ullage.api.probes import open_probe as open_probe
    from ullage.api.renting import lists as lists
    from ullage.api.renting import rentals as rentals
    from ullage.api.runs import check as check
    from ullage.api.runs import check_run as check_run
    from ullage.api.runs import read_pool as read_pool
    from ullage.api.runs import report as report
    from ullage.api.runs import status as status
    from ullage.api.runs import verify as verify
    from ullage.api.talking import chat as chat
    from ullage.api.talking import talk as talk
    from ullage.api.tracing import trace as trace
    from ullage.workloads.advised import advise as advise
    from ullage.workloads.loading import folder_of as folder_of
    from ullage.workloads.loading import load as load
    from ullage.workloads.loading import opened as opened
    from ullage.workloads.loading import read_file as read_file
    from ullage.workloads.loading import read_plan as read_plan
    from ullage.workloads.loading import sections as sections
    from ullage.workloads.outcomes import estimate as estimate
    from ullage.workloads.outcomes import gpu_set as gpu_set
    from ullage.workloads.outcomes import outcome as outcome
    from ullage.workloads.outcomes import outcomes as outcomes
    from ullage.workloads.outcomes import phases as phases
    from ullage.workloads.outcomes import settle as settle
    from ullage.workloads.planned import models_of as models_of
    from ullage.workloads.planned import needs_card as needs_card
    from ullage.workloads.planned import plan as plan
    from ullage.workloads.runs import plan_here as plan_here
    from ullage.workloads.runs import resume as resume
    from ullage.workloads.runs import run as run
    from ullage.workloads.runs import run_plan as run_plan

PLACES: Final = {
    "advise": "ullage.workloads.advised",
    "apply_probes": "ullage.api.probe_scores",
    "audit": "ullage.api.auditing",
    "bare_workload": "ullage.api.one_model",
    "cards": "ullage.api.catalog",
    "chat": "ullage.api.talking",
    "check": "ullage.api.runs",
    "check_guide": "ullage.api.guides",
    "check_run": "ullage.api.runs",
    "clear_evidence": "ullage.api.past_runs",
    "doctor": "ullage.api.machine",
    "cluster_file": "ullage.api.clusters",
    "plan_cluster": "ullage.api.clusters",
    "document_schema": "ullage.api.documents",
    "draft_claims": "ullage.api.auditing",
    "estimate": "ullage.workloads.outcomes",
    "estimate_model": "ullage.api.one_model",
    "evaluate_probe": "ullage.api.probes",
    "evidence": "ullage.api.past_runs",
    "export_probe": "ullage.api.probes",
    "fit_probe": "ullage.api.probes",
    "gpu_set": "ullage.workloads.outcomes",
    "gpus": "ullage.api.planning",
    "guide": "ullage.api.guides",
    "import_probe": "ullage.api.probes",
    "lists": "ullage.api.renting",
    "load": "ullage.workloads.loading",
    "model": "ullage.api.planning",
    "models": "ullage.api.catalog",
    "models_of": "ullage.workloads.planned",
    "needs_card": "ullage.workloads.planned",
    "opened": "ullage.workloads.loading",
    "open_probe": "ullage.api.probes",
    "outcome": "ullage.workloads.outcomes",
    "outcomes": "ullage.workloads.outcomes",
    "phases": "ullage.workloads.outcomes",
    "plan": "ullage.workloads.planned",
    "plan_here": "ullage.workloads.runs",
    "folder_of": "ullage.workloads.loading",
    "probe_drift": "ullage.api.probe_precision",
    "read_file": "ullage.workloads.loading",
    "read_plan": "ullage.workloads.loading",
    "read_pool": "ullage.api.runs",
    "rentals": "ullage.api.renting",
    "report": "ullage.api.runs",
    "resume": "ullage.workloads.runs",
    "run": "ullage.workloads.runs",
    "run_plan": "ullage.workloads.runs",
    "sample": "ullage.api.planning",
    "sample_model": "ullage.api.planning",
    "schema": "ullage.api.planning",
    "sections": "ullage.workloads.loading",
    "settle": "ullage.workloads.outcomes",
    "status": "ullage.api.runs",
    "talk": "ullage.api.talking",
    "trace": "ullage.api.tracing",
    "verify": "ullage.api.runs",
}
"""Each function and the module that has it."""

if not TYPE_CHECKING:  # type checkers take what is imported above, and a list they cannot read for none
    __all__ = [*PLACES]


def __getattr__(name: str) -> object:
    if name not in PLACES:
        raise AttributeError(f"module 'ullage.api' has no attribute {name!r}")
    found: object = getattr(import_module(PLACES[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *PLACES})
