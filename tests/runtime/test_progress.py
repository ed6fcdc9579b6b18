"""What a long run says of itself where there is no terminal."""

import pytest

from ullage.runtime import progress
from ullage.runtime.progress import Progress


@pytest.fixture
def clock(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_rate_and_time_left_are_those_since_it_was_taken_up(clock, capsys):
    with Progress(quiet=False) as bar:
        bar.start("verifier score", 1000, done=400)
        clock[0] += 20
        bar.advance(100, 5000)
    said = capsys.readouterr().err
    assert said == "verifier score: 500 of 1,000 records, 5 records/s, 250 tokens/s, 100 s left\n"


def test_it_speaks_now_and_then_and_not_at_all_when_quiet(clock, capsys):
    for quiet, lines in ((False, 2), (True, 0)):
        with Progress(quiet=quiet) as bar:
            bar.start("x", 100)
            for _ in range(40):
                clock[0] += 1
                bar.advance(1, 1)
        assert capsys.readouterr().err.count("\n") == lines


def test_on_a_terminal_a_bar_shows_what_is_done_and_what_is_free(monkeypatch, capsys):
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with Progress(quiet=False) as bar:
        bar.free = lambda: 3 * 2**30
        bar.start("verifier score", 40, done=10)
        bar.advance(10, 100)
        bar.say("something to know")
        bar.stop()
        bar.say("and afterwards")
    said = capsys.readouterr().err
    assert "verifier score" in said
    assert "20/40" in said
    assert "3.00 GiB free" in said
    assert "ullage: something to know" in said
    assert "ullage: and afterwards" in said
