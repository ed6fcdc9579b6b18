"""What was measured, and whether it still stands: registry, result files, and the page made of them."""

import json
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import attack
import attacks
import pytest
import result_file
import tables
from result_file import RESULTS, DamagedResultError

ROOT = Path(__file__).parents[2]
ATTACKS = attacks.load()


class StaleResultWarning(UserWarning):
    """Results whose sources have changed since, or did not hold: `make attack ONLY=NAME` measures again."""


def test_every_result_is_there_and_whole_and_the_stale_ones_are_listed():
    states, wrong = attack.survey()
    assert wrong == []
    stale = [f"  {name}: {state}" for name, state in states.items() if not state.startswith("fresh")]
    if stale:
        lines = "\n".join([f"{len(stale)} of {len(states)} results do not vouch for this code:", *stale])
        warnings.warn(StaleResultWarning(lines), stacklevel=1)


@pytest.fixture
def copied(tmp_path):
    return Path(shutil.copytree(RESULTS, tmp_path / "results"))


def edited(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


DAMAGE = {
    "missing": lambda path: path.unlink(),
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:200]),
    "empty": lambda path: path.write_text(""),
    "another document": lambda path: path.write_text("[1, 2]"),
    "without figures": lambda path: edited(path, figures={}),
    "a field too many": lambda path: edited(path, host="somewhere"),
    "a date that is none": lambda path: edited(path, date=3),
    "hashes that are none": lambda path: edited(path, sources={"src/ullage/units.py": "?"}),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_missing_or_damaged_result_is_named_in_one_line(copied, name):
    DAMAGE[name](copied / "pii_faults.json")
    states, wrong = attack.survey(copied)
    assert len(wrong) == 1
    assert re.fullmatch(r"pii_faults\.json: .*benchmarks/attack\.py pii_faults", wrong[0])
    assert "pii_faults" not in states


def test_a_file_that_no_attack_writes_is_named(copied):
    (copied / "notes.json").write_text("{}")
    assert attack.survey(copied)[1] == ["notes.json: no attack writes this file"]


def test_a_result_is_fresh_until_a_source_changes(copied, monkeypatch):
    path = copied / "pii_faults.json"
    today = result_file.hashes(ATTACKS["pii_faults"])
    edited(path, sources=today, date="2026-01-01")
    assert attack.survey(copied)[0]["pii_faults"] == "fresh, of 2026-01-01"
    changed = "src/ullage/runtime/session.py"
    edited(path, sources=today | {changed: "0" * 16})
    assert attack.survey(copied)[0]["pii_faults"] == f"stale: since 2026-01-01 changed {changed}"
    edited(path, sources={name: one for name, one in today.items() if name != changed})
    assert changed in attack.survey(copied)[0]["pii_faults"]
    edited(path, sources=today, claims={"memory does not grow": False})
    said = attack.survey(copied)[0]["pii_faults"]
    assert said == "did not hold: memory does not grow (fresh, of 2026-01-01)"
    edited(path, sources=None, claims={})
    assert attack.survey(copied)[0]["pii_faults"].startswith("stale: from before")


@pytest.mark.parametrize("name", ATTACKS)
def test_every_attack_has_its_script_and_vouches_for_files_there_are(name):
    one = ATTACKS[name]
    assert one.script.is_file()
    assert one.script in one.vouched()
    assert f'result_file.start("{name}"' in one.script.read_text()
    assert f"{Path(one.files).stem.replace('*', 'NAME')}.json" in one.script.read_text()


def test_a_registry_that_cannot_be_is_refused(tmp_path):
    registry = tmp_path / "attacks.toml"
    registry.write_text('[x]\ntier = "soon"\nabout = ""\nminutes = 1\nsources = []\n')
    with pytest.raises(attacks.RegistryError, match="x: tier is one of attack, bench"):
        attacks.load(registry)
    registry.write_text('[x]\ntier = "attack"\nabout = ""\nminutes = 1\nsources = ["src/no/such/*.py"]\n')
    with pytest.raises(attacks.RegistryError, match=r"x: no file is 'src/no/such/\*\.py'"):
        attacks.load(registry)["x"].vouched()


def test_what_is_measured_says_with_what(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(result_file, "RESULTS", tmp_path)
    monkeypatch.setattr(sys, "argv", ["benchmarks/pii_speed.py", "--fast"])
    made = result_file.start("plan_speed")
    written = result_file.read(made.write({"seconds": 1.5}, {"it is quick": True}))
    assert written.command == "python benchmarks/pii_speed.py --fast"
    assert written.changed(result_file.hashes(ATTACKS["plan_speed"])) == []
    assert {"ullage", "python", "torch", "transformers"} <= set(written.versions)
    assert written.cores >= 1
    assert written.memory_bytes > 2**30
    with pytest.raises(SystemExit, match="does not hold: it is quick"):
        made.write({"seconds": 1.5}, {"it is quick": False})
    assert result_file.read(made.file).claims == {"it is quick": False}


def test_a_name_nobody_knows_lists_those_there_are():
    asked = [sys.executable, "benchmarks/attack.py", "pii_fault"]
    done = subprocess.run(asked, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 1
    assert "pii_faults" in done.stderr


def test_the_page_of_measurements_is_made_of_these_results():
    assert tables.PAGE.read_text() == tables.page(), "run python benchmarks/tables.py"


def test_a_figure_nobody_measured_is_an_error():
    with pytest.raises(DamagedResultError, match="no such result file"):
        result_file.figures("pii_guesses")
