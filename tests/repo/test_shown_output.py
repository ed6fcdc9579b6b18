"""What the README shows of commands is what they print.

.venv/bin/python tools/pages.py          (or: make pages) remakes it
"""

import re
import shlex

import pages
import pytest

README = (pages.ROOT / "README.md").read_text(encoding="utf-8")
SHOWN = pages.shown(README)
ASKED = (
    "werewolf.yaml",
    "meta-llama/Llama-3.1-8B-Instruct",
    "Qwen/Qwen2.5-72B-Instruct",
    "meta-llama/Llama-3.1-70B-Instruct",
)


def test_the_readme_opens_with_four_questions_of_one_command_each():
    opening = README.partition("\n## ")[2].partition("\n## ")[0]
    assert opening.startswith("Four questions")
    commands = list(pages.shown(opening))
    assert len(commands) == len(ASKED)
    for command, name in zip(commands, ASKED, strict=True):
        assert name in command
    assert "examples=10000" in shlex.split(commands[2])
    assert len(re.findall(r"\?$", opening, re.MULTILINE)) == 4


@pytest.mark.parametrize("command", SHOWN)
def test_the_readme_shows_what_a_command_prints(command):
    assert SHOWN[command] == pages.said(command), "python tools/pages.py remakes it"


def test_remaking_changes_nothing_beside_what_commands_print():
    """Text around the blocks stays, and a block that was changed is found."""
    changed = README.replace("verdict: does not fit", "verdict: fits", 1)
    assert pages.shown(changed) != SHOWN
    page = "One.\n\n    $ ullage models gpt2\n    old\n\n    older\n\nTwo.\n"
    again = pages.remade(page)
    assert again.startswith("One.\n\n    $ ullage models gpt2\n    openai-community/gpt2")
    assert again.endswith("\n\nTwo.\n")
    assert "old" not in again
    assert pages.remade(again) == again
    assert pages.shown(again) == {"models gpt2": pages.said("models gpt2")}
