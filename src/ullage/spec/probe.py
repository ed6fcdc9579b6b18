"""A direction that is read from a role while it speaks."""

# Annotations are not postponed here: pydantic and NamedTuple would compile every one of them at each start.

from collections.abc import Iterator
from typing import Annotated, Final

from pydantic import Field, model_validator

from ullage.spec.fitting import Fitting
from ullage.spec.value import Count, Value

OF_A_FIT: Final = "probes"
"""The folder in a run's where the probes lie that it has fitted, each by its name."""


class Probe(Value):
    """A fitted probe's folder, as `ullage probe fit` and `import` leave it, or how a run fits one for itself;
    a bare text is its `path`.

    What the probe reads stands on its card, and is taken from there when a plan is made; what one may read
    that is still to be fitted is what its states are taken of.
    """

    path: str = Field(default="", description="the folder of a fitted probe")
    fit: Fitting | None = Field(default=None, description="instead: how it is fitted, before all else")
    role: str | None = Field(default=None, description="whom it reads; the only role when there is one")
    sites: tuple[str, ...] = Field(default=(), description="what it reads; taken from its card")
    hidden: Annotated[int, Field(strict=True, ge=0)] = Field(
        default=0, description="width of each; taken from its card"
    )
    columns: Count = Field(default=1, description="values it makes of a token there; taken from its card")

    @property
    def files(self) -> tuple[str, ...]:
        """What a run reads of it, as the workload file names it."""
        return (self.path,) if self.fit is None else self.fit.files

    def renamed(self, names: dict[str, str]) -> "Probe":
        """The same, with these paths called otherwise."""
        fit = None if self.fit is None else self.fit.renamed(names)
        return self.model_copy(update={"path": names.get(self.path, self.path), "fit": fit})

    def mistakes(self) -> Iterator[tuple[str, str]]:
        """Fields that cannot be, and why."""
        if self.fit is not None and self.path:
            yield "path", "is of a probe that is fitted already; give that, or fit"
        elif self.fit is not None:
            yield from ((f"fit.{name}", problem) for name, problem in self.fit.mistakes())
        elif not self.path.strip():
            yield "path", "names no folder; give one, or fit with the labels of a fit"

    @model_validator(mode="before")
    @classmethod
    def _of_text(cls, given: object) -> object:
        return {"path": given} if isinstance(given, str) else given
