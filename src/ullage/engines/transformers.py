"""Engine transformers: a model in this process, planned layer by layer."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Final

from ullage.phases.blocks import PREFIX
from ullage.spec.engine import EngineDescription, Settings

if TYPE_CHECKING:
    from ullage.engines.engine import Engine
    from ullage.runtime.loader import Loaded
    from ullage.runtime.session import Session

LAYER_SECONDS: Final = 0.88e-3
"""Host time per layer and decode step: 0.84-0.92 ms for the six smaller Qwen2.5 models on one A100, whatever
their width (Qwen2.5 speed benchmark)."""

ENGINE: Final = EngineDescription(
    name="transformers",
    memory="process",
    settings=Settings,
    needs=("torch", "transformers", "accelerate", "safetensors"),
    install="ullage[run]",
    opener="ullage.engines.transformers",
    writes=True,
    weighs=True,
    states=True,
    captures=True,
    trains=True,
    quantizes=lambda scheme: scheme.config is not None,
    splits_layers=True,
    tensor_parallel=False,
    finds_prefixes=False,
    compiles=False,
    phases=("prefill", "decode"),
    layer_seconds=LAYER_SECONDS,
)


def open_engine(session: Session, name: str) -> Engine:
    """Role `name`'s engine; its model is loaded where the plan puts it unless it is there already."""
    return engine_of(session, name, session.load(name))


def engine_of(session: Session, name: str, loaded: Loaded) -> Engine:
    """The engine of a role whose model is loaded."""
    from ullage.engines.encoders import PairEncoder, TextEncoder
    from ullage.engines.transformers_engine import TransformersEngine
    from ullage.runtime.loader import is_encoder
    from ullage.runtime.pooling import pooling_of
    from ullage.runtime.source import source_of

    role = session.workload.roles[name]
    if role.labels:
        return PairEncoder(loaded, role.model)
    if is_encoder(loaded):
        folder = source_of(role.model, session.plan.base, session.download)
        return TextEncoder(loaded, role.model, pooling_of(folder, role.model))
    prefix = session.planned(name, PREFIX)
    return TransformersEngine(
        loaded,
        role.model,
        session.workload.memory.streaming_chunk_size,
        session.reading_done,
        nullcontext if prefix is None else partial(session.monitor.inside, prefix),
    )
