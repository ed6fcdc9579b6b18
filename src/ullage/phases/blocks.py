"""The building blocks of phases that kinds share: loading a role, prefill and decode, a backward pass."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Final, Literal, TypeVar

from ullage.errors import SpecError, nearest
from ullage.phases.phase import LogitsKept, Phase, Probed, Resident, Work
from ullage.spec.capture import Capture
from ullage.spec.engine import EngineDescription
from ullage.spec.installed import engines_that
from ullage.spec.mistake import Mistake
from ullage.spec.positions import written
from ullage.spec.role import Role
from ullage.spec.section import Section
from ullage.spec.workload import Workload

LOAD: Final = "load"
"""The verb of bringing a role's weights into memory."""
PREFIX: Final = "prefix"
"""The verb of reading once what the prompts of one batch after another begin with."""
AnySection = TypeVar("AnySection", bound=Section)

Ability = Literal["writes", "weighs", "states"]
_ABLE: Final[dict[Ability, tuple[str, Callable[[EngineDescription], bool]]]] = {
    "writes": ("writes replies", lambda engine: engine.writes),
    "weighs": ("weighs choices", lambda engine: engine.weighs),
    "states": ("gives the states of texts", lambda engine: engine.states),
}


def own_section(workload: Workload, section: type[AnySection]) -> AnySection:
    """The kind's own part of the workload. Raises SpecError with whatever that part objects to."""
    own = workload.section if workload.section is not None else section()
    assert isinstance(own, section)
    wrong = [f"{'.'.join(map(str, mistake.path))}: {mistake.problem}" for mistake in own.mistakes(workload)]
    if wrong:
        raise SpecError(wrong)
    return own


def wrong_roles(
    workload: Workload, needed: Iterable[str], allowed: Collection[str] | None = None
) -> Iterator[Mistake]:
    """Every role that is missing, or that the kind does not know (None: it takes any)."""
    missing = [name for name in needed if name not in workload.roles]
    for name in missing:
        spare = [role for role in workload.roles if allowed is None or role not in allowed]
        close = nearest(name, spare)
        hint = f"; is it the one called {close[0]!r}?" if close else ""
        problem = f"kind {workload.kind} needs a role called {name!r}{hint}"
        yield Mistake(("roles",), problem, at_key=True)
    for name in workload.roles:
        if allowed is not None and name not in allowed:
            close = nearest(name, allowed)
            hint = f"nearest: {', '.join(close)}" if close else f"valid: {', '.join(dict.fromkeys(allowed))}"
            problem = f"kind {workload.kind} has no such role; {hint}"
            yield Mistake(("roles", name), problem, at_key=True)


def wrong_training(workload: Workload) -> Iterator[Mistake]:
    """`training` in a kind that trains nothing."""
    if workload.training is not None:
        problem = f"kind {workload.kind} trains nothing; remove it, or use kind extract"
        yield Mistake(("training",), problem, at_key=True)


def wrong_engine(name: str, workload: Workload, *abilities: Ability) -> Iterator[Mistake]:
    """An engine that cannot do what role `name`, where the workload has it, is for."""
    if name not in workload.roles:
        return
    engine = workload.roles[name].runs_with
    for ability in abilities:
        does, able_to = _ABLE[ability]
        if not able_to(engine):
            problem = f"{engine.name} is not an engine that {does}, as role {name} must; use "
            yield Mistake(("roles", name, "engine"), problem + engines_that(able_to))


def is_local(role: Role) -> bool:
    """Whether the role's weights are ever here."""
    return role.runs_with.local


def hold(name: str, workload: Workload) -> Resident:
    """`name` with its weights on the device."""
    return Resident(name, workload.roles[name])


def base_work(name: str, workload: Workload) -> Work:
    """The role's own amounts of work, else the workload's; one pass is one batch of examples."""
    role, memory = workload.roles[name], workload.memory
    return _one_pass(
        workload.batch if role.batch is None else role.batch,
        workload.prompt_tokens if role.prompt_tokens is None else role.prompt_tokens,
        workload.new_tokens if role.new_tokens is None else role.new_tokens,
        memory.streaming_chunk_size,
        (role.images, role.image_size, role.steps),
        workload.examples,
        memory.expandable_segments,
    )


@lru_cache(maxsize=32)
def _one_pass(
    batch: int,
    prompt_tokens: int,
    new_tokens: int,
    chunk_tokens: int | None,
    pictures: tuple[int, tuple[int, int], int],
    examples: int,
    expandable_segments: bool,
) -> Work:
    """The one `Work` of these amounts. `pictures` are images, their size, and denoising steps."""
    images, image_size, steps = pictures
    return Work(
        "prefill",
        batch=batch,
        prompt_tokens=prompt_tokens,
        new_tokens=new_tokens,
        chunk_tokens=chunk_tokens,
        images=images,
        image_size=image_size,
        steps=steps,
        passes=1 / batch,
        examples=examples,
        expandable_segments=expandable_segments,
    )


def one_by_one(workload: Workload) -> Workload:
    """The workload with batches of one, whatever role works."""
    roles = {name: role.model_copy(update={"batch": 1}) for name, role in workload.roles.items()}
    return workload.model_copy(update={"batch": 1, "roles": roles})


def captures_of(name: str, workload: Workload) -> tuple[Capture, ...]:
    """The captures taken from role `name`."""
    only = len(workload.roles) == 1
    return tuple(c for c in workload.captures if c.role == name or (c.role is None and only))


def probed(name: str, workload: Workload) -> tuple[Probed, ...]:
    """What reads role `name` while it works. What a probe reads must have been taken from its card."""
    probes = workload.probes
    return tuple(
        Probed(own, probes[own].sites, probes[own].hidden, probes[own].columns)
        for own in probes_of(name, workload)
    )


def probes_of(name: str, workload: Workload) -> tuple[str, ...]:
    """The probes that read role `name`, by their own names."""
    only = len(workload.roles) == 1
    return tuple(
        own for own, probe in workload.probes.items() if probe.role == name or (probe.role is None and only)
    )


def stored_captures(name: str, workload: Workload) -> tuple[Capture, ...]:
    """The captures of role `name` as a run carries them out: every state is stored.

    What is asked to stay on the device only waits there for its batch's end.
    """
    return tuple(
        capture.model_copy(update={"keep": "disk"}) if capture.keep == "host" else capture
        for capture in captures_of(name, workload)
    )


def wrong_captures(workload: Workload, unheard: Mapping[str, str]) -> Iterator[Mistake]:
    """Captures that a kind cannot carry out whose prompts are its own, and come from no record.

    `unheard` are roles whose states are not kept, and why.
    """
    only = next(iter(workload.roles), None) if len(workload.roles) == 1 else None
    for index, capture in enumerate(workload.captures):
        name = capture.role or only
        if name is not None and name in unheard:
            yield Mistake(("captures", index), f"role {name} {unheard[name]}", at_key=True)
        at = ("captures", index, "positions")
        if capture.positions == "span":
            problem = (
                f"a span is a record's own, which kind {workload.kind} has none of; use all, last or mean"
            )
            yield Mistake(at, problem)
        elif not isinstance(capture.positions, str) or capture.positions == "not-special":
            problem = (
                f"{written(capture.positions)} is of a text's own tokens, and kind {workload.kind} writes "
                "its prompts itself; use all, last, last:4 or mean"
            )
            yield Mistake(at, problem)


def load(name: str, resident: Iterable[Resident], per_example: float | None = None) -> tuple[Phase, ...]:
    """Loading `name` beside the others of `resident`, once or so many times per example; nothing
    for a role that is not local."""
    held = tuple(resident)
    role = next(r.role for r in held if r.name == name)
    if not is_local(role):
        return ()
    once = per_example is None
    return (Phase(f"{name} load", held, name, _loading(1.0 if once else per_example), once, LOAD),)


@lru_cache(maxsize=32)
def _loading(passes: float) -> Work:
    return Work("load", passes=passes)


def train(name: str, resident: Iterable[Resident], work: Work, workload: Workload) -> tuple[Phase, ...]:
    """Forward and backward over the prompt, as `workload.training` says; then the optimizer's step, once for
    the passes whose gradients are summed."""
    work = work.but(
        activity="train",
        captures=captures_of(name, workload),
        training=workload.training,
        gradient_checkpointing=workload.memory.enable_gradient_checkpointing,
    )
    held = tuple(resident)
    passes = work.training.gradient_accumulation_steps if work.training is not None else 1
    update = work.but(activity="update", captures=(), passes=work.passes / passes)
    return (
        Phase(f"{name} train", held, name, work, verb="train"),
        Phase(f"{name} update", held, name, update, verb="train"),
    )


def backward(
    name: str, resident: Iterable[Resident], work: Work, verb: str, captures: tuple[Capture, ...]
) -> tuple[Phase, ...]:
    """Forward and backward through frozen weights, every layer checkpointed, for states and gradients."""
    work = work.but(activity="backward", new_tokens=0, caches=False, captures=captures, logits="all")
    return (Phase(f"{name} {verb}", tuple(resident), name, work, verb=verb),)


def generate(
    name: str,
    resident: Iterable[Resident],
    work: Work,
    verb: str = "",
    captures: tuple[Capture, ...] = (),
    logits: LogitsKept = "last",
    beside: str = "",
) -> tuple[Phase, ...]:
    """The engine's own phases: prefill and, where tokens are asked for, decode; `serve`; or `denoise`.
    Nothing for a role that is not local.

    Phases are called `name verb prefill` and `name verb decode`; a single one that has a verb is
    `name verb`. `beside` names a role to tell apart phases that differ in who else is resident.
    """
    held = tuple(resident)
    role = next((r.role for r in held if r.name == name), None)
    if role is None or not is_local(role):
        return ()
    works = ways(role, work, captures, logits)
    return spoken(name, held, works, verb, beside)


def ways(
    role: Role, work: Work, captures: tuple[Capture, ...] = (), logits: LogitsKept = "last"
) -> tuple[Work, ...]:
    """What one generation by the role's engine consists of: no decode where no token is written, no shards
    where nothing is captured."""
    activities = [each for each in role.runs_with.phases if each != "decode" or work.new_tokens]
    shards = work.shard_bytes if captures else 0
    return tuple(
        work.but(activity=each, captures=captures, logits=logits, shard_bytes=shards) for each in activities
    )


def spoken(
    name: str, held: tuple[Resident, ...], works: tuple[Work, ...], verb: str = "", beside: str = ""
) -> tuple[Phase, ...]:
    """Phases in which `name` does `works`, called as `generate` says."""
    label = f"{name} {verb}" if verb else name
    suffix = f" beside {beside}" if beside else ""
    one = verb and len(works) == 1
    return tuple(
        Phase(f"{label}{suffix}" if one else f"{label} {work.activity}{suffix}", held, name, work, verb=verb)
        for work in works
    )
