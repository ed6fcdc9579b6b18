"""The engines that are installed: Ullage's own, and those of other packages by their entry points."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Final

from ullage.errors import InputError, MissingPackageError, UnknownNameError
from ullage.spec.engine import EngineDescription, Settings
from ullage.text import either

GROUP: Final = "ullage.engines"
OWN: Final = ("transformers", "vllm", "openai", "diffusers", "scripted")
"""Known without looking at installed packages' metadata, which costs a tenth of a cold start."""


@cache
def engine_names() -> tuple[str, ...]:
    """Names of all installed engines, Ullage's own first."""
    from importlib.metadata import entry_points

    return (*OWN, *sorted({point.name for point in entry_points(group=GROUP)} - set(OWN)))


def is_engine(name: object) -> bool:
    """Whether an installed engine is called `name`."""
    return isinstance(name, str) and (name in OWN or name in engine_names())


@cache
def find_engine(name: str) -> EngineDescription:
    """The engine called `name`; imports only that engine's file.

    Raises UnknownNameError, and InputError for another package's engine that cannot be loaded.
    """
    if name in OWN:
        own: EngineDescription = import_module(f"ullage.engines.{name}").ENGINE
        return own
    from ullage.spec.entry_point import find_brought

    brought = find_brought(GROUP, name, "engine", EngineDescription)
    if brought is not None:
        return brought
    raise UnknownNameError("engine", name, engine_names())


@cache
def usual_settings(name: str) -> Settings:
    """The settings of engine `name` where a file says nothing."""
    return find_engine(name).settings()


def all_engines() -> Iterator[EngineDescription]:
    """Every installed engine but those of other packages that cannot be loaded."""
    for name in engine_names():
        with suppress(InputError):
            yield find_engine(name)


def engines_that(can: Callable[[EngineDescription], bool]) -> str:
    """Names of the installed engines that can do something, for a message: `a, b or c`."""
    names = [engine.name for engine in all_engines() if can(engine)]
    return either(names) if names else "one that can (none is installed)"


def check_installed(name: str, where: str) -> None:
    """Raises MissingPackageError where a module that engine `name` needs is not installed."""
    engine = find_engine(name)
    for module in engine.needs:
        if find_spec(module) is None:
            raise MissingPackageError(module, engine.install, f"{where}: engine: {name}")
