"""SIGTERM and SIGHUP end a run as Ctrl-C does."""

import json
import signal

import pytest

import ullage

WAITING = """
import time
import ullage.kinds.pii.run as run
kept = run._Verification._verify
def verify(self, *given):
    kept(self, *given)
    print("kept", flush=True)
    while True:
        time.sleep(0.01)
run._Verification._verify = verify
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


@pytest.mark.long
@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_keeps_what_is_done_and_says_how_to_go_on(work, number, forks):
    def kept(printed):
        return printed == "kept\n"

    done = forks.run(
        "run", "work.json", "--out", "out", "--quiet", folder=work, first=WAITING, number=number, when=kept
    )
    assert done.returncode == 128 + number
    assert "ullage run --resume out" in done.stderr
    assert "Traceback" not in done.stderr
    ullage.resume(work / "out")
    assert (work / "out" / "verified.jsonl").read_text().count("\n") == 40
