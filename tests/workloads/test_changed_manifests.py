"""A run's manifest that someone changed by hand: its run is taken up or refused in one line."""

import shutil

import pytest

import ullage
from ullage.errors import UllageError
from ullage.records.seal import read_sealed, write_sealed
from ullage.tinyworld import json_lines


@pytest.fixture(scope="module")
def cut_short(tmp_path_factory):
    """A run whose record was not written."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "few.jsonl").write_text(json_lines("answer", "test", 2, 0))
    file = {
        "kind": "extract",
        "roles": {"model": "ullage:tiny"},
        "prompt_tokens": 256,
        "captures": [{"sites": ["ln_final"], "positions": "last", "keep": "disk"}],
        "extract": {"input": str(folder / "few.jsonl")},
        "budget": {"gpus": "cpu"},
    }
    ullage.run(ullage.load(file), folder / "run")
    (folder / "run" / "record.json").unlink()
    return folder / "run"


@pytest.mark.parametrize("name", ["base", "inputs", "environment", "plan"])
@pytest.mark.parametrize("value", [None, 5, "x" * 3, [], {}])
def test_a_part_of_another_kind(cut_short, tmp_path, name, value):
    shutil.copytree(cut_short, tmp_path / "run")
    place = tmp_path / "run" / "manifest.json"
    write_sealed(place, {**read_sealed(place), name: value})
    try:
        ullage.resume(tmp_path / "run")
    except UllageError as error:
        assert "\n" not in str(error)
