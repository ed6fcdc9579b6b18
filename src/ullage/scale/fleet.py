"""The actors of one run on a Ray cluster: what each does, and what becomes of the work of those that die."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import islice
from secrets import token_hex
from typing import Any, Final

from ullage.errors import InputError, UllageError
from ullage.records.attempts import SHARING
from ullage.records.parts import Parts
from ullage.runtime.opening import Options
from ullage.runtime.session import Session
from ullage.scale.bisection import DEATHS, Bisection, Found
from ullage.scale.looking import Asked
from ullage.scale.nodes import SHOWN, asked_of, check_nodes, nodes_with_room
from ullage.scale.share import Share, share_of
from ullage.scale.waiting import Task, Waiting

LOOK_SECONDS: Final = 1.0
LOOKS: Final = 10
"""In which it is looked at what is being written while nothing ends, of the seconds of patience."""
SEEN_SECONDS: Final = 120.0
"""In which a disk that nodes share shows here what was done there: over a network listings may be old."""
NODES: Final = 3
"""Nodes that are lost count as one actor that ended by itself: they come and go, whatever was done there."""
OPENINGS: Final = 10
"""Of actors that end while they open, one after the other: nodes may be lost just then, and often."""
NODE_DIED: Final = "its node has died"
"""In what Ray says of an actor that was lost with its node."""
REASON: Final = f"whatever did this record alone ended, {DEATHS} times"
"""Of a rejection."""


class StalledError(UllageError):
    """Nothing went on for as long as the workload's `partition.patience` says."""


@dataclass(slots=True)
class Fleet:
    """The actors of one run. `busy` maps what is awaited to who does which task, None while it opens.
    `deaths` counts actors that ended at a partition since anything was last found out about it, each NODES
    times where its node was not lost; -1: while they opened. `cleared` are partitions of which no line alone
    ends actors.

    Invariant: a partition is with one actor at a time, or waits, or is done.
    """

    address: str
    options: Options
    session: Session
    parts: Parts
    waiting: Waiting = field(init=False)
    share: Share = field(init=False)
    asked: Asked = field(init=False)
    busy: dict[Any, tuple[Any, str, Task | None]] = field(default_factory=dict)
    nodes: dict[str, str] = field(default_factory=dict)
    deaths: Counter[int] = field(default_factory=Counter)
    searches: dict[int, Bisection] = field(default_factory=dict)
    cleared: set[int] = field(default_factory=set)
    ended: int = 0

    def look(self) -> None:
        """Raises InputError where no node has room for an actor, or one that has is not fit for it."""
        partition = self.session.workload.partition
        assert partition is not None
        self.share = share_of(self.session.plan, partition)
        nodes = nodes_with_room(self.address, self.share)
        self.asked = asked_of(self.session, self.parts)
        check_nodes(nodes, self.asked, self.address)

    def run(self) -> None:
        """Does all that is left, once it has looked. Raises InputError where it cannot be, StalledError where
        nothing goes on."""
        import ray

        partition = self.session.workload.partition
        assert partition is not None
        self._remember()
        self._place()
        seen, since = -1, time.monotonic()
        looked = since
        while self._goes_on():
            ready, _ = ray.wait([*self.busy], timeout=LOOK_SECONDS)
            for each in ready:
                self._take(each)
            now = time.monotonic()
            if ready:
                since = looked = now
            elif now - looked >= partition.patience / LOOKS:
                looked, written = now, self.parts.progress
                if written != seen:
                    seen, since = written, now
                elif now - since > partition.patience:
                    raise StalledError(self._diagnosis(partition.patience))
        for actor, _, _ in self.busy.values():
            ray.kill(actor)  # one that still opens would go on in the folder of a run that has ended
        self._see()

    def _see(self) -> None:
        """Waits until all that actors say they did is seen here. Raises InputError where it is not."""
        until = time.monotonic() + SEEN_SECONDS
        for number in self.parts.left():
            while not self.parts.has(number):
                if time.monotonic() > until:
                    raise InputError(
                        f"--on {self.address}: partition {number} was done, and is not in {self.parts.path}; "
                        "see whether that is the same disk on all nodes; --resume does it again"
                    )
                time.sleep(LOOK_SECONDS)

    def _place(self) -> None:
        """As many actors as there is room for, and work."""
        import ray

        nodes = nodes_with_room(self.address, self.share)
        self.waiting = Waiting(self.parts.left())
        room = sum(self.share.fits(node.has) for node in nodes)
        first = list(islice(iter(self.waiting.take, None), room))
        for task in reversed(first):
            self.waiting.add(task)
        available: dict[str, float] = ray.available_resources()  # type: ignore[no-untyped-call, unused-ignore]
        free = self.share.fits(available)
        if free < len(first):
            self.session.say(
                f"others hold part of the cluster: it has room for {free} of {len(first)} actors at most "
                f"({self.share} each); the others begin where some comes free"
            )
        for _ in first:
            self._begin()

    def _goes_on(self) -> bool:
        """Whether anything is left to do, or being done. An actor that nothing is left for is not waited
        for."""
        return bool(self.busy) and (
            bool(self.waiting) or any(task is not None for _, _, task in self.busy.values())
        )

    def _remember(self) -> None:
        """Deaths of an earlier driver's actors count."""
        for each in self.parts.attempts():
            what, number = each.get("what"), each.get("partition")
            if not isinstance(number, int):
                continue
            if what == "lost":
                self.deaths[number] += 1 if each.get("unreachable") else NODES
            elif what in ("rejected", "cleared"):
                del self.deaths[number]
            if what == "cleared":
                self.cleared.add(number)

    def _begin(self) -> None:
        """One more actor, where Ray finds room for it."""
        import ray

        from ullage.scale.actor import Actor

        name, share = token_hex(4), self.share
        remote: Any = ray.remote(Actor)
        options = replace(self.options, quiet=True, sharing=share.sharing)
        made = remote.options(
            num_cpus=share.cpus,
            num_gpus=share.ray_gpus,
            memory=share.memory,
            max_restarts=0,
            max_task_retries=0,
        )
        run, base = self.session.folder.path.resolve(), self.session.plan.base.resolve()
        depot = self.parts.depot
        url = "" if depot is None else depot.url
        actor = made.remote(str(run), str(base), name, options, self.asked, url)
        self.busy[actor.open.remote()] = (actor, name, None)

    def _take(self, ready: Any) -> None:
        """What came of a task, or of opening an actor; whoever is free gets the next."""
        import ray

        actor, name, task = self.busy.pop(ready)
        try:
            told, wrong = ray.get(ready)
        except ray.exceptions.RayTaskError as error:
            raise InputError(f"--on {self.address}: {' '.join(str(error).split())[-300:]}") from error
        except ray.exceptions.RayError as error:  # of memory, with its node, by itself: each has its own
            ray.kill(actor)  # one that only did not answer would hold its place, and do what another does
            unreachable = _unreachable(error)
            return self._died(task, name, " ".join(str(error).split())[:300], unreachable)
        if wrong:
            where = told if task is None else self.nodes[name]
            raise InputError(f"--on {self.address}: an actor on {where}: {wrong}")
        if task is None:
            self.nodes[name] = told
            del self.deaths[-1]
        elif task.lines is not None:
            self._found(task.number, self.searches[task.number].lived())
        else:
            self.ended += 1
        following = self.waiting.take()
        if following is None:
            actor.close.remote()
            return None
        self._give(actor, name, following)
        return None

    def _give(self, actor: Any, name: str, task: Task) -> None:
        node, part = self.nodes[name], self.parts.part(task.number)
        if task.lines is None:
            sharing = {} if self.share.sharing == 1 else {SHARING: self.share.sharing}
            self.parts.note("begun", task.number, actor=name, node=node, **sharing)
            asked = actor.do.remote(part, node)
        else:
            lines = [task.lines.start, task.lines.stop - 1]
            self.parts.note("tried", task.number, actor=name, node=node, lines=lines if task.lines else [])
            asked = actor.try_out.remote(part, *lines)
        self.busy[asked] = (actor, name, task)

    def _died(self, task: Task | None, name: str, why: str, unreachable: bool) -> None:
        """An actor is gone: its task waits again, and another takes its place."""
        self.session.say(f"an actor ended: {why}")
        if task is None:
            self.deaths[-1] += 1
            if self.deaths[-1] >= OPENINGS:
                raise InputError(f"--on {self.address}: opening an actor ended {OPENINGS} in a row: {why}")
        elif task.lines is not None:
            self._found(task.number, self.searches[task.number].died())
        elif not self.parts.has(task.number):  # else it died after its work
            self._lost(task.number, name, why, unreachable)
        if self.waiting:
            self._begin()

    def _lost(self, number: int, name: str, why: str, unreachable: bool) -> None:
        """An actor ended at a partition: once as many did as are borne, its lines are tried."""
        self.parts.note("lost", number, actor=name, why=why, **({"unreachable": True} if unreachable else {}))
        self.deaths[number] += 1 if unreachable else NODES
        if self.deaths[number] < DEATHS * NODES:
            self.waiting.add(Task(number))
            return
        part = self.parts.part(number)
        lines = range(part.line + 1, part.line + part.lines + 1)
        if number in self.cleared:
            raise InputError(
                f"--on {self.address}: partition {number} (lines {lines[0]:,} to {lines[-1]:,} of the input) "
                f"ended {DEATHS} actors, and {DEATHS} more after no line of it alone did: {why}"
            )
        self.session.say(f"partition {number} ended {DEATHS} actors: its lines are tried")
        self.searches[number] = Bisection(lines)
        self.waiting.add(Task(number, self.searches[number].trial))

    def _found(self, number: int, found: Found) -> None:
        """What a trial of a partition says of it."""
        search = self.searches[number]
        if found == "nothing yet":
            self.waiting.add(Task(number, search.trial))
            return
        del self.searches[number], self.deaths[number]
        if found == "no line at all":
            raise InputError(
                f"--on {self.address}: partition {number} ended {DEATHS} actors without any of its records: "
                "what it does beside them (models, a judge's known answers) does not run there"
            )
        if found == "it is the line":
            (line,) = search.suspects
            self.parts.reject(line, REASON)
            self.parts.note("rejected", number, line=line)
            self.session.say(f"line {line:,} of the input is rejected: {REASON}")
        else:
            self.cleared.add(number)
            self.parts.note("cleared", number)
            self.session.say(f"no line of partition {number} alone ends actors: it is done again")
        self.waiting.add(Task(number))

    def _diagnosis(self, patience: int) -> str:
        import ray

        available: dict[str, float] = ray.available_resources()  # type: ignore[no-untyped-call, unused-ignore]
        opening = sum(task is None for _, _, task in self.busy.values())
        doing = sorted(task.number for _, _, task in self.busy.values() if task is not None)
        free = ", ".join(f"{k} {v:g}" for k, v in sorted(available.items()) if k in SHOWN)
        return (
            f"nothing went on for {patience} s: {opening} actors wait to be placed or to open ({self.share} "
            f"each; free now: {free or 'nothing'}), partitions in flight: {doing[:8]}; what is done is kept, "
            f"and `ullage run --resume {self.session.folder.path} --on {self.address}` goes on; where models "
            "take as long to load, raise partition.patience"
        )


def _unreachable(error: Exception) -> bool:
    """Whether an actor is lost with its node, or the way there, and did not end by itself. Of a node that is
    just lost Ray says at first that its actors do not answer."""
    from ray.exceptions import ActorUnavailableError, NodeDiedError

    return isinstance(error, (NodeDiedError, ActorUnavailableError)) or NODE_DIED in str(error)
