"""The reference of the command line, from what the program itself says of its commands.

.venv/bin/python tools/commands_page.py          (or: make pages)
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import typer

from ullage.cli.main import EXITS, app

PAGE: Final = Path(__file__).parents[1] / "docs/reference/commands.md"
HEAD: Final = f"""# Commands

Every command with its arguments and options, as `--help` says them. What may be repeated is marked `list`;
defaults stand in brackets.

{EXITS}
"""
_EPILOG: Final = re.compile(r"Example:\n  (.*?)\n\n(Exit codes: .*)", re.DOTALL)


def every_command() -> Iterator[tuple[str, Any]]:
    """Each command that can be called, groups among them, by its words: `probe fit`."""
    group = typer.main.get_command(app)
    context = group.make_context("ullage", [], resilient_parsing=True)
    for name in group.list_commands(context):
        yield from _walk(name, group.get_command(context, name), context)


def _walk(name: str, command: Any, context: Any) -> Iterator[tuple[str, Any]]:
    """What is not built yet is built as a call would."""
    built = command.make_context(name, [], context, resilient_parsing=True).command
    yield name, built
    for each in getattr(built, "commands", {}):
        yield from _walk(f"{name} {each}", built.get_command(context, each), context)


def page() -> str:
    """The whole page."""
    return HEAD + "".join(_section(name, command) for name, command in every_command())


def _section(name: str, command: Any) -> str:
    context = command.make_context(name, [], resilient_parsing=True)
    example, codes = _EPILOG.search(command.epilog).groups()
    usage = " ".join(["ullage", name, *command.collect_usage_pieces(context)])
    rows = [each for parameter in command.params if (each := parameter.get_help_record(context))]
    table = "".join(f"| `{form}` | {_cell(said)} |\n" for form, said in rows)
    head = f"\n## ullage {name}\n\n{_cell(' '.join(command.help.split()))}\n\n    {usage}\n    {example}\n"
    return head + (f"\n| | |\n|---|---|\n{table}" if rows else "") + f"\n{codes}\n"


def _cell(text: str) -> str:
    """Markdown that shows `text` as it is, code apart."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(each if each.startswith("`") else re.sub(r"([*_|<\[\]])", r"\\\1", each) for each in parts)


def main() -> None:
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
