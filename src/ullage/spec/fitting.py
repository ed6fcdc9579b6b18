"""How a probe is fitted to labelled dialogues."""

# Annotations are not postponed here: pydantic and NamedTuple would compile every one of them at each start.

from collections.abc import Iterator
from typing import Annotated, Final, Literal, get_args

from pydantic import Field

from ullage.spec.value import Count, Switch, Tokens, Value

Method = Literal["logistic", "difference", "adjusted", "lat", "mlp", "attention"]
METHODS: Final[tuple[str, ...]] = get_args(Method)
STRENGTHENED: Final = ("logistic", "mlp", "attention")
"""Methods with a lambda."""
RESIDUAL: Final = ("blocks.*.hook_resid_post",)
STRENGTHS: Final = (10.0,)
"""Lambdas: as published for deception probes (Goldowsky-Dill et al. 2025, arXiv:2502.03407)."""
SHARES: Final = (0.5, 0.2, 0.3)
"""Of the groups: what is fitted to, what the site and lambda are chosen on, what is never looked at
before."""


class Fitting(Value):
    """Labelled dialogues and what is made of them, under the names that `ullage probe fit` has; `--lambda` is
    `strengths`. Groups are parted whole: to fit, to choose a site, to test."""

    labels: str = Field(description="labelled dialogues, JSON lines as `ullage probe fit` reads them")
    sites: tuple[str, ...] = Field(default=RESIDUAL, description="swept, or read side by side when joined")
    layers: tuple[Annotated[int, Field(strict=True)], ...] | Literal["all"] = Field(
        default="all", description="of blocks.{l}, negative ones from the end"
    )
    joined: Switch = False
    method: Method = "logistic"
    rows: Literal["tokens", "mean", "last"] = Field(default="tokens", description="what is fitted to")
    aggregation: Literal["mean", "max", "last", "rolling"] = Field(
        default="mean", description="tokens' scores as one; rolling: the largest of rolling means"
    )
    window: Count = Field(default=5, description="tokens of a rolling mean")
    skip_first: Tokens = Field(default=0, description="counted tokens that are left out")
    strengths: tuple[float, ...] = Field(default=STRENGTHS, description="lambdas, all of which are tried")
    intercept: Switch = Field(default=True, description="of logistic regression")
    control: str | None = Field(
        default=None, description="ordinary dialogues that set the threshold; without them those of label 0"
    )
    rate: float = Field(default=0.01, description="share of those that may be flagged")
    shuffles: Count = Field(default=10, description="controls with labels that say nothing")
    seed: Annotated[int, Field(strict=True, ge=0, le=2**31)] = Field(
        default=0, description="of the parting, and of what chance decides"
    )
    epochs: Count = Field(default=40, description="of mlp and attention")
    skip_too_long: Switch = Field(default=False, description="leave out dialogues beyond prompt_tokens")
    without_roles: Switch = Field(
        default=False, description="test a second time with system messages taken out"
    )
    batch: Count | None = Field(default=None, description="dialogues a pass; those of the role by default")
    prompt_tokens: Count | None = Field(
        default=None, description="of the longest dialogue; the role's by default"
    )
    span_tokens: Count | None = Field(
        default=None, description="most that count in one, with what lies between; prompt_tokens by default"
    )
    texts: Tokens = Field(default=0, description="how many are read; counted when a plan is made")

    @property
    def files(self) -> tuple[str, ...]:
        """What is read, as the workload file names it."""
        return (self.labels,) if self.control is None else (self.labels, self.control)

    def renamed(self, names: dict[str, str]) -> "Fitting":
        """The same, with these paths called otherwise."""
        control = None if self.control is None else names.get(self.control, self.control)
        return self.model_copy(update={"labels": names.get(self.labels, self.labels), "control": control})

    def mistakes(self, mark: str = "") -> Iterator[tuple[str, str]]:
        """Fields that cannot be, and why; `mark` stands before the name of what is to be given otherwise."""
        method, lambdas = self.method, "lambda" if mark else "strengths"
        if method not in METHODS:
            yield "method", f"{method!r} is none of {', '.join(METHODS)}"
        if method == "lat" and self.rows == "tokens":
            yield "method", f"lat compares one row of each dialogue; give {mark}rows mean or last"
        if method == "attention" and self.rows != "tokens":
            yield "method", f"attention weighs tokens; leave out {mark}rows"
        if method == "attention" and self.aggregation != "mean":
            yield "method", f"attention weighs tokens itself; leave out {mark}aggregation"
        if method not in STRENGTHENED and self.strengths != STRENGTHS:
            yield "method", f"{method} has no lambda; leave out {mark}{lambdas}"
        if method != "logistic" and not self.intercept:
            yield "method", f"{method}: {mark}{'no-' * bool(mark)}intercept is of logistic"
        for each in self.strengths:
            if not each > 0:
                yield lambdas, f"{each} is not above 0"
        if not self.strengths:
            yield lambdas, "is empty; give one, or leave it out for 10"
        if not self.sites:
            yield "sites", "names none; give one, or leave it out for the residual stream of every layer"
        if not 0 <= self.rate <= 1:
            yield "rate", f"{self.rate} is no share between 0 and 1"
        for name, least in (("window", 1), ("skip_first", 0), ("shuffles", 1), ("epochs", 1)):
            value = getattr(self, name)
            if value < least:
                yield name, f"{value} is not {least} or more"
