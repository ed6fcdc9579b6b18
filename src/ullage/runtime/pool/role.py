"""A role as the pool is told of it, and as it stands in the pool."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ullage.errors import InputError
from ullage.runtime.pool.holding import FORMS, Holding
from ullage.runtime.role_weights import RoleWeights


@dataclass(frozen=True, slots=True)
class Role:
    """A role: its forms, the full one first, then perhaps a compressed one.

    `persistent` ones stay from their first load on, `pinned` ones while they are pinned. For
    `minimum_seconds` after a load nobody whose turn can wait drives it out; after `idle_seconds` without use
    it leaves by itself. Roles that are given the same weights share one model.
    """

    name: str
    forms: tuple[RoleWeights, ...]
    persistent: bool = False
    pinned: bool = False
    minimum_seconds: float = 0.0
    idle_seconds: float | None = None


@dataclass(slots=True, eq=False)
class Resident:
    """One model of the pool, under one or several roles' names.

    Invariant: at most one of its forms is on a device; `model` is there just while one is ready.
    """

    names: tuple[str, ...]
    forms: tuple[Holding, ...]
    persistent: bool
    pinned: bool
    minimum_seconds: float
    idle_seconds: float | None
    model: object = None
    moving: bool = False
    stuck: str = ""
    """Why it could not be taken off its device; it then is neither lent nor moved."""
    since: float = 0.0
    """When it came to where it is."""
    used: float = 0.0
    """When it was last lent or given back."""
    lent: dict[int, float] = field(default_factory=dict)
    """Loans that run, by number, and when each began."""

    @property
    def name(self) -> str:
        return self.names[0]

    @property
    def here(self) -> Holding | None:
        """The form that is on a device."""
        return next((form for form in self.forms if form.where.place == "device"), None)

    @property
    def fresh(self) -> float:
        """When it was last used, or came: one that was loaded for what is expected has not idled yet."""
        return max(self.used, self.since)

    @property
    def ready(self) -> bool:
        """Whether it can be lent now."""
        return not self.moving and not self.stuck and self.here is not None

    @property
    def stays(self) -> bool:
        """Whether nobody may drive it out."""
        return self.persistent or self.pinned


def residents_of(roles: Iterable[Role]) -> tuple[Resident, ...]:
    """One resident for each set of weights. Raises InputError for roles that make no sense."""
    by_forms: dict[tuple[int, ...], list[Role]] = {}
    names: set[str] = set()
    for role in roles:
        if role.name in names:
            raise InputError(f"role {role.name}: is there twice; give each role a name of its own")
        if not 1 <= len(role.forms) <= len(FORMS):
            raise InputError(f"role {role.name}: has {len(role.forms)} forms; give a full one, or two")
        names.add(role.name)
        by_forms.setdefault(tuple(map(id, role.forms)), []).append(role)
    owners: dict[int, str] = {}
    for forms, shared in by_forms.items():
        for form in forms:
            if form in owners:
                raise InputError(
                    f"role {shared[0].name}: shares one form with {owners[form]}, not all of them"
                )
            owners[form] = shared[0].name
    return tuple(_resident(shared) for shared in by_forms.values())


def _resident(roles: Sequence[Role]) -> Resident:
    first = roles[0]
    idle = [role.idle_seconds for role in roles]
    return Resident(
        tuple(role.name for role in roles),
        tuple(
            Holding(f"{first.name} ({form})", form, weights)
            for form, weights in zip(FORMS, first.forms, strict=False)
        ),
        any(role.persistent for role in roles),
        any(role.pinned for role in roles),
        max(role.minimum_seconds for role in roles),
        None if None in idle else max(each for each in idle if each is not None),
    )
