"""One claim of a document about what a workload takes, as a claim file has it."""

# Annotations are not postponed here: pydantic would compile every one of them at each start.

from typing import Annotated, Final

from pydantic import Field, StringConstraints

from ullage.spec.amount import Amount, parse_amount
from ullage.spec.value import Count, Switch, Tokens, Value

Word = Annotated[str, StringConstraints(min_length=1, max_length=400)]
Line = Annotated[int, Field(strict=True, ge=1, le=10**7)]
OF_ONE_MODEL: Final = ("precision", "prompt_tokens", "new_tokens", "batch")
"""What a claim about one model may say of it beside `set`."""


class Claim(Value):
    """What is claimed, about what, and where it stands.

    A claim is about one `model`, laid out as `ullage estimate` does, or about a `workload` that the file
    names; `set` changes either. With `compared_with` it is about the difference to what these settings make
    of it: bytes more, or the share that is saved.
    """

    claimed: str | Annotated[int, Field(strict=True)] | Annotated[float, Field(strict=True)]
    metric: Word = "device"
    lines: tuple[Line, ...] = ()
    section: str = ""
    says: str = ""
    model: Word | None = None
    workload: Word | None = None
    precision: Word | None = None
    prompt_tokens: Tokens | None = None
    new_tokens: Tokens | None = None
    batch: Count | None = None
    set: tuple[Word, ...] = ()
    compared_with: tuple[Word, ...] = ()
    gpus: Word | None = None
    on: str = Field(default="", pattern=r"^(gpu:\d+)?$")
    role: str = ""
    copies: Count = 1
    missing: str = ""
    unconfirmed: Switch = False

    def amount(self) -> Amount:
        """Raises InputError for what is no amount, or has no unit."""
        return parse_amount(str(self.claimed))

    @property
    def about(self) -> str:
        """What it is about, in few words."""
        settings = [self.precision or "", *(each.rpartition(".")[2] for each in self.set)]
        named = (self.model or self.workload or "").rpartition("/")[2]
        return " ".join(each for each in (named, *settings) if each)
