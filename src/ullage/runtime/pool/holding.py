"""One form of a model in the pool: where it is, and what each move of it takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from ullage.runtime.pool.accounts import Sizes, either, together
from ullage.runtime.role_weights import HOST, RoleWeights

Place = Literal["disk", "host", "device"]
Action = Literal["bring", "park", "drop"]
FORMS: Final = ("full", "compressed")
REMEMBERED: Final = 3
"""Last loads that a load's time is judged by."""
UNMEASURED: Final[Mapping[Place, float]] = {"disk": 1e9, "host": 1e10}
"""Bytes a second that a load from there is taken for until one was measured."""


@dataclass(frozen=True, slots=True)
class Where:
    """Where a form's weights are; `copied`: host has them too while they are on a device."""

    place: Place = "disk"
    copied: bool = False

    def after(self, action: Action) -> Where:
        """Where they are when `action` is done."""
        if action == "drop":
            return Where()
        return Where("host") if action == "park" else Where("device", copied=self.place == "host")


@dataclass(slots=True, eq=False)
class Holding:
    """One form of a model. Its sizes are read once; `where` changes when a move is done."""

    key: str
    form: str
    weights: RoleWeights
    where: Where = Where()
    moving: bool = False
    loads: int = 0
    seconds: dict[Place, list[float]] = field(default_factory=lambda: {"disk": [], "host": []})
    sizes: Sizes = field(init=False)
    peaks: Sizes = field(init=False)
    parked: int = field(init=False)

    def __post_init__(self) -> None:
        self.sizes, self.parked = dict(self.weights.sizes), self.weights.parked_bytes
        self.peaks = either(self.weights.load_peaks, self.sizes)

    def taken(self, where: Where) -> Sizes:
        """Bytes that it holds there while nothing moves."""
        host = {HOST: self.parked}
        if where.place == "device":
            return together(self.sizes, host) if where.copied else self.sizes
        return host if where.place == "host" else {}

    def during(self, where: Where, action: Action) -> Sizes:
        """The most bytes that it holds while `action` is done from there."""
        if action == "drop":
            return self.taken(where)
        if action == "park":
            return together(self.sizes, {HOST: self.parked})
        return self.peaks if where.place == "disk" else self.taken(where.after("bring"))

    def loaded(self, source: Place, seconds: float) -> None:
        """A load from `source` took so long."""
        self.loads += 1
        self.seconds[source] = [*self.seconds[source], seconds][-REMEMBERED:]

    def reload(self, source: Place) -> float:
        """Seconds that a load from there takes: the mean of the last ones, else judged by its bytes."""
        known = self.seconds[source]
        return sum(known) / len(known) if known else sum(self.sizes.values()) / UNMEASURED[source]
