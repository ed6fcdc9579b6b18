"""What can be planned and no run does: nothing of it is offered."""

from __future__ import annotations

from collections.abc import Container

from ullage.facts.quantization.known import SCHEMES
from ullage.spec.role import Role
from ullage.spec.workload import Workload


def is_able(workload: Workload, stored: Container[str]) -> bool:
    """Whether each role's engine turns weights into what the role asks for, where its checkpoint is not
    `stored` quantized."""
    return all(name in stored or _quantizes(role) for name, role in workload.roles.items())


def _quantizes(role: Role) -> bool:
    scheme = SCHEMES.get(role.precision)
    made = None if scheme is None else scheme.on_load
    return made is None or not role.runs_with.local or role.runs_with.quantizes(made)
