"""From a workload to its plan: the models it names, its kind's phases, the precisions that fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ullage.errors import InputError
from ullage.units import MIB
from ullage.workloads.encoders import read_alone, with_labels
from ullage.workloads.fidelity import any_counted, tracing_by, unsearched, with_fidelity
from ullage.workloads.loading import folder_of, load
from ullage.workloads.probed import with_probe_shapes

if TYPE_CHECKING:
    from ullage.facts.architecture import Model
    from ullage.facts.gpu import GpuSet
    from ullage.memory.demand import Demand
    from ullage.memory.process import Overhead
    from ullage.phases.hosted import Requests
    from ullage.phases.phase import Phase
    from ullage.planning.advice import Outcome
    from ullage.planning.plan import Advice, Plan
    from ullage.records.evidence import Evidence
    from ullage.records.observation import Here
    from ullage.spec.workload import Fidelity, Workload
    from ullage.units import Interval


def plan(
    workload: Workload | str | Path | Mapping[str, object],
    gpus: str | None = None,
    *,
    base: Path | None = None,
    advice: bool = True,
    here: Here | None = None,
    fidelity: str | None = None,
) -> Plan:
    """The plan of a workload, given as it is, as its file or as a mapping, on `gpus` or those of its budget.

    Paths in it are relative to `base`: without one to the file's folder, or to where the program runs. `here`
    is the process that will carry it out, where that is known. `fidelity` stands for `memory.fidelity` of the
    file. Raises MissingExtraError where something has to be traced, and torch is not installed.
    """
    from ullage.planning.hosted import hosted
    from ullage.planning.planner import make_plan
    from ullage.planning.storage import over_disk, stored
    from ullage.spec.workload import Workload
    from ullage.workloads.asked import asked_ways

    if isinstance(workload, str | Path):
        base = folder_of(workload) if base is None else base
    if isinstance(workload, str | Path | Mapping):
        workload = load(workload)
    elif not isinstance(workload, Workload):
        raise InputError(f"{workload!r}: is no workload: give one, a mapping laid out as its file, or a path")
    if fidelity is not None:
        workload = with_fidelity(workload, fidelity)
    chosen = gpu_set(workload, gpus)
    workload, models = at_commits(workload, models_of(workload, base))
    workload = with_probe_shapes(with_labels(workload, models), base, models)
    workload, unwritten = read_alone(workload, models)
    workload, warnings = settle(workload, chosen, models, here, base)
    demand = estimate(workload, models, chosen, here, base)
    ways = asked_ways(workload, models, chosen)
    found = make_plan(workload, demand, models, chosen, base or Path(), ways)
    found = replace(found, stored=stored(workload, models))
    searched = advice and bool(models) and not any_counted(models)
    given = _advice(workload, models, chosen, base) if searched else ()
    warnings = (*warnings, *over_disk(found), *_not_done(workload, models, base))
    asked = gpus or workload.budget.gpus or ""
    known = _known_evidence()
    if known is not None and known.warning:
        warnings = (*warnings, known.warning)
    notes = (*found.notes, *_of_hubs(models), *unwritten, *unsearched(advice, models))
    asked_for = hosted(workload, requests(workload))
    return replace(found, asked=asked, warnings=warnings, advice=given, notes=notes, hosted=asked_for)


def models_of(workload: Workload, base: Path | None = None) -> dict[str, Model]:
    """The model behind each name the workload's local roles use, opened once."""
    from ullage.phases.blocks import is_local
    from ullage.workloads.opened import opened_model

    local = [role for role in workload.roles.values() if is_local(role)]
    drafts = [draft for role in local if (draft := role.settings.drafts()) is not None]
    names = dict.fromkeys([*(role.model for role in local), *drafts])
    return {name: opened_model(name, base) for name in names}


def at_commits(workload: Workload, models: Mapping[str, Model]) -> tuple[Workload, dict[str, Model]]:
    """The workload with each hub's model named at the commit that was read, and the models by those names:
    what is planned is then what is fetched and run."""
    from ullage.facts.hub_name import is_at_commit

    named = {name: model.name if is_at_commit(model.name) else name for name, model in models.items()}
    roles = {name: role.naming(named) for name, role in workload.roles.items()}
    if all(name == now for name, now in named.items()):
        return workload, dict(models)
    return workload.model_copy(update={"roles": roles}), {named[name]: each for name, each in models.items()}


def _of_hubs(models: Mapping[str, Model]) -> Iterator[str]:
    """Where each hub's model was read."""
    from ullage.facts.hub_name import is_at_commit

    adapters = (getattr(model, "adapter", None) for model in models.values())
    for name in (*(model.name for model in models.values()), *(each.base for each in adapters if each)):
        if is_at_commit(name):
            repository, _, commit = name.partition("@")
            yield f"{repository}: as its hub has it at commit {commit}; headers and configs were read alone"


def _not_done(workload: Workload, models: Mapping[str, Model], base: Path | None) -> Iterator[str]:
    """What generation configs ask for and no kind of workload does, a line for each model that writes."""
    from ullage.facts.generation import asked_for
    from ullage.facts.model import folder_of

    said: dict[str, tuple[str, ...]] = {}
    for role in workload.roles.values():
        adapter = getattr(models.get(role.model), "adapter", None)
        name = role.model if adapter is None else adapter.base
        folder = folder_of(name, base) if role.runs_with.local else None
        found = asked_for(folder) if folder is not None else ()
        if workload.new_tokens if role.new_tokens is None else role.new_tokens:
            said[role.model] = found
    for model, asked in said.items():
        if asked:
            yield (
                f"{model}: its generation_config asks for {', '.join(asked)}, which is not done: the "
                "likeliest token is taken, or one drawn as the workload says"
            )


def needs_card(workload: Workload) -> bool:
    """Whether a role is held here, so that what there is of cards bears on it."""
    from ullage.phases.blocks import is_local

    return any(map(is_local, workload.roles.values()))


def phases(workload: Workload) -> tuple[Phase, ...]:
    """How the workload's kind lays it out over time."""
    from ullage.phases.fits import with_fits
    from ullage.workloads import single_model
    from ullage.workloads.registry import find_kind

    if workload.kind == single_model.name:
        return single_model.phases(workload)
    return with_fits(find_kind(workload.kind).phases(workload), workload)


def requests(workload: Workload) -> tuple[Requests, ...]:
    """What is asked of servers for an example, as far as the workload's kind says."""
    from ullage.workloads import single_model
    from ullage.workloads.registry import find_kind

    return () if workload.kind == single_model.name else find_kind(workload.kind).requests(workload)


def estimate(
    workload: Workload,
    models: Mapping[str, Model],
    gpus: GpuSet,
    here: Here | None = None,
    base: Path | None = None,
) -> Demand:
    """Every need of the workload, not yet placed; `here` is the process that is to run it, if known, and
    paths are relative to `base`."""
    from ullage.memory.estimate import estimate as estimate_phases

    overhead = _overhead(_known_evidence(), workload, gpus, here)
    cards = _cards(gpus)
    tracing = tracing_by(workload.memory.fidelity, base)
    return estimate_phases(phases(workload), models, gpus.abilities, overhead, tracing, cards)


def _cards(gpus: GpuSet) -> tuple[Interval, ...]:
    """What can be used of each, in bytes."""
    return tuple(gpu.usable for gpu in gpus.gpus)


def _known_evidence() -> Evidence | None:
    """What past runs left, None where they left nothing."""
    from ullage.records.evidence_place import is_there

    if not is_there():
        return None
    from ullage.records.evidence_file import known_evidence

    return known_evidence()


def _overhead(known: Evidence | None, workload: Workload, gpus: GpuSet, here: Here | None) -> Overhead | None:
    """What evidence says a process takes on `gpus` beside its tensors; None where there is nothing to say.

    Without the process itself, observations under the newest key of this card count.
    """
    if gpus.abilities.simulated:
        return None
    held = here.held if here is not None else 0
    nothing = known is None or not known.observations
    if (nothing and not held) or len({gpu.id for gpu in gpus.gpus}) != 1:
        return None
    from ullage.facts.quantization.known import on_the_fly
    from ullage.memory.process import Overhead, beside_tensors
    from ullage.records.evidence import NOTHING
    from ullage.records.observation import shape_of

    quantized = any(role.precision in on_the_fly() for role in workload.roles.values())
    usual = beside_tensors(gpus.abilities.processor, held, quantized)
    known = known or NOTHING
    key = here.key if here is not None else known.newest(gpus.gpus[0].id)
    found = known.overhead(key, shape_of(workload), usual, held) if key is not None else None
    if found is None and held:
        found = Overhead(usual, "")
    if found is None or not held:
        return found
    return found._replace(source=f"{held / MIB:,.0f} MiB held before any model. {found.source}".rstrip(". "))


def settle(
    workload: Workload,
    gpus: GpuSet,
    models: Mapping[str, Model],
    here: Here | None = None,
    base: Path | None = None,
) -> tuple[Workload, tuple[str, ...]]:
    """The workload in the first of its roles' `fallback_precisions` that fits, and what that trades."""
    from ullage.planning.fallbacks import settle as settle_precisions

    come_to = outcomes(models, here, base, workload.memory.fidelity)

    def fits(candidate: Workload) -> bool:
        try:  # the share of a card that the file gives an engine may be too little for it
            return come_to(candidate, gpus).verdict != "does not fit"
        except InputError:
            return False

    return settle_precisions(workload, fits)


def gpu_set(workload: Workload, gpus: str | None) -> GpuSet:
    """`gpus`, else the set the workload's budget names."""
    from ullage.facts.gpu_set import parse_gpu_set

    text = gpus or workload.budget.gpus
    if text is None:
        raise InputError("no GPUs: give --gpus 2xA100-80GB, or budget.gpus in the file")
    if not isinstance(text, str):
        raise InputError(f"gpus: {text!r} is no text; name cards as '2xA100-80GB' or 'A100-40GB, L4'")
    from ullage.spec.card import own_cards

    return parse_gpu_set(text, own_cards(workload.cards))


def outcome(
    workload: Workload,
    models: Mapping[str, Model],
    gpus: GpuSet,
    here: Here | None = None,
    base: Path | None = None,
) -> Outcome:
    """The lean result of planning a candidate: verdict, peak, time and cost, no line items."""
    return outcomes(models, here, base, workload.memory.fidelity)(workload, gpus)


def outcomes(
    models: Mapping[str, Model],
    here: Here | None = None,
    base: Path | None = None,
    fidelity: Fidelity | None = None,
) -> Callable[[Workload, GpuSet], Outcome]:
    """What candidates come to, one like another: by the evidence that there is now, which is read once.

    Without a `fidelity` they are weighed by formulas, for they are many; where a model has none, by traces.
    """
    from ullage.memory.estimate import estimate as estimate_phases
    from ullage.planning.outcome import outcome_of

    known = _known_evidence()
    tracing = tracing_by(fidelity or "auto", base)._replace(says=fidelity is not None)

    def come_to(workload: Workload, gpus: GpuSet) -> Outcome:
        overhead = _overhead(known, workload, gpus, here)
        demand = estimate_phases(phases(workload), models, gpus.abilities, overhead, tracing, _cards(gpus))
        return outcome_of(workload, demand, gpus)

    return come_to


def _advice(
    workload: Workload, models: Mapping[str, Model], gpus: GpuSet, base: Path | None
) -> tuple[Advice, ...]:
    from ullage.planning.advice import advise
    from ullage.spec.changes import apply_changes

    come_to = outcomes(models, base=base)
    return advise(workload, gpus, come_to(workload, gpus), come_to, apply_changes)
