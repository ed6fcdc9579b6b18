"""Situations: homes, users, disks, descriptors, streams and signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from unusual_runs import PLAINLY, Seen, Way
from unusual_stage import PII, PLAN, RUN, Situation, Stage, one_line, says

NOBODY = 12345
EARLY = "one line, before any model"
DISK = {"extract": "3m", "evaluate": "80k", "pii": "128k"}
"""What fills up in the middle of a run."""
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
UNSET = dict.fromkeys(("HOME", "ULLAGE_HOME", "XDG_DATA_HOME", "HF_HOME", "XDG_CACHE_HOME"))
MANY = {"extract": 60, "evaluate": 60, "pii": 600}
"""Examples: enough for a signal to come in the middle."""


def situations() -> Iterator[Situation]:
    for kind in (*RUN, PLAN):
        yield from _homes(kind)
        yield from _streams(kind)
    for kind in RUN:
        yield from _disks(kind)
        yield from _folders(kind)
        yield from _signals(kind)
    yield from _outputs()
    yield from _elsewhere()


def _done(stage: Stage, kind: str, way: Way) -> tuple[Seen, str]:
    """The kind's work, finished; of plans, a plan."""
    if kind == PLAN:
        seen = stage.ullage("plan", stage.workload("extract"), way=_fresh(way))
        return seen, "" if way.out is not None else says(seen, "fits")
    seen = stage.run(kind, way)
    return seen, stage.lost(kind)


def _fresh(way: Way) -> Way:
    import dataclasses

    return dataclasses.replace(way, fresh=True)


def _situation(
    name: str, kind: str, expected: str, way: Callable[[Stage], Way], root: bool = False
) -> Situation:
    return Situation(name, kind, expected, lambda stage: _done(stage, kind, way(stage)), root=root)


def _anyones(stage: Stage) -> Stage:
    stage.folder.chmod(0o777)
    return stage


def _homes(kind: str) -> Iterator[Situation]:
    finished = "done, evidence apart"

    def nobody(stage: Stage, home: str | None) -> Way:
        _anyones(stage)
        return Way({**UNSET, "HOME": home}, user=NOBODY, fresh=True)

    yield _situation("no HOME, a uid without a name", kind, finished, lambda stage: nobody(stage, None), True)
    yield _situation("HOME is not there", kind, finished, lambda stage: nobody(stage, "/not/there"), True)
    yield _situation("HOME is another's", kind, finished, lambda stage: nobody(stage, "/root"), True)

    def file_for_home(stage: Stage) -> Way:
        (stage.folder.parent / "file").write_text("")
        return Way({"ULLAGE_HOME": str(stage.folder.parent / "file")})

    yield _situation("ULLAGE_HOME is a file", kind, finished, file_for_home)

    def dev_full(stage: Stage) -> Way:
        home = stage.folder.parent / "home"
        home.mkdir(exist_ok=True)
        (home / "evidence.jsonl").symlink_to("/dev/full")
        return Way({"ULLAGE_HOME": str(home)})

    yield _situation("evidence goes to a device that is full", kind, finished, dev_full)
    yield _situation("32 file descriptors", kind, "done", lambda stage: Way(limits={"RLIMIT_NOFILE": 32}))


def _streams(kind: str) -> Iterator[Situation]:
    def on(out: str | None, err: str | None) -> Callable[[Stage], Way]:
        return lambda stage: Way(out=out, err=err)

    yield _situation("standard error is full", kind, "done", on(None, "/dev/full"))
    yield _situation("standard error is closed", kind, "done", on(None, ""))
    yield Situation(
        "standard output is full",
        kind,
        "done, and one line says that it cannot be told",
        lambda stage: _done(stage, kind, Way(out="/dev/full")),
        (2,),
    )
    yield _situation(
        "the terminal knows ASCII alone",
        kind,
        "done",
        lambda stage: Way({"PYTHONIOENCODING": "ascii"}, fresh=True),
    )


def _mounted(stage: Stage, size: str) -> Path:
    place = stage.folder / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(place)], check=True)
    return place


def _disks(kind: str) -> Iterator[Situation]:
    def full(stage: Stage) -> tuple[Seen, str]:
        """The disk fills up; once there is room, the run ends with the bytes of one left alone."""
        work = stage.workload(kind, count=MANY[kind])
        whole = stage.ullage("run", work, "--out", "whole", "--quiet")
        assert whole.code == 0, whole.err
        place = _mounted(stage, DISK[kind])
        try:
            seen = stage.ullage("run", work, "--out", "disk/out", "--quiet")
            wrong = seen.wrong((2,)) or one_line(seen)
            subprocess.run(["mount", "-o", "remount,size=64m", str(place)], check=True)
            if (place / "out" / "manifest.json").exists():
                again = stage.ullage("run", "--resume", "disk/out", "--quiet")
            else:
                again = stage.ullage("run", work, "--out", "disk/out", "--quiet")
            wrong = wrong or again.wrong((0,)) or stage.lost(kind, "disk/out")
            if not wrong and stage.results(kind, "whole") != stage.results(kind, "disk/out"):
                wrong = "other results than those of a run left alone"
            return seen, wrong
        finally:
            subprocess.run(["umount", str(place)], check=True)

    yield Situation("the run's disk is full", kind, "one line; going on gives the same bytes", full, (2,))

    def extras(stage: Stage) -> tuple[Seen, str]:
        """From the middle of a run on, log, timeline and report cannot be written."""

        def block(child: int) -> None:
            for name in ("log.jsonl", "timeline.jsonl", "report.html"):
                (stage.folder / "out" / name).unlink(missing_ok=True)
                (stage.folder / "out" / name).mkdir(exist_ok=True)

        work = stage.workload(kind, count=MANY[kind])
        way = Way(meddle=block, after=_has_lines)
        seen = stage.ullage("run", work, "--out", "out", "--quiet", way=way)
        silent = kind != "extract" and "report cannot be written" not in seen.err
        return seen, stage.lost(kind) or ("does not say that there is no report" if silent else "")

    yield Situation("log, timeline and report cannot be written", kind, "done, and said", extras)

    def read_only(stage: Stage) -> tuple[Seen, str]:
        work = stage.workload(kind)
        place = _mounted(stage, "1m")
        subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
        try:
            seen = stage.ullage("run", work, "--out", "disk/out", "--quiet")
        finally:
            subprocess.run(["umount", str(place)], check=True)
        return seen, one_line(seen, "disk/out")

    yield Situation("a read-only file system to run in", kind, EARLY, read_only, (2,))


def _folders(kind: str) -> Iterator[Situation]:
    def others(mode: int, command: tuple[str, ...]) -> Callable[[Stage], tuple[Seen, str]]:
        def attempt(stage: Stage) -> tuple[Seen, str]:
            _cut_short(stage, kind, signal.SIGKILL)
            (stage.folder / "out").chmod(mode)
            seen = stage.ullage(*command, way=Way(user=NOBODY))
            return seen, one_line(seen, "out")

        return attempt

    yield Situation(
        "another user's run, readable, is resumed",
        kind,
        "one line",
        others(0o755, ("run", "--resume", "out")),
        (2,),
    )

    def closed(stage: Stage) -> tuple[Seen, str]:
        _cut_short(stage, kind, signal.SIGKILL)
        (stage.folder / "out").chmod(0o600)
        (stage.folder / "out" / "manifest.json").chmod(0)
        (stage.folder / "out" / "journal.jsonl").chmod(0)
        plain = Way(user=NOBODY)
        seen = stage.ullage("verify", "out", way=plain)
        return seen, one_line(seen, "out")

    yield Situation("another user's run is verified", kind, "one line", closed, (2,))


def _has_lines(folder: Path) -> bool:
    journal = folder / "out" / "journal.jsonl"
    return journal.exists() and journal.read_bytes().count(b"\n") >= 2


def _cut_short(stage: Stage, kind: str, number: int, ignored: int | None = None) -> Seen:
    work = stage.workload(kind, count=MANY[kind])
    way = Way(meddle=lambda child: os.kill(child, number), after=_has_lines, ignored=ignored)
    return stage.ullage("run", work, "--out", "out", "--quiet", way=way)


def _signals(kind: str) -> Iterator[Situation]:
    for number in SIGNALS:

        def pressed(stage: Stage, number: int = number) -> tuple[Seen, str]:
            whole = stage.ullage("run", stage.workload(kind, count=MANY[kind]), "--out", "whole", "--quiet")
            seen = _cut_short(stage, kind, number)
            wrong = says(seen, "ullage run --resume out") or whole.wrong((0,))
            again = stage.ullage("run", "--resume", "out", "--quiet")
            wrong = wrong or again.wrong((0,)) or stage.lost(kind)
            if not wrong and stage.results(kind) != stage.results(kind, "whole"):
                wrong = "other results than those of a run left alone"
            return seen, wrong

        expected = "says how to go on; going on gives the same bytes"
        yield Situation(
            f"{signal.Signals(number).name} in the middle", kind, expected, pressed, (128 + number,)
        )

    def nohup(stage: Stage) -> tuple[Seen, str]:
        seen = _cut_short(stage, kind, signal.SIGHUP, ignored=signal.SIGHUP)
        return seen, stage.lost(kind)

    yield Situation("SIGHUP under nohup", kind, "goes on", nohup)


def _outputs() -> Iterator[Situation]:
    """`ullage pii`: its output is what it is for."""

    def pii(stage: Stage, *more: str, way: Way = PLAINLY) -> Seen:
        stage.workload("pii")
        model = ("--model-path", "ullage:tiny", "--input", "data.jsonl")
        return stage.ullage("pii", *model, "--output", "out.jsonl", *PII, *more, "--quiet", way=way)

    def there(stage: Stage) -> str:
        return "" if (stage.folder / "out.jsonl").exists() else "lost: out.jsonl"

    def homeless(stage: Stage) -> tuple[Seen, str]:
        _anyones(stage)
        seen = pii(stage, way=Way(UNSET, user=NOBODY))
        return seen, there(stage)

    yield Situation("ullage pii without HOME, a uid without a name", "pii", "the output is there", homeless)

    def no_report(stage: Stage) -> tuple[Seen, str]:
        def block(child: int) -> None:
            (stage.folder / "out.jsonl.run" / "report.html").mkdir()

        begun = Way(meddle=block, after=lambda folder: (folder / "out.jsonl.run" / "manifest.json").exists())
        seen = pii(stage, way=begun)
        return seen, there(stage) or says(seen, "report")

    yield Situation("the report cannot be written", "pii", "the output is there, and one warning", no_report)

    def read_only(stage: Stage) -> tuple[Seen, str]:
        stage.workload("pii")
        (stage.folder / "data.jsonl").chmod(0o644)
        stage.folder.chmod(0o555)
        seen = stage.ullage(
            "pii", "--model-path", "ullage:tiny", "--input", "data.jsonl", "--output", "o/out.jsonl", *PII,
            way=Way(user=NOBODY),
        )  # fmt: skip
        stage.folder.chmod(0o755)
        return seen, one_line(seen, "o")

    yield Situation("the output's folder cannot be made", "pii", EARLY, read_only, (2,))


def _elsewhere() -> Iterator[Situation]:
    def gone(stage: Stage) -> tuple[Seen, str]:
        work = stage.folder / stage.workload("extract")
        below = stage.folder / "below"
        below.mkdir()
        code = f"import os; os.rmdir({str(below)!r}); from ullage.cli.main import program; program()"
        command = [sys.executable, "-c", code, "plan", str(work)]
        done = subprocess.run(command, cwd=below, capture_output=True, text=True, check=False)
        return Seen(done.returncode, done.stdout, done.stderr), ""

    yield Situation("the current folder was removed", PLAN, "done, or one line", gone, (0, 2))

    def read_only(stage: Stage) -> tuple[Seen, str]:
        work = stage.workload("extract")
        stage.folder.chmod(0o555)
        seen = stage.ullage("run", work, way=Way(user=NOBODY))
        stage.folder.chmod(0o755)
        return seen, one_line(seen, "runs")

    yield Situation("the current folder cannot be written", "extract", EARLY, read_only, (2,))
