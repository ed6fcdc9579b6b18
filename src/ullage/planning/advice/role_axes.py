"""What can be changed of one role: its engine, its batches, its kernel, its bits, and where it waits."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final, NamedTuple

from ullage.facts.dtypes import DTYPES
from ullage.facts.gpu import GpuSet
from ullage.facts.quantization.known import on_the_fly
from ullage.planning.advice.cache_axes import OTHER_ENGINE, cache_axes, of_engine, only, own_cache_axes, paged
from ullage.planning.advice.measured import Losses
from ullage.planning.advice.step import (
    VLLM,
    VLLM_ON_ALL,
    VLLM_ON_FEWER,
    VLLM_ON_ONE,
    Axis,
    Changes,
    Step,
)
from ullage.spec.installed import find_engine, usual_settings
from ullage.spec.role import Role
from ullage.spec.section import Section
from ullage.spec.workload import ONE_MODEL, Workload
from ullage.units import GIB

LARGEST_BATCH: Final = 256
"""Sequences at once that vLLM takes on any card by default (vllm/engine/arg_utils.py)."""
MANY_ROLES: Final = 3
STORED: Final = "auto"
WHOLE: Final = "the precision it is stored in"
PLATFORMS_OF_VLLM: Final = ("cuda", "rocm")


class Ground(NamedTuple):
    """What of cards decides which changes there are: how many, of which platform, whether they share memory
    with the host, and how many bytes of host memory are known to be there."""

    cards: int
    platform: str
    unified: bool
    host: int


def ground_of(gpus: GpuSet, host: int) -> Ground:
    """Of cards beside so many bytes of host memory."""
    abilities = gpus.abilities
    return Ground(len(gpus.gpus), abilities.platform, abilities.unified, host)


def role_axes(name: str, workload: Workload, ground: Ground, losses: Losses) -> Iterator[Axis]:
    """Of a role that is held here; `losses` were measured."""
    for axis in _all(name, workload, ground, losses):
        yield axis._replace(role=name, steps=tuple(_of_role(step, name) for step in axis.steps))


def _of_role(step: Step, name: str) -> Step:
    other = None if step.instead is None else _of_role(step.instead, name)
    return step._replace(role=name, instead=other)


def _all(name: str, workload: Workload, ground: Ground, losses: Losses) -> Iterator[Axis]:
    role = workload.roles[name]
    trains = workload.training is not None
    if not trains:
        yield _engine(name, role, ground, _must_stay(name, workload))
        if role.runs_with.memory != "pipeline":
            several = (workload.section or Section).has_several
            most = LARGEST_BATCH if several else min(LARGEST_BATCH, max(workload.examples, 1))
            yield _batch(name, role.batch or workload.batch, most)
        alone = workload.kind == ONE_MODEL  # a run keeps a dynamic cache in the compute dtype
        yield from cache_axes(name, role, alone)
        if len(workload.roles) > 1:
            yield from _residency(name, workload, ground.host)
        yield from own_cache_axes(name, role)
    if role.runs_with.memory == "process":
        yield of_engine(role.engine, _attention(name, role), role.engine)
    yield _with_losses(_precision(name, role, len(workload.roles)), role, losses)
    if not trains:
        yield from _offload(name, role, ground)


def _attention(name: str, role: Role) -> Axis:
    """Kernels that make no scores in memory; flash-attn's, a package of its own, copies no grouped heads."""
    axis, path = f"{name} attention", f"roles.{name}.attention"
    said = {"sdpa": "torch's own attention", "flash": "flash-attn's attention, which is to be installed"}
    now = "sdpa" if role.attention == "auto" else role.attention
    steps = (Step(axis, key, ((path, key),), 0.0, f"{name} by {note}") for key, note in said.items())
    slow = now in ("eager", "sdpa-math")
    left = tuple(step for step in steps if step.key == "flash" or slow)
    return Axis(axis, "same", left if now != "flash" else (), 0 if slow else None)


def _must_stay(name: str, workload: Workload) -> bool:
    """Whether vLLM would be refused where the role waits: it gives nothing of its share of a card back."""
    if workload.section is None or workload.roles[name].engine == VLLM:
        return False
    role = workload.roles[name].model_copy(update={"engine": VLLM})
    by_vllm = workload.model_copy(update={"roles": workload.roles | {name: role}})
    return any(each.path[:2] == ("roles", name) for each in workload.section.mistakes(by_vllm))


def _engine(name: str, role: Role, ground: Ground, stays: bool) -> Axis:
    """The other of the two engines that write, and other numbers of cards for vLLM. With that it `stays`
    where it waited before."""
    axis, path = f"{name} engine", f"roles.{name}"
    other = OTHER_ENGINE.get(role.engine)
    if other is None or role.model.endswith(".gguf"):
        return Axis(axis, "same", ())
    steps, usual = [], role.settings == usual_settings(role.engine)
    if role.engine == "vllm" and usual:
        ends: Changes = ((f"{path}.tensor_parallel", "1"),) if role.tensor_parallel > 1 else ()
        changes = ((f"{path}.engine", other), *ends)
        steps.append(Step(axis, other, changes, 0.0, f"{name} by {other}"))
    if ground.platform in PLATFORMS_OF_VLLM and role.images == 0:
        in_pages, made = paged(path, role), on_the_fly().get(role.precision)
        unmade = role.engine != VLLM and made is not None and not find_engine(VLLM).quantizes(made)
        stored: Changes = ((f"{path}.precision", STORED),) if unmade else ()
        for key, ranks in _ranks(_cards_of(role, ground.cards)).items():
            changes = () if role.engine == "vllm" else ((f"{path}.engine", "vllm"),)
            if ranks != role.tensor_parallel:
                changes += ((f"{path}.tensor_parallel", str(ranks)),)
            changes += ((f"{path}.residency", "persistent"),) if stays else ()
            changes += in_pages + stored
            if changes:
                over = f", each layer over {ranks} cards" if ranks > 1 else ""
                over += ", its cache in pages" if in_pages else ""
                steps.append(Step(axis, key, changes, 0.0, f"{name} by vLLM{over}"))
    # Beside a share of the card that the file gives, more ranks take more.
    split = role.engine == "vllm" and usual and bool(steps) and steps[-1].key == VLLM_ON_ALL
    return Axis(axis, "same", tuple(steps), len(steps) - 1 if split else None)


def _cards_of(role: Role, cards: int) -> int:
    """How many of so many cards the file lets it have."""
    if role.placement in ("auto", "balanced"):
        return cards
    return 1 if isinstance(role.placement, str) else min(len(role.placement), cards)


def _ranks(cards: int) -> dict[str, int]:
    """Over how many cards vLLM may split a role: one, the most below all of which the halves of a model's
    heads can be made, all."""
    found = {VLLM_ON_ONE: 1}
    fewer = 1 << (cards - 1).bit_length() - 1 if cards > 2 else 1
    if fewer > 1:
        found[VLLM_ON_FEWER] = fewer
    return found | ({VLLM_ON_ALL: cards} if cards > 1 else {})


def _batch(name: str, batch: int, most: int) -> Axis:
    """Powers of two up to `most`; and the halves of an odd one."""
    axis, path = f"{name} batch", f"roles.{name}.batch"
    sizes = {2**at for at in range(9) if 2**at <= most} | {batch >> at for at in range(1, 9) if batch >> at}
    steps = tuple(
        Step(axis, str(size), ((path, str(size)),), 0.0, f"{name} in batches of {size}")
        for size in sorted(sizes - {batch})
    )
    return Axis(axis, "same", steps, 0 if batch > 1 else None, ladder=True, unchanged=batch)


def _residency(name: str, workload: Workload, host: int) -> Iterator[Axis]:
    """Where an idle role waits, where the file leaves that open or names another place. Where roles make room
    for one another vLLM stays."""
    role, axis, path = workload.roles[name], f"{name} residency", f"roles.{name}.residency"
    leaves = "transformers" if role.engine == VLLM else role.engine
    only = leaves if (workload.section or Section).taking_turns == "swapped" else ""
    said = {"persistent": "stays on the cards", "disk": "waits on disk: slower to bring"}
    if host:
        said["swapped"] = "waits in host memory"
    now = "swapped" if role.residency == "host" else role.residency
    steps = tuple(
        Step(
            axis,
            key,
            ((path, key),),
            0.0,
            f"{name} {note}",
            slower=key == "disk",
            only="" if key == "persistent" else only,
            now=role.engine,
        )
        for key, note in said.items()
        if key != now
    )
    keys = [step.key for step in steps]
    lean = keys.index("disk") if "disk" in keys else None
    yield Axis(axis, "same", steps, lean, ends=f"{name} engine")


def _precision(name: str, role: Role, roles: int) -> Axis:
    """Fewer bits than now, of what either engine turns weights into, or none turned; and half of fp32. Of
    schemes of as many bits one alone where there are many roles."""
    axis, path = f"{name} precision", f"roles.{name}.precision"
    names = [role.engine, *([OTHER_ENGINE[role.engine]] if role.engine in OTHER_ENGINE else [])]
    by = {
        key: [engine for engine in names if find_engine(engine).quantizes(each)]
        for key, each in on_the_fly().items()
        if role.runs_with.memory != "pipeline"
        and (roles < MANY_ROLES or each.bits is not None or each.vllm is not None)
    }
    made = {key: on_the_fly()[key].loss for key, engines in by.items() if engines}
    if role.precision == "auto" or role.precision in DTYPES:
        lower = {"bf16": 0.0} | made if role.precision == "fp32" else made
    else:
        now = on_the_fly().get(role.precision)
        least = math.inf if now is None else now.loss
        # What another engine makes in place of what is made now loses no more than that.
        others = {key for key in made if role.precision not in by or not {*by[key]} & {*by[role.precision]}}
        lower = {key: max(loss - least, 0.0) for key, loss in made.items() if loss > least or key in others}
        lower = {STORED: 0.0} | lower if now is not None else {}
    steps = []
    for key, loss in lower.items():
        step = Step(axis, key, ((path, key),), loss, f"{name} in {WHOLE if key == STORED else key}")
        engines = by.get(key, names)
        steps.append(step if len(engines) == len(names) else step._replace(only=engines[0], now=role.engine))
    alone = next((step for step in steps if step.only == VLLM), None)
    if alone is not None:
        steps = [step._replace(instead=alone) if step.only not in ("", VLLM) else step for step in steps]
    fewest = len(steps) - 1 if steps and steps[-1].key != STORED else None
    return Axis(axis, "lower", tuple(steps), fewest)


def _with_losses(axis: Axis, role: Role, losses: Losses) -> Axis:
    """With what was measured of the role's model in place of what is assumed."""
    model = role.model.partition("@")[0]
    return axis._replace(steps=tuple(_measured(step, losses, model) for step in axis.steps))


def _measured(step: Step, losses: Losses, model: str) -> Step:
    found = losses.get((model, step.key))
    if step.instead is not None:
        step = step._replace(instead=_measured(step.instead, losses, model))
    if found is None:
        return step
    return step._replace(loss=found.loss, note=f"{step.note} ({found.said})", measured=True)


def _offload(name: str, role: Role, ground: Ground) -> Iterator[Axis]:
    """Layers that wait in host memory, as far as there is any; quantized ones do not."""
    held = role.max_memory is not None or role.device_map is not None
    if ground.host < GIB or held or not role.runs_with.splits_layers or ground.unified:
        return
    note = f"{name} partly in host memory: far slower"
    value = f"{{cpu: {ground.host // GIB}GiB}}"
    yield only(f"{name} offload", "wait", f"roles.{name}.max_memory", value, note)
