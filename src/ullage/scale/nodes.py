"""The nodes of a Ray cluster that have room for a run, and what is found out about each before it begins."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any, Final

from ullage.errors import InputError
from ullage.facts.bundled import TINY, local_path
from ullage.records.parts import Parts
from ullage.runtime.session import Session
from ullage.scale import actor, looking
from ullage.scale.looking import Asked, ends_of, look, source_of, version_of
from ullage.scale.share import Share
from ullage.spec.installed import find_engine
from ullage.urls import client_of, is_url
from ullage.workloads.inputs import part_paths, paths_of, urls_of

ANSWER_SECONDS: Final = 120.0
"""In which a node says what it has: a process is started for it, and imports nothing heavy."""
SAME: Final = ("ray", "ullage", "torch", "transformers")
"""Packages of which a node has the driver's release: results depend on them, or Ray does."""
NAMED: Final = 3
"""Nodes that a line names; of more it says how many there are."""
SHOWN: Final = ("CPU", "GPU", "memory")
FOLDER: Final = "nodes"


@dataclass(frozen=True, slots=True)
class Node:
    """A node that is alive: Ray's `id` of it, its host and what it has in all, by resource."""

    id: str
    host: str
    has: Mapping[str, float]

    def __str__(self) -> str:
        return f"{self.host} ({self.id[:8]})"


def nodes_with_room(address: str, share: Share) -> tuple[Node, ...]:
    """Nodes that have room for an actor where nobody else takes it. Raises InputError where there is none."""
    import ray

    rows: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call, unused-ignore]
    alive = [
        Node(row["NodeID"], row["NodeManagerHostname"], row["Resources"]) for row in rows if row["Alive"]
    ]
    able = tuple(node for node in alive if share.fits(node.has))
    if not able:
        largest = max((node.has for node in alive), key=lambda has: has.get("CPU", 0.0), default={})
        has = ", ".join(f"{name} {largest.get(name, 0):g}" for name in SHOWN)
        raise InputError(
            f"--on {address}: no node has room for an actor ({share}); the largest of "
            f"{len(alive)} has {has}; plan for less, or add nodes"
        )
    return able


def asked_of(session: Session, parts: Parts) -> Asked:
    """What every node of a run is held against: what this process has, and what the run reads."""
    modules: dict[str, str] = {}
    for name, role in session.workload.roles.items():
        engine, planned = find_engine(role.engine), session.plan.roles.get(name)
        modules |= dict.fromkeys(engine.needs, engine.install)
        scheme = None if planned is None else planned.precision.scheme
        if planned is not None and scheme is not None:
            loaded = planned.precision.quantization is not None or scheme.on_load is None
            packages = scheme.packages if loaded or scheme.on_load is None else (scheme.on_load.package,)
            modules |= {package: package.replace("_", "-") for package in packages}
    for url in urls_of(session.workload):
        package, brings = client_of(url)
        modules[package] = brings
    folder = (parts.path / FOLDER).resolve()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    token = token_hex(8)
    (folder / token).write_text(token, encoding="ascii")
    files = {str(path): ends_of(str(path)) for path in _read_by(session)}
    versions = {name: version_of(name) for name in SAME}
    shared = "" if parts.depot is not None else str(folder)
    return Asked(versions, source_of("ullage"), modules, files, shared, token)


def _read_by(session: Session) -> Iterator[Path]:
    """Files of the input and of models; of models only those that nodes do not have with Ullage, and could
    not fetch."""
    base = session.plan.base.resolve()
    for name, path in paths_of(session.workload, base):
        if not is_url(name):
            yield path.resolve()
    for role in session.workload.roles.values():
        if is_url(role.model):
            continue
        here = local_path(role.model, base).exists()
        if role.model != TINY and (here or not session.download):
            for path, _ in part_paths(role, base, download=False):
                yield path.absolute()  # not where it leads: a cache of the hub may be laid out otherwise


def check_nodes(nodes: Sequence[Node], asked: Asked, address: str) -> None:
    """Has each node look. Raises InputError with a line for everything that is wrong, and where."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    with as_they_stand():
        remote: Any = ray.remote(look)
        tasks = {}
        for node in nodes:
            at = NodeAffinitySchedulingStrategy(node.id, soft=False)
            options = remote.options(num_cpus=0, max_retries=0, scheduling_strategy=at)
            tasks[options.remote(asked, node.id)] = node
    answered, silent = ray.wait([*tasks], num_returns=len(tasks), timeout=ANSWER_SECONDS)
    wrong = [(tasks[each], line) for each in answered for line in _answer(ray.get, each, tasks[each], asked)]
    for each in silent:
        ray.cancel(each, force=True)
        wrong.append((tasks[each], f"did not answer within {ANSWER_SECONDS:g} s; see whether it is well"))
    if wrong:
        rows: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call, unused-ignore]
        there = {row["NodeID"] for row in rows if row["Alive"]}
        wrong = [each for each in wrong if each[0].id in there]  # one that was lost meanwhile is no obstacle
    if wrong:
        raise InputError(*(f"--on {address}: {line}" for line in told(wrong)))


@contextmanager
def as_they_stand() -> Iterator[None]:
    """Inside, what looks around on a node is sent as it stands: Ullage may be another there, or missing."""
    import ray

    by_value: Any = ray.cloudpickle
    modules = (actor, looking)
    for module in modules:
        by_value.register_pickle_by_value(module)
    try:
        yield
    finally:
        for module in modules:
            by_value.unregister_pickle_by_value(module)


def _answer(get: Callable[[Any], list[str]], task: Any, node: Node, asked: Asked) -> list[str]:
    """What a node found wrong, and what is wrong with its answer."""
    try:
        wrong = get(task)
    except Exception as error:  # Ray raises anything here; what the node could not do is told
        said = " ".join(str(error).split())[-300:]
        return [f"could not be asked: {said}"]
    left = Path(asked.folder) / f"{asked.token}.{node.id}"
    if wrong or not asked.folder:
        return wrong
    with suppress(OSError):
        if left.read_text(encoding="ascii") == node.id:
            return []
    return [f"what it writes in {asked.folder} is not seen here; have the run on a disk that all nodes share"]


def told(wrong: Sequence[tuple[Node, str]]) -> Iterator[str]:
    """A line for each thing that is wrong, with the nodes of which it is."""
    nodes: dict[str, list[Node]] = {}
    for node, line in wrong:
        nodes.setdefault(line, []).append(node)
    for line, of in nodes.items():
        more = f" and {len(of) - NAMED} more" if len(of) > NAMED else ""
        yield f"{'node' if len(of) == 1 else 'nodes'} {', '.join(map(str, of[:NAMED]))}{more}: {line}"
