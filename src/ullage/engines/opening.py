"""A role's engine, made ready to be asked."""

from __future__ import annotations

from importlib import import_module

from ullage.engines.engine import Engine
from ullage.errors import UnsupportedError
from ullage.runtime.session import Session


def open_engine(session: Session, name: str) -> Engine:
    """Role `name`'s engine; a local model is loaded where the plan puts it unless it is there already."""
    engine = session.workload.roles[name].runs_with
    if not engine.opener:
        raise UnsupportedError(f"roles.{name}: engine {engine.name} can be planned, but not run yet")
    opened: Engine = import_module(engine.opener).open_engine(session, name)
    return opened
