"""What may be spent."""

from __future__ import annotations

from pydantic import Field

from ullage.spec.value import Value


class Budget(Value):
    """GPUs as `2xA100-80GB`; `reserve` stays free on each: a size (`2GiB`) or a share (`5%`)."""

    gpus: str | None = None
    reserve: str = "5%"
    host_memory: str | None = Field(None, description="RAM that offload and captures may take")
    disk: str | None = None
