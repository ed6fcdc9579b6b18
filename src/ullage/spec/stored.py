"""What a workload needs of a disk beside what its run writes."""

from __future__ import annotations

from typing import Literal, NamedTuple

from ullage.units import Interval


class Stored(NamedTuple):
    """Bytes that lie on disk whatever phase it is: `what` they are, and how their number is known. `each`
    says of what there may be several ("user"), each with as many; "" where there is one. `fetched` is what a
    hub sends first where its cache here lacks it."""

    what: str
    bytes: Interval
    basis: Literal["exact", "derived", "measured"]
    note: str = ""
    each: str = ""
    fetched: bool = False
