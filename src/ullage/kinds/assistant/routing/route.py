"""A route: who is asked, who was chosen, how surely, and what was wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

How = Literal["labels", "written", "examples", "rules", "picture", "development"]
"""`development` is chance, where no model is asked."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a user says, and whether a picture comes with it."""

    text: str
    picture: bool = False


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a router made of a request. `label` is its word, None where it gave none.

    `probabilities` are by word and add up to one, `confidence` is the chosen word's; None where the way to
    route has none. `weight` is the share of all that the model might have written that the words take
    together. `problem` says why there is no label.
    """

    label: str | None
    confidence: float | None = None
    probabilities: Mapping[str, float] = field(default_factory=dict)
    weight: float | None = None
    written: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Route:
    """Who is asked: specialist `to`, found `how`. Where that is the fallback, `problem` says why; what was
    chosen is kept as it was."""

    to: str
    how: How
    chosen: Chosen
    problem: str = ""

    @property
    def fell_back(self) -> bool:
        """Whether it is the fallback that is asked, because something was wrong."""
        return bool(self.problem)


class Router(Protocol):
    """`choose` takes one batch, and gives one result for each request's text, in order."""

    def choose(self, texts: Sequence[str]) -> list[Chosen]:
        """The word chosen for each text."""


@dataclass(frozen=True, slots=True)
class Served:
    """Who serves which word, who is asked where that is nobody, and from what confidence on a choice counts.

    `viewers` look at pictures. Invariant: whatever is chosen, a route names a specialist that is there.
    """

    by: How
    words: Mapping[str, str | None]
    fallback: str
    least_confidence: float
    viewers: tuple[str, ...] = ()

    def routes(self, router: Router, requests: Sequence[Request]) -> list[Route]:
        """A route for each request, in order. One that brings a picture goes to who looks at pictures, and
        the router is not asked."""
        asked = [each.text for each in requests if not (each.picture and self.viewers)]
        chosen = iter(router.choose(asked) if asked else ())
        found = []
        for request in requests:
            if request.picture and self.viewers:
                found.append(Route(self.viewers[0], "picture", Chosen(self.viewers[0])))
            else:
                problem = "nobody here looks at the picture that came with it" if request.picture else ""
                found.append(self.route(next(chosen), problem))
        return found

    def route(self, chosen: Chosen, problem: str = "") -> Route:
        """Whom a choice leads to; `problem` is one that is known already."""
        to = None if chosen.label is None else self.words.get(chosen.label)
        if problem:
            pass
        elif chosen.label is None:
            problem = chosen.problem
        elif to is None:
            problem = f"no specialist serves {chosen.label!r}"
        elif chosen.confidence is not None and chosen.confidence < self.least_confidence:
            problem = f"{chosen.label!r} has {chosen.confidence:.3f}, less than {self.least_confidence:g}"
        if problem or to is None:
            return Route(self.fallback, self.by, chosen, problem)
        return Route(to, self.by, chosen)
