"""A verification from the command line's few words, without a workload file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from ullage.errors import InputError
from ullage.kinds.pii.section import VERIFIER, Section
from ullage.spec.workload import Workload


def short_form(
    model: str, role: Mapping[str, Any], work: Mapping[str, Any], own: Mapping[str, Any]
) -> Workload:
    """The workload these words mean. Raises InputError for values a workload file could not hold."""
    body = {
        "kind": "pii",
        "name": "verify personal data",
        "roles": {VERIFIER: {"model": model, **role}},
        **work,
    }
    try:
        section = Section.model_validate(dict(own))
        workload = Workload.model_validate(body).model_copy(update={"section": section})
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc']))} is {e['input']!r}: {e['msg']}" for e in error.errors()]
        raise InputError("\n".join(lines)) from error
    wrong = [f"{'.'.join(map(str, one.path))}: {one.problem}" for one in section.mistakes(workload)]
    if wrong:
        raise InputError("\n".join(wrong))
    return workload
