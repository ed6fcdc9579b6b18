"""From phases and models to a `Demand`: which needs each role has in each phase."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from ullage.errors import SpecError
from ullage.facts.abilities import Abilities
from ullage.facts.architecture import Architecture, Model
from ullage.facts.diffusion import Pipeline
from ullage.memory.captures.stored import add_stored
from ullage.memory.demand import PROCESS, Demand
from ullage.memory.fidelity import Key, idle_work, passes_of
from ullage.memory.forward.window import BeyondWindowError
from ullage.memory.held import held_roles, loaded_of, roles_of, works_of
from ullage.memory.loaded import Loaded
from ullage.memory.needs import RECENT, Group, Need, Needs, group_of
from ullage.memory.pipeline import pipeline_needs
from ullage.memory.process import Overhead, blas_need, context_need
from ullage.memory.refusals import check_training
from ullage.memory.resident import resident_groups
from ullage.memory.running import running_groups
from ullage.memory.shape import shape_of
from ullage.memory.traced import Traced, Tracing
from ullage.memory.weights.part import needed_part
from ullage.phases.phase import TRAINING, Phase, Resident, Where, Work
from ullage.spec.role import Role
from ullage.units import Interval

if TYPE_CHECKING:
    from ullage.memory.vllm.sizes import Served


class Process(NamedTuple):
    """What the process takes on each device in use, whatever is `running` there, or `loading`. Equal ones are
    made once."""

    running: Needs
    loading: Needs


def estimate(
    phases: Iterable[Phase],
    models: Mapping[str, Model],
    abilities: Abilities,
    overhead: Overhead | None = None,
    tracing: Tracing | None = None,
    cards: tuple[Interval, ...] = (),
    rough: bool = False,
) -> Demand:
    """Every need of `phases`, unplaced.

    `models` maps the name a role's `model` field gives to what it is; `abilities` is what
    every GPU in question can do; `overhead` what a process was measured to take on such a GPU, where there is
    evidence; `tracing` says what is traced, and by whom (None: nothing is); `cards` are the usable bytes of
    each GPU, of which an engine may be given a share. A `rough` estimate is one of many that are weighed: its
    high values, which verdicts rest on, are those of any other.

    Raises UnsupportedError where a model and what is asked of it do not go together, SpecError for sites or
    windows a model lacks, MissingExtraError where a pass has to be traced and torch is not installed.
    """
    phases = tuple(phases)
    roles = held_roles(phases, models, abilities, cards)
    process = process_of(abilities, overhead)
    found = demand_of(phases, loaded_of(roles), process, tracing, len(cards) > 1, rough)
    return replace(found, precisions={name: each.precision for name, each in roles.items()})


def demand_of(
    phases: tuple[Phase, ...],
    held: Mapping[str, Loaded],
    process: Process,
    tracing: Tracing | None = None,
    several: bool = False,
    rough: bool = False,
) -> Demand:
    """The same of roles as they are `held` in a `process`, on `several` GPUs or one; precisions come without
    their reasons. Nothing else of the cards bears on it."""
    roles, works = roles_of(phases), works_of(phases)
    passes = passes_of(phases, held, roles, tracing, several)
    asked = _asked(phases, held, roles, works, process, passes.traced, rough)
    whole = {phase.running for phase in phases if phase.activity == "backward"}
    shapes = tuple(shape_of(name, role, held[name], name in whole) for name, role in sorted(roles.items()))
    parts = {name: each.model for name, each in held.items()}
    precisions = {name: each.precision for name, each in held.items()}
    return Demand(phases, shapes, asked, parts, precisions, _served(held, works), passes.known)


def _served(held: Mapping[str, Loaded], works: Mapping[str, Sequence[Work]]) -> dict[str, tuple[Served, int]]:
    """How engines with a cache of their own hold roles, and how much of it each role's work takes."""
    found = {}
    for name, each in held.items():
        if each.served is not None:
            from ullage.memory.vllm.needs import work_cache

            found[name] = each.served, work_cache(each, each.served, works.get(name, ()))
    return found


def _asked(
    phases: tuple[Phase, ...],
    held: Mapping[str, Loaded],
    roles: Mapping[str, Role],
    works: Mapping[str, Sequence[Work]],
    process: Process,
    traced: Mapping[Key, Traced],
    rough: bool,
) -> tuple[dict[str, Needs], ...]:
    """By phase what each role needs, and the process."""
    found = []
    # Phases share residents and works, so most of what is asked for was asked for before.
    known: dict[tuple[int, int], Needs] = {}
    beside: dict[tuple[int, str], tuple[dict[str, Needs], Resident | None, bool]] = {}

    def needs_of(resident: Resident, work: Work | None) -> Needs:
        key = id(resident), id(work)
        if key not in known:
            own = held[resident.name]
            known[key] = _needs_of(resident, own, work, works.get(resident.name, ()), phases, traced, rough)
        return known[key]

    for phase in phases:
        running, work = phase.running, phase.work
        if work.activity in TRAINING and running in held:
            own = held[running]
            check_training(running, own.architecture, own.precision, work, roles[running])
        residents = beside.get((id(phase.resident), running))
        if residents is None:
            here = [each for each in phase.resident if each.name in held]
            asked = {each.name: needs_of(each, work if each.name == running else None) for each in here}
            paid = any(each.where == "device" and held[each.name].served is None for each in here)
            doing = next((each for each in here if each.name == running), None)
            beside[id(phase.resident), running] = asked.copy(), doing, paid
        else:
            asked, doing, paid = residents
            asked = asked.copy()
            if doing is not None:
                asked[running] = needs_of(doing, work)
        if paid:
            asked[PROCESS] = process.loading if work.activity == "load" else process.running
        found.append(asked)
    add_stored(phases, found)
    return tuple(found)


def _needs_of(
    resident: Resident,
    held: Loaded,
    work: Work | None,
    works: Sequence[Work],
    phases: tuple[Phase, ...],
    traced: Mapping[Key, Traced],
    rough: bool,
) -> Needs:
    """What a resident needs while it does `work`, or rests; `works` is all that it does."""
    try:
        if held.served is not None:
            return _served_needs(held, resident.where, tuple(dict.fromkeys(works)), work is not None)
        done = idle_work(resident) if work is None else work
        own = traced.get((resident.name, done)) if done is not None and traced else None
        return _needs(held, resident.where, resident.cached_batch, resident.cached_tokens, work, own, rough)
    except BeyondWindowError as error:
        name = next(p.name for p in phases if p.running == resident.name and p.work == error.work)
        raise SpecError(
            [
                f"role {resident.name}: phase {name!r} reaches {error.seen} tokens, but {error.name} has a "
                f"window of {error.limit}; shorten prompt_tokens or new_tokens{error.way}"
            ]
        ) from error


@lru_cache(maxsize=RECENT)
def _needs(
    held: Loaded,
    where: Where,
    cached_batch: int,
    cached_tokens: int,
    work: Work | None,
    traced: Traced | None,
    rough: bool,
) -> Needs:
    """Of a role in this process."""
    if isinstance(held.model, Pipeline):
        needs = pipeline_needs(held, where, work)
        return Needs((group_of(needs, held.processor, None),), len(held.model.components))
    idle = traced if work is None else None
    groups = resident_groups(held, where, cached_batch, cached_tokens, idle)
    if work is not None:
        groups += running_groups(held, work, traced, rough)
    return Needs(groups, len(held.model.layers) + 2)


@lru_cache(maxsize=256)
def _served_needs(held: Loaded, where: Where, works: tuple[Work, ...], running: bool) -> Needs:
    from ullage.memory.vllm.needs import serve_needs

    assert held.served is not None
    needs = tuple(serve_needs(held, held.served, where, works, running))
    return Needs((Group(needs),), len(held.architecture.layers) + 2)


def process_of(abilities: Abilities, overhead: Overhead | None) -> Process:
    """What the process takes on each device in use, whatever runs there."""
    context = context_need(abilities, overhead)
    loading = _once((context,))
    return Process(loading if abilities.processor else _once((context, blas_need(abilities))), loading)


@lru_cache(maxsize=256)
def _once(needs: tuple[Need, ...]) -> Needs:
    return Needs((Group(needs),))


def part_of(role: str, phases: Iterable[Phase], model: Model) -> Model:
    """What of a model is loaded for what `role` does in `phases`."""
    works = works_of(phases).get(role, ())
    return needed_part(works, model) if isinstance(model, Architecture) else model
