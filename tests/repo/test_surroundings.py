"""Tests see nothing of what a developer's machine holds: neither they nor the commands they start."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ullage.records.evidence_file import known_evidence
from ullage.records.evidence_place import evidence_file

ROOT = Path(__file__).parents[2]
LOOK = """
import os
from huggingface_hub import constants
from ullage.records.evidence_place import evidence_file
print(evidence_file().parent, constants.HF_HUB_CACHE, os.environ.get("HF_TOKEN"), sep="\\n")
"""


def seen():
    """Ullage's folder, the hub's cache and its token, as a process started now has them."""
    asked = [sys.executable, "-c", LOOK]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.splitlines()


def test_a_test_and_what_it_starts_have_one_empty_home():
    home, cache, token = seen()
    assert Path(home) == evidence_file().parent == Path(os.environ["ULLAGE_HOME"])
    assert list(Path(home).iterdir()) == []
    assert not Path(cache).exists()
    assert token == "None"
    assert known_evidence().observations == ()


@pytest.fixture(scope="module")
def of_the_module():
    return evidence_file()


def test_what_a_files_fixtures_leave_is_not_in_a_tests_home(of_the_module):
    assert of_the_module != evidence_file()
    assert list(of_the_module.parent.iterdir()) == []


def test_a_home_that_is_full_is_not_seen(tmp_path):
    (tmp_path / "evidence.jsonl").write_text("what is in somebody's home\n")
    (tmp_path / "hub").mkdir()
    names = ("HOME", "ULLAGE_HOME", "XDG_DATA_HOME", "HF_HOME")
    full = dict.fromkeys(names, str(tmp_path)) | {"HF_TOKEN": "hf_x", "HF_HUB_CACHE": str(tmp_path / "hub")}
    asked = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", __file__, "-k", "one_empty_home"]
    done = subprocess.run(asked, env=os.environ | full, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout
