"""Tutorials, and what the memory model works by hand, walked from first step to last in an empty folder.

    .venv/bin/python tools/journeys.py          (or: make pages)

In such a page an indented block is a step: a file, where its first line is its name as a
comment (`# states.yaml`); commands, each as `$ ullage ...` with what it prints below; or Python, as `>>>`
with what that prints. Walking a page gives the page with what its steps print now. What a run measured
differs from run to run: of commands that measure, what was printed stays as it stands where nothing but
figures changed. A line `...` in what was printed stands for lines that are left out.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import itertools
import re
import shlex
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pages

FOLDER: Final = pages.ROOT / "docs/tutorials"
BY_HAND: Final = pages.ROOT / "docs/memory-model.md"
MEASURING: Final = {"run", "verify", "serve", "pool", "report", "evidence"}
"""Commands that print what was measured."""
INDENT: Final = " " * 4
_FILE: Final = re.compile(r"# (\S+\.\w+)")
CUT: Final = "..."
_FIGURES: Final = re.compile(r"[-+]?\d[\d.,]*|\b(?:inside|below|above)\b|[█▒·]")
_PROGRESS: Final = re.compile(
    r"\w+: \d+ of \d+ records, |ullage: \w+: sites proven on a small model in |ullage: \S+: (trac|count)ing "
)
"""None is said every time: a family is proven once in a process, and a trace told of where it takes long."""
_PROMPT: Final = "$ ullage "


def tutorials() -> list[Path]:
    """Every page that is walked."""
    return sorted(FOLDER.glob("*.md"))


def walked(page: str, folder: Path) -> str:
    """`page` with what its steps print in the empty `folder` now."""
    names: dict[str, Any] = {"__name__": "__main__"}
    with pages.piped(folder):
        return "".join(_step(part, names) for part in _parts(page))


def _parts(page: str) -> Iterator[str]:
    """The page cut into indented blocks and what stands between them."""
    held: list[str] = []
    inside = False
    for line in page.splitlines(keepends=True):
        if line.strip() and line.startswith(INDENT) != inside:
            yield "".join(held)
            held, inside = [], not inside
        held.append(line)
    yield "".join(held)


def _step(part: str, names: dict[str, Any]) -> str:
    if not part.startswith(INDENT):
        return part
    body = part.rstrip("\n")
    lines = [line.removeprefix(INDENT) for line in body.splitlines()]
    if named := _FILE.fullmatch(lines[0]):
        Path(named[1]).write_text("\n".join(lines[1:]) + "\n", encoding="utf-8")
        return part
    if lines[0].startswith(_PROMPT):
        now = "".join(map(_command, _calls(lines)))
    elif lines[0].startswith(">>> "):
        now = _python("\n".join(lines) + "\n", names)
    else:
        return part
    shown = "".join(f"{INDENT}{line}\n" if line else "\n" for line in now.rstrip("\n").splitlines())
    return shown + part[len(body) + 1 :]


def _calls(lines: list[str]) -> Iterator[list[str]]:
    """Each command of a block, the lines of its call and of what it printed."""
    begins = [place for place, line in enumerate(lines) if line.startswith(_PROMPT)]
    for begin, end in zip(begins, [*begins[1:], len(lines)], strict=True):
        yield lines[begin:end]


def _command(lines: list[str]) -> str:
    called = next(count for count, line in enumerate(lines, 1) if not line.endswith("\\"))
    words = shlex.split("\n".join(lines[:called]).removeprefix(_PROMPT).replace("\\\n", " "))
    before = lines[called:]
    now = _cut(printed(words), before)
    if words[0] in MEASURING and _words(now) == _words(before):
        now = before
    return "".join(f"{line}\n" for line in [*lines[:called], *now])


def _cut(now: list[str], before: list[str]) -> list[str]:
    """Of `now` what `before` shows: its beginning, its end, and where a line of `before` stands again."""
    if CUT not in before:
        return now
    places = [-1, *(place for place, line in enumerate(before) if line == CUT), len(before)]
    parts = [before[begin + 1 : end] for begin, end in itertools.pairwise(places)]
    shown = now[: len(parts[0])]
    for part in parts[1:-1]:
        begin = next((place for place, line in enumerate(now) if _words([line]) == _words(part[:1])), None)
        shown += [CUT, *([] if begin is None else now[begin : begin + len(part)])]
    return [*shown, CUT, *now[len(now) - len(parts[-1]) :]]


def _words(lines: list[str]) -> list[str]:
    """What was printed, figures apart, in any order: wider ones make a table break its lines elsewhere."""
    return sorted(_FIGURES.sub(" ", "\n".join(lines)).split())


def printed(words: list[str]) -> list[str]:
    """The lines `ullage` prints on both of its streams, progress and blanks at the ends of lines left out."""
    out = io.StringIO()
    pages.call(words, out, out)
    return [line.rstrip() for line in out.getvalue().splitlines() if not _PROGRESS.match(line)]


def _python(block: str, names: dict[str, Any]) -> str:
    shown = []
    for example in doctest.DocTestParser().get_examples(block):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(compile(example.source, "<tutorial>", "single"), names)
        first, *more = example.source.splitlines()
        shown += [f">>> {first}", *(f"... {line}".rstrip() for line in more), *out.getvalue().splitlines()]
    return "".join(f"{line}\n" for line in shown)


def main() -> None:
    for page in (*tutorials(), BY_HAND):
        with tempfile.TemporaryDirectory() as folder:
            text = walked(page.read_text(encoding="utf-8"), Path(folder))
        page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
