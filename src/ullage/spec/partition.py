"""How the input of a run is cut into partitions, each of which is done as a whole."""

# Annotations are not postponed here: pydantic and NamedTuple would compile every one of them at each start.

from collections.abc import Iterator
from typing import Annotated, Final

from pydantic import Field

from ullage.errors import InputError
from ullage.spec.mistake import Mistake, shorten
from ullage.spec.value import Count, Value
from ullage.units import parse_bytes

LARGEST: Final = 2**40
RECORDS: Final = 1000
SWAPPED: Final = 10_000
"""Records of a partition that models are loaded for: ten times as many share out what loading them takes."""


class Partition(Value):
    """A partition ends before the record with which it would exceed `records` or `bytes`. The rest is of
    those that do partitions: how many threads each has, how many share a card, and how long all of them
    may stand still."""

    records: Count | None = Field(
        default=None,
        description="records of a partition, at most; None: 1,000, or 10,000 where each loads models",
    )
    bytes: str = Field(default="16MiB", description="bytes of a partition's records in the input, at most")
    threads: Annotated[int, Field(strict=True, ge=1, le=1024)] = Field(
        default=1, description="threads that do one partition, here and on a cluster"
    )
    per_card: Annotated[int, Field(strict=True, ge=1, le=64)] | None = Field(
        default=None, description="replicas that share one card on a cluster; as many as pay where not said"
    )
    patience: Count = Field(
        default=600, description="seconds without any progress after which a run on a cluster ends"
    )

    @property
    def most(self) -> int:
        """Records of a partition, at most, where the file does not say so and models stay."""
        return RECORDS if self.records is None else self.records

    def settled(self, stay: bool) -> "Partition":
        """Records said, whether models `stay` from one partition to the next or are loaded in each."""
        records = self.records or (RECORDS if stay else SWAPPED)
        return self.model_copy(update={"records": records})


def mistakes_in_partition(partition: Partition) -> Iterator[Mistake]:
    """What its fields' types cannot say."""
    try:
        if not 1 <= parse_bytes(partition.bytes) <= LARGEST:
            yield Mistake(("partition", "bytes"), "is not between 1 byte and 1TiB")
    except InputError:
        shown = shorten(repr(partition.bytes), 60)
        yield Mistake(("partition", "bytes"), f"{shown} is no size; write for example 16MiB")
