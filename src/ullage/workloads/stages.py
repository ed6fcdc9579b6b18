"""The stages that kinds share: loading a role, prefill and decode, holding idle roles."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Literal

from ullage.errors import SpecError, nearest
from ullage.spec.capture import Capture
from ullage.spec.phase import LogitsKept, Phase, Resident, Work
from ullage.spec.role import Role
from ullage.spec.workload import Workload


def hold(name: str, workload: Workload) -> Resident:
    """`name` with its weights on the device."""
    return Resident(name, workload.roles[name])


def swapped_out(name: str, workload: Workload) -> Resident:
    """`name` while another has its place: in host memory, or on disk where the file says so."""
    role = workload.roles[name]
    return Resident(name, role, "disk" if role.residency == "disk" else "host")


def is_local(role: Role) -> bool:
    """Whether the role's weights are ever here."""
    return role.engine not in ("openai", "scripted")


def check_roles(workload: Workload, needed: Iterable[str], allowed: Collection[str] | None = None) -> None:
    """Raises SpecError naming every role that is missing, or that the kind does not know."""
    mistakes = []
    for name in needed:
        if name not in workload.roles:
            close = nearest(name, workload.roles)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            mistakes.append(f"roles: kind {workload.kind} needs a role {name!r}{hint}")
    for name in workload.roles:
        if allowed is not None and name not in allowed:
            close = nearest(name, allowed)
            hint = f"nearest: {', '.join(close)}" if close else f"known: {', '.join(allowed)}"
            mistakes.append(f"roles.{name}: kind {workload.kind} has no such role; {hint}")
    if mistakes:
        raise SpecError(mistakes)


def base_work(name: str, workload: Workload, **changes: int) -> Work:
    """The role's own amounts of work, else the workload's; then `changes`."""
    role = workload.roles[name]

    def own(value: int | None, shared: int) -> int:
        return shared if value is None else value

    work = Work(
        "prefill",
        batch=own(role.batch, workload.batch),
        prompt_tokens=own(role.prompt_tokens, workload.prompt_tokens),
        new_tokens=own(role.new_tokens, workload.new_tokens),
        chunk_tokens=workload.memory.streaming_chunk_size,
        images=role.images,
        image_size=role.image_size,
        steps=role.steps,
        examples=workload.examples,
        expandable_segments=workload.memory.expandable_segments,
    )
    return replace(work, **changes) if changes else work  # type: ignore[arg-type]


def captures_of(name: str, workload: Workload) -> tuple[Capture, ...]:
    """The captures taken from role `name`."""
    only = len(workload.roles) == 1
    return tuple(c for c in workload.captures if c.role == name or (c.role is None and only))


def load(name: str, resident: Iterable[Resident], once: bool = True) -> tuple[Phase, ...]:
    """Loading `name` beside the others of `resident`; nothing for a role that is not local."""
    held = tuple(resident)
    role = next(r.role for r in held if r.name == name)
    if not is_local(role):
        return ()
    return (Phase(f"{name} load", held, name, Work("load"), once),)


def generate(
    name: str,
    resident: Iterable[Resident],
    work: Work,
    verb: str = "",
    captures: tuple[Capture, ...] = (),
    logits: LogitsKept = "last",
) -> tuple[Phase, ...]:
    """Prefill and, where tokens are asked for, decode; one `serve` phase under vLLM, one `denoise`
    phase for a diffusion pipeline."""
    held = tuple(resident)
    role = next(r.role for r in held if r.name == name)
    label = f"{name} {verb}".strip()
    work = replace(work, captures=captures, logits=logits)
    if role.engine == "vllm":
        return (Phase(label if verb else f"{name} serve", held, name, _as(work, "serve")),)
    if role.engine == "diffusers":
        return (Phase(f"{label} denoise", held, name, _as(work, "denoise")),)
    prefill = Phase(f"{label} prefill", held, name, _as(work, "prefill"))
    if not work.new_tokens:
        return (prefill,)
    return prefill, Phase(f"{label} decode", held, name, _as(work, "decode"))


def _as(work: Work, activity: Literal["prefill", "decode", "serve", "denoise"]) -> Work:
    return replace(work, activity=activity)
