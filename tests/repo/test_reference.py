"""The reference has every public name, once, and every command as it is.

.venv/bin/python tools/commands_page.py          (or: make pages) remakes the commands' page
"""

import re
from pathlib import Path

import commands_page

import ullage

FOLDER = Path(__file__).parents[2] / "docs/reference"


def test_every_public_name_is_in_the_reference_once():
    pages = "".join(page.read_text() for page in sorted(FOLDER.glob("*.md")))
    public = [name for name in dir(ullage) if not name.startswith("__")]
    assert sorted(re.findall(r"^::: ullage\.(\w+)$", pages, re.MULTILINE)) == sorted(public)


def test_the_reference_of_commands_is_what_they_say_of_themselves():
    shown = commands_page.PAGE.read_text(encoding="utf-8")
    assert shown == commands_page.page(), "python tools/commands_page.py remakes it"
    assert re.findall("^## ullage (.*)$", shown, re.MULTILINE) == [*dict(commands_page.every_command())]
