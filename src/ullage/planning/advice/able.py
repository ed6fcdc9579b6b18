"""What can be planned and no run does: nothing of it is offered."""

from __future__ import annotations

from ullage.facts.quantization.known import on_the_fly
from ullage.spec.role import Role
from ullage.spec.workload import Workload


def is_able(workload: Workload) -> bool:
    """Whether each role's engine turns weights into what the role asks for."""
    return all(_quantizes(role) for role in workload.roles.values())


def _quantizes(role: Role) -> bool:
    made = on_the_fly().get(role.precision)
    return made is None or role.runs_with.quantizes(made)
