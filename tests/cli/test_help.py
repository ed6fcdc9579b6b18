"""What the program says of itself: every command, every option, how each ends, and completion of them."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import commands_page
import pytest

from ullage.cli.main import EXITS
from ullage.cli.main import main as ullage_main

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


COMMANDS = dict(commands_page.every_command())


def help_of(capsys, *words):
    with pytest.raises(SystemExit) as ended:
        ullage_main([*words, "--help"])
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_there_are_commands_of_kinds_and_of_groups_among_them():
    assert {"plan", "probe fit", "pii", "pii calibrate", "judge", "play", "schema"} <= set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_and_argument_says_what_it_is(name):
    silent = [each.name for each in COMMANDS[name].params if not (each.help or "").strip()]
    assert silent == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_commands_help_ends_with_an_example_and_its_exit_codes(name, capsys):
    shown = help_of(capsys, *name.split())
    assert COMMANDS[name].help
    _, _, end = shown.partition("Example:\n")
    assert end.strip().startswith("ullage ")
    codes = re.findall(r"\b(\d) \w", end.partition("Exit codes: ")[2])
    assert codes == sorted(codes)
    assert {"0", "2"} <= set(codes)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_example_is_a_call_that_its_command_takes(name):
    found = re.search(r"^  (ullage .*)$", COMMANDS[name].epilog, re.MULTILINE)
    words = shlex.split(found[1].partition(" > ")[0])
    assert " ".join(words[1:]).startswith(name)
    arguments = words[1 + len(name.split()) :]
    COMMANDS[name].make_context(name, arguments)


def test_every_exit_code_is_in_the_readme_and_the_programs_help(capsys):
    shown = " ".join(help_of(capsys).split())
    assert EXITS in shown
    told = {code for command in COMMANDS.values() for code in re.findall(r"\b(\d) \w", command.epilog)}
    for code in told:
        assert f"| {code} |" in README
        assert re.search(rf"\b{code} ", EXITS)
    assert "verify" in next(line for line in README.splitlines() if line.startswith("| 3 |"))


def test_alone_it_shows_its_help_on_standard_output(capsys):
    with pytest.raises(SystemExit) as ended:
        ullage_main([])
    out, err = capsys.readouterr()
    assert (ended.value.code, err) == (0, "")
    assert out == help_of(capsys)


def program(tmp_path, *arguments, **more):
    environment = {**os.environ, "HOME": str(tmp_path), **more}
    script = Path(sys.executable).with_name("ullage")
    return subprocess.run([script, *arguments], capture_output=True, text=True, env=environment, check=False)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("ullage pl", {"plan", "play"}),
        ("ullage estimate --pre", {"--precision"}),
        ("ullage probe d", {"drift"}),
    ],
)
def test_a_shell_completes_commands_and_options(tmp_path, words, found):
    at = str(len(words.split()) - 1)
    done = program(tmp_path, _ULLAGE_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=at)
    assert set(done.stdout.split()) == found, done.stderr


def test_completion_is_installed_for_the_shell_that_asks(tmp_path):
    script = Path(sys.executable).with_name("ullage")
    done = subprocess.run(
        ["bash", "-c", f"{script} --install-completion; true"],
        capture_output=True,
        text=True,
        env={**os.environ, "HOME": str(tmp_path)},
        check=False,
    )
    assert "bash completion installed" in done.stdout, done.stderr
    assert "_ULLAGE_COMPLETE" in next((tmp_path / ".bash_completions").iterdir()).read_text()
