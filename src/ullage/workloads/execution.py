"""Runs a plan from its first byte to its record, and takes up runs that were cut short."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ullage.errors import DoesNotFitError, InputError, OutOfMemoryError, UnsupportedError
from ullage.facts.bundled import local_path
from ullage.planning.document import plan_document
from ullage.planning.plan import Plan
from ullage.records.atomic import sha256_of
from ullage.records.evidence_file import keep_evidence
from ullage.records.folder import RunFolder, new_folder
from ullage.records.manifest import Manifest
from ullage.records.observation import observations_of, shape_of
from ullage.records.record import Environment, Measured, Record
from ullage.runtime.machine import environment
from ullage.runtime.opening import Options, open_session
from ullage.runtime.session import Session, record_of
from ullage.spec.role import Cache
from ullage.spec.workload import Workload
from ullage.units import gib
from ullage.workloads.registry import find_kind


@dataclass(frozen=True, slots=True)
class Checked:
    """What `check` saw: where each role's parts are, and the peaks of one smallest batch."""

    device_maps: Mapping[str, Mapping[str, str]]
    measured: tuple[Measured, ...]


@dataclass(frozen=True, slots=True)
class Begun:
    """How a run begins: `resumed` goes on with what the folder holds; `prepare` may put work that is done
    already into a new folder; `anyway` does a plan that does not fit."""

    resumed: bool = False
    anyway: bool = False
    prepare: Callable[[RunFolder], None] | None = None


def execute(plan: Plan, folder: Path, options: Options, begun: Begun = Begun()) -> Record:
    """Does the work of `plan` in `folder`; the record of what was measured.

    Raises DoesNotFitError for a plan that exceeds a device (unless it is done anyway), BusyError for a folder
    that another process runs in, InputError where a resumed run's inputs have changed.
    """
    runner = _runner(plan.workload)
    if plan.verdict == "does not fit" and not begun.anyway:
        raise DoesNotFitError(_too_large(plan))
    inputs = inputs_of(plan.workload, plan.base)
    run = RunFolder(folder) if begun.resumed else new_folder(folder)
    with ExitStack() as stack:
        stack.enter_context(run.lock())
        prepared = 0
        if not begun.resumed:
            stack.callback(lambda: _discard_nothing(run, prepared))
            if begun.prepare is not None:
                begun.prepare(run)
            prepared = run.done
        with open_session(plan, run, options) as session:
            _begin(session, inputs, begun.resumed)
            started = time.monotonic()
            _work(runner, session)
            record = record_of(session, time.monotonic() - started)
        if find_kind(plan.workload.kind).reporter:
            report(plan.workload, run, plan.base, record)
        run.write_record(record)  # last: a folder that has it is complete
        _keep_evidence(session, record, run)
    return record


def _begin(session: Session, inputs: list[dict[str, str]], resumed: bool) -> None:
    """Writes down what a new run is of, or checks that a resumed one is still of the same."""
    plan, where = session.plan, environment(session.plan.gpus)
    if resumed:
        _check_unchanged(session, inputs, where)
    else:
        manifest = Manifest(plan.base.resolve(), tuple(inputs), where, plan_document(plan))
        session.folder.write_manifest(manifest)
    for warning in plan.warnings:
        session.say(warning)


def _keep_evidence(session: Session, record: Record, run: RunFolder) -> None:
    """Leaves what later plans take from this run; what of it failed is said, and costs the run nothing."""
    said = keep_evidence(
        observations_of(
            record,
            shape_of(session.workload),
            run.path.resolve().name,
            time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            session.begun_with,
        )
    )
    if said:
        session.say(said)


def report(workload: Workload, run: RunFolder, base: Path, record: Record) -> tuple[Path, ...]:
    """Writes the pages and tables of a run whose work is done; their paths.

    Raises UnsupportedError for a kind that has none.
    """
    reporter = find_kind(workload.kind).reporter
    if not reporter:
        raise UnsupportedError(
            f"kind {workload.kind} has no report; see `ullage verify` and `ullage analyse`"
        )
    written: tuple[Path, ...] = import_module(reporter).report(run, workload, base, record)
    return written


def _work(runner: Any, session: Session) -> None:
    """The kind's own work. However it is cut short, the user is told how to go on."""
    run = session.folder
    try:
        runner.run(session)
        session.free_guests()
    except KeyboardInterrupt:
        session.say(f"interrupted; {_how_to_go_on(run)}")
        raise
    except OutOfMemoryError as error:
        raise OutOfMemoryError(f"{error}. {_how_to_go_on(run).capitalize()}") from error
    except OSError as error:
        said = error.strerror or str(error)
        raise InputError(f"{error.filename or run.path}: {said}; {_how_to_go_on(run)}") from error


def _how_to_go_on(run: RunFolder) -> str:
    if not run.done:
        return "nothing was done yet"
    return f"what is done is kept, and `ullage run --resume {run.path}` goes on from there"


def _discard_nothing(run: RunFolder, prepared: int) -> None:
    """A run that came to nothing (records that cannot be read, a model that does not load) leaves nothing
    behind, so the same command works once that is mended."""
    if run.done == prepared and not run.complete:
        run.discard()


def check(plan: Plan, options: Options) -> Checked:
    """Loads everything where the plan puts it and runs one smallest batch; nothing of it is kept."""
    runner = _runner(plan.workload)
    with TemporaryDirectory() as folder:
        smallest = replace(options, smallest=True)
        with open_session(plan, RunFolder(Path(folder)), smallest) as session:
            runner.run(session)
            maps = {name: loaded.device_map for name, loaded in session.loaded.items()}
            session.monitor.enter(None)
            return Checked({**session.freed_maps, **maps}, session.monitor.measured)


def _runner(workload: Workload) -> Any:
    runner = find_kind(workload.kind).runner
    if not runner:
        raise UnsupportedError(f"kind {workload.kind} can be planned, but not run yet")
    _check_able(workload)
    return import_module(runner)


def _check_able(workload: Workload) -> None:
    """Raises UnsupportedError for what can be planned and no runner does."""
    for name, role in workload.roles.items():
        if role.runs_with.memory == "process" and role.cache != Cache():
            raise UnsupportedError(
                f"roles.{name}.cache: a run keeps a dynamic cache in the compute dtype; remove it to run"
            )
        if role.images:
            raise UnsupportedError(f"roles.{name}.images: a run gives its roles text alone; remove it to run")


def _too_large(plan: Plan) -> str:
    worst = min((d for d in plan.devices if d.ullage is not None), key=lambda device: device.ullage or 0)
    assert worst.usable is not None
    return (
        f"the plan does not fit: {worst.name} would need up to {gib(worst.peak.device.high)} of "
        f"{gib(worst.usable)} in {worst.peak_phase}; `ullage plan` shows what would fit"
    )


def inputs_of(workload: Workload, base: Path) -> list[dict[str, str]]:
    """Files the run reads, with their SHA-256; models by their config and the sizes of their weights."""
    found = []
    for name in workload.section.files() if workload.section is not None else ():
        path = base / Path(name).expanduser()
        if path.is_dir():
            for part in sorted(each for each in path.rglob("*") if each.is_file()):
                shown = str(Path(name) / part.relative_to(path))
                found.append({"file": shown, "sha256": sha256_of(part)})
        elif path.is_file():
            found.append({"file": name, "sha256": sha256_of(path)})
        else:
            raise InputError(f"{name}: no such file (looked for {path})")
    for role in workload.roles.values():
        folder = local_path(role.model, base)
        if (folder / "config.json").is_file():
            sizes = ",".join(f"{p.name}:{p.stat().st_size}" for p in sorted(folder.glob("*.safetensors")))
            found.append({"model": role.model, "sha256": sha256_of(folder / "config.json"), "weights": sizes})
    return found


def _check_unchanged(session: Session, inputs: list[dict[str, str]], where: Environment) -> None:
    manifest, folder = session.folder.manifest(), session.folder.path
    changed = [each for each in inputs if each not in manifest.inputs]
    if changed or len(inputs) != len(manifest.inputs):
        what = (changed[0].get("file") or changed[0].get("model")) if changed else "what it reads"
        raise InputError(f"{folder}: {what} has changed since this run began; start a new run")
    begun = asdict(manifest.environment)
    other = [name for name, value in asdict(where).items() if begun[name] != value]
    if other:
        session.say(
            f"resumed with other versions than it began with ({', '.join(other)}): results may differ "
            "in rounding from those of one run"
        )
