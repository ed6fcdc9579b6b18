"""From machines and what is on each to how many records they do in which time and for how much."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil, isfinite
from typing import Final, Literal, NamedTuple

from ullage.facts.node import HOUR, NodeType
from ullage.facts.price import SetPrice
from ullage.planning.cluster.cluster_plan import Bound, ClusterPlan, NodePlan
from ullage.planning.cluster.interruptions import attempts_lost, lost_seconds
from ullage.planning.cluster.partition import Crew, best_partition, steady_rate, wall_seconds, while_at_work
from ullage.planning.cluster.replica import HANDLING, OPENING, Replica
from ullage.planning.cluster.sharing import AT_WORK
from ullage.planning.cost import per_1000
from ullage.units import NO_TIME, Estimate

STARTING: Final = Estimate(60.0, 180.0, 600.0)
"""Seconds from asking for a machine until it works, image included; assumed where it is not said."""
ENDS: Final = range(len(Estimate._fields))
LIKELY: Final = Estimate._fields.index("expected")


class Share(NamedTuple):
    """Machines of one type, how many replicas each has, and what one costs an hour."""

    node: NodeType
    replicas: int
    replica: Replica
    price: SetPrice | None

    @property
    def usd_per_hour(self) -> float | None:
        """Of one machine: as the user says, else as a list does."""
        if self.node.price is not None:
            return self.node.price
        return None if self.price is None else self.price.usd_per_hour


def cluster_plan(
    title: str, examples: int, shares: Sequence[Share], partition: int | None = None
) -> ClusterPlan:
    """What `examples` take on all machines of `shares`; without `partition` records in one, with those that
    are soonest done."""
    known = all(share.replica.known for share in shares)
    crews = [_crews(shares, end) for end in ENDS] if known else []
    likely = crews[LIKELY] if known else []
    size = partition
    if size is None and known:
        size = best_partition(likely, examples, max(share.replica.batch for share in shares))
    if size is not None:
        size = min(size, max(examples, 1))
        crews = [while_at_work(each, size, examples) for each in crews]
        likely = crews[LIKELY] if known else []
    start = Estimate(*map(max, zip(*map(_until_it_works, shares), strict=True)))
    course = _course(crews, size, examples, start)
    rate, seconds = course.records_per_second, course.seconds
    usd = _usd(shares, seconds)
    return ClusterPlan(
        title,
        examples,
        "tight" if any(share.replica.verdict == "tight" for share in shares) else "fits",
        tuple(map(_node_plan, shares)),
        size,
        None if size is None else ceil(examples / size),
        start,
        course.steady,
        course.end,
        seconds,
        rate,
        usd,
        None if usd is None else usd * per_1000(examples),
        0.0 if seconds is None else _interruptions(likely, (seconds.expected - start.expected)),
        _lost(likely, size),
        None if size is None or not known else max(crew.partition(size) for crew in likely),
        _flow(shares, size, crews, "read"),
        _flow(shares, size, crews, "written"),
        sum(share.node.count * share.replica.weights for share in shares),
        tuple(_notes(shares, known)),
    )


class _Course(NamedTuple):
    """Seconds of the steady state, of the end and of all, and records a second; None where they are not
    known, or would hardly ever be done."""

    steady: Estimate | None = None
    end: Estimate | None = None
    seconds: Estimate | None = None
    records_per_second: Estimate | None = None


def _course(crews: Sequence[Sequence[Crew]], size: int | None, examples: int, start: Estimate) -> _Course:
    if size is None or not crews:
        return _Course()
    walls = [wall_seconds(each, size, examples) for each in crews]
    if not all(map(isfinite, walls)):
        return _Course()
    low, likely, high = (steady_rate(each, size) for each in crews)
    steady = Estimate(examples / low, examples / likely, examples / high)
    end = Estimate(*(max(wall - busy, 0.0) for wall, busy in zip(walls, steady, strict=True)))
    return _Course(steady, end, start + steady + end, Estimate(high, likely, low))


def _carried(share: Share) -> tuple[Estimate, Estimate]:
    """Seconds in which a machine's network, and its disk, carries a record of each of its replicas."""
    node, replica = share.node, share.replica
    both = replica.read + replica.written
    return (
        both * (share.replicas / node.network) if node.network else NO_TIME,
        replica.written * (share.replicas / node.disk) if node.disk else NO_TIME,
    )


def _pace(share: Share) -> tuple[Estimate | None, Bound]:
    """Seconds of a record of one replica in the steady state, and what they wait for."""
    record = share.replica.record
    if record is None:
        return None, "unknown"
    network, disk = _carried(share)
    most = max(record.expected, network.expected, disk.expected)
    bound: Bound = "compute"
    if most > record.expected:
        bound = "network" if most == network.expected else "disk"
    return Estimate(*map(max, record, network, disk)), bound


def _node_plan(share: Share) -> NodePlan:
    node, replica = share.node, share.replica
    record, bound = _pace(share)
    each = None if record is None else record.per(share.replicas)

    def needs(size: Estimate) -> Estimate | None:
        return None if each is None else Estimate(*(a * b for a, b in zip(size, each, strict=True)))

    return NodePlan(
        node.gpus.name,
        node.count,
        len(node.gpus.gpus),
        share.replicas,
        replica.gpus.name,
        replica.sharing,
        replica.verdict,
        replica.peak,
        replica.host * share.replicas,
        node.interruptions * HOUR,
        _start(share),
        "assumed" if node.start is None else "given",
        replica.at_start,
        _fetch(share),
        record,
        None if each is None else each * node.count,
        bound,
        needs(replica.read + replica.written),
        needs(replica.written),
        share.usd_per_hour,
        "" if node.price is not None or share.price is None else share.price.label,
        "" if node.price is not None or share.price is None else share.price.as_of,
        node.spot is not None,
        node.machine,
        node.labels,
    )


def _start(share: Share) -> Estimate:
    """Until a machine works, its models fetched where its network is said."""
    given = share.node.start
    start = STARTING if given is None else Estimate(given, given, given)
    return start + (_fetch(share) or NO_TIME)


def _until_it_works(share: Share) -> Estimate:
    """Until the replicas of a machine that is asked for do their first record."""
    return _start(share) + share.replica.at_start


def _fetch(share: Share) -> Estimate | None:
    if share.node.network is None:
        return None
    seconds = share.replica.weights / share.node.network
    return Estimate(seconds, seconds, seconds)


def _crews(shares: Sequence[Share], end: int) -> list[Crew]:
    return [
        Crew(
            share.node.count * share.replicas,
            share.node.count,
            share.replica.passes or (),
            end,
            max(carried[end] for carried in _carried(share)),
            share.replica.each_partition[end],
            share.node.interruptions,
            _until_it_works(share)[end],
        )
        for share in shares
    ]


def _usd(shares: Sequence[Share], seconds: Estimate | None) -> Estimate | None:
    """All machines are paid from when they are asked for until the last record is there."""
    prices = [share.usd_per_hour for share in shares]
    if seconds is None or any(price is None for price in prices):
        return None
    return seconds * (
        sum((price or 0.0) * s.node.count for price, s in zip(prices, shares, strict=True)) / HOUR
    )


def _interruptions(crews: Sequence[Crew], whole: float) -> float:
    """Machines that are lost in `whole` seconds of work: one does not work until it is replaced."""
    return sum(crew.machines * crew.rate * whole / (1 + crew.rate * crew.back) for crew in crews)


def _lost(crews: Sequence[Crew], size: int | None) -> float:
    """Share of all seconds of work that is done again."""
    if size is None or not crews:
        return 0.0
    done = lost = 0.0
    for crew in crews:
        partitions = crew.replicas / crew.expected(size)  # a second
        done += partitions * crew.partition(size)
        lost += partitions * lost_seconds(crew.partition(size), crew.rate)
    return lost / (done + lost) if done + lost else 0.0


def _flow(
    shares: Sequence[Share],
    size: int | None,
    crews: Sequence[Sequence[Crew]],
    what: Literal["read", "written"],
) -> Estimate | None:
    """Bytes a second of all machines; what is begun again is read again, and written once."""
    if size is None or not crews:
        return None
    ends = []
    for end, faster in zip(ENDS, reversed(crews), strict=True):
        flow = 0.0
        for share, crew in zip(shares, faster, strict=True):
            again = attempts_lost(crew.partition(size), crew.rate) if what == "read" else 0.0
            size_of_one = (share.replica.read if what == "read" else share.replica.written)[end]
            flow += crew.replicas * size / crew.expected(size) * (1 + again) * size_of_one
        ends.append(flow)
    return Estimate(*ends)


def _notes(shares: Sequence[Share], known: bool) -> Iterator[str]:
    yield (
        f"assumed: {_said(HANDLING)} a partition for handing it out and writing it down; {_said(OPENING)} "
        "until a replica's process can load; 5 bytes (2-12) a token of text"
    )
    for share in shares:
        least, seconds, most = share.replica.swaps
        if seconds:
            told = f"{seconds:.1f} s ({least:.1f}-{most:.1f})"
            yield f"{share.node}: each partition loads its models anew: {told}"
    if any(share.node.start is None for share in shares):
        yield f"assumed: a node works {_said(STARTING)} after it is asked for; say it: start 5min"
    if any(share.node.network is None for share in shares):
        yield "models lie on each node's disk; say a node's network, and fetching them is counted"
    if any(share.node.spot is None for share in shares):
        yield "nodes that nobody takes away fail as 16,384 H100 did: 419 times in 54 days (arXiv 2407.21783)"
    if any(share.replica.sharing > 1 for share in shares):
        low, likely, high = (100 * share for share in AT_WORK)
        yield (
            f"replicas share cards that compute {likely:g} % ({low:g}-{high:g}) of the time in which a phase "
            "waits for the processor: assumed"
        )
    yield "a node that is lost is replaced as fast as one starts; both are paid"
    if not known:
        names = ", ".join(str(share.node) for share in shares if not share.replica.known)
        yield f"how long a record takes is not known on {names}: no time, no cost, no partition"


def _said(seconds: Estimate) -> str:
    return f"{seconds.expected:g} s ({seconds.low:g}-{seconds.high:g})"
