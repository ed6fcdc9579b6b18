"""The `routing:` part of an assistant: how a request finds its specialist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Final, Literal

from pydantic import Field

from ullage.errors import nearest
from ullage.phases.blocks import Ability, wrong_engine
from ullage.spec.mistake import Mistake, Path
from ullage.spec.value import Value
from ullage.spec.workload import Workload

By = Literal["labels", "written", "examples", "rules"]
MOST_REPEATS: Final = 2
"""Repeats without an end in one pattern: with more, a request could be made that takes minutes to match."""
_NEEDS: Final[dict[By, Ability]] = {"labels": "weighs", "written": "writes", "examples": "states"}
_OWN: Final[dict[str, tuple[By, ...]]] = {
    "labels": ("labels", "written"),
    "instructions": ("labels", "written", "examples"),
    "examples": ("examples",),
    "rules": ("rules",),
    "least_confidence": ("labels", "examples"),
}
"""The ways to route that each option is for."""


class Rule(Value):
    """A request with one of `words` in it, or one that `pattern` is found in, goes `to` a specialist."""

    to: str
    words: tuple[str, ...] = Field(default=(), description="words or phrases, whatever their case")
    pattern: str | None = Field(default=None, description="a regular expression of Python")

    def mistakes(self, path: Path) -> Iterator[Mistake]:
        """Neither words nor a pattern, or one that cannot be matched in bounded time."""
        if not self.words and self.pattern is None:
            yield Mistake(path, "has neither words nor a pattern, so no request would meet it")
        for index, word in enumerate(self.words):
            if not word.strip():
                yield Mistake((*path, "words", index), "is empty")
        if self.pattern is not None:
            problem = _wrong_pattern(self.pattern)
            if problem:
                yield Mistake((*path, "pattern"), problem)


class Routing(Value):
    """How requests are routed: `by` the probabilities of `labels` in one pass of the router; by the label
    that it has `written`; by how like `examples` its states are; or by `rules`, in order and without it."""

    by: By = "labels"
    labels: dict[str, str | None] | None = Field(
        default=None, description="the router's words, each with its specialist or null; None: their names"
    )
    instructions: str | None = Field(default=None, description="to the router; {labels} are its words")
    examples: dict[str, tuple[str, ...]] = Field(default={}, description="requests by their specialist")
    rules: tuple[Rule, ...] = ()
    fallback: str | None = Field(default=None, description="a specialist; None: the first that reads text")
    least_confidence: Annotated[float, Field(strict=True, ge=0, le=1)] = Field(
        default=0.5, description="a less certain route goes to the fallback"
    )

    @property
    def asks(self) -> bool:
        """Whether the router's model is asked."""
        return self.by != "rules"

    def words(self, readers: tuple[str, ...]) -> dict[str, str | None]:
        """The router's words, each with the specialist it stands for; None: nobody serves it. `readers` are
        the specialists that read text."""
        return {name: name for name in readers} if self.labels is None else dict(self.labels)

    def mistakes(self, workload: Workload, router: str, specialists: tuple[str, ...]) -> Iterator[Mistake]:
        """Names that no specialist has, options of another way to route, and what a way lacks."""
        path = ("assistant", "routing")
        usual = Routing()
        for option, ways in _OWN.items():
            # A plan that was written down has every option, most of them as they are anyway.
            if self.by not in ways and getattr(self, option) != getattr(usual, option):
                problem = f"has no effect with by: {self.by}; it is for by: {' or '.join(ways)}"
                yield Mistake((*path, option), problem, at_key=True)
        for place, name in self._named():
            if name not in specialists:
                close = nearest(name, specialists)
                hint = f"nearest: {', '.join(close)}" if close else f"valid: {', '.join(specialists)}"
                yield Mistake((*path, *place), f"no specialist is called {name!r}; {hint}")
        if self.by == "examples":
            for name in readers_of(workload, specialists):
                if not self.examples.get(name):
                    yield Mistake((*path, "examples"), f"has no request for {name}, so none would go there")
        if self.by == "rules" and not self.rules:
            yield Mistake((*path, "rules"), "is missing; by: rules needs at least one")
        if self.labels is not None and len(self.labels) < 2:
            yield Mistake((*path, "labels"), "names fewer than two words, so there is nothing to choose")
        for index, rule in enumerate(self.rules):
            yield from rule.mistakes((*path, "rules", index))
        if self.asks:
            yield from wrong_engine(router, workload, _NEEDS[self.by])

    def _named(self) -> Iterator[tuple[Path, str]]:
        """Every specialist named here, and where."""
        for word, name in (self.labels or {}).items():
            if name is not None:
                yield ("labels", word), name
        for name in self.examples:
            yield ("examples", name), name
        for index, rule in enumerate(self.rules):
            yield ("rules", index, "to"), rule.to
        if self.fallback is not None:
            yield ("fallback",), self.fallback


def readers_of(workload: Workload, specialists: tuple[str, ...]) -> tuple[str, ...]:
    """The specialists that a request of text alone may go to: those that need no picture."""
    return tuple(name for name in specialists if name in workload.roles and not workload.roles[name].images)


def viewers_of(workload: Workload, specialists: tuple[str, ...]) -> tuple[str, ...]:
    """The specialists that look at pictures."""
    return tuple(name for name in specialists if name in workload.roles and workload.roles[name].images)


def _wrong_pattern(pattern: str) -> str:
    """What is wrong with a pattern; "" where nothing is."""
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        return f"is no regular expression: {error}"
    # Escaped characters and sets stand for one character, whatever is in them.
    plain = re.sub(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", "x", pattern)
    if re.search(r"\)[*+{]", plain):
        return "repeats a group, which can take for ever to match; list words, or give several rules"
    if len(re.findall(r"[*+]|\{", plain)) > MOST_REPEATS:
        return f"has more than {MOST_REPEATS} repeats, which can take for ever to match; give several rules"
    return ""
