"""What can be changed of a role's cache, and of what an engine with one of its own takes beside it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ullage.planning.advice.step import VLLM, Axis, Changes, Family, Step
from ullage.spec.role import Role

OTHER_ENGINE: Final = {"transformers": "vllm", "vllm": "transformers"}
CACHE_LOSS: Final = {"int8": 0.005, "int4": 0.02}
"""Assumed of transformers' quantized cache (KIVI, arXiv 2402.02750: 2 bits lose little on most tasks)."""
CACHE_LOSS_FP8: Final = 0.005
"""Assumed of vLLM's cache in fp8."""


def cache_axes(name: str, role: Role, alone: bool) -> Iterator[Axis]:
    """A cache in fewer bits: vLLM's, and of a model `alone` transformers' too, or one of one size from the
    start, which is copied for no token."""
    path, axis = f"roles.{name}.cache", f"{name} cache"
    own = alone and role.runs_with.memory == "process" and role.cache.kind == "dynamic"
    if own:
        static = Step(axis, "static", ((f"{path}.kind", "static"),), 0.0, "a static cache")
        yield of_engine(role.engine, Axis(axis, "same", (static,)), role.engine)
    axis, steps = f"{name} cache bits", []
    if role.engine in OTHER_ENGINE and role.cache.precision == "auto":
        changes: Changes = ((f"{path}.precision", "fp8"),)
        note = f"{name}'s cache in fp8"
        steps.append(Step(axis, "fp8", changes, CACHE_LOSS_FP8, note, only=VLLM, now=role.engine))
    for bits, loss in CACHE_LOSS.items() if own else ():
        changes, note = (
            ((f"{path}.kind", "quantized"), (f"{path}.precision", bits)),
            f"{name}'s cache in {bits}",
        )
        step = Step(axis, bits, changes, loss, note, slower=True, only=role.engine, now=role.engine)
        steps.append(step._replace(instead=steps[0]) if steps else step)
    if steps:
        yield Axis(axis, "lower", tuple(steps), len(steps) - 1)


def own_cache_axes(name: str, role: Role) -> Iterator[Axis]:
    """What vLLM takes at its start beside weights and cache, where the role is run by it or may be."""
    if role.engine not in OTHER_ENGINE:
        return
    own, path = role.settings.own_cache(), f"roles.{name}.vllm"
    if not own.enforce_eager:
        note = f"{name} without CUDA graphs: slower"
        graphs = only(f"{name} graphs", "same", f"{path}.enforce_eager", "true", note)
        yield of_engine(VLLM, graphs, role.engine)
    if own.max_num_batched_tokens is None:
        note = f"{name} reads 2,048 tokens a step at most"
        step = only(f"{name} step", "same", f"{path}.max_num_batched_tokens", "2048", note)
        yield of_engine(VLLM, step, role.engine)


def paged(path: str, role: Role) -> Changes:
    """What makes room for vLLM's own cache, in pages."""
    if role.engine == VLLM:
        return ()
    usual = {"kind": "dynamic", "precision": "auto"}
    return tuple(
        (f"{path}.cache.{key}", value) for key, value in usual.items() if getattr(role.cache, key) != value
    )


def of_engine(engine: str, axis: Axis, now: str) -> Axis:
    """Of that engine alone, where the role is run by another now, or by it."""
    return axis._replace(steps=tuple(step._replace(only=engine, now=now) for step in axis.steps))


def only(axis: str, family: Family, path: str, value: str, note: str, slower: bool = True) -> Axis:
    """One step, which takes less memory and loses nothing."""
    return Axis(axis, family, (Step(axis, value, ((path, value),), 0.0, note, slower=slower),), 0)
