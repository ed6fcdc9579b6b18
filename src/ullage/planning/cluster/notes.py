"""What a plan of a cluster stands on, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ullage.planning.cluster.replica import HANDLING, OPENING
from ullage.planning.cluster.share import STARTING, Share
from ullage.planning.cluster.sharing import AT_WORK
from ullage.spec.partition import Partition
from ullage.units import Estimate, gib


def notes(shares: Sequence[Share]) -> Iterator[str]:
    """What was assumed, and what is not known."""
    yield (
        f"assumed: {_said(HANDLING)} a partition for handing it out and writing it down; {_said(OPENING)} "
        "until a replica's process can load; 5 bytes (2-12) a token of text, 250 (100-1000) of results a "
        "record beside"
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
    copied = max(share.replica.copied for share in shares)
    if copied.high:
        counted = all(share.node.network is not None for share in shares)
        how = "its time is in the start" if counted else "its time is counted where a node's network is said"
        size = f"{gib(copied.expected)} ({gib(copied.low)} to {gib(copied.high)})"
        yield f"every node copies the whole input from its store, {size}: {how}"
    if any(share.node.spot is None for share in shares):
        yield "nodes that nobody takes away fail as 16,384 H100 did: 419 times in 54 days (arXiv 2407.21783)"
    if any(share.replica.sharing > 1 for share in shares):
        low, likely, high = (100 * share for share in AT_WORK)
        yield (
            f"replicas share cards that compute {likely:g} % ({low:g}-{high:g}) of the time in which a phase "
            "waits for the processor: assumed"
        )
    yield "a node that is lost is replaced as fast as one starts; both are paid"
    names = ", ".join(str(share.node) for share in shares if not share.replica.known)
    if names:
        yield f"how long a record takes is not known on {names}: no time, no cost, no partition"


def notes_on_size(size: int | None, held: int, cut: Partition | None, ends: bool) -> Iterator[str]:
    """How a run comes to have partitions of so many records; `held` are in its bytes. Whether it `ends`."""
    if size is not None and not ends:
        yield f"nodes are lost before a partition of {size:,} is whole, at worst always: no time, no cost"
    if size is None or cut is None:
        return
    if size == held:
        yield f"partition.bytes: {cut.bytes} of the input hold about {held:,} records, and no more"
    elif size != cut.records:
        yield f"a run has these partitions with --set partition.records={size}"


def _said(seconds: Estimate) -> str:
    return f"{seconds.expected:g} s ({seconds.low:g}-{seconds.high:g})"
