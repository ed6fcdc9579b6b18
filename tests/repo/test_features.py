"""The page of what five guides offer names commands, options and public names that there are."""

import re
from pathlib import Path

import commands_page

import ullage

PAGE = (Path(__file__).parents[2] / "docs/features.md").read_text(encoding="utf-8")
COMMANDS = dict(commands_page.every_command())
OPTIONS = {form for command in COMMANDS.values() for each in command.params for form in each.opts}
CODE = re.findall(
    r"`([^`]+)`", "\n".join(row.split(" | ", 1)[-1] for row in PAGE.splitlines() if row.startswith("|"))
)


def test_every_command_it_names_takes_the_options_it_names():
    called = [code.split() for code in CODE if code.startswith("ullage ")]
    assert len(called) > 15
    for _, *words in called:
        name = " ".join(words[:2]) if " ".join(words[:2]) in COMMANDS else words[0]
        options = {form for each in COMMANDS[name].params for form in (*each.opts, *each.secondary_opts)}
        assert {word for word in words if word.startswith("--")} <= options, words


def test_every_option_and_public_name_is_there():
    assert {code.split()[0] for code in CODE if code.startswith("--")} <= OPTIONS
    for code in CODE:
        if code.startswith("ullage."):
            found = ullage
            for part in code.split(".")[1:]:
                found = getattr(found, part)
