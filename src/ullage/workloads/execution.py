"""Runs a plan from its first byte to its record, and takes up runs that were cut short."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from ullage.errors import DoesNotFitError, InputError, OutOfMemoryError, UnsupportedError
from ullage.facts.architecture import Model
from ullage.facts.bundled import local_path
from ullage.planning.plan import Plan
from ullage.records.atomic import sha256_of
from ullage.records.evidence_file import keep_evidence
from ullage.records.folder import RunFolder, new_folder
from ullage.records.observation import observations_of, shape_of
from ullage.records.record import Measured, Record, record_document
from ullage.reports.document import plan_document
from ullage.runtime.session import Session, environment, open_session, record_of
from ullage.spec.workload import Workload
from ullage.units import gib
from ullage.workloads.registry import find_kind


@dataclass(frozen=True, slots=True)
class Checked:
    """What `check` saw: where each role's parts are, and the peaks of one smallest batch."""

    device_maps: Mapping[str, Mapping[str, str]]
    measured: tuple[Measured, ...]


def execute(
    workload: Workload,
    plan: Plan,
    models: Mapping[str, Model],
    base: Path,
    gpus: str,
    folder: Path,
    *,
    resume: bool = False,
    download: bool = False,
    quiet: bool = False,
    anyway: bool = False,
    snapshot: bool = False,
    prepare: Callable[[RunFolder], None] | None = None,
) -> Record:
    """Does the work of `plan` in `folder`; the record of what was measured.

    `prepare` may put work that is done already into the new folder.

    Raises DoesNotFitError for a plan that exceeds a device (unless `anyway`), BusyError for a folder that
    another process runs in, InputError where a resumed run's inputs have changed.
    """
    runner = _runner(workload)
    if plan.verdict == "does not fit" and not anyway:
        raise DoesNotFitError(_too_large(plan))
    inputs = inputs_of(workload, base)
    run = RunFolder(folder) if resume else new_folder(folder)
    with ExitStack() as stack:
        stack.enter_context(run.lock())
        prepared = 0
        if not resume:
            stack.callback(lambda: _discard_nothing(run, prepared))
            if prepare is not None:
                prepare(run)
            prepared = run.done
        with open_session(
            workload, plan, models, base, folder=run, download=download, quiet=quiet, snapshot=snapshot
        ) as session:
            where = environment(plan.gpus)
            if resume:
                _check_unchanged(run, inputs, asdict(where), session)
            else:
                run.write_manifest(
                    {
                        "workload": workload_text(workload),
                        "base": str(base.resolve()),
                        "gpus": gpus,
                        "inputs": inputs,
                        "environment": asdict(where),
                        "plan": plan_document(plan),
                    }
                )
            for warning in plan.warnings:
                session.say(warning)
            begun = time.monotonic()
            _work(runner, session, run)
            session.monitor.enter("")
            record = record_of(session, time.monotonic() - begun)
        document = record_document(record)
        if find_kind(workload.kind).reporter:
            report(workload, run, base, document)
        run.write_record(document)  # last: a folder that has it is complete
        _keep_evidence(session, record, run)
    return record


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


def report(workload: Workload, run: RunFolder, base: Path, record: Mapping[str, Any]) -> tuple[Path, ...]:
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


def _work(runner: Any, session: Session, run: RunFolder) -> None:
    """The kind's own work. However it is cut short, the user is told how to go on."""
    try:
        runner.run(session)
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


def check(
    workload: Workload,
    plan: Plan,
    models: Mapping[str, Model],
    base: Path,
    *,
    download: bool = False,
    quiet: bool = False,
) -> Checked:
    """Loads everything where the plan puts it and runs one smallest batch; nothing is written."""
    runner = _runner(workload)
    with open_session(
        workload, plan, models, base, folder=None, download=download, quiet=quiet, smallest=True
    ) as session:
        runner.run(session)
        session.monitor.enter("")
        maps = {name: loaded.device_map for name, loaded in session.loaded.items()}
        return Checked(maps, session.monitor.measured)


def _runner(workload: Workload) -> Any:
    runner = find_kind(workload.kind).runner
    if not runner:
        raise UnsupportedError(f"kind {workload.kind} can be planned, but not run yet")
    return import_module(runner)


def _too_large(plan: Plan) -> str:
    worst = min((d for d in plan.devices if d.ullage is not None), key=lambda device: device.ullage or 0)
    assert worst.usable is not None
    return (
        f"the plan does not fit: {worst.name} would need up to {gib(worst.peak.device.high)} of "
        f"{gib(worst.usable)} in {worst.peak_phase}; `ullage plan` shows what would fit"
    )


def workload_text(workload: Workload) -> str:
    """The workload as one file that says the same, JSON."""
    body = workload.model_dump(mode="json", exclude_defaults=True, exclude={"section"})
    body["kind"] = workload.kind
    body["roles"] = {name: role.model_dump(mode="json") for name, role in workload.roles.items()}
    memory = body.get("memory", {})
    memory.pop("activation_cache_filter", None)
    memory.pop("precision_mode", None)
    if workload.section is not None:
        body[workload.kind] = workload.section.model_dump(mode="json")
    return json.dumps(body, indent=1)


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


def _check_unchanged(
    run: RunFolder, inputs: list[dict[str, str]], where: dict[str, str], session: Session
) -> None:
    manifest = run.manifest()
    changed = [each for each in inputs if each not in manifest["inputs"]]
    if changed or len(inputs) != len(manifest["inputs"]):
        what = (changed[0].get("file") or changed[0].get("model")) if changed else "what it reads"
        raise InputError(f"{run.path}: {what} has changed since this run began; start a new run")
    other = [name for name, value in where.items() if manifest["environment"].get(name) != value]
    if other:
        session.say(
            f"resumed with other versions than it began with ({', '.join(other)}): results may differ "
            "in rounding from those of one run"
        )
