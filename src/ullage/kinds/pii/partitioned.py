"""A verification in partitions: the lines of each are verified by themselves."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ullage.errors import InputError, UnsupportedError
from ullage.files import placed
from ullage.kinds.pii import ending
from ullage.kinds.pii.input_lines import json_line
from ullage.kinds.pii.offsets import NotARecord
from ullage.kinds.pii.records import record_id
from ullage.kinds.pii.section import VERIFIER, Section
from ullage.kinds.pii.seen import SeenIds
from ullage.kinds.pii.sources import Source
from ullage.kinds.pii.survey import surveyed
from ullage.kinds.pii.types import OWN, read_types
from ullage.phases.blocks import own_section
from ullage.planning.plan import Plan
from ullage.records.lines import LineStore
from ullage.runtime.session import Session
from ullage.units import parse_bytes
from ullage.workloads.cutting import Look


def input_of(plan: Plan) -> Path:
    """The file that is cut. Raises InputError for one whose lines are no records, UnsupportedError for work
    that is of the whole input."""
    section = own_section(plan.workload, Section)
    if section.input is None:
        raise InputError("pii: input: is missing; name a file of records")
    if section.offsets == "auto":
        raise UnsupportedError(
            "pii.offsets: auto is settled by the whole input; say characters, utf16 or utf8, or leave "
            "partition out"
        )
    if plan.workload.captures or plan.workload.probes:
        raise UnsupportedError("captures: a verification in partitions keeps no states; remove them")
    path = placed(section.input, plan.base)
    Source(section.input, path, parse_bytes(section.longest_line), section.fields.text).check_plain()
    return path


@contextmanager
def looked_over(session: Session) -> Iterator[Look]:
    """Raises InputError for a file that holds no record, and at a record whose id an earlier one has: nobody
    who does one partition sees another."""
    section = own_section(session.workload, Section)
    path = input_of(session.plan)
    source = Source(str(section.input), path, parse_bytes(section.longest_line), section.fields.text)
    types = read_types(OWN if section.types is None else session.path(section.types))
    surveyed(source, section, types, session.progress.note, finished=False, resumed=False)
    with SeenIds(session.folder.path / "ids.sqlite") as seen:

        def look(number: int, raw: bytes) -> int:
            record = json_line(number, raw.removeprefix(BOM_UTF8)).record
            if record is None:
                return 1
            try:
                name = record_id(record, section.fields.id)
            except NotARecord:
                return 1  # its partition says so of the line
            if name is not None and not seen.add(name, number):
                raise InputError(
                    f"{section.input}:{number}: its id is that of an earlier record; partitions are done "
                    "apart, so ids must differ: give it another, or leave partition out"
                )
            return 1

        yield look


def conclude(session: Session, outcomes: Iterable[Mapping[str, object]]) -> None:
    """Ends the whole from what the partitions left, and said."""
    for outcome in outcomes:
        if "read_singly" in outcome:
            session.outcome["read_singly"] = outcome["read_singly"]
    section = own_section(session.workload, Section)
    store = LineStore(session.folder.path, VERIFIER, session.journal, ending.FILES)
    ending.conclude(session, store, section, piped=False)
