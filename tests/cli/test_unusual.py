"""The situations of benchmarks/unusual.py that need neither a model nor to be root: commands that plan."""

import pytest
import unusual
from unusual_runs import Runner
from unusual_stage import PLAN, Stage

HERE = [one for one in unusual.situations() if one.kind == PLAN and not one.root and not one.large]


def test_there_are_many():
    assert len(HERE) >= 40
    assert len(list(unusual.situations())) >= 60


@pytest.mark.parametrize(
    "situation", HERE, ids=[one.name[:40].encode("ascii", "replace").decode() for one in HERE]
)
@pytest.mark.long
def test_a_situation_is_met(situation, tmp_path, monkeypatch):
    monkeypatch.setenv("ULLAGE_HOME", str(tmp_path / "home"))
    (tmp_path / "here").mkdir()
    found = unusual.row(situation, Stage(tmp_path / "here", Runner()))
    assert found["holds"], found["found"]
