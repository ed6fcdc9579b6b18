"""Partitions carried to the actors of a Ray cluster, one number at a time.

Ray Data is not used: its pool of actors does a lost block again without saying so, for ever or never, and
what has to be counted here is how often each partition has killed whoever did it.
"""

from __future__ import annotations

import os
import socket
import time
from collections import Counter, deque
from dataclasses import dataclass, field, replace
from secrets import token_hex
from typing import Any, Final

from ullage.errors import InputError, MissingExtraError, UllageError, UnsupportedError
from ullage.planning.plan import Plan
from ullage.records.parts import Parts
from ullage.runtime.opening import Options
from ullage.runtime.session import Session
from ullage.spec.partition import Partition
from ullage.units import gib

DEATHS: Final = 3
"""Of actors at one partition, after which the run ends and says so."""
LOOK_SECONDS: Final = 1.0
ANSWER_SECONDS: Final = 5.0


class StalledError(UllageError):
    """Nothing went on for as long as the workload's `partition.patience` says."""


@dataclass(frozen=True, slots=True)
class Share:
    """What one actor takes of a node: CPUs, GPUs, and bytes of host memory."""

    cpus: int
    gpus: int
    memory: int

    def fits(self, node: dict[str, float]) -> int:
        """How many such actors a node of these resources has room for."""
        asked = {"CPU": self.cpus, "GPU": self.gpus, "memory": self.memory}
        return min(int(node.get(name, 0.0) // size) for name, size in asked.items() if size)

    def __str__(self) -> str:
        gpus = f", {self.gpus} GPUs" if self.gpus else ""
        return f"{self.cpus} CPUs{gpus}, {gib(self.memory)} of memory"


def share_of(plan: Plan, partition: Partition) -> Share:
    """What the plan says that one actor takes."""
    gpus = sum(device.name.startswith("gpu:") for device in plan.devices)
    host = [device.peak.process.high for device in plan.devices if not device.name.startswith("gpu:")]
    return Share(partition.threads, gpus, max(host, default=0))


@dataclass(slots=True)
class Cluster:
    """Carries partitions to the cluster at `address` ("ray": RAY_ADDRESS, or the one of this machine)."""

    address: str
    options: Options

    def __post_init__(self) -> None:
        """Raises UnsupportedError for an address of Ray's client, MissingExtraError without Ray."""
        if self.address.startswith("ray://"):
            raise UnsupportedError(
                f"--on {self.address}: Ray's client keeps no actor for a job; give HOST:PORT of the "
                "cluster's head, or submit the command there: ray job submit -- ullage run FILE --on ray"
            )
        try:
            import ray  # noqa: F401
        except ImportError as error:
            raise MissingExtraError("ray", "ray", "running on a cluster") from error

    def carry(self, session: Session, parts: Parts) -> None:
        """Does all that are left. Raises InputError where the cluster cannot, StalledError where nothing
        goes on any more; what is done is kept."""
        import ray

        _connect(self.address)
        try:
            _Fleet(self, session, parts).run()
        finally:
            ray.shutdown()


def _connect(address: str) -> None:
    """Raises InputError where no cluster answers: at an address at once, as Ray waits a minute or more."""
    import ray

    host, _, port = address.rpartition(":")
    if host:
        try:
            socket.create_connection((host, int(port)), ANSWER_SECONDS).close()
        except (OSError, OverflowError) as error:
            raise InputError(f"--on {address}: no Ray cluster can be used there: {error}") from error
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        found = "auto" if address == "ray" else address
        ray.init(address=found, log_to_driver=False, configure_logging=False)
    except Exception as error:  # Ray raises anything here: ConnectionError, RuntimeError, ValueError
        said = " ".join(str(error).split())[:300]
        raise InputError(f"--on {address}: no Ray cluster can be used there: {said}") from error


@dataclass(slots=True)
class _Fleet:
    """The actors of one run. `busy` maps what is awaited to who does which partition, -1 while it opens;
    `deaths` counts those of actors by partition.

    Invariant: a number is with one actor at a time, or waits, or is done.
    """

    cluster: Cluster
    session: Session
    parts: Parts
    waiting: deque[int] = field(default_factory=deque)
    busy: dict[Any, tuple[Any, str, int]] = field(default_factory=dict)
    nodes: dict[str, str] = field(default_factory=dict)
    deaths: Counter[int] = field(default_factory=Counter)

    def run(self) -> None:
        import ray

        partition = self.session.workload.partition
        assert partition is not None
        self.waiting.extend(self.parts.left())
        share = share_of(self.session.plan, partition)
        nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call, unused-ignore]
        alive: list[dict[str, float]] = [node["Resources"] for node in nodes if node["Alive"]]
        room = sum(share.fits(node) for node in alive)
        if not room:
            largest = max(alive, key=lambda node: node.get("CPU", 0.0), default=dict[str, float]())
            has = ", ".join(f"{name} {largest.get(name, 0):g}" for name in ("CPU", "GPU", "memory"))
            raise InputError(
                f"--on {self.cluster.address}: no node has room for an actor ({share}); the largest of "
                f"{len(alive)} has {has}; plan for less, or add nodes"
            )
        for _ in range(min(room, len(self.waiting))):
            self._begin(share)
        seen, since = -1, time.monotonic()
        while self.busy:
            ready, _ = ray.wait([*self.busy], timeout=LOOK_SECONDS)
            for each in ready:
                self._take(each, share)
            now = self._written()
            if ready or now != seen:
                seen, since = now, time.monotonic()
            elif time.monotonic() - since > partition.patience:
                raise StalledError(self._diagnosis(share, partition.patience))

    def _begin(self, share: Share) -> None:
        """One more actor, where Ray finds room for it."""
        import ray

        from ullage.scale.actor import Actor

        name = token_hex(4)
        remote: Any = ray.remote(Actor)
        made = remote.options(
            num_cpus=share.cpus, num_gpus=share.gpus, memory=share.memory, max_restarts=0, max_task_retries=0
        )
        run, base = self.session.folder.path.resolve(), self.session.plan.base.resolve()
        actor = made.remote(str(run), str(base), name, replace(self.cluster.options, quiet=True))
        self.busy[actor.open.remote()] = (actor, name, -1)

    def _take(self, ready: Any, share: Share) -> None:
        """What came of a partition, or of opening an actor; whoever is free gets the next."""
        import ray

        actor, name, number = self.busy.pop(ready)
        try:
            told, wrong = ray.get(ready)
        except ray.exceptions.RayActorError as error:
            return self._died(number, name, share, error)
        except ray.exceptions.RayError as error:
            raise InputError(f"--on {self.cluster.address}: {' '.join(str(error).split())[-300:]}") from error
        if wrong:
            where = f" on {told}" if number < 0 else ""
            raise InputError(f"--on {self.cluster.address}: an actor{where}: {wrong}")
        if number < 0:
            self.nodes[name] = told
        if not self.waiting:
            actor.close.remote()
            return None
        following = self.waiting.popleft()
        self.parts.note("begun", following, actor=name, node=self.nodes[name])
        self.busy[actor.do.remote(following, self.nodes[name])] = (actor, name, following)
        return None

    def _died(self, number: int, name: str, share: Share, error: Exception) -> None:
        """An actor is gone: its partition waits again, and another takes its place."""
        said = " ".join(str(error).split())[:300]
        self.deaths[number] += 1
        if number >= 0 and not self.parts.folder(number).is_dir():
            self.parts.note("lost", number, actor=name)
            self.waiting.appendleft(number)
        if self.deaths[number] >= DEATHS:
            part = self.parts.part(max(number, 0))
            what = f"opening an actor ended {DEATHS} of them"
            if number >= 0:
                lines = f"{part.line + 1:,} to {part.line + part.lines:,}"
                what = f"partition {number} (lines {lines} of the input) ended {DEATHS} actors"
            raise InputError(f"--on {self.cluster.address}: {what}: {said}")
        self.session.say(f"an actor ended, and another takes its place: {said}")
        if self.waiting:
            self._begin(share)

    def _written(self) -> int:
        """Bytes in the journals of what is in flight, and how many partitions wait: whatever goes on changes
        it."""
        sizes = 0
        for path in self.parts.path.glob("*.tmp/journal.jsonl"):
            try:
                sizes += path.stat().st_size
            except FileNotFoundError:  # it was kept just now
                continue
        return sizes - len(self.waiting)

    def _diagnosis(self, share: Share, patience: int) -> str:
        import ray

        available: dict[str, float] = ray.available_resources()  # type: ignore[no-untyped-call, unused-ignore]
        opening = sum(number < 0 for _, _, number in self.busy.values())
        doing = sorted(number for _, _, number in self.busy.values() if number >= 0)
        free = ", ".join(f"{k} {v:g}" for k, v in sorted(available.items()) if k in _SHOWN)
        return (
            f"nothing went on for {patience} s: {opening} actors wait to be placed or to open ({share} each; "
            f"free now: {free or 'nothing'}), partitions in flight: {doing[:8]}; what is done is kept, and "
            f"`ullage run --resume {self.session.folder.path} --on {self.cluster.address}` goes on"
        )


_SHOWN: Final = ("CPU", "GPU", "memory")
