"""`ullage demo`: what a kind of workload does, by the commands that one would type."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

import typer

from ullage.errors import InputError
from ullage.reports.terminal import DOES_NOT_FIT, Sets
from ullage.workloads.kind import MADE, Kind
from ullage.workloads.registry import find_kind, installed_kinds

FIRST: Final = "extract"
EXAMPLES: Final = "examples"


def demo(
    kind: Annotated[str, typer.Argument(help="Of workload.")] = FIRST,
    every: Annotated[
        bool, typer.Option("--all", help="Plan every example, then demonstrate every kind; some minutes.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Where examples are put and runs are kept; else a new folder."),
    ] = None,
    set_: Sets = None,
) -> None:
    """Plan, run and verify a small example with the bundled model, on the processor, by the commands that one
    would type: they are shown, and what they wrote stays."""
    chosen = [each for each in installed_kinds() if each.demo] if every else [_with_demo(kind)]
    folder = _prepared(out)
    begun = time.monotonic()
    if every:
        for path in sorted((folder / EXAMPLES).glob("*.yaml")):
            code = _do(f"ullage plan {EXAMPLES}/{path.name}", folder)
            if code not in (0, DOES_NOT_FIT):
                raise typer.Exit(code)
    ended = {each.name: _shown(each, folder, set_ or []) for each in chosen}
    typer.echo(f"\n{time.monotonic() - begun:.0f} s; all of it is in {folder / MADE}")
    failed = {name: code for name, code in ended.items() if code}
    if failed:
        typer.echo(f"not shown to its end: {', '.join(failed)}", err=True)
        raise typer.Exit(next(iter(failed.values())))


def _shown(kind: Kind, folder: Path, sets: list[str]) -> int:
    """The exit code of the first of its commands that failed; 0 where none did."""
    steps = (" ".join((step, *_sets(step, kind.name, sets))) for step in kind.demo)
    return next((code for step in steps if (code := _do(step, folder))), 0)


def _with_demo(name: str) -> Kind:
    """Raises InputError for a kind that there is not, or that shows nothing."""
    found = find_kind(name)
    if not found.demo:
        able = ", ".join(each.name for each in installed_kinds() if each.demo)
        raise InputError(f"kind {name} has no demonstration; these have: {able}")
    return found


def _prepared(out: Path | None) -> Path:
    """A folder with the examples, and nothing of an earlier demonstration. Files that are there stay.

    Raises InputError.
    """
    held = Path(__file__).parents[1] / EXAMPLES  # of an installed wheel
    if not held.is_dir():
        held = Path(__file__).parents[3] / EXAMPLES  # of a checkout
    if not held.is_dir():
        raise InputError(
            "this installation has no examples; install a wheel of Ullage, or run it in a checkout"
        )
    folder = Path(tempfile.mkdtemp(prefix="ullage-demo-")) if out is None else out
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / MADE).exists():
            raise InputError(f"{folder / MADE} is there already; remove it, or choose another --out")
        for path in held.rglob("*"):
            to = folder / EXAMPLES / path.relative_to(held)
            if path.is_file() and not to.exists():
                to.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, to)
    except OSError as error:
        raise InputError(f"{folder}: {error.strerror}; choose another --out") from error
    return folder


def _sets(step: str, kind: str, sets: list[str]) -> Iterator[str]:
    """What was set, for the commands that read a file; what is of one kind's part is for that kind alone."""
    if step.split()[1] in ("plan", "run"):
        names = {each.name for each in installed_kinds()}
        for text in sets:
            first = text.partition(".")[0]
            if first == kind or first not in names:
                yield f"--set {shlex.quote(text)}"


def _do(step: str, folder: Path) -> int:
    """Does a command in a process of its own, as a shell would; its exit code."""
    typer.echo(f"\n== {step}")
    sys.stdout.flush()
    words = [sys.executable, "-m", "ullage", *shlex.split(step)[1:]]
    code = subprocess.run(
        words, cwd=folder, env={**os.environ, "HF_HUB_OFFLINE": "1"}, check=False
    ).returncode
    return code if code >= 0 else 128 - code
