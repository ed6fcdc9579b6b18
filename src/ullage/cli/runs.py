"""Commands about runs: begun, taken up, tried out, compared with their plans, reported anew."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from ullage.cli.plans import HowKnown, with_fidelity
from ullage.errors import InputError
from ullage.reports.terminal import (
    Base,
    Download,
    Json,
    Offline,
    Quiet,
    Sets,
    Verbose,
    Where,
    exit_if_too_many_failed,
    exit_unless,
    tell,
)

if TYPE_CHECKING:
    from ullage.planning.plan import Plan

WATCHED_SECONDS: Final = 3.0
"""Between two looks at a run."""
Run = Annotated[str, typer.Argument(metavar="RUN", help="The folder of a finished run.")]


def run(
    file: Annotated[
        str | None, typer.Argument(metavar="[FILE]", help="A workload file, or a plan's JSON.")
    ] = None,
    out: Annotated[str | None, typer.Option(help="A new folder; default runs/KIND-N.")] = None,
    resume: Annotated[str | None, typer.Option(metavar="RUN", help="Go on with a run cut short.")] = None,
    gpus: Where = None,
    set_: Sets = None,
    anyway: Annotated[
        bool,
        typer.Option(
            "--anyway",
            help="Even if the plan does not fit; with --resume even if models, versions or threads differ.",
        ),
    ] = False,
    no_retry: Annotated[
        bool, typer.Option("--no-retry", help="With --resume: what a server failed is not asked again.")
    ] = False,
    base: Base = None,
    on: Annotated[
        str,
        typer.Option(help="Where partitions are done: local, ray (this machine's cluster), or HOST:PORT."),
    ] = "local",
    fidelity: HowKnown = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Read large weights whole, so that a resume compares them all.")
    ] = False,
    snapshot: Annotated[bool, typer.Option("--snapshot", help="Record torch's allocator (GPUs).")] = False,
    allow_nan: Annotated[
        bool, typer.Option("--allow-nan", help="Keep NaN and infinite states, and count them.")
    ] = False,
    download: Download = False,
    offline: Offline = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    json: Json = False,
) -> None:
    from ullage import api
    from ullage.reports.run_page import run_document, run_page

    if (file is None) == (resume is None):
        raise InputError("give a workload FILE to run, or --resume RUN to go on with one")
    options: dict[str, Any] = {"anyway": anyway, "quiet": quiet, "verbose": verbose}
    options |= {"allow_nan": allow_nan, "on": on}
    if resume is not None:
        new = {"--strict": strict, "--set": set_, "--gpus": gpus, "--fidelity": fidelity, "--out": out}
        _check_resumed(resume, [option for option, given in new.items() if given])
        folder = Path(resume)
        record = api.resume(resume, base=base, download=download, retry=not no_retry, **options)
    else:
        assert file is not None
        _check_begun(base, no_retry)
        options |= {"snapshot": snapshot, "strict": strict, "download": download}
        made = _made(file, gpus, with_fidelity(set_, fidelity))
        folder, record = api.run_plan(made, out, **options)
    tell(json, partial(run_document, folder, record), partial(run_page, folder, record))
    exit_if_too_many_failed(record)


def _check_begun(base: str | None, no_retry: bool) -> None:
    """Raises InputError for options that are of a resume."""
    if base is not None:
        raise InputError("--base: goes with --resume; a new run's paths are relative to its FILE")
    if no_retry:
        raise InputError("--no-retry: goes with --resume")


def _check_resumed(run: str, given: Sequence[str]) -> None:
    """Raises InputError for options that say what a run is, which was said when it was begun."""
    if "--strict" in given:
        raise InputError("--strict: is said when a run is begun; a resume compares as it was begun")
    for option in given:
        raise InputError(
            f"{option}: a resume does what the run in {run} was begun with, where it was begun; "
            f"leave {option} out, or begin another run"
        )


def _made(file: str, gpus: str | None, sets: Sequence[str]) -> Plan:
    """The plan in `file`, or that of the workload in it."""
    from ullage import api
    from ullage.planning.plan import Plan

    found = api.read_file(file, sets)
    if not isinstance(found, Plan):
        return api.plan_here(found, gpus, api.folder_of(file))
    if gpus:
        raise InputError(f"{file}: is a plan already; --gpus and --set change a workload file")
    return found


def check(
    file: Annotated[str, typer.Argument(metavar="FILE|RUN", help="A workload file, or a run's folder.")],
    gpus: Where = None,
    set_: Sets = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Of a RUN: keep what is whole; a resume does the rest again.")
    ] = False,
    download: Download = False,
    offline: Offline = False,
    json: Json = False,
) -> None:
    from ullage import api
    from ullage.documents import document
    from ullage.reports.run_page import CheckDocument, check_page

    if Path(file).is_dir():
        return _check_run(file, repair, json)
    if repair:
        raise InputError(f"{file}: is no folder of a run; --repair is for those")
    found = api.check(api.load(file, set_ or ()), gpus, base=api.folder_of(file), download=download)
    held = CheckDocument(found.device_maps, tuple(found.measured))
    tell(json, partial(document, "check", CheckDocument, held), partial(check_page, held))
    return None


def _check_run(folder: str, repair: bool, json: bool) -> None:
    """Whether a run's folder still is what was written; 1 where it is not, and was not repaired."""
    from ullage import api
    from ullage.documents import document
    from ullage.reports.run_page import RunCheckDocument, run_check_page

    found = api.check_run(folder, repair=repair)
    damaged = tuple(map(str, found.damaged))
    held = RunCheckDocument(str(found.folder), found.complete, found.done, damaged, tuple(found.dropped))
    tell(json, partial(document, "run-check", RunCheckDocument, held), partial(run_check_page, held))
    exit_unless(found.holds)


def verify(
    folder: Run,
    json: Json = False,
    details: Annotated[
        bool, typer.Option("--details", help="Every phase of every device, of a run with many too.")
    ] = False,
) -> None:
    from ullage import api
    from ullage.reports.verification_page import verification_document, verification_page

    found = api.verify(folder)
    page = partial(verification_page, found, details=details)
    tell(json, partial(verification_document, found), page)
    exit_unless(found.holds)


def status(
    folder: Annotated[str, typer.Argument(metavar="RUN", help="The folder of a run.")],
    json: Json = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Again every few seconds, until the run has ended.")
    ] = False,
) -> None:
    import time

    from ullage import api
    from ullage.reports.status_page import status_document, status_page

    while True:
        found = api.status(folder)
        tell(json, partial(status_document, found), partial(status_page, found))
        if not watch or found.state != "running":
            return
        time.sleep(WATCHED_SECONDS)


def pool(
    folder: Annotated[str, typer.Argument(metavar="RUN", help="The folder of a run.")],
    json: Json = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Again every second, until the run has ended.")
    ] = False,
) -> None:
    import time

    from ullage import api
    from ullage.reports.pool_page import pool_document, pool_page

    while True:
        found = api.read_pool(folder)
        tell(json, partial(pool_document, found), partial(pool_page, found))
        if not watch or found.state != "running":
            return
        time.sleep(1.0)


def report(folder: Run, base: Base = None) -> None:
    from ullage import api

    for path in api.report(folder, base=base):
        print(path)
