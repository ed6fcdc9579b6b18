"""From a workload to its plan: the models it names, its kind's phases, the precisions that fit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ullage.errors import InputError
from ullage.memory.weights.precision import comes_stored
from ullage.workloads.advised import advised
from ullage.workloads.encoders import read_alone, with_labels
from ullage.workloads.fidelity import unsearched, with_fidelity
from ullage.workloads.learned import past_runs, times
from ullage.workloads.loading import folder_of, load
from ullage.workloads.outcomes import estimate, gpu_set, requests, settle
from ullage.workloads.probed import with_probe_shapes

if TYPE_CHECKING:
    from ullage.facts.architecture import Model
    from ullage.facts.price import Prices
    from ullage.planning.plan import Plan
    from ullage.records.observation import Here
    from ullage.spec.workload import Workload


def plan(
    workload: Workload | str | Path | Mapping[str, object],
    gpus: str | None = None,
    *,
    base: Path | None = None,
    advice: bool = True,
    for_: str = "cost",
    keep: Iterable[str] = (),
    measured: Iterable[str | Path] = (),
    here: Here | None = None,
    prices: Prices | None = None,
    fidelity: str | None = None,
) -> Plan:
    """The plan of a workload, given as it is, as its file or as a mapping, on `gpus` or those of its budget;
    with `advice`, in the order and with what is kept as `advise` says.

    Paths in it are relative to `base`: without one to the file's folder, or to where the program runs. `here`
    is the process that will carry it out, where that is known; `prices` the price lists that count, without
    one those that come with Ullage: cost and advice are by their label, or where it has no price for the
    cards by the next that has. `fidelity` stands for `memory.fidelity` of the file. Raises MissingExtraError
    where something has to be traced, and torch is not installed.
    """
    from ullage.facts.price import known_prices
    from ullage.planning.hosted import hosted
    from ullage.planning.planner import make_plan
    from ullage.planning.storage import copied, over_disk, stored
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
    prices = (prices or known_prices()).having(chosen)
    workload, models = at_commits(workload, models_of(workload, base))
    workload = with_probe_shapes(with_labels(workload, models), base, models)
    workload, unwritten = read_alone(workload, models)
    workload, warnings = settle(workload, chosen, models, here, base)
    demand = estimate(workload, models, chosen, here, base)
    ways, known = asked_ways(workload, models, chosen), past_runs()
    took = times(known, workload, chosen, here)
    found = make_plan(workload, demand, models, chosen, base or Path(), ways, prices, took)
    found = replace(found, stored=(*stored(found, base), *copied(found)))
    warnings = (*warnings, *over_disk(found), *_not_done(workload, models, base))
    asked = gpus or workload.budget.gpus or ""
    if known is not None and known.warning:
        warnings = (*warnings, known.warning)
    notes = (*found.notes, *_unmade(found), *_of_hubs(models), *unwritten, *unsearched(advice, models))
    asked_for = hosted(workload, requests(workload))
    found = replace(found, asked=asked, warnings=warnings, notes=notes, hosted=asked_for)
    if not advice:
        return found
    return advised(found, for_=for_, keep=keep, measured=measured, prices=prices)


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


def _unmade(plan: Plan) -> Iterator[str]:
    """Roles whose weights are planned in a scheme that a checkpoint alone could bring."""
    for name, role in plan.workload.roles.items():
        held = plan.roles.get(name)
        if held is not None and comes_stored(role, held.precision):
            yield (
                f"{name} is planned as from a checkpoint stored in {held.precision.storage}, which a run has "
                f"to name: {role.engine} does not turn weights into that while it loads them"
            )


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


def opened(workload: Workload, base: Path | None) -> tuple[Workload, dict[str, Model]]:
    """A workload with what its models and probes say of it, and these models."""
    models = models_of(workload, base)
    return with_probe_shapes(with_labels(workload, models), base, models), models


def needs_card(workload: Workload) -> bool:
    """Whether a role is held here, so that what there is of cards bears on it."""
    from ullage.phases.blocks import is_local

    return any(map(is_local, workload.roles.values()))
