"""An extraction in partitions: the states of each are shards of their own."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ullage.errors import InputError, UnsupportedError
from ullage.fields import Fields
from ullage.files import placed
from ullage.kinds.extract import ending
from ullage.kinds.extract.section import Section
from ullage.phases.blocks import own_section
from ullage.planning.plan import Plan
from ullage.runtime.session import Session
from ullage.workloads.cutting import Look


def input_of(plan: Plan) -> Path:
    """The file that is cut. Raises UnsupportedError for work that is of the whole input."""
    section = own_section(plan.workload, Section)
    if section.input is None:
        raise InputError("extract: input: is missing; name a file of JSON lines with text or tokens")
    if section.store == "npy":
        raise UnsupportedError("extract.store: npy is one map of all rows; use store: safetensors")
    if plan.workload.probes:
        raise UnsupportedError("probes: scores are written for the whole input; leave probes out")
    return placed(section.input, plan.base)


@contextmanager
def looked_over(session: Session) -> Iterator[Look]:
    """Nothing is asked of a line before it is read, but whether one is: ids are names, and states go by
    place."""
    yield lambda number, line: 0 if _blank(line) else 1


def _blank(line: bytes) -> bool:
    """Whether a line is of spaces that only UTF-8 has, and is not read. One that is not shown is b""."""
    if not line or b"!" <= line[:1] <= b"~":
        return False
    return not line.removeprefix(BOM_UTF8).decode("utf-8", "replace").strip()


def conclude(session: Session, outcomes: Iterable[Mapping[str, object]]) -> None:
    """Ends the whole from what the partitions left, and said: of sequences that have fewer positions than
    were asked for, or none, there are as many as in all of them."""
    counts: dict[str, list[int]] = {}
    for outcome in outcomes:
        session.outcome |= {"proofs": outcome["proofs"]} if "proofs" in outcome else {}
        for each in Fields(outcome, "a partition").each("short") if "short" in outcome else ():
            found = counts.setdefault(each.text("positions"), [0, 0])
            found[0] += each.whole("fewer")
            found[1] += each.whole("none")
    if counts:
        short = [{"positions": name, "fewer": both[0], "none": both[1]} for name, both in counts.items()]
        session.outcome["short"] = short
    ending.conclude(session)
