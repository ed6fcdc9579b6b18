"""What may be spent."""

# Annotations are not postponed here: pydantic and NamedTuple would compile every one of them at each start.

from pydantic import Field

from ullage.spec.value import Value


class Budget(Value):
    """GPUs as `2xA100-80GB`; `reserve` stays free on each: a size (`2GiB`) or a share (`5%`)."""

    gpus: str | None = Field(default=None, description="as 2xA100-80GB")
    reserve: str = Field(default="5%", description="a size as 2GiB or a share as 5%")
    host_memory: str | None = Field(
        default=None, description="RAM that offload and captures may take, as 64GiB"
    )
    disk: str | None = Field(default=None, description="a size as 500GB")
