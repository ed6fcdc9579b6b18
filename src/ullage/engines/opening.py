"""A role's engine, made ready to be asked."""

from __future__ import annotations

from importlib import import_module

from ullage.engines.engine import Engine
from ullage.engines.painter import Painter
from ullage.errors import UnsupportedError
from ullage.runtime.session import Session


def open_engine(session: Session, name: str) -> Engine:
    """Role `name`'s engine; a local model is loaded where the plan puts it unless it is there already."""
    engine = session.workload.roles[name].runs_with
    if engine.memory == "pipeline":
        raise UnsupportedError(f"roles.{name}: engine {engine.name} paints, and writes nothing")
    opened: Engine = import_module(_opener(session, name)).open_engine(session, name)
    return opened


def open_painter(session: Session, name: str) -> Painter:
    """Role `name`'s engine, of those that make pictures. Raises UnsupportedError for another."""
    engine = session.workload.roles[name].runs_with
    if engine.memory != "pipeline":
        raise UnsupportedError(f"roles.{name}: engine {engine.name} paints no pictures")
    opened: Painter = import_module(_opener(session, name)).open_painter(session, name)
    return opened


def _opener(session: Session, name: str) -> str:
    engine = session.workload.roles[name].runs_with
    if not engine.opener:
        raise UnsupportedError(f"roles.{name}: engine {engine.name} can be planned, but not run yet")
    return engine.opener
