"""What the command line does, as functions. Every room is imported when it is needed."""

from ullage.api.catalog import cards, models
from ullage.api.documents import document_schema
from ullage.api.evidence import clear_evidence, evidence
from ullage.api.one_model import bare_workload, estimate_model
from ullage.api.planning import gpus, model, sample, schema
from ullage.api.runs import check, report, verify
from ullage.workloads.loading import load, read_plan, sections
from ullage.workloads.planned import estimate, gpu_set, models_of, outcome, phases, plan, settle
from ullage.workloads.runs import plan_here, resume, run, run_plan

__all__ = [
    "bare_workload",
    "cards",
    "check",
    "clear_evidence",
    "document_schema",
    "estimate",
    "estimate_model",
    "evidence",
    "gpu_set",
    "gpus",
    "load",
    "model",
    "models",
    "models_of",
    "outcome",
    "phases",
    "plan",
    "plan_here",
    "read_plan",
    "report",
    "resume",
    "run",
    "run_plan",
    "sample",
    "schema",
    "sections",
    "settle",
    "verify",
]
