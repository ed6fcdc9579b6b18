"""The actors of one run on a Ray cluster: what each does, and what becomes of the work of those that die."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from secrets import token_hex
from typing import Any, Final

from ullage.errors import InputError, UllageError
from ullage.records.attempts import LEFT_OUT, SHARING
from ullage.records.parts import Parts
from ullage.runtime.opening import Options
from ullage.runtime.session import Session
from ullage.scale.actor import Actor
from ullage.scale.blame import Blame
from ullage.scale.looking import Asked
from ullage.scale.nodes import SHOWN, Node, as_they_stand, asked_of, check_nodes, nodes_with_room
from ullage.scale.share import Share, share_of
from ullage.scale.waiting import Task, Waiting
from ullage.spec.partition import Partition

LOOK_SECONDS: Final = 1.0
LOOKS: Final = 10
"""In which it is looked at what is being written while nothing ends, of the seconds of patience."""
SEEN_SECONDS: Final = 120.0
"""In which a disk that nodes share shows here what was done there: over a network listings may be old."""
OPENINGS: Final = 10
"""Of actors that end while they open, one after the other: nodes may be lost just then, and often."""
NODE_ID: Final = "ray.io/node-id"
"""Ray's own label of a node."""
NODE_DIED: Final = "its node has died"
"""In what Ray says of an actor that was lost with its node."""


class StalledError(UllageError):
    """Nothing went on for as long as the workload's `partition.patience` says."""


@dataclass(slots=True)
class Fleet:
    """The actors of one run. `busy` maps what is awaited to who does which task, None while it opens;
    `nodes` has an actor's machine by its name. `unfit` are nodes by Ray's name of them, with what is wrong:
    they joined while the run goes on, and get no actor again. `failed` actors in a row ended while they
    opened.

    Invariant: a partition is with one actor at a time, or waits, or is done.
    """

    address: str
    options: Options
    session: Session
    parts: Parts
    waiting: Waiting = field(init=False)
    blame: Blame = field(init=False)
    share: Share = field(init=False)
    asked: Asked = field(init=False)
    busy: dict[Any, tuple[Any, str, Task | None]] = field(default_factory=dict)
    nodes: dict[str, str] = field(default_factory=dict)
    unfit: dict[str, str] = field(default_factory=dict)
    failed: int = 0

    @property
    def _on(self) -> str:
        """What an error of this cluster begins with."""
        return f"--on {self.address}"

    @property
    def _partition(self) -> Partition:
        partition = self.session.workload.partition
        assert partition is not None
        return partition

    def look(self) -> None:
        """Raises InputError where no node has room for an actor, or one that has is not fit for it."""
        self.share = share_of(self.session.plan, self._partition)
        nodes = nodes_with_room(self.address, self.share)
        self.asked = asked_of(self.session, self.parts)
        check_nodes(nodes, self.asked, self.address)

    def run(self) -> None:
        """Does all that is left, once it has looked. Raises InputError where it cannot be, StalledError where
        nothing goes on."""
        import ray

        patience = self._partition.patience
        self.blame = Blame(self._on, self.parts, self.session.say)
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
            elif now - looked >= patience / LOOKS:
                looked, written = now, self.parts.progress
                if written != seen:
                    seen, since = written, now
                elif now - since > patience:
                    raise StalledError(self._diagnosis(patience))
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
                        f"{self._on}: partition {number} was done, and is not in {self.parts.path}; "
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

    def _begin(self) -> None:
        """One more actor, where Ray finds room for it."""
        import ray

        name, share = token_hex(4), self.share
        remote: Any = ray.remote(Actor)
        options = asdict(replace(self.options, quiet=True, sharing=share.sharing))
        made = remote.options(
            num_cpus=share.cpus,
            num_gpus=share.ray_gpus,
            memory=share.memory,
            max_restarts=0,
            max_task_retries=0,
            label_selector={NODE_ID: f"!in({','.join(self.unfit)})"} if self.unfit else None,
        )
        run, base = self.session.folder.path.resolve(), self.session.plan.base.resolve()
        url = "" if self.parts.depot is None else self.parts.depot.url
        with as_they_stand():
            actor = made.remote(self.asked, str(run), str(base), name, options, url)
        self.busy[actor.open.remote()] = (actor, name, None)

    def _take(self, ready: Any) -> None:
        """What came of a task, or of opening an actor; whoever is free gets the next."""
        import ray

        actor, name, task = self.busy.pop(ready)
        try:
            told = ray.get(ready)
        except ray.exceptions.RayTaskError as error:
            raise InputError(f"{self._on}: {' '.join(str(error).split())[-300:]}") from error
        except ray.exceptions.RayError as error:  # of memory, with its node, by itself: each has its own
            ray.kill(actor)  # one that only did not answer would hold its place, and do what another does
            return self._died(task, name, " ".join(str(error).split())[:300], _unreachable(error))
        if task is None:
            if not self._opened(actor, name, *told):
                return None
        elif told[1]:
            raise InputError(f"{self._on}: an actor on {self.nodes[name]}: {told[1]}")
        elif task.lines is not None:
            self.waiting.add(self.blame.lived(task.number))
        following = self.waiting.take()
        if following is None:
            actor.close.remote()
            return None
        self._give(actor, name, following)
        return None

    def _opened(self, actor: Any, name: str, host: str, node: str, unfit: Sequence[str], wrong: str) -> bool:
        """Whether an actor works from now on: on a node that is not fit none does, and it is left out. Raises
        InputError where no other is left, and for an actor that did not open."""
        import ray

        self.failed = 0
        if wrong:
            raise InputError(f"{self._on}: an actor on {host}: {wrong}")
        if not unfit:
            self.nodes[name] = host
            return True
        ray.kill(actor)
        if node not in self.unfit:
            line = f"node {Node(node, host, {})}: {'; '.join(unfit)}"
            self.unfit[node] = line
            self.parts.note(LEFT_OUT, why=line)
            self.session.say(f"left out: {line}")
        if all(each.id in self.unfit for each in nodes_with_room(self.address, self.share)):
            raise InputError(*(f"{self._on}: {line}" for line in self.unfit.values()))
        if self.waiting:
            self._begin()
        return False

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
            self.failed += 1
            if self.failed >= OPENINGS:
                raise InputError(f"{self._on}: opening an actor ended {OPENINGS} in a row: {why}")
        elif task.lines is not None:
            self.waiting.add(self.blame.died(task.number))
        elif not self.parts.has(task.number):  # else it died after its work
            self.waiting.add(self.blame.lost(task.number, name, why, unreachable))
        if self.waiting:
            self._begin()

    def _diagnosis(self, patience: int) -> str:
        import ray

        available: dict[str, float] = ray.available_resources()  # type: ignore[no-untyped-call, unused-ignore]
        opening = sum(task is None for _, _, task in self.busy.values())
        doing = sorted(task.number for _, _, task in self.busy.values() if task is not None)
        free = ", ".join(f"{k} {v:g}" for k, v in sorted(available.items()) if k in SHOWN)
        left_out = "".join(f", left out: {line}" for line in self.unfit.values())
        return (
            f"nothing went on for {patience} s: {opening} actors wait to be placed or to open ({self.share} "
            f"each; free now: {free or 'nothing'}), partitions in flight: {doing[:8]}{left_out}; what is "
            f"done is kept, and `ullage run --resume {self.session.folder.path} --on {self.address}` goes "
            "on; where models take as long to load, raise partition.patience"
        )


def _unreachable(error: Exception) -> bool:
    """Whether an actor is lost with its node, or the way there, and did not end by itself. Of a node that is
    just lost Ray says at first that its actors do not answer."""
    from ray.exceptions import ActorUnavailableError, NodeDiedError

    return isinstance(error, (NodeDiedError, ActorUnavailableError)) or NODE_DIED in str(error)
