"""From a workload file to all that a requirements guide says of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ullage.errors import InputError
from ullage.planning.guide import (
    BATCHES,
    CARDS,
    COUNTS,
    PRECISIONS,
    SHARES,
    TIERS,
    Fit,
    Guide,
    Tier,
    Variation,
)
from ullage.workloads.learned import as_anywhere
from ullage.workloads.loading import folder_of, parse, text_of
from ullage.workloads.planned import models_of, needs_card, plan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ullage.planning.plan import Plan
    from ullage.planning.renting import Renting
    from ullage.spec.workload import Workload

SETS_SHOWN: Final = 8
HERE: Final = ("cpu", "local")
"""What is this machine's own."""
Changes = tuple[tuple[str, str], ...]


def _as_named(path: Path) -> str:
    """The file as the guide's commands name it, to be typed where the guide was asked for. An absolute path
    gives its name alone: a guide says nothing of the machine that it was made on."""
    return path.name if path.is_absolute() else path.as_posix()


def guide_of(path: Path, overrides: Sequence[str] = ()) -> Guide:
    """All of a guide, the same on every machine: no past runs count, passes are known by formulas unless the
    file says otherwise, and no search ends for want of time. Raises SpecError and InputError."""
    from ullage.facts.price import known_prices
    from ullage.workloads.fidelity import with_fidelity

    text, base = text_of(path), folder_of(path)
    workload = parse(text, str(path), overrides)
    asked_for = (workload.budget.gpus or "").strip().casefold()
    if not asked_for:
        raise InputError(f"{path}: no GPUs: give budget.gpus in the file, or --set budget.gpus='RTX 4090'")
    if asked_for in HERE:
        raise InputError(
            f"{path}: budget.gpus: {asked_for} is this machine, and a guide is the same on all; name the "
            "cards, as --set budget.gpus='RTX 4090'"
        )
    if workload.memory.fidelity == "auto":
        workload = with_fidelity(workload, "formula")
    with as_anywhere():
        asked = _advised(plan(workload, base=base, advice=False))
        return Guide(
            _as_named(path),
            text,
            asked,
            tuple(_precisions(workload, asked, base)),
            tuple(_batches(workload, asked, base)) if asked.roles else (),
            tuple(_contexts(workload, asked, base)) if asked.roles else (),
            tuple(_tier(workload, name, sets, base) for name, sets in TIERS) if needs_card(workload) else (),
            tuple(_fits(workload, base)),
            _renting(workload, base),
            known_prices().newest.isoformat(),
            _facts_of(),
            _versions(),
            tuple(overrides),
        )


def _advised(found: Plan, keep: Sequence[str] = ()) -> Plan:
    """With advice, searched for by count alone."""
    from ullage.planning.advice.advise import usual_limit
    from ullage.workloads.advised import advise
    from ullage.workloads.fidelity import any_counted

    if not found.models or any_counted(found.models):
        return found
    limit = usual_limit(len(found.phases))._replace(seconds=float("inf"))
    advised = advise(found, keep=keep, limit=limit)
    return replace(found, advice=advised.entries, search=advised.search)


def _varied(
    workload: Workload, gpus: str, base: Path, name: str, changes: Changes, role: str = ""
) -> Variation:
    """The plan of the workload with `changes`, or why there is none."""
    from ullage.spec.changes import apply_changes
    from ullage.spec.rules import mistakes_in

    try:
        changed = apply_changes(workload, changes)
        for mistake in mistakes_in(changed):
            return Variation(name, None, mistake.problem, role)
        return Variation(name, plan(changed, gpus, base=base, advice=False), "", role)
    except InputError as error:
        return Variation(name, None, " ".join(str(error).split()), role)


def _precisions(workload: Workload, asked: Plan, base: Path) -> Iterator[Variation]:
    """Each role that is held here in each precision, its own among them, all others as they are."""
    for role, planned in asked.roles.items():
        path, own = f"roles.{role}.precision", planned.precision.storage
        for precision in PRECISIONS if own in PRECISIONS else (own, *PRECISIONS):
            yield _varied(workload, asked.asked, base, precision, ((path, precision),), role)


def _batches(workload: Workload, asked: Plan, base: Path) -> Iterator[Variation]:
    """Of every role, whether its batch is its own or the workload's."""
    own = [name for name, role in workload.roles.items() if role.batch is not None]
    sizes = sorted({*BATCHES, workload.batch} if not own else BATCHES)
    for size in sizes:
        changes = (("batch", str(size)), *((f"roles.{name}.batch", str(size)) for name in own))
        yield _varied(workload, asked.asked, base, str(size), changes)


def _contexts(workload: Workload, asked: Plan, base: Path) -> Iterator[Variation]:
    """Of every role by the same share, named by the workload's, or by the longest where each has its own."""
    own = {
        f"roles.{name}.prompt_tokens": role.prompt_tokens
        for name, role in workload.roles.items()
        if role.prompt_tokens is not None
    }
    lengths = {"prompt_tokens": workload.prompt_tokens, **own}
    named = workload.prompt_tokens if len(own) < len(workload.roles) else max(own.values())
    shown: set[int] = set()
    for share in SHARES:
        count = max(int(named * share), 1)
        if count not in shown:
            shown.add(count)
            changes = tuple((path, str(max(int(tokens * share), 1))) for path, tokens in lengths.items())
            yield _varied(workload, asked.asked, base, str(count), changes)


def _tier(workload: Workload, name: str, sets: Sequence[str], base: Path) -> Tier:
    """On the first of the sets that holds the workload, else on the first with advice how it would."""
    tried: list[Tier] = []
    for gpus in sets:
        try:
            found = plan(workload, gpus, base=base, advice=False)
        except InputError as error:
            tried.append(Tier(name, gpus, None, " ".join(str(error).split())))
            continue
        tried.append(Tier(name, gpus, found))
        if found.verdict != "does not fit":
            return tried[-1]
    first = next((each for each in tried if each.plan is not None), tried[0])
    if first.plan is None:
        return first
    return first._replace(plan=_advised(first.plan, ("budget.gpus",)))


def _fits(workload: Workload, base: Path) -> Iterator[Fit]:
    """Verdicts of common cards, by one and by several of them."""
    from ullage.facts.gpu_set import parse_gpu_set
    from ullage.workloads.encoders import with_labels
    from ullage.workloads.outcomes import outcomes
    from ullage.workloads.probed import with_probe_shapes

    if not needs_card(workload):
        return
    models = models_of(workload, base)
    workload = with_probe_shapes(with_labels(workload, models), base, models)
    come_to = outcomes(models, base=base)
    for card in CARDS:
        verdicts: list[str] = []
        for count in COUNTS:
            gpus = parse_gpu_set(f"{count}x{card}")
            try:
                verdicts.append(come_to(workload, gpus).verdict)
            except InputError:
                verdicts.append("refused")
        yield Fit(card, parse_gpu_set(card).gpus[0].usable.low, tuple(verdicts))


def _renting(workload: Workload, base: Path) -> Renting:
    from ullage.facts.price import known_prices
    from ullage.planning.renting import Renting
    from ullage.workloads.renting import rent

    prices = known_prices().only(None, None)
    try:
        return rent(workload, base, prices, SETS_SHOWN)
    except InputError:
        return Renting(workload.examples, prices.label, prices.provider, prices.file, ())


def _facts_of() -> str:
    """The newest day that a catalog of models or cards names."""
    from ullage.facts.data_file import read_data

    days = (read_data(name).get("generated", "") for name in ("models.json", "more_models.json", "gpus.json"))
    return str(max(days))


def _versions() -> tuple[tuple[str, str], ...]:
    """Ullage's, and of the libraries that its formulas were held against."""
    from importlib.metadata import version

    from ullage.facts.data_file import read_data

    held = read_data("proof.json")["versions"]
    return (("ullage", version("ullage")), *sorted(held.items()))
