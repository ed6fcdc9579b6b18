"""Engine diffusers: a pipeline that makes pictures. It can be planned, not run yet."""

from __future__ import annotations

from typing import Final

from ullage.spec.engine import EngineDescription, Settings

ENGINE: Final = EngineDescription(
    name="diffusers",
    memory="pipeline",
    settings=Settings,
    needs=("torch", "diffusers"),
    install="ullage[image]",
    opener="",
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
