from pathlib import Path

from ullage_recite.section import RECITER, Section

from ullage.spec.workload import Workload
from ullage.workloads.runs import run


def recite(model, input, out, **options):
    """What `model` says after each line of `input`: the run's folder and its record."""
    body = {"kind": "recite", "roles": {RECITER: {"model": model}}, "batch": 4}
    section = Section(input=str(Path(input).absolute()))
    workload = Workload.model_validate({**body, "prompt_tokens": 64, "new_tokens": 16})
    return run(workload.model_copy(update={"section": section}), out, "cpu", **options)
