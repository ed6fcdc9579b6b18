"""Where formulas were held against traces of models' own code: by family, kind of pass, kernel and precision.

`data/proof.json` is made by benchmarks/formula_traces.py, which draws configurations of every family that
has a row, and compares live bytes on top of the weights. Of a family it has a line for every kind of pass,
kernel and precision that was tried together.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Final, Literal, NamedTuple

from ullage.facts.data_file import read_data

WORST: Final = 0.03
"""A formula further than this from a trace is not proven."""

Standing = Literal["proven", "not proven", "untried"]


class Tried(NamedTuple):
    """One line: a `kind` of pass (`ullage.memory.proven.kind_of`) with an attention `kernel` and weights in a
    `precision` ("bf16", "nf4 in bf16"), on a card or on the `processor`.

    Of so many `configurations` the formula's live bytes differed from the trace's by `median` and at most by
    `worst`, as shares of the trace's.
    """

    kind: str
    kernel: str
    precision: str
    processor: bool
    configurations: int
    median: float
    worst: float


class Proof(NamedTuple):
    """What the table says of a pass, by how many configurations, and how far the worst of them was off.

    `under` names the libraries' versions; `missing` is what was never tried, "" where all of it was.
    """

    standing: Standing
    configurations: int = 0
    worst: float = 0.0
    under: str = ""
    missing: str = ""

    @property
    def why(self) -> str:
        """The reason, for the screen."""
        if self.standing == "untried":
            said = f"{self.missing}: its formula was not held against the model's own code"
            kin = f", and those of its kin are off by up to {self.worst:.1%}"
            return said + kin * (self.worst > WORST)
        held = "1 configuration" if self.configurations == 1 else f"{self.configurations} configurations"
        return f"{held} under {self.under}, off by {self.worst:.1%} at most"


class _Table(NamedTuple):
    """`versions` of transformers and torch, and the lines of each family."""

    versions: dict[str, str]
    families: dict[str, tuple[Tried, ...]]


@cache
def proof_table() -> _Table:
    """All of it."""
    document = read_data("proof.json")
    families = {
        family: tuple(Tried(*line) for line in lines) for family, lines in document["families"].items()
    }
    return _Table(document["versions"], families)


def proof_of(
    family: str,
    kind: str,
    kernel: str,
    precision: str,
    *,
    processor: bool = False,
    transformers: str | None = None,
) -> Proof:
    """Whether the formula of such a pass of a `family` (config.json's `model_type`, of what wraps a decoder
    the decoder's) was held against its code, and agreed within `WORST`.

    What was tried together answers for itself, else its parts do (`_apart`). `transformers` is the version
    that will run, where that is known: under another minor version than the table's nothing is proven.
    """
    versions, families = proof_table()
    under = ", ".join(f"{name} {version}" for name, version in versions.items())
    if transformers is not None and _minor(transformers) != _minor(versions["transformers"]):
        return Proof("untried", under=under, missing=f"{family} under transformers {transformers}")
    lines = families.get(family, ())
    here = [line for line in lines if line.processor == processor]
    if not here:
        where = "a processor" if processor else "a card"
        return Proof("untried", under=under, missing=f"{family} on {where}")
    together = [line for line in here if line[:3] == (kind, kernel, precision)]
    if together:
        return _judged(together, under)
    parts = _apart(lines, kind, kernel, precision, processor)
    if isinstance(parts, str):
        return Proof("untried", under=under, missing=f"{family}: {parts}")
    found = _judged(parts, under)
    if found.standing == "proven":
        return found
    whole = f"{family}: {kind} with {kernel} attention in {precision}"
    return found._replace(standing="untried", missing=whole)


def _apart(
    lines: Sequence[Tried], kind: str, kernel: str, precision: str, processor: bool
) -> list[Tried] | str:
    """The lines that must agree for a pass that was not tried as a whole, or what of it was tried nowhere.

    Tried must be its activity, on this device and with this kernel, each of its features ("shared prefix",
    "captures") in some pass of that activity, and this precision on this device. Agree must all passes of the
    activity that have one of its features or none beside them, and all of the precision on the device. Of the
    shipped lines, each left out in turn, this calls 483 proven, and 97.1 % of those are.
    """
    activity, *features = kind.split(", ")
    asked = {*features}
    alike = {line: {*words[1:]} for line in lines if (words := line.kind.split(", "))[0] == activity}
    there = any(line.processor == processor for line in alike)
    known = there and any(line.kernel == kernel for line in alike)
    stored = [line for line in lines if (line.precision, line.processor) == (precision, processor)]
    tried = {word for words in alike.values() for word in words}
    untried = [each for each in features if each not in tried]
    missing = untried if known else [f"{kind} with {kernel} attention"]
    missing += [] if stored else [precision]
    if missing:
        return ", ".join(missing)
    return [line for line, words in alike.items() if words <= asked or words & asked] + stored


def _judged(lines: Sequence[Tried], under: str) -> Proof:
    worst = max(line.worst for line in lines)
    standing: Standing = "proven" if worst <= WORST else "not proven"
    return Proof(standing, sum(line.configurations for line in lines), worst, under)


def _minor(version: str) -> list[str]:
    return version.split(".")[:2]
