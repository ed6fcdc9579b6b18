"""Runs a plan from its first byte to its record, and takes up runs that were cut short."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ullage.errors import (
    DoesNotFitError,
    InputError,
    OutOfMemoryError,
    UnsupportedError,
)
from ullage.facts.architecture import Architecture
from ullage.planning.cluster.sharing import replicas_of_a_card
from ullage.planning.document import plan_document
from ullage.planning.plan import Plan
from ullage.probes.fitted import fit_probes
from ullage.records.folder import RunFolder, new_folder
from ullage.records.journal import RESUMED
from ullage.records.manifest import Manifest
from ullage.records.places import base_of_a_run
from ullage.records.record import Measured, Record
from ullage.records.replica import record_of_all, records_of_each_kind, share_a_machine
from ullage.runtime.machine import environment
from ullage.runtime.opening import Options, open_session
from ullage.runtime.progress import Progress
from ullage.runtime.session import Session, record_of
from ullage.spec.partition import Partition
from ullage.spec.role import Cache
from ullage.spec.workload import SERVED, Workload
from ullage.units import gib
from ullage.workloads.comparing import Difference, differences, refuse_differences, was_strict
from ullage.workloads.inputs import Input, fetch_files, files_of, parts_of, require_files
from ullage.workloads.leaving import leave_evidence
from ullage.workloads.partitioned import (
    Carrier,
    Here,
    check_partitions,
    run_partitions,
    threads_of,
)
from ullage.workloads.portable import portable_plan
from ullage.workloads.registry import find_kind
from ullage.workloads.reporting import report_anyway
from ullage.workloads.wholeness import require_whole


@dataclass(frozen=True, slots=True)
class Checked:
    """What `check` saw: where each role's parts are, and the peaks of one smallest batch."""

    device_maps: Mapping[str, Mapping[str, str]]
    measured: tuple[Measured, ...]


@dataclass(frozen=True, slots=True)
class Begun:
    """How a run begins: `resumed` goes on with what the folder holds; `prepare` may put work that is done
    already into a new folder, or take work back in one that is resumed; `anyway` does a plan that does not
    fit, and goes on with other models, versions or threads than a run was begun with. `strict` reads weights
    whole, to tell later that they are the same. `carrier` has partitions done elsewhere; None: they are done
    here, if there are any.
    """

    resumed: bool = False
    anyway: bool = False
    strict: bool = False
    prepare: Callable[[RunFolder], None] | None = None
    carrier: Carrier | None = None


def execute(plan: Plan, folder: Path, options: Options, begun: Begun = Begun()) -> Record:
    """Does the work of `plan` in `folder`; the record of what was measured. Whoever resumes has made sure
    that the inputs are what they were (`check_files`).

    Raises DoesNotFitError for a plan that exceeds a device (unless it is done anyway), BusyError for a folder
    that another process runs in, InputError where a resumed run's models, versions or threads have changed,
    FormatError where what it holds has.
    """
    runner = _runner(plan)
    fetch_files(plan.workload)
    if plan.workload.partition is not None:
        check_partitions(plan, elsewhere=begun.carrier is not None)
        plan = _settled(plan, plan.workload.partition)
    if not (begun.anyway or begun.resumed):
        refuse_unfit(plan)
    known_as, plan = plan.workload, plan if begun.resumed else portable_plan(plan)
    files = [] if begun.resumed else files_of(plan.workload, plan.base)
    run = RunFolder(folder) if begun.resumed else new_folder(folder)
    with ExitStack() as stack:
        stack.enter_context(run.lock())
        private, prepared = run.close_to_others(), 0
        if begun.resumed:
            require_whole(run)
        else:
            stack.callback(lambda: _discard_nothing(run, prepared))
        if begun.prepare is not None:
            begun.prepare(run)
        prepared = run.done
        told = stack.enter_context(_told_how_to_go_on(run, begun.carrier))
        if plan.workload.partition is not None:
            stack.enter_context(threads_of(plan.workload.partition))
        with open_session(plan, run, options, elsewhere=begun.carrier is not None) as session:
            told.say = session.say
            if not private:
                session.say(f"{run.path}: others may look into this folder, and it cannot be closed to them")
            _begin(session, files, begun)
            started = time.monotonic()
            fit_probes(session)
            if plan.workload.partition is None:
                runner.run(session)
            else:
                run_partitions(session, begun.carrier or Here())
            session.free_guests()
            record = record_of(session, time.monotonic() - started, resumed=begun.resumed)
            if begun.carrier is not None:
                record = record_of_all(record)
        _end(session, record, begun.carrier, known_as)
    return record


def _end(session: Session, record: Record, carrier: Carrier | None, known_as: Workload) -> None:
    """Writes the pages and the record of work that is done, and what later plans learn of it."""
    plan, run = session.plan, session.folder
    if find_kind(plan.workload.kind).reporter:
        report_anyway(session, record)
    run.write_record(record)  # last: a folder that has it is complete
    try:
        run.drop_partitions()
    except InputError as error:
        session.say(f"the run is complete, but its partitions could not be removed: {error}")
    partition = plan.workload.partition
    if partition is not None and partition.store is not None:
        session.progress.note(f"the results are in {run.path}; none stay in {partition.store}")
    if carrier is None:
        leave_evidence(session, [(record, session.begun_with)], run, known_as)
    else:
        waits = plan.gpus.abilities.processor and share_a_machine(record.outcome)
        alone = replicas_of_a_card(plan) == 1 and not waits
        leave_evidence(session, records_of_each_kind(record), run, known_as, timed=alone)


def _settled(plan: Plan, partition: Partition) -> Plan:
    """With partitions whose size is said."""
    stay = set(plan.roles) == set(plan.staying())
    settled = {"partition": partition.settled(stay)}
    return replace(plan, workload=plan.workload.model_copy(update=settled))


def _begin(session: Session, files: Sequence[Input], begun: Begun) -> None:
    """Writes down what a new run is of, or checks that a resumed one is still of the same."""
    plan, where = session.plan, environment(session.plan.gpus)
    if begun.resumed:
        manifest = session.folder.manifest()
        strict = was_strict(manifest)
        parts = parts_of(plan.workload, plan.base, strict=strict, download=session.download)
        _go_on(session, differences(manifest, parts, where), begun.anyway)
    else:
        write_down(session, files, begun.strict)
    for warning in plan.warnings:
        session.say(warning)


def write_down(session: Session, files: Sequence[Input], strict: bool = False) -> None:
    """The manifest of what begins here: its plan, `files` that it reads, the parts of its models."""
    plan = session.plan
    parts = parts_of(plan.workload, plan.base, strict=strict, download=session.download)
    session.folder.write_manifest(
        Manifest(
            base_of_a_run(plan.base, session.folder.path),
            (*files, *parts),
            environment(plan.gpus),
            {name: value for name, value in plan_document(plan).items() if name != "base"},
        )
    )


def _go_on(session: Session, found: Sequence[Difference], anyway: bool) -> None:
    """Takes up a run, with something else where that was asked for: journal and record say so."""
    if found and not anyway:
        refuse_differences(found, session.folder.path)
    if found:
        session.say(f"goes on with something else than it was begun with: {'; '.join(map(str, found))}")
        session.journal.append({RESUMED: [each.to_json() for each in found]})
    others = [entry[RESUMED] for entry in session.journal.entries if RESUMED in entry]
    if others:
        session.outcome[RESUMED] = others


@dataclass(slots=True)
class _Told:
    """How the user is spoken to: as the session does, once there is one."""

    say: Callable[[str], None]


@contextmanager
def _told_how_to_go_on(run: RunFolder, carrier: Carrier | None) -> Iterator[_Told]:
    """However the work inside is cut short, the user is told how to go on."""
    told = _Told(Progress(quiet=True).say)
    try:
        yield told
    except KeyboardInterrupt:
        told.say(f"interrupted; {_how_to_go_on(run, carrier)}")
        raise
    except OutOfMemoryError as error:
        raise OutOfMemoryError(f"{error}. {_how_to_go_on(run, carrier).capitalize()}") from error
    except OSError as error:
        said = error.strerror or str(error)
        raise InputError(f"{error.filename or run.path}: {said}; {_how_to_go_on(run, carrier)}") from error


def _how_to_go_on(run: RunFolder, carrier: Carrier | None) -> str:
    if not run.done:
        return "nothing was done yet"
    there = "" if carrier is None else f" --on {carrier.address}"
    return f"what is done is kept, and `ullage run --resume {run.path}{there}` goes on from there"


def _discard_nothing(run: RunFolder, prepared: int) -> None:
    """A run that came to nothing (records that cannot be read, a model that does not load) leaves nothing
    behind, so the same command works once that is mended."""
    if not run.complete and run.done == prepared:
        run.discard()


def check(plan: Plan, options: Options) -> Checked:
    """Loads everything where the plan puts it and runs one smallest batch; nothing of it is kept."""
    runner = _runner(plan)
    fetch_files(plan.workload)
    require_files(plan.workload, plan.base)
    with TemporaryDirectory() as folder:
        smallest = replace(options, smallest=True)
        with open_session(plan, RunFolder(Path(folder)), smallest) as session:
            fit_probes(session)
            runner.run(session)
            maps = {name: loaded.device_map for name, loaded in session.loaded.items()}
            session.monitor.enter(None)
            return Checked({**session.freed_maps, **maps}, session.monitor.measured)


def _runner(plan: Plan) -> Any:
    kind = plan.workload.kind
    runner = find_kind(kind).runner
    if not runner:
        how = "is served: ullage serve FILE" if kind == SERVED else "can be planned, but not run yet"
        raise UnsupportedError(f"kind {kind} {how}")
    check_able(plan)
    return import_module(runner)


def check_able(plan: Plan) -> None:
    """Raises UnsupportedError for what can be planned and no runner does."""
    for name, role in plan.workload.roles.items():
        model = plan.models.get(role.model)
        if isinstance(model, Architecture) and model.encodes:
            _check_encoder(name, model, plan.workload)
        if role.runs_with.memory == "process" and role.cache != Cache():
            raise UnsupportedError(
                f"roles.{name}.cache: a run keeps a dynamic cache in the compute dtype; remove it to run"
            )
        section = plan.workload.section
        if role.images and not (section is not None and section.shows_pictures):
            raise UnsupportedError(f"roles.{name}.images: a run gives its roles text alone; remove it to run")


def _check_encoder(name: str, model: Architecture, workload: Workload) -> None:
    """Raises UnsupportedError where no run of this kind asks role `name` for what its encoder gives."""
    given = {} if workload.section is None else workload.section.encoders(workload)
    if model.gives in given.get(name, ()):
        return
    gives = "states of texts" if model.gives == "states" else "scores of texts"
    other = f", or an encoder that gives {' or '.join(given[name])}" if name in given else ""
    raise UnsupportedError(
        f"roles.{name}: {model.name} is an encoder, which gives {gives}; name a decoder to run{other}"
    )


def refuse_unfit(plan: Plan) -> None:
    """Raises DoesNotFitError for a plan that exceeds a device."""
    if plan.verdict != "does not fit":
        return
    worst = min((d for d in plan.devices if d.ullage is not None), key=lambda device: device.ullage or 0)
    assert worst.usable is not None
    raise DoesNotFitError(
        f"the plan does not fit: {worst.name} would need up to {gib(worst.peak.device.high)} of "
        f"{gib(worst.usable)} in {worst.peak_phase}; `ullage plan` shows what would fit"
    )
