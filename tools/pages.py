"""Pages that show what commands print: the README's, and the first screen of every example.

    .venv/bin/python tools/pages.py          (or: make pages)

A command stands in a page as `    $ ullage plan examples/werewolf.yaml`, what it prints below it; the first
screens are tests/cli/golden/*.txt. The tests hold both against what the commands print now; this remakes
them, after a change of numbers that is meant.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from unittest.mock import patch

ROOT: Final = Path(__file__).parents[1]
GOLDEN: Final = ROOT / "tests/cli/golden"
PAGES: Final = (ROOT / "README.md",)
EXAMPLES: Final = (
    *sorted((ROOT / "examples").glob("*.yaml")),
    ROOT / "examples/small/extract.yaml",
    ROOT / "examples/small/werewolf-tiny.yaml",
)
"""Those that can be planned as they come; assistant-tiny.yaml has models made first."""
WIDTH: Final = "80"
PROMPT: Final = "    $ ullage "
_BLOCK: Final = re.compile(r"^ {4}\$ ullage .*\n(?:(?: {4}.*)?\n)*?(?= {4}\$ |\S|\Z)", re.MULTILINE)


def said(command: str) -> str:
    """What `ullage` prints for `command` to a pipe, from the repository's root, without past runs; blanks at
    the ends of lines are left out."""
    out = io.StringIO()
    with piped():
        call(shlex.split(command), out)
    return "".join(f"{line.rstrip()}\n" for line in out.getvalue().splitlines())


def call(words: list[str], out: io.StringIO, err: io.StringIO | None = None) -> object:
    """`ullage` with `words`, in this process, which has imported everything once: its exit code.

    What it says on its error stream goes to `err`, where that is given.
    """
    from ullage.cli.main import main

    aside = contextlib.nullcontext() if err is None else contextlib.redirect_stderr(err)
    with contextlib.redirect_stdout(out), aside:
        try:
            main(words)
        except SystemExit as ended:
            return ended.code
    return 0


@contextlib.contextmanager
def piped(place: Path = ROOT) -> Iterator[None]:
    """In `place`, 80 columns wide, on a machine of two cores and 16 GiB where no run has left anything; no
    hub is asked."""
    before, folder = dict(os.environ), Path.cwd()
    with (
        tempfile.TemporaryDirectory() as home,
        patch("os.cpu_count", lambda: 2),
        patch("os.sysconf", lambda name: 4096 if name == "SC_PAGE_SIZE" else 2**22),
        patch("ullage.facts.health.host.memory_limit", lambda: (None, None)),
    ):
        os.environ |= {"COLUMNS": WIDTH, "ULLAGE_HOME": home, "HF_HOME": home, "HF_HUB_OFFLINE": "1"}
        os.chdir(place)
        try:
            yield
        finally:
            os.chdir(folder)
            os.environ.clear()
            os.environ.update(before)


def screen(example: Path) -> str:
    """The first screen of an example's plan."""
    return said(f"plan {example.relative_to(ROOT)}")


def golden(example: Path) -> Path:
    """Where it is kept."""
    return GOLDEN / f"{'-'.join(example.relative_to(ROOT / 'examples').with_suffix('').parts)}.txt"


def shown(page: str) -> dict[str, str]:
    """Each command of a page with what the page has it print."""
    blocks = (found[0].rstrip("\n").splitlines() for found in _BLOCK.finditer(page))
    return {lines[0].removeprefix(PROMPT): "".join(f"{line[4:]}\n" for line in lines[1:]) for lines in blocks}


def remade(page: str) -> str:
    """The page with what its commands print now."""

    def block(found: re.Match[str]) -> str:
        first, *rest = found[0].splitlines(keepends=True)
        printed = said(first.strip().removeprefix(PROMPT.strip() + " "))
        after = "".join(rest)[len("".join(rest).rstrip("\n")) + 1 :] if rest else ""
        indented = "".join(f"    {line}\n" if line else "\n" for line in printed.splitlines())
        return first + indented + (after or "\n")

    return _BLOCK.sub(block, page)


def main() -> None:
    GOLDEN.mkdir(exist_ok=True)
    for example in EXAMPLES:
        golden(example).write_text(screen(example), encoding="utf-8")
    for page in PAGES:
        page.write_text(remade(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
