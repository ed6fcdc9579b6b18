"""Tutorials work from their first step to their last, and show what their steps print.

.venv/bin/python tools/journeys.py          (or: make pages) walks them anew
"""

import re
import subprocess
import sys
from pathlib import Path

import journeys
import pytest

from ullage.workloads.registry import own_names


def test_every_kind_of_workload_has_a_tutorial():
    assert {page.stem for page in journeys.tutorials()} == set(own_names())


@pytest.mark.parametrize("page", [*journeys.tutorials(), journeys.BY_HAND], ids=lambda page: page.stem)
def test_a_tutorial_shows_what_its_steps_print(page, tmp_path):
    text = page.read_text(encoding="utf-8")
    assert walked(page, tmp_path) == text, "python tools/journeys.py walks it anew"


def test_what_is_worked_by_hand_is_what_is_billed():
    """Walking the page anew writes what is billed now: it must be what the hand says."""
    shown = re.findall(r"^ {4}\(([\d, ]+)\)$", journeys.BY_HAND.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(shown) > 9
    for line in shown:
        *_, by_hand, billed = map(int, line.split(", "))
        assert by_hand in (billed, billed / 2), line  # both moments are twice what they are of


def walked(page, folder):
    """In this process, which has imported everything once; a server in one of its own, as pytest's captured
    streams do not outlive one that other tests ran before."""
    if page.stem != "serve":
        return journeys.walked(page.read_text(encoding="utf-8"), folder)
    code = "import sys, journeys; from pathlib import Path; page, folder = map(Path, sys.argv[1:]); "
    code += "sys.stdout.write(journeys.walked(page.read_text(encoding='utf-8'), folder))"
    tools = Path(journeys.__file__).parent
    called = [sys.executable, "-c", code, str(page), str(folder)]
    found = subprocess.run(called, cwd=tools, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    return found.stdout


PAGE = """One.

    # two.yaml
    kind: nothing

    $ ullage models gpt2
    old
    ...
    older

    >>> open("two.yaml").read()
    'old'

Three, and `    no step`.

    no step either
"""


def test_what_steps_print_replaces_what_was_shown(tmp_path):
    page = PAGE.replace("nothing\n\n", "nothing\n\nAnd\n\n").replace("older\n\n", "older\n\nand\n\n")
    again = journeys.walked(page, tmp_path)
    head, _, end = again.partition("    ...\n")
    assert head.startswith(
        "One.\n\n    # two.yaml\n    kind: nothing\n\nAnd\n\n    $ ullage models gpt2\n    openai-comm"
    )
    assert "old" not in again
    assert end.endswith("    'kind: nothing\\n'\n\nThree, and `    no step`.\n\n    no step either\n")
    assert journeys.walked(again, tmp_path) == again


def test_only_figures_of_what_was_measured_may_differ():
    words = journeys._words
    assert words(["peak  0.51 GiB  inside"]) == words(["peak  1,000.2 GiB", "below"])
    assert words(["every peak is inside"]) != words(["a peak is above"])
