"""What a requirements guide says of one workload: its plan, and what variations of it come to."""

from __future__ import annotations

from dataclasses import dataclass
from shlex import quote
from typing import Final, NamedTuple

from ullage.planning.plan import Plan
from ullage.planning.renting import Renting

TIERS: Final = (
    ("8 GB", ("RTX 4060",)),
    ("24 GB", ("RTX 4090",)),
    ("40 GB", ("A100-40GB",)),
    ("80 GB", ("A100-80GB",)),
    ("several cards", ("2xA100-80GB", "4xA100-80GB", "8xA100-80GB")),
)
"""Sizes of cards as guides know them, each by a usual one; of several the first that holds the workload."""
CARDS: Final = (
    "GeForce GTX 1650",
    "GeForce RTX 3060 12GB",
    "GeForce RTX 4060",
    "T4",
    "GeForce RTX 4080",
    "RTX A4000",
    "L4",
    "A10G",
    "GeForce RTX 3090",
    "GeForce RTX 4090",
    "GeForce RTX 5090",
    "A100-SXM4-40GB",
    "RTX A6000",
    "L40S",
    "A100-SXM4-80GB",
    "H100-SXM5-80GB",
    "H200-SXM-141GB",
    "B200-SXM",
)
"""Common cards, the smaller first."""
COUNTS: Final = (1, 2, 4, 8)
PRECISIONS: Final = ("fp32", "bf16", "int8", "nf4")
BATCHES: Final = (1, 2, 4, 8, 16, 32)
SHARES: Final = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Of the file's prompt: contexts that are shown."""


class Variation(NamedTuple):
    """The workload with something else in it: what, and its plan; without one, why it was refused."""

    name: str
    plan: Plan | None
    refused: str = ""
    role: str = ""


class Tier(NamedTuple):
    """What a card of some size does with the workload: its plan, with advice where it does not fit."""

    name: str
    gpus: str
    plan: Plan | None
    refused: str = ""


class Fit(NamedTuple):
    """Whether so many of a card hold the workload: a verdict for each of COUNTS, or why there is none."""

    card: str
    usable: int
    verdicts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Guide:
    """Of one workload file: its `name` and `text`, the `changes` to it (`path=value`), plans, prices of
    `prices_of`, facts of `facts_of`, by these `versions`. Nothing in it depends on the machine or the day it
    is made on."""

    name: str
    text: str
    plan: Plan
    precisions: tuple[Variation, ...]
    batches: tuple[Variation, ...]
    contexts: tuple[Variation, ...]
    tiers: tuple[Tier, ...]
    fits: tuple[Fit, ...]
    renting: Renting
    prices_of: str
    facts_of: str
    versions: tuple[tuple[str, str], ...]
    changes: tuple[str, ...] = ()

    @property
    def options(self) -> str:
        """The changes as they are typed; empty where there are none."""
        return " ".join(f"--set {quote(each)}" for each in self.changes)

    @property
    def typed(self) -> str:
        """The file with its changes, as commands take them."""
        return f"{quote(self.name)} {self.options}".strip()
