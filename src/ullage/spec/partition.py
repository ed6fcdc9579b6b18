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


class Partition(Value):
    """A partition ends before the record with which it would exceed `records` or `bytes`. The rest is of
    those that do partitions: how many threads each has, and how long all of them may stand still, and
    where what they did is left."""

    records: Count = Field(default=1000, description="records of a partition, at most")
    bytes: str = Field(default="16MiB", description="bytes of a partition's records in the input, at most")
    threads: Annotated[int, Field(strict=True, ge=1, le=1024)] = Field(
        default=1, description="threads that do one partition, here and on a cluster"
    )
    patience: Count = Field(
        default=600, description="seconds without any progress after which a run on a cluster ends"
    )
    store: str | None = Field(
        default=None, description="URL in a store under which partitions lie until they are put together"
    )


def mistakes_in_partition(partition: Partition) -> Iterator[Mistake]:
    """What its fields' types cannot say."""
    try:
        if not 1 <= parse_bytes(partition.bytes) <= LARGEST:
            yield Mistake(("partition", "bytes"), "is not between 1 byte and 1TiB")
    except InputError:
        shown = shorten(repr(partition.bytes), 60)
        yield Mistake(("partition", "bytes"), f"{shown} is no size; write for example 16MiB")
