"""What no single field's type can say: names that must match, settings that exclude each other."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Final

from ullage.errors import InputError, nearest
from ullage.facts.described_gpu import read_description, split_set
from ullage.facts.quantization.known import SCHEMES, by_transformers
from ullage.spec.card import mistakes_in_cards
from ullage.spec.device_map import devices_in, offloads, wrong_alone
from ullage.spec.installed import engines_that
from ullage.spec.mistake import Mistake, Path, shorten
from ullage.spec.partition import mistakes_in_partition
from ullage.spec.positions import written
from ullage.spec.role import Role
from ullage.spec.site_patterns import names_patterns
from ullage.spec.training import mistakes_in_training
from ullage.spec.workload import Workload
from ullage.text import holds_secret
from ullage.units import parse_bytes

MOST_ROLES: Final = 100
"""A game of werewolf takes up to some twenty."""
ROLE_NAME: Final = "[A-Za-z_][A-Za-z0-9_-]{0,63}"
DEVICE_NUMBER: Final = "[0-9]{1,4}"
GPU: Final = f"gpu:{DEVICE_NUMBER}"
_TIMES: Final = r"\s*[x\u00d7*]\s*"
_GPUS: Final = re.compile(rf"\s*(?:0*[1-9]\d{{0,5}}{_TIMES})?(?!\d+{_TIMES})\S.*", re.DOTALL)


def mistakes_in(workload: Workload) -> Iterator[Mistake]:
    """Every mistake between fields of a workload whose fields are each valid."""
    if not workload.roles:
        yield Mistake(("roles",), "names no role; give at least one and its model")
    if len(workload.roles) > MOST_ROLES:
        problem = f"names {len(workload.roles):,} roles; a workload has at most {MOST_ROLES}"
        yield Mistake(("roles",), problem, at_key=True)
        return
    for name, role in workload.roles.items():
        yield from _role(role, ("roles", name))
        if not re.fullmatch(ROLE_NAME, name):
            problem = "a role's name is a word of letters, digits, _ and -"
            yield Mistake(("roles", name), problem, at_key=True)
    yield from _captures(workload)
    yield from _probes(workload)
    yield from _memory(workload)
    if workload.training is not None:
        yield from mistakes_in_training(workload.training)
    if workload.partition is not None:
        yield from mistakes_in_partition(workload.partition)
    yield from _budget(workload)
    yield from mistakes_in_cards(workload.cards)


def _role(role: Role, path: Path) -> Iterator[Mistake]:
    if not role.model.strip():
        yield Mistake((*path, "model"), "names no model")
    for place, text in (("model", role.model), *_texts_of(role)):
        if holds_secret(text):
            problem = "holds a password or a token, which every record of a run would keep; leave it out"
            yield Mistake(
                (*path, *place.split(".")), f"{problem} (keys are read from the environment: key_env)"
            )
    made = by_transformers() if role.llm_int8_enable_fp32_cpu_offload else {}
    if made and made.keys().isdisjoint((role.precision, *role.fallback_precisions)):
        problem = f"has an effect with precision: {' or '.join(made)} alone; remove it"
        yield Mistake((*path, "llm_int8_enable_fp32_cpu_offload"), problem)
    yield from _placement(role, (*path, "placement"))
    for device, size in (role.max_memory or {}).items():
        where = (*path, "max_memory", device)
        if not re.fullmatch(f"{DEVICE_NUMBER}|cpu|disk", device):
            yield Mistake(where, "a device is the number of a GPU, cpu or disk", at_key=True)
        yield from _size(size, where)
    yield from _device_map(role, path)
    if role.tensor_parallel > 1 and not role.runs_with.tensor_parallel:
        able = engines_that(lambda engine: engine.tensor_parallel)
        problem = f"only engine: {able} splits tensors; give it, or a list of GPUs as placement"
        yield Mistake((*path, "tensor_parallel"), problem)
    if role.rope is not None and role.runs_with.memory not in ("process", "own cache"):
        able = engines_that(lambda engine: engine.memory in ("process", "own cache"))
        yield Mistake((*path, "rope"), f"positions are stretched where weights are held: by engine {able}")


def _texts_of(role: Role) -> Iterator[tuple[str, str]]:
    """Texts of an engine's own part, each with its place."""
    for name, value in role.settings:
        if isinstance(value, str):
            yield f"{role.engine}.{name}", value


def _placement(role: Role, path: Path) -> Iterator[Mistake]:
    given = role.placement
    valid = "valid: auto, balanced, cpu, gpu:0, or a list as [gpu:0, gpu:1]"
    if isinstance(given, str):
        if given not in ("auto", "balanced", "cpu") and not re.fullmatch(GPU, given):
            yield Mistake(path, f"{shorten(repr(given), 60)} is no placement; {valid}")
        return
    if not given:
        yield Mistake(path, f"names no device; {valid}")
    for index, place in enumerate(given):
        if not re.fullmatch(GPU, place):
            problem = f"{shorten(repr(place), 60)} is no GPU; a list holds gpu:0, gpu:1, ..."
            yield Mistake((*path, index), problem)
        elif place in given[:index]:
            yield Mistake((*path, index), f"{place} stands twice in the list")


def _device_map(role: Role, path: Path) -> Iterator[Mistake]:
    """What is wrong with a role's own map of modules, as far as that is known without its model."""
    if role.device_map is None:
        return
    where, devices = (*path, "device_map"), devices_in(role.device_map)
    for wrong in wrong_alone(role.device_map):
        yield Mistake(where if wrong.module is None else (*where, wrong.module), wrong.problem)
    usual = {"placement": "auto", "max_memory": None, "tensor_parallel": 1}
    for name, value in usual.items():
        if getattr(role, name) != value:
            problem = "has no effect beside device_map, which places every module; remove one of them"
            yield Mistake((*path, name), problem, at_key=True)
    engine = role.runs_with
    if engine.memory not in ("process", "pipeline"):
        problem = f"engine {engine.name} places its model itself; remove it, or use engine: transformers"
        yield Mistake(where, problem, at_key=True)
    elif len(devices) > 1 and not engine.splits_layers:
        yield Mistake(where, f"engine {engine.name} splits no model; give one device", at_key=True)
    for place, name in _precisions(role):
        scheme = SCHEMES.get(name)
        allowed = scheme is None or scheme.offloads or role.llm_int8_enable_fp32_cpu_offload
        if not allowed and offloads(devices):
            problem = (
                f"{name} weights wait neither in host memory nor on disk beside a GPU: transformers offloads "
                "none; place every module on GPUs, use precision: fp16, or set "
                "llm_int8_enable_fp32_cpu_offload: true, which leaves what waits unquantized"
            )
            yield Mistake((*path, *place), problem)


def _precisions(role: Role) -> Iterator[tuple[Path, str]]:
    yield ("precision",), role.precision
    for index, name in enumerate(role.fallback_precisions):
        yield ("fallback_precisions", index), name


def _captures(workload: Workload) -> Iterator[Mistake]:
    for index, capture in enumerate(workload.captures):
        path = ("captures", index)
        if not capture.sites:
            yield Mistake((*path, "sites"), "names no site, as blocks.{l}.hook_resid_post")
        if capture.layers == ():
            yield Mistake((*path, "layers"), "names no layer; give numbers or all")
        if capture.positions == "span" and capture.span_tokens is None:
            yield Mistake((*path, "span_tokens"), "is missing; positions: span needs it")
        if capture.positions != "span" and capture.span_tokens is not None:
            problem = f"has no effect with positions: {written(capture.positions)}; give positions: span"
            yield Mistake((*path, "span_tokens"), problem)
        if capture.positions not in ("all", "last") and names_patterns(capture.sites):
            problem = f"{written(capture.positions)} of attention patterns is not defined; use all or last"
            yield Mistake((*path, "positions"), problem)
        if not workload.roles:
            continue
        if capture.role is None and len(workload.roles) > 1:
            names = ", ".join(list(workload.roles)[:10])
            yield Mistake((*path, "role"), f"is missing; one of: {names}")
        elif capture.role is not None and capture.role not in workload.roles:
            close = nearest(capture.role, workload.roles)
            hint = "nearest: " + ", ".join(close) if close else "valid: " + ", ".join(workload.roles)
            shown = shorten(repr(capture.role), 60)
            yield Mistake((*path, "role"), f"no role is called {shown}; {hint}")
        else:
            name = capture.role or next(iter(workload.roles))
            yield from _captured(workload.roles[name], name, path)


def _probes(workload: Workload) -> Iterator[Mistake]:
    for name, probe in workload.probes.items():
        path = ("probes", name)
        if not re.fullmatch(ROLE_NAME, name):
            yield Mistake(path, "a probe's name is a word of letters, digits, _ and -", at_key=True)
        for field, problem in probe.mistakes():
            yield Mistake((*path, *field.split(".")), problem)
        if not workload.roles:
            continue
        if probe.role is None and len(workload.roles) > 1:
            names = ", ".join(list(workload.roles)[:10])
            yield Mistake((*path, "role"), f"is missing; one of: {names}")
        elif probe.role is not None and probe.role not in workload.roles:
            yield Mistake((*path, "role"), f"no role is called {shorten(repr(probe.role), 60)}")
        else:
            role = probe.role or next(iter(workload.roles))
            engine = workload.roles[role].runs_with
            if not engine.captures:
                able = engines_that(lambda engine: engine.captures)
                problem = (
                    f"role {role} has engine: {engine.name}, which gives no states; use {able}, or score "
                )
                yield Mistake(path, problem + "the finished texts with `ullage probe apply`", at_key=True)


def unheard_probes(workload: Workload, heard: Collection[str]) -> Iterator[Mistake]:
    """Probes of roles that the kind does not listen to; `heard` are those it does."""
    only = next(iter(workload.roles), None) if len(workload.roles) == 1 else None
    for name, probe in workload.probes.items():
        role = probe.role or only
        if role is not None and role not in heard:
            problem = (
                f"kind {workload.kind} reads {'probes of ' + ', '.join(heard) if heard else 'no probes'}; "
            )
            yield Mistake(
                ("probes", name), problem + "`ullage probe apply` scores finished texts", at_key=True
            )


def _captured(role: Role, name: str, path: Path) -> Iterator[Mistake]:
    if not role.runs_with.captures:
        able = engines_that(lambda engine: engine.captures)
        problem = f"role {name} has engine: {role.engine}; states are captured with {able}"
        yield Mistake(path, problem)


def _memory(workload: Workload) -> Iterator[Mistake]:
    memory = workload.memory
    path = ("memory", "activation_cache_filter")
    if memory.activation_cache_filter is not None:
        if workload.captures:
            problem = "captures are given too; " + (
                "move these sites there"
                if memory.activation_cache_filter
                else "remove it: empty, it is every site"
            )
            yield Mistake(path, problem, at_key=True)
        elif len(workload.roles) > 1:
            problem = "needs a workload of one role; write captures with role and sites"
            yield Mistake(path, problem, at_key=True)
        elif workload.roles:
            name, role = next(iter(workload.roles.items()))
            yield from _captured(role, name, path)
    if memory.streaming_chunk_size is not None and workload.training is not None:
        problem = "a training step reads its whole prompt at once, for the backward pass; remove it"
        yield Mistake(("memory", "streaming_chunk_size"), problem, at_key=True)
    if memory.enable_gradient_checkpointing and workload.training is None:
        problem = "saves nothing without a backward pass; remove it, or add training"
        yield Mistake(("memory", "enable_gradient_checkpointing"), problem)


def _budget(workload: Workload) -> Iterator[Mistake]:
    budget = workload.budget
    if budget.gpus is not None:
        for part in split_set(budget.gpus):
            described = re.search(r"\(.*", part, re.DOTALL)
            if described is not None:
                yield from _described(described[0].rstrip())
            elif not _GPUS.fullmatch(part):
                problem = f"{shorten(repr(budget.gpus), 60)} names no GPUs; write 2xA100-80GB, or cpu"
                yield Mistake(("budget", "gpus"), problem)
                break
    share = re.fullmatch(r"\s*(\d{1,3}(?:\.\d{1,9})?)\s*%\s*", budget.reserve, re.ASCII)
    if share is None:
        yield from _size(budget.reserve, ("budget", "reserve"), " or a share as 5%")
    elif float(share[1]) >= 100:
        yield Mistake(("budget", "reserve"), f"{budget.reserve} leaves nothing; give less than 100%")
    if budget.host_memory is not None:
        yield from _size(budget.host_memory, ("budget", "host_memory"))
    if budget.disk is not None:
        yield from _size(budget.disk, ("budget", "disk"))


def _described(text: str) -> Iterator[Mistake]:
    try:
        read_description(text)
    except InputError as error:
        yield Mistake(("budget", "gpus"), str(error))


def _size(value: str | int, path: Path, alternative: str = "") -> Iterator[Mistake]:
    shown = shorten(repr(value), 60)
    try:
        if len(str(value)) > 30 or parse_bytes(value) > 2**60:
            yield Mistake(path, f"{shown} is more than any device holds")
    except InputError:
        yield Mistake(path, f"{shown} is no size; write for example 47GiB{alternative}")
