"""Machines of one type in a cluster, with what is on each."""

from __future__ import annotations

from typing import Final, NamedTuple

from ullage.facts.node import NodeType
from ullage.facts.price import SetPrice
from ullage.planning.cluster.replica import Replica
from ullage.units import Estimate

STARTING: Final = Estimate(60.0, 180.0, 600.0)
"""Seconds from asking for a machine until it works, image included; assumed where it is not said."""


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
