"""What the command line does, as functions. Every room is imported when it is needed."""

from ullage.api.evidence import clear_evidence, evidence
from ullage.api.planning import (
    bare_workload,
    estimate,
    estimate_model,
    gpu_set,
    gpus,
    load,
    model,
    models_of,
    outcome,
    phases,
    plan,
    sample,
    schema,
    sections,
    settle,
)
from ullage.api.runs import check, judge, report, resume, run, verify
from ullage.api.states import extract, open_states, survey
from ullage.api.verification import calibrate_pii, compare_pii, verify_pii, verify_with_each

__all__ = [
    "bare_workload",
    "calibrate_pii",
    "check",
    "clear_evidence",
    "compare_pii",
    "estimate",
    "estimate_model",
    "evidence",
    "extract",
    "gpu_set",
    "gpus",
    "judge",
    "load",
    "model",
    "models_of",
    "open_states",
    "outcome",
    "phases",
    "plan",
    "report",
    "resume",
    "run",
    "sample",
    "schema",
    "sections",
    "settle",
    "survey",
    "verify",
    "verify_pii",
    "verify_with_each",
]
