"""The router that a workload asks for."""

from __future__ import annotations

from ullage.engines.engine import Embedding, Engine
from ullage.errors import UnsupportedError
from ullage.kinds.assistant.routing.chance import ChanceRouter
from ullage.kinds.assistant.routing.examples import ExampleRouter
from ullage.kinds.assistant.routing.labels import INSTRUCTIONS, Asking, LabelRouter, WrittenRouter
from ullage.kinds.assistant.routing.route import Router, Served
from ullage.kinds.assistant.routing.rules import RuleRouter
from ullage.kinds.assistant.routing_section import readers_of, viewers_of
from ullage.kinds.assistant.section import Section
from ullage.phases.blocks import base_work
from ullage.spec.workload import Workload


def served(section: Section, workload: Workload) -> Served:
    """Who serves what, as the file says."""
    routing, specialists = section.routing, section.chosen(workload)
    readers = readers_of(workload, specialists)
    words: dict[str, str | None] = {name: name for name in specialists}
    if routing.by in ("labels", "written"):
        words = routing.words(readers)
    fallback = routing.fallback or (readers or specialists)[0]
    least = routing.least_confidence
    by = "development" if section.development_mode and routing.asks else routing.by
    return Served(by, words, fallback, least, viewers_of(workload, specialists))


def open_router(section: Section, workload: Workload, engine: Engine | None) -> Router:
    """The router; `engine` is the router role's, None where none is asked.

    Raises UnsupportedError for an engine that cannot do what the way to route asks of it.
    """
    routing = section.routing
    if routing.by == "rules":
        return RuleRouter(routing.rules)
    readers = readers_of(workload, section.chosen(workload))
    if not section.asks_router:
        return ChanceRouter(readers, section.seed)
    assert engine is not None
    work = base_work(section.router, workload)
    asking = Asking(tuple(routing.words(readers)), routing.instructions or INSTRUCTIONS)
    if routing.by == "examples":
        if not isinstance(engine, Embedding):
            raise UnsupportedError(f"roles.{section.router}: its engine gives no states to compare by")
        return ExampleRouter(engine, asking, routing.examples, work.batch)
    if routing.by == "written":
        return WrittenRouter(engine, asking, max(work.new_tokens, 1))
    return LabelRouter(engine, asking)
