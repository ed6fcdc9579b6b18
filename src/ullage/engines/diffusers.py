"""Engine diffusers: a pipeline in this process that makes pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ullage.spec.engine import EngineDescription, Settings

if TYPE_CHECKING:
    from ullage.engines.painter import Painter
    from ullage.runtime.loader import Loaded
    from ullage.runtime.session import Session

ENGINE: Final = EngineDescription(
    name="diffusers",
    memory="pipeline",
    settings=Settings,
    needs=("torch", "diffusers"),
    install="ullage[image]",
    opener="ullage.engines.diffusers",
    writes=False,
    weighs=False,
    states=False,
    captures=False,
    trains=False,
    quantizes=lambda scheme: False,
    splits_layers=False,
    tensor_parallel=False,
    finds_prefixes=False,
    compiles=False,
    phases=("denoise",),
    layer_seconds=0.0,
)


def open_painter(session: Session, name: str) -> Painter:
    """Role `name`'s engine; its pipeline is loaded where the plan puts it unless it is there already."""
    return painter_of(session, name, session.load(name))


def painter_of(session: Session, name: str, loaded: Loaded) -> Painter:
    """The engine of a role whose pipeline is loaded."""
    from ullage.engines.diffusers_engine import DiffusersEngine

    return DiffusersEngine(loaded, session.workload.roles[name].model)
