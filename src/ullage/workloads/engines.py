"""A role's engine, made ready to be asked."""

from __future__ import annotations

from ullage.engines.engine import Engine
from ullage.engines.openai import OpenAIEngine
from ullage.engines.scripted import ScriptedEngine
from ullage.engines.transformers import TransformersEngine
from ullage.errors import UnsupportedError
from ullage.runtime.session import Session


def open_engine(session: Session, name: str, decoding: str = "") -> Engine:
    """Role `name`'s engine; a local model is loaded where the plan puts it unless it is there already.

    `decoding` is the plan's phase of writing, which begins whenever a batch's prompts have been read.
    """
    role = session.workload.roles[name]
    if role.engine == "scripted":
        return ScriptedEngine(session.path(role.model))
    if role.engine == "openai":
        return OpenAIEngine(role.model, role.openai)
    if role.engine != "transformers":
        raise UnsupportedError(f"roles.{name}: engine {role.engine} cannot be run by this kind yet")
    loaded = session.loaded.get(name) or session.load(name, head=True, eager=False)
    return TransformersEngine(loaded, role.model, lambda: session.monitor.enter(decoding))
