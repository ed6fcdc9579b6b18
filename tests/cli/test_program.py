"""The program as a shell meets it: help, version, what a reader or a package of another's does to it."""

import os
import subprocess
import sys
from importlib.metadata import version

import pytest

FAILING = """from ullage.workloads.kind import Command, Kind

KIND = Kind("ullage_failing", __name__, commands=(Command("stumble", "Fails.", "ullage_failing:stumble"),))


def stumble() -> None:
    raise ZeroDivisionError("nothing to share")
"""


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Starts the program in a folder of its own."""
    monkeypatch.setenv("COLUMNS", "160")

    def start(*arguments, **more):
        return subprocess.Popen(
            [sys.executable, "-m", "ullage", *arguments],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **more},
        )

    return start


@pytest.fixture
def ullage(start):
    """Exit code, output and errors."""

    def call(*arguments, **more):
        process = start(*arguments, **more)
        out, err = process.communicate(timeout=300)
        return process.returncode, out, err

    return call


def test_it_says_its_version(ullage):
    assert ullage("--version") == (0, f"ullage {version('ullage')}\n", "")


def test_without_a_command_its_help_is_shown(ullage):
    code, out, err = ullage()
    assert (code, err) == (0, "")
    assert out.startswith("Usage: python -m ullage [OPTIONS] COMMAND [ARGS]...")
    assert "plan      Bytes on every GPU in every phase" in out
    assert ullage("--help") == (0, out, "")


@pytest.mark.parametrize("arguments", [("schema",), ("gpus",), ("--help",)])
def test_a_reader_that_is_gone_before_anything_is_said_is_no_error(start, arguments):
    process = start(*arguments)
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait() == 0


def test_a_fault_is_one_line_that_asks_for_a_report_and_says_how_to_see_where(ullage, tmp_path):
    site = tmp_path / "site"
    information = site / "ullage_failing-1.0.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: ullage_failing\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[ullage.kinds]\nullage_failing = ullage_failing:KIND\n")
    (site / "ullage_failing.py").write_text(FAILING)
    code, out, err = ullage("stumble", PYTHONPATH=str(site))
    assert (code, out) == (1, "")
    assert err == (
        "ullage: internal error, please report it: ZeroDivisionError: nothing to share "
        "(ULLAGE_DEBUG=1 shows where)\n"
    )
    code, _, err = ullage("stumble", PYTHONPATH=str(site), ULLAGE_DEBUG="1")
    assert code == 1
    assert "ullage_failing.py" in err
    assert err.endswith("ZeroDivisionError: nothing to share\n")
