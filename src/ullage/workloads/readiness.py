"""Whether a workload can be run on this machine: its cards, its plan's verdict, its files, its roles."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ullage.errors import InputError, UllageError
from ullage.facts.health.cards import Cards
from ullage.facts.health.diagnosis import CARDS, VERDICT, Diagnosis, Readiness, RoleReadiness
from ullage.facts.health.finding import Finding, note, ok, problem
from ullage.facts.hub import asking_nobody
from ullage.files import placed
from ullage.planning.device_maps import device_maps
from ullage.store import Store
from ullage.units import gib
from ullage.urls import is_url
from ullage.workloads.fidelity import any_counted
from ullage.workloads.outcomes import gpu_set
from ullage.workloads.planned import models_of, needs_card, plan
from ullage.workloads.role_readiness import readiness_of_role

if TYPE_CHECKING:
    from ullage.planning.plan import Plan
    from ullage.spec.workload import Workload

HERE: Final = "local"


def readiness(workload: Workload, found: Diagnosis, gpus: str | None, base: Path) -> Readiness:
    """Whether it can be run here, on `gpus` (None: its budget's, else this machine's).

    Nothing is loaded or fetched and no hub is asked. Raises InputError for `gpus` that are none.
    """
    section = workload.section
    carried_out = workload if section is None else section.carried_out(workload)
    findings: list[Finding] = []
    if carried_out is not workload:
        assert section is not None
        findings += [note("run", each) for each in section.notes(workload)]
        workload, gpus = carried_out, None
    asked, about = _cards(workload, gpus, found.cards)
    findings += about
    with asking_nobody():
        made, verdict = _planned(workload, asked, base)
        findings += verdict
        planned = {} if made is None else made.roles
        roles = [
            readiness_of_role(name, role, planned.get(name), found, base)
            for name, role in workload.roles.items()
        ]
    maps = {} if made is None else device_maps(made)
    cards = gpu_set(workload, asked)
    if needs_card(workload) and not cards.abilities.processor:
        findings += _of_cards(found)
    findings += _files(workload, base)
    findings.append(_served(workload, asked, base, found))
    findings += _extras(workload, found)
    findings += _room(roles, found)
    roles = [replace(each, device_map=maps.get(each.name, {})) for each in roles]
    return Readiness(
        workload.name or workload.kind,
        workload.kind,
        cards.name,
        "" if made is None else made.verdict,
        tuple(roles),
        tuple(findings),
    )


def _cards(workload: Workload, gpus: str | None, cards: Cards) -> tuple[str, tuple[Finding, ...]]:
    """What is planned for: what a run would be, as far as that is here, else this machine."""
    asked = gpus or workload.budget.gpus
    here_is = "cpu" if cards.broken else HERE
    if asked is None or not needs_card(workload):
        return asked or here_is, ()
    chosen = gpu_set(workload, asked)
    if chosen.abilities.processor:
        return asked, ()
    here = gpu_set(workload, here_is)
    if [card.id for card in here.gpus[: len(chosen.gpus)]] == [card.id for card in chosen.gpus]:
        return asked, (ok("cards", f"the file is for {chosen.name}, which is here"),)
    have = "no card" if here.abilities.processor else here.name
    said = f"the file is for {chosen.name}, and here is {have}; what follows is for this machine"
    return here_is, (note("cards", said, "run it with --gpus local, or where those cards are"),)


def _of_cards(found: Diagnosis) -> Iterator[Finding]:
    """What is wrong with this machine's cards is wrong with what is to run on them."""
    for part in found.parts:
        if part.name == CARDS:
            yield from (each for each in part.findings if each.state == "problem")


def _planned(workload: Workload, gpus: str, base: Path) -> tuple[Plan | None, tuple[Finding, ...]]:
    """The plan, and its verdict in a line; none where none can be made."""
    try:
        # A trace would only sharpen what a formula says well enough here.
        auto = workload.memory.fidelity == "auto" and not any_counted(models_of(workload, base))
        made = plan(workload, gpus, base=base, advice=False, fidelity="formula" if auto else None)
    except (UllageError, ImportError, OSError, RuntimeError) as error:  # tracing imports torch, as it is
        todo = "the roles below tell more; mend the file, or fetch what is missing"
        return None, (problem("plan", f"none can be made: {' '.join(str(error).split())}", todo),)
    about = VERDICT
    fullest = [each for each in made.devices if each.ullage is not None]
    tightest = min(fullest, key=lambda each: each.ullage or 0, default=None)
    left = ""
    if tightest is not None and tightest.usable is not None:
        most = gib(tightest.peak.device.high)
        left = f": at most {most} of {gib(tightest.usable)} on {tightest.name}"
    said = f"{made.verdict} on {made.gpus.name}{left}"
    if made.verdict == "does not fit":
        return made, (problem(about, said, "ullage plan FILE tells what would"),)
    found = ok(about, said) if made.verdict == "fits" else note(about, said)
    return made, (found, *(note("plan", each) for each in made.warnings))


def _served(workload: Workload, gpus: str, base: Path, found: Diagnosis) -> Finding:
    """Whether its roles can be served here, which a file that is to be run need not."""
    from ullage.workloads.served import serving_plans

    about = "serve"
    missing = [extra for extra in found.extras if extra.name == "serve" and extra.missing]
    try:
        with asking_nobody():
            made = serving_plans(
                workload, gpus, base, lambda each, cards, at: plan(each, cards, base=at, advice=False)
            ).roles
    except (UllageError, ImportError, OSError, RuntimeError) as error:
        said = f"ullage serve would not serve it here: {' '.join(str(error).split())}"
        return note(about, said, "it can be run all the same, as far as the rest says")
    idle = {"swapped": ", idle roles in host memory", "sequential": ", idle roles on disk"}
    said = f"ullage serve would serve its roles here: {made.verdict}{idle.get(made.workload.schedule, '')}"
    if missing:
        return note(about, f"{said}; {', '.join(missing[0].missing)} not installed", missing[0].install)
    return ok(about, said)


def _files(workload: Workload, base: Path) -> Iterator[Finding]:
    """What the run reads, as far as it is not here."""
    names = [] if workload.section is None else [*workload.section.files()]
    names += [name for probe in workload.probes.values() for name in probe.files]
    for name in dict.fromkeys(names):
        if is_url(name):
            try:
                Store(name).stat()
            except InputError as error:
                yield problem("files", str(error), "see what the store and its credentials say")
        elif not placed(name, base).exists():
            yield problem("files", f"{name} is not there", f"looked for {placed(name, base)}")


def _extras(workload: Workload, found: Diagnosis) -> Iterator[Finding]:
    """Extras of the kind and of its probes that are missing."""
    used = {} if workload.section is None else dict(workload.section.extras())
    for extra in found.extras:
        if extra.name in used and extra.missing:
            said = f"{', '.join(extra.missing)} not installed: {used[extra.name]}"
            yield note(f"extra {extra.name}", said, extra.install)
        fits = any(probe.fit is not None for probe in workload.probes.values())
        if extra.name == "probes" and fits and extra.missing:
            said = f"{', '.join(extra.missing)} not installed, and the file's probes are to be fitted"
            yield problem("extra probes", said, extra.install)


def _room(roles: Iterable[RoleReadiness], found: Diagnosis) -> Iterator[Finding]:
    """Whether the disk has room for what would be fetched, a model of several roles once."""
    total = sum({role.model: role.fetched for role in roles}.values())
    free, folder = found.host.cache.free, found.host.cache.folder
    if free is not None and total > free:
        said = f"fetching about {gib(total)} takes more than the {gib(free)} free in {folder}"
        yield problem("disk", said, "free some, or set HF_HOME to another disk")
