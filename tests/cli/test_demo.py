"""The demonstration, from an installed wheel and from the command line."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from ullage.cli.main import main
from ullage.workloads.registry import installed_kinds

ROOT = Path(__file__).parents[2]


def demo(*arguments, **more):
    command = [sys.executable, "-m", "ullage", "demo", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **more}, check=False)


@pytest.mark.long
def test_a_wheel_has_all_that_a_demonstration_needs(tmp_path):
    """Nothing of the checkout is where the wheel's modules look for it."""
    pytest.importorskip("hatchling")
    built = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "dist")]
    subprocess.run(built, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(tmp_path / "site")
    found = demo(
        "--out", str(tmp_path / "shown"), PYTHONPATH=str(tmp_path / "site"), ULLAGE_HOME=str(tmp_path)
    )
    assert found.returncode == 0, found.stderr
    assert [line for line in found.stdout.splitlines() if line.startswith("== ")] == [
        "== ullage sample answer --count 200 --out .demo/answer.jsonl",
        "== ullage plan examples/small/extract.yaml",
        "== ullage run examples/small/extract.yaml --out .demo/states",
        "== ullage verify .demo/states",
        "== ullage analyse .demo/states",
    ]
    assert "every measured peak is within what was planned at most" in found.stdout
    assert (tmp_path / "shown" / ".demo" / "states" / "record.json").is_file()
    again = demo("--out", str(tmp_path / "shown"))
    assert again.returncode == 2
    assert "is there already" in again.stderr


@pytest.mark.long
def test_what_is_set_is_set_in_what_is_run(tmp_path):
    found = demo("pii", "--out", str(tmp_path), "--set", "pii.threshold=0.25", "--set", "evaluate.samples=1")
    assert found.returncode == 0, found.stderr
    assert "== ullage run examples/pii-tiny.yaml --out .demo/pii --set pii.threshold=0.25\n" in found.stdout


def test_a_command_that_fails_ends_it_with_its_own_code(tmp_path):
    found = demo("pii", "--out", str(tmp_path), "--set", "roles.verifier.batch=-1")
    assert found.returncode == 2
    assert "batch" in found.stderr
    assert "not shown to its end: pii" in found.stderr
    assert "ullage run" not in found.stdout


def test_every_kind_that_ships_shows_itself_and_another_is_named(capsys):
    assert {each.name for each in installed_kinds() if each.demo} >= {
        "extract",
        "evaluate",
        "pii",
        "werewolf",
        "assistant",
        "serve",
    }
    with pytest.raises(SystemExit) as ended:
        main(["demo", "nothing"])
    assert ended.value.code == 2
    assert "nothing" in capsys.readouterr().err
