"""How far a run is, told from its folder alone: while it goes on, after it was cut short, once it has ended.

Of partitions no journal is read, and of each actor one part.json: a look costs a listing of the folder, its
index and its attempts.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from ullage.errors import UllageError
from ullage.fields import Fields
from ullage.records.attempts import LEFT_OUT, SHARING, Worked, read_attempts
from ullage.records.folder import JOURNAL, MANIFEST, RECORD, RunFolder
from ullage.records.parts import Parts
from ullage.records.pool_of_run import State
from ullage.records.timeline import FILE, doing_now

T = TypeVar("T")
OF_ACTORS: Final = "what each actor at work has done since its first partition"
OF_PIECES: Final = "pieces of work on disk since the run was begun"
OF_PHASE: Final = "what was done of late of {}"
OF_ALL: Final = "the whole run"
HOUR: Final = 3600.0


@dataclass(frozen=True, slots=True)
class ActorSeen:
    """Who does partitions: how many of this run are kept, of how many records, in how many seconds between
    its first note and its last. `doing` is the partition it is at, None: none, or it is gone. `measured` is
    the most that any device of it held, bytes, None where nothing was measured; `sharing` so many share its
    cards, itself among them."""

    name: str
    node: str
    partitions: int
    records: int
    seconds: float
    doing: int | None
    measured: int | None
    sharing: int


@dataclass(frozen=True, slots=True)
class PartitionsSeen:
    """`again` were begun once more after whoever did them died, `lost` times anybody died at one; `trials`
    looked for a record that ends actors, `rejected` are such records. `left_out` are nodes that joined since
    and are not fit for the run, a line each."""

    count: int
    kept: int
    doing: int
    again: int
    lost: int
    trials: int
    rejected: int
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RunStatus:
    """`done` of `total` records; without partitions they are of the phase that goes on, and where nothing is
    known of it `total` is None and `done` are pieces of work, as the journal has them. `seconds` since it was
    begun; `rate` records a second and `left` seconds by `basis`, None where nothing is known. `usd` is what
    `actors`' cards have cost so far at `usd_per_hour` each, which those that share one pay together.
    `planned` is the most that the plan has any device hold, bytes. `wrong` says what cannot be read."""

    folder: str
    state: State
    kind: str
    workload: str
    gpus: str
    done: int
    total: int | None
    seconds: float
    rate: float | None
    left: float | None
    basis: str
    usd: float | None
    usd_per_hour: float | None
    planned: int | None
    partitions: PartitionsSeen | None
    actors: tuple[ActorSeen, ...]
    wrong: tuple[str, ...]


def status_of(folder: Path, now: float | None = None) -> RunStatus:
    """Raises FormatError where the folder holds no run."""
    run = RunFolder(folder)
    if not run.started:
        run.manifest()  # says what is wrong with the folder
    return _Look(run, time.time() if now is None else now).status()


@dataclass(frozen=True, slots=True)
class _Far:
    """How far a run is, whatever tells so."""

    seconds: float
    done: int = 0
    total: int | None = None
    rate: float | None = None
    basis: str = ""
    partitions: PartitionsSeen | None = None
    actors: tuple[ActorSeen, ...] = ()


@dataclass(slots=True)
class _Look:
    """One look at a run's folder."""

    run: RunFolder
    now: float
    wrong: list[str] = field(default_factory=list)

    def status(self) -> RunStatus:
        running = self.run.held
        state: State = "ended" if self.run.complete else "running" if running else "cut short"
        nothing: Mapping[str, object] = {}
        found = self._read(lambda: self.run.manifest().plan, nothing)
        plan = Fields(found, f"{self.run.path / MANIFEST}: a plan")
        far = self._read(lambda: self._far(state), None) or _Far(0.0)
        per_hour = self._read(lambda: _usd_per_hour(plan), None) if found else None
        paid = sum(each.seconds / each.sharing for each in far.actors) if far.actors else far.seconds
        left = (far.total - far.done) / far.rate if far.rate and far.total is not None else None
        return RunStatus(
            str(self.run.path),
            state,
            str(found.get("kind", "")),
            str(found.get("workload", "")),
            str(found.get("gpus", "")),
            far.done,
            far.total,
            far.seconds,
            far.rate,
            left if state == "running" else None,
            far.basis if far.rate else "",
            None if per_hour is None else per_hour * paid / HOUR,
            per_hour,
            self._read(lambda: _planned(plan), None) if found else None,
            far.partitions,
            far.actors,
            tuple(self.wrong),
        )

    def _read(self, of: Callable[[], T], otherwise: T) -> T:
        """What can be read; what cannot is told."""
        try:
            return of()
        except (UllageError, OSError) as error:
            self.wrong.append(str(error))
            return otherwise

    def _far(self, state: State) -> _Far:
        if state == "ended":
            return _ended(self.run)
        parts = Parts(self.run.path)
        count, begun = parts.count, (self.run.path / MANIFEST).stat().st_mtime
        if count is not None:
            return self._partitioned(state == "running", parts, count, begun)
        journal = self.run.path / JOURNAL
        written = journal.stat().st_mtime if journal.exists() else begun
        seconds = max((self.now if state == "running" else written) - begun, 0.0)
        if state == "running":
            now = self._read(lambda: doing_now(self.run.path / FILE), None)
            if now is not None and now.total is not None:
                return _Far(seconds, now.done, now.total, now.rate, OF_PHASE.format(now.name))
        done = self._read(lambda: self.run.done, 0)
        return _Far(seconds, done, None, done / seconds if done and seconds else None, OF_PIECES)

    def _partitioned(self, running: bool, parts: Parts, count: int, begun: float) -> _Far:
        records = array("q", (part.records for part in parts.parts()))
        kept = bytearray(count)
        for number in parts.kept_numbers():
            if number < count:
                kept[number] = 1
        attempts = read_attempts(parts)
        self.wrong.extend(attempts.wrong)
        ended = max([begun, *(each.last for each in attempts.worked.values())])
        actors = tuple(
            self._actor(name, each, kept, records, parts, running) for name, each in attempts.worked.items()
        )
        busy = [each for each in actors if each.doing is not None]
        seen = PartitionsSeen(
            count,
            sum(kept),
            len(busy),
            attempts.noted["again"],
            attempts.noted["lost"],
            attempts.noted["tried"],
            self._read(lambda: len(parts.rejected()), 0),
            tuple(attempts.left_out),
        )
        return _Far(
            max((self.now if running else ended) - begun, 0.0),
            sum(size for size, there in zip(records, kept, strict=True) if there),
            sum(records),
            sum(each.records / each.seconds for each in busy if each.seconds) or None,
            OF_ACTORS,
            seen,
            actors,
        )

    def _actor(
        self,
        name: str,
        worked: Worked,
        kept: bytearray,
        records: array[int],
        parts: Parts,
        running: bool,
    ) -> ActorSeen:
        began = [number for number in worked.began if number < len(kept)]
        mine = [number for number in began if kept[number]]
        doing = began[-1] if running and worked.alive and began and not kept[began[-1]] else None
        last = self._read(lambda: parts.ended(mine[-1]), None) if mine else None
        # By the driver's clock alone: that of an actor's machine may be another.
        ended = worked.first if last is None else worked.began[mine[-1]] + last.seconds
        return ActorSeen(
            name,
            worked.node,
            len(mine),
            sum(records[number] for number in mine),
            max(worked.last, ended, worked.first) - worked.first,
            doing,
            None if last is None else _most(last.measured),
            worked.sharing,
        )


def _ended(run: RunFolder) -> _Far:
    """Of a run that has ended its record says all."""
    record = run.record()
    done, seconds = record.examples, record.seconds
    rate = done / seconds if seconds and not record.resumed else None
    accounts = record.outcome.get("partitions")
    if not isinstance(accounts, Mapping):
        return _Far(seconds, done, done, rate, OF_ALL)
    parts, actors = _accounted(Fields(accounts, f"{run.path / RECORD}: its partitions"))
    return _Far(seconds, done, done, rate, OF_ALL, parts, actors)


def _most(measured: Iterable[Mapping[str, object]]) -> int | None:
    """The most that any device held in any phase: all of it where that is known, else what is alive."""
    sizes = [each.get("on_device") or each.get("process") or each.get("live") for each in measured]
    return max((size for size in sizes if isinstance(size, int)), default=None)


def _planned(plan: Fields) -> int | None:
    return max((each.inner("device").whole("high") for each in plan.each("devices")), default=None)


def _usd_per_hour(plan: Fields) -> float | None:
    return None if plan.value("cost") is None else plan.inner("cost").number("usd_per_hour")


def _accounted(accounts: Fields) -> tuple[PartitionsSeen, tuple[ActorSeen, ...]]:
    """What a record says of partitions and who did them."""
    count, own = accounts.whole("count"), accounts.inner("actors")
    actors = []
    for name in own.values:
        each = own.inner(name)
        done, records = each.whole("partitions"), each.whole("records")
        held = _most([one.values for one in each.each("measured")])
        sharing, seconds = each.whole(SHARING) if SHARING in each else 1, each.number("seconds")
        actors.append(ActorSeen(name, each.text("node"), done, records, seconds, None, held, sharing))
    again, lost, trials, rejected = (accounts.whole(name) for name in ("again", "lost", "trials", "rejected"))
    unfit = tuple(map(str, accounts.array(LEFT_OUT))) if LEFT_OUT in accounts else ()
    return PartitionsSeen(count, count, 0, again, lost, trials, rejected, unfit), tuple(actors)
