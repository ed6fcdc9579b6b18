"""What the command line does, as functions. Every room is imported when it is needed."""

from ullage.api.planning import bare_workload, estimate_model, gpus, model, sample, schema
from ullage.api.runs import check, judge, report, resume, run, run_plan, verify
from ullage.api.states import extract, open_states, survey
from ullage.api.verification import calibrate_pii, compare_pii, verify_pii, verify_with_each
from ullage.workloads.loading import load, read_plan, sections
from ullage.workloads.planned import estimate, gpu_set, models_of, outcome, phases, plan, settle

__all__ = [
    "bare_workload",
    "calibrate_pii",
    "check",
    "compare_pii",
    "estimate",
    "estimate_model",
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
    "read_plan",
    "report",
    "resume",
    "run",
    "run_plan",
    "sample",
    "schema",
    "sections",
    "settle",
    "survey",
    "verify",
    "verify_pii",
    "verify_with_each",
]
