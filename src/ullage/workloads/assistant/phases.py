"""Each request: the router chooses, one specialist is swapped in and works, the voice answers."""

from __future__ import annotations

from dataclasses import replace

from ullage.spec.phase import Phase, Resident
from ullage.spec.workload import Workload
from ullage.workloads.assistant.section import Section
from ullage.workloads.stages import (
    base_work,
    check_roles,
    generate,
    hold,
    is_local,
    load,
    swapped_out,
)


def phases(workload: Workload) -> tuple[Phase, ...]:
    """Router and voice stay resident unless their residency says otherwise; specialists take turns.

    Under schedule `simultaneous` all are resident together, under `sequential` only the one that runs.
    Raises SpecError when router, voice or any specialist is missing.
    """
    section = workload.section
    assert isinstance(section, Section)
    specialists = [n for n in workload.roles if n not in (section.router, section.voice)]
    needed = [section.router, section.voice] if specialists else [section.router, section.voice, "specialist"]
    check_roles(workload, needed)
    router, voice = section.router, section.voice
    share = 1 / len(specialists)
    found = _loads(workload, (router, voice))
    found += _turn(workload, router, None, 1.0)
    for name in specialists:
        if not is_local(workload.roles[name]):
            continue
        swaps = workload.schedule not in ("simultaneous",)
        held = _residents(workload, name, (router, voice), specialists)
        found += load(name, held, once=not swaps)
        found += _turn(workload, name, name, share)
    # The voice speaks with whichever specialist is still loaded.
    for name in specialists:
        held = _residents(workload, name, (router, voice), specialists, running=voice)
        work = replace(base_work(voice, workload), passes=share)
        if is_local(workload.roles[voice]):
            found += [
                replace(phase, name=f"{phase.name} after {name}") for phase in generate(voice, held, work)
            ]
    return tuple(found)


def _loads(workload: Workload, names: tuple[str, ...]) -> list[Phase]:
    found: list[Phase] = []
    held: tuple[Resident, ...] = ()
    for name in names:
        if not is_local(workload.roles[name]):
            continue
        kept = tuple(r for r in held if _stays(workload, r.name))
        found += load(name, (*kept, hold(name, workload)))
        held = (*kept, hold(name, workload))
    return found


def _stays(workload: Workload, name: str) -> bool:
    """Whether router or voice keeps its place on the GPU while it is idle."""
    if workload.schedule in ("sequential", "swapped"):
        return False
    return workload.roles[name].residency in ("auto", "persistent")


def _residents(
    workload: Workload,
    specialist: str | None,
    fixed: tuple[str, str],
    specialists: list[str],
    running: str | None = None,
) -> tuple[Resident, ...]:
    running = running or specialist
    found = []
    for name in (*fixed, *specialists):
        if not is_local(workload.roles[name]):
            continue
        everything = workload.schedule == "simultaneous"
        on_device = name == running or everything
        on_device = on_device or (name in fixed and _stays(workload, name))
        if name == specialist and workload.schedule not in ("sequential", "swapped"):
            on_device = True
        found.append(hold(name, workload) if on_device else swapped_out(name, workload))
    return tuple(found)


def _turn(workload: Workload, name: str, specialist: str | None, share: float) -> list[Phase]:
    if not is_local(workload.roles[name]):
        return []
    section = workload.section
    assert isinstance(section, Section)
    fixed = (section.router, section.voice)
    specialists = [n for n in workload.roles if n not in fixed]
    held = _residents(workload, specialist, fixed, specialists, running=name)
    return list(generate(name, held, replace(base_work(name, workload), passes=share)))
