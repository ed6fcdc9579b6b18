"""What can be planned and no run does: nothing of it is offered."""

from __future__ import annotations

from ullage.facts.quantization.known import on_the_fly
from ullage.spec.role import Role
from ullage.spec.workload import Workload


def is_able(workload: Workload, asked: Workload) -> bool:
    """Whether each role's engine turns weights into what the role asks for; what was `asked` for is not
    questioned, for its checkpoint may be stored so."""
    return all(_quantizes(role, asked.roles[name]) for name, role in workload.roles.items())


def _quantizes(role: Role, asked: Role) -> bool:
    if (role.precision, role.engine) == (asked.precision, asked.engine):
        return True
    made = on_the_fly().get(role.precision)
    return made is None or role.runs_with.quantizes(made)
