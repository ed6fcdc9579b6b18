"""Where each role's weights are while it has nothing to do, and so who is resident beside whom."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal

from ullage.phases.blocks import is_local, load
from ullage.phases.phase import Phase, Resident
from ullage.spec.workload import Workload

Rest = Literal["device", "host", "disk", "freed"]
"""Where an idle role's weights are; `freed`: it is not there at all until it is loaded again."""

_BY_RESIDENCY: Final[dict[str, Rest]] = {
    "persistent": "device",
    "swapped": "host",
    "host": "host",
    "disk": "disk",
}
_BY_SCHEDULE: Final[dict[str, Rest]] = {
    "simultaneous": "device",
    "persistent": "device",
    "swapped": "host",
    "sequential": "freed",
}


def rest(name: str, workload: Workload, otherwise: Rest) -> Rest:
    """Where role `name` is while it is idle: its own residency says, else the schedule, else
    `otherwise`."""
    residency = workload.roles[name].residency
    return _BY_RESIDENCY.get(residency) or _BY_SCHEDULE.get(workload.schedule, otherwise)


@dataclass(frozen=True)
class Residency:
    """The local roles of a workload in the order they are loaded, and where each is while it is idle."""

    workload: Workload
    rests: tuple[tuple[str, Rest], ...]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Every local role."""
        return tuple(name for name, _ in self.rests)

    @cached_property
    def staying(self) -> tuple[str, ...]:
        """Roles that stay on the device from begin to end."""
        return tuple(name for name, idle in self.rests if idle == "device")

    @property
    def stay(self) -> bool:
        """Whether nobody has to make room for another, so that all are where they were when turns begin
        anew."""
        return len(self.names) < 2 or len(self.staying) == len(self.names)

    @cached_property
    def _held(self) -> dict[str, tuple[Resident, Resident | None]]:
        """By name the role on the device, and at rest; None where it then is freed."""
        return {
            name: (
                Resident(name, self.workload.roles[name]),
                None if idle == "freed" else Resident(name, self.workload.roles[name], idle),
            )
            for name, idle in self.rests
        }

    def while_active(self, active: Collection[str]) -> tuple[Resident, ...]:
        """Who is resident where while the roles in `active` are on the device."""
        return self._residents(self.names, active)

    def in_first_turn(self, name: str) -> tuple[Resident, ...]:
        """Who is resident where while `name` has its turn, where each role has but one: those that come later
        have not been loaded yet, so that they do not wait in host memory."""
        later = self.rests[self.names.index(name) + 1 :]
        unloaded = {each for each, idle in later if idle == "host"}
        return self._residents([each for each in self.names if each not in unloaded], (name,))

    def first_loads(self) -> tuple[Phase, ...]:
        """Those that stay are loaded one after the other, before anything else is: none waits in host
        memory yet."""
        found: tuple[Phase, ...] = ()
        for count, name in enumerate(self.staying, 1):
            here = self.staying[:count]
            known = [each for each, idle in self.rests if each in here or idle not in ("device", "host")]
            found += load(name, self._residents(known, here))
        return found

    def _residents(self, names: Iterable[str], active: Collection[str]) -> tuple[Resident, ...]:
        held = (self._held[name][0 if name in active else 1] for name in names)
        return tuple(resident for resident in held if resident is not None)


def residency_of(
    workload: Workload,
    names: Iterable[str],
    otherwise: Rest,
    fixed: Collection[str] = (),
    pinned: Collection[str] = (),
) -> Residency:
    """Of the roles in `names` that are local. `otherwise` is where an idle one is if nothing says so; those
    in `fixed` then stay on the device, those in `pinned` whatever is said."""

    def idle(name: str) -> Rest:
        if name in pinned:
            return "device"
        return rest(name, workload, "device" if name in fixed else otherwise)

    local = [name for name in names if name in workload.roles and is_local(workload.roles[name])]
    return Residency(workload, tuple((name, idle(name)) for name in local))
