"""Runs a plan in partitions: the input is cut, each partition done as a whole, and all of them put together.

Whoever does a partition writes what an ordinary run of its records writes, into a folder that takes its name
once it is whole; which are left to do is told from the folder alone.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, replace
from importlib import import_module
from pathlib import Path
from secrets import token_hex
from typing import Any, Final, Protocol, cast

from ullage.errors import InputError, UnsupportedError
from ullage.planning.plan import Plan
from ullage.records.atomic import sha256_of
from ullage.records.attempts import LEFT_OUT, SHARING
from ullage.records.ended import Ended
from ullage.records.folder import MANIFEST, RunFolder
from ullage.records.journal import Journal
from ullage.records.parts import JOURNAL, Part, Parts
from ullage.records.record import REMARKS, remarks_in
from ullage.records.replica import ACTORS, PARTITIONS, said_of_machines
from ullage.runtime.machine import environment
from ullage.runtime.opening import Options
from ullage.runtime.session import Session
from ullage.spec.partition import Partition
from ullage.store import Store
from ullage.workloads.cutting import Look, cut
from ullage.workloads.merging import merge
from ullage.workloads.registry import find_kind

HERE: Final = "here"
"""Who does partitions where no cluster does."""
LOCAL: Final = "local"
CLUSTER: Final = "ray"
"""The cluster that RAY_ADDRESS names, or that this machine belongs to."""
CARRIER: Final = "ullage.scale.cluster"
"""The module of `Cluster`, in a room that knows this one."""


class Partitioner(Protocol):
    """What a kind says of its work in partitions: a module, named in its `Kind`.

    Its `run(session)` then does `session.part` of the input alone, and leaves the whole to `conclude`.
    """

    def input_of(self, plan: Plan) -> Path:
        """The file that is cut, one record a line. Raises InputError where that cannot be."""

    def looked_over(self, session: Session) -> AbstractContextManager[Look]:
        """What looks at each record before anything is done. It raises InputError for what no partition could
        tell by itself."""

    def conclude(self, session: Session, outcomes: Iterable[Mapping[str, object]]) -> None:
        """Ends the run from what it has on disk, and from what the partitions' outcomes say, in order."""


class Carrier(Protocol):
    """Has partitions done at an `address`, as the user says it."""

    @property
    def address(self) -> str: ...

    def ready(self, session: Session, parts: Parts) -> AbstractContextManager[None]:
        """Inside, they can be carried. Raises InputError where they cannot: the input is cut afterwards."""

    def carry(self, session: Session, parts: Parts) -> None:
        """Does all that are `left`; when it returns, none is. Raises what ends the run."""


class Here:
    """Does one after another in this process."""

    address = LOCAL

    def ready(self, session: Session, parts: Parts) -> AbstractContextManager[None]:
        return nullcontext()

    def carry(self, session: Session, parts: Parts) -> None:
        for number in parts.left():
            parts.note("begun", number, actor=HERE, node=HERE)
            do_partition(session, parts, parts.part(number), HERE, HERE)


def carrier_at(on: str, options: Options) -> Carrier | None:
    """Who has partitions done `on` a cluster; None: they are done here. Raises InputError."""
    if on == LOCAL:
        return None
    if on != CLUSTER and not re.fullmatch(r"(ray://)?[^\s:/]+:\d{1,5}", on):
        raise InputError(f"--on {on}: is neither {LOCAL}, {CLUSTER} nor HOST:PORT of a cluster's head")
    made: Carrier = import_module(CARRIER).Cluster(on, options)
    return made


def check_partitions(plan: Plan, elsewhere: bool) -> None:
    """Raises InputError for work that is not done in partitions, and for a store that takes none, or that
    whoever does them `elsewhere` does not see."""
    _partitioner(plan).input_of(plan)
    assert plan.workload.partition is not None
    if plan.workload.partition.store is not None:
        if elsewhere and plan.workload.partition.store.startswith("memory://"):
            raise InputError(
                "partition.store: memory:// is of one process, and a cluster has many; name a bucket"
            )
        store, key = Store(plan.workload.partition.store), f"tried-{token_hex(8)}"
        store.put_new(b"{}", key)
        store.remove(key)


def run_partitions(session: Session, carrier: Carrier) -> None:
    """Does what is left of a run, and puts its results together."""
    partitioner, parts = _partitioner(session.plan), Parts(session.folder.path)
    partition = session.workload.partition
    assert partition is not None
    if parts.count is None and any(True for _ in session.journal.work):
        _runner(session.plan).run(session)  # it had ended: some of it was taken back, to be asked again
        return
    if parts.count is None:
        if partition.store is not None:
            parts.settle(f"{partition.store.rstrip('/')}/run-{token_hex(8)}")
        if parts.depot is not None:
            parts.depot.begin(session.folder.path / MANIFEST)
    parts.clear()
    with carrier.ready(session, parts):
        if parts.count is None:
            path, base = partitioner.input_of(session.plan), session.plan.base
            name = str(path.relative_to(base) if path.is_relative_to(base) else path)  # as the file has it
            with partitioner.looked_over(session) as look:
                parts.cut(cut(path, partition, look, name))
        carrier.carry(session, parts)
    parts.collect()
    merge(parts, session.journal, session.folder.path)
    ended = (parts.ended(number) for number in range(parts.count or 0))
    partitioner.conclude(session, _counted(session, ended))
    session.outcome[PARTITIONS] = accounts(parts)
    remarks = (*remarks_in(session.outcome), *said_of_machines(session.outcome))
    if remarks:
        session.outcome[REMARKS] = list(remarks)


def do_partition(session: Session, parts: Parts, part: Part, actor: str, node: str) -> str:
    """Does one partition with the models that `session` holds; the SHA-256 of its journal."""
    begun = time.monotonic()
    with parts.attempt(part.number) as folder:
        own = _done(session, folder, part)
        session.monitor.enter(None)  # so that all of it is in what was measured
        ended = Ended(
            part.number,
            sha256_of(folder / JOURNAL),
            own.examples,
            own.tokens,
            own.splits,
            time.monotonic() - begun,
            time.time(),
            actor,
            node,
            own.outcome,
            [asdict(each) for each in session.monitor.measured],
            asdict(environment(session.plan.gpus)),
            session.begun_with,
        )
        parts.keep(folder, ended)
    return ended.journal


def try_partition(session: Session, parts: Parts, part: Part, lines: range) -> None:
    """Does these lines of a partition alone and keeps nothing: what is asked is whether it ends."""
    others = range(part.line + 1, part.line + part.lines + 1)
    left_out = {line: "left out of a trial" for line in others if line not in lines}
    with parts.attempt(part.number) as folder:
        _done(session, folder, replace(part, rejected={**part.rejected, **left_out}))


def _done(session: Session, folder: Path, part: Part) -> Session:
    """A session with the models of another, with which a partition was done in `folder`."""
    journal = Journal(folder / JOURNAL)
    try:
        own = _of_its_own(session, RunFolder(folder), journal, part)
        _runner(session.plan).run(own)
    finally:
        journal.close()
    return own


def _of_its_own(session: Session, folder: RunFolder, journal: Journal, part: Part) -> Session:
    return replace(
        session,
        folder=folder,
        journal=journal,
        part=part,
        freed=[],
        outcome={},
        examples=0,
        tokens=0,
        splits=0,
    )


@contextmanager
def threads_of(partition: Partition) -> Iterator[None]:
    """Inside, torch computes with the threads that each partition is done with, wherever it is."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(partition.threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _counted(session: Session, ended: Iterable[Ended]) -> Iterator[Mapping[str, object]]:
    """The outcome of each partition, once what it did is added to the run's."""
    for each in ended:
        session.examples += each.examples
        session.tokens += each.tokens
        session.splits += each.splits
        yield each.outcome


def accounts(parts: Parts) -> dict[str, object]:
    """Who did how much, what each measured, and how often something was begun again."""
    count, actors, last = parts.count or 0, dict[str, dict[str, Any]](), dict[str, float]()
    for number in range(count):
        each = parts.ended(number)
        nothing = {"node": each.node, "partitions": 0, "records": 0, "seconds": 0.0}
        told = actors.setdefault(each.actor, nothing)
        told["partitions"] += 1
        told["records"] += each.examples
        told["seconds"] = round(told["seconds"] + each.seconds, 3)
        if each.ended >= last.get(each.actor, 0.0):  # what it measured covers all that it did before
            last[each.actor] = each.ended
            told |= {"held": each.held, "measured": each.measured, "environment": each.environment}
    noted, unfit = Counter[object](), dict[object, None]()
    for row in parts.attempts():
        noted[row.get("what")] += 1
        if row.get("what") == LEFT_OUT:
            unfit[row.get("why")] = None
        if SHARING in row and row.get("actor") in actors:
            actors[str(row["actor"])][SHARING] = row[SHARING]
    return {
        "count": count,
        "again": max(noted["begun"] - count, 0),
        "lost": noted["lost"],
        "trials": noted["tried"],
        "rejected": len(parts.rejected()),
        **({LEFT_OUT: list(unfit)} if unfit else {}),
        ACTORS: actors,
    }


def _runner(plan: Plan) -> Any:
    return import_module(find_kind(plan.workload.kind).runner)


def _partitioner(plan: Plan) -> Partitioner:
    """Raises UnsupportedError for a kind whose work hangs together."""
    kind = find_kind(plan.workload.kind)
    if not kind.partitioner:
        raise UnsupportedError(
            f"partition: the work of kind {kind.name} hangs together and is not done in partitions; remove it"
        )
    return cast(Partitioner, import_module(kind.partitioner))
