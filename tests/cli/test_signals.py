"""SIGTERM and SIGHUP end a run as Ctrl-C does."""

import json
import os
import signal
import subprocess
import sys

import pytest

import ullage

WAITING = """
import os, sys, time
import ullage.kinds.pii.run as run
kept = run._Verification._verify
def verify(self, *given):
    kept(self, *given)
    print("kept", flush=True)
    while True:
        time.sleep(0.01)
run._Verification._verify = verify
from ullage.cli.main import program
program()
"""
"""Waits once something is kept."""
NUMBERS = [signal.SIGTERM, signal.SIGHUP, signal.SIGINT]


@pytest.fixture
def work(tmp_path):
    """A small verification."""
    ullage.sample("verify", tmp_path / "data.jsonl", count=40)
    body = {
        "kind": "pii",
        "roles": {"verifier": {"model": "ullage:tiny", "batch": 2}},
        "budget": {"gpus": "cpu"},
        "prompt_tokens": 96,
        "new_tokens": 0,
        "examples": 40,
        "pii": {"input": "data.jsonl", "system": "Type: {type}. Reply {verdicts}.", "prefix_tokens": 24},
    }
    (tmp_path / "work.json").write_text(json.dumps(body))
    return tmp_path


@pytest.fixture(autouse=True)
def none_is_ignored():
    """What is ignored where tests begin (by nohup, in the background of a shell) a command would keep so."""
    ignored = [each for each in NUMBERS if signal.getsignal(each) is signal.SIG_IGN]
    for each in ignored:
        signal.signal(each, signal.SIG_DFL)
    yield
    for each in ignored:
        signal.signal(each, signal.SIG_IGN)


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_keeps_what_is_done_and_says_how_to_go_on(work, number):
    process = subprocess.Popen(
        [sys.executable, "-c", WAITING, "run", "work.json", "--out", "out", "--quiet"],
        cwd=work,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ,
    )
    assert process.stdout.readline() == "kept\n"
    process.send_signal(number)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 128 + number
    assert "ullage run --resume out" in said
    assert "Traceback" not in said
    ullage.resume(work / "out")
    assert (work / "out" / "verified.jsonl").read_text().count("\n") == 40
