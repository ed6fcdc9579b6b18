"""A direction that is read from a role while it speaks."""

# Annotations are not postponed here: pydantic and NamedTuple would compile every one of them at each start.

from typing import Annotated

from pydantic import Field, model_validator

from ullage.spec.value import Count, Value


class Probe(Value):
    """A fitted probe's folder, as `ullage probe fit` and `import` leave it; a bare text is its `path`.

    What the probe reads stands on its card, and is taken from there when a plan is made.
    """

    path: str = Field(description="the folder of a fitted probe")
    role: str | None = Field(default=None, description="whom it reads; the only role when there is one")
    sites: tuple[str, ...] = Field(default=(), description="what it reads; taken from its card")
    hidden: Annotated[int, Field(strict=True, ge=0)] = Field(
        default=0, description="width of each; taken from its card"
    )
    columns: Count = Field(default=1, description="values it makes of a token there; taken from its card")

    @model_validator(mode="before")
    @classmethod
    def _of_text(cls, given: object) -> object:
        return {"path": given} if isinstance(given, str) else given
