"""From machines and what is on each to how many records they do in which time and for how much."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from math import ceil, isfinite
from typing import Final, Literal, NamedTuple

from ullage.facts.node import HOUR
from ullage.planning.cluster.cluster_plan import Bound, ClusterPlan, NodePlan
from ullage.planning.cluster.crew import Crew, steady_rate
from ullage.planning.cluster.interruptions import attempts_lost, lost_seconds
from ullage.planning.cluster.notes import notes, notes_on_size
from ullage.planning.cluster.partition import best_partition
from ullage.planning.cluster.share import STARTING, Share
from ullage.planning.cluster.wall import wall_seconds, while_at_work
from ullage.planning.cost import per_1000
from ullage.spec.partition import Partition
from ullage.units import NO_TIME, Estimate, parse_bytes

ENDS: Final = range(len(Estimate._fields))
LIKELY: Final = Estimate._fields.index("expected")


def cluster_plan(
    title: str,
    examples: int,
    shares: Sequence[Share],
    partition: int | None = None,
    cut: Partition | None = None,
) -> ClusterPlan:
    """What `examples` take on all machines of `shares`; without `partition` records in one, with those that
    are soonest done, and with no more bytes than `cut` says, where a run is cut into partitions."""
    known = all(share.replica.known for share in shares)
    found = [_crews(shares, end) for end in ENDS] if known else []
    if partition is None and known:
        partition = best_partition(found[LIKELY], examples, max(share.replica.batch for share in shares))
    held = _held(shares, cut)
    size = None if partition is None else min(partition, max(examples, 1), held)
    start = Estimate(*map(max, zip(*map(_until_it_works, shares), strict=True)))
    crews = [] if size is None else [while_at_work(each, size, examples) for each in found]
    course = _course(found, crews, size, examples, start)
    likely = crews[LIKELY] if crews else []
    usd = _usd(shares, course.seconds)
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
        course.seconds,
        course.records_per_second,
        usd,
        None if usd is None else usd * per_1000(examples),
        _interruptions(likely, course),
        _lost(likely, size),
        None if course.steady is None or size is None else _slower(likely, size) * course.steady.expected,
        None if size is None or not likely else max(crew.partition(size) for crew in likely),
        _flow(shares, size, crews, "read"),
        _flow(shares, size, crews, "written"),
        sum(share.node.count * share.replica.weights for share in shares),
        max(share.replica.copied for share in shares),
        (*notes(shares), *notes_on_size(size, held, cut, course.seconds is not None)),
    )


def _held(shares: Sequence[Share], cut: Partition | None) -> int:
    """Records that a partition's bytes are expected to hold."""
    longest = max((share.replica.read.expected for share in shares), default=0.0)
    return max(int(parse_bytes(cut.bytes) / longest), 1) if cut is not None and longest else sys.maxsize


class _Course(NamedTuple):
    """Seconds of the steady state, of the end and of all, and records a second; None where they are not
    known, or would hardly ever be done."""

    steady: Estimate | None = None
    end: Estimate | None = None
    seconds: Estimate | None = None
    records_per_second: Estimate | None = None


def _course(
    found: Sequence[Sequence[Crew]],
    at_work: Sequence[Sequence[Crew]],
    size: int | None,
    examples: int,
    start: Estimate,
) -> _Course:
    if size is None or not found:
        return _Course()
    walls = [wall_seconds(each, size, examples) for each in found]
    if not all(map(isfinite, walls)):
        return _Course()
    low, likely, high = (steady_rate(each, size) for each in at_work)
    steady = Estimate(examples / low, examples / likely, examples / high)
    ends = [max(wall - busy, 0.0) for wall, busy in zip(walls, steady, strict=True)]
    end = Estimate(min(ends), ends[LIKELY], max(ends))  # of shorter partitions more may be left to wait for
    return _Course(steady, end, start + steady + end, Estimate(high, likely, low))


def _carried(share: Share) -> tuple[Estimate, Estimate]:
    """Seconds in which a machine's network, and its disk, carries a record of each of its replicas."""
    node, replica = share.node, share.replica
    both = replica.streamed + replica.written
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
        needs(replica.streamed + replica.written),
        needs(replica.written),
        share.usd_per_hour,
        "" if node.price is not None or share.price is None else share.price.label,
        "" if node.price is not None or share.price is None else share.price.as_of,
        node.spot is not None,
        node.machine,
        node.labels,
    )


def _start(share: Share) -> Estimate:
    """Until a machine works, its models and inputs in a store fetched where its network is said."""
    given = share.node.start
    start = STARTING if given is None else Estimate(given, given, given)
    return start + (_fetch(share) or NO_TIME)


def _until_it_works(share: Share) -> Estimate:
    """Until the replicas of a machine that is asked for do their first record."""
    return _start(share) + share.replica.at_start


def _fetch(share: Share) -> Estimate | None:
    if share.node.network is None:
        return None
    weights, copied = share.replica.weights, share.replica.copied
    return Estimate(*((weights + size) / share.node.network for size in copied))


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


def _interruptions(crews: Sequence[Crew], course: _Course) -> float:
    """Machines that are lost while there is work: one that is not replaced yet is not lost again."""
    if course.steady is None or course.end is None:
        return 0.0
    whole = course.steady.expected + course.end.expected
    return sum(crew.machines * crew.rate * whole / (1 + crew.rate * crew.back) for crew in crews)


def _slower(crews: Sequence[Crew], size: int) -> float:
    """The share by which the steady state is longer where one of the fastest replicas has half its speed."""
    lacks = max(steady_rate([crew], size) / crew.replicas for crew in crews) / 2
    rate = steady_rate(crews, size)
    return lacks / (rate - lacks)


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
            size_of_one = (share.replica.streamed if what == "read" else share.replica.written)[end]
            flow += crew.replicas * size / crew.expected(size) * (1 + again) * size_of_one
        ends.append(flow)
    return Estimate(*ends)
