"""The `serve:` part of a workload file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar

from pydantic import Field

from ullage.errors import nearest
from ullage.phases.blocks import is_local, wrong_training
from ullage.spec.mistake import Mistake
from ullage.spec.section import Section as BaseSection
from ullage.spec.value import Schedule
from ullage.spec.workload import Workload


class Section(BaseSection):
    """How roles are held between requests."""

    taking_turns: ClassVar[Schedule] = "swapped"
    shows_pictures: ClassVar[bool] = True

    pinned: tuple[str, ...] = Field(
        default=(), description="roles that nobody drives out once they are there, as if persistent"
    )
    keep_alive: Annotated[float, Field(strict=True, gt=0, le=1e7)] | None = Field(
        default=None, description="seconds without a request after which a role leaves by itself; None: never"
    )

    def staying(self, workload: Workload) -> tuple[str, ...]:
        """Roles that never leave, whatever is said of idle ones: those that are pinned, and those of engines
        that keep what they were given of a card."""
        kept = (name for name, role in workload.roles.items() if role.runs_with.memory == "own cache")
        return tuple(dict.fromkeys((*self.pinned, *kept)))

    def encoders(self, workload: Workload) -> Mapping[str, tuple[str, ...]]:
        """Any role may be one: texts are embedded by it."""
        return dict.fromkeys(workload.roles, ("states",))

    def mistakes(self, workload: Workload) -> Iterator[Mistake]:
        """Engines that would not leave a card, pins on roles that are not there or not here."""
        yield from wrong_training(workload)
        for name, role in workload.roles.items():
            if role.runs_with.memory == "own cache" and role.residency not in ("auto", "persistent"):
                problem = (
                    f"engine {role.engine} gives nothing of its share of a card back, so role {name} never "
                    "leaves; remove it, or use engine: transformers"
                )
                yield Mistake(("roles", name, "residency"), problem)
        for place, capture in enumerate(workload.captures):
            if capture.positions == "span":
                problem = "a span is a record's own, and what is asked of a server has none"
                yield Mistake(("captures", place, "positions"), problem)
        for place, name in enumerate(self.pinned):
            if name not in workload.roles:
                close = nearest(name, workload.roles)
                hint = f"nearest: {', '.join(close)}" if close else f"valid: {', '.join(workload.roles)}"
                yield Mistake(("serve", "pinned", place), f"no role is called {name!r}; {hint}")
            elif not is_local(workload.roles[name]):
                yield Mistake(("serve", "pinned", place), f"role {name} is held elsewhere; leave it out")
