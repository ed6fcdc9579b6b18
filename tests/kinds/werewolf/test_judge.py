"""Statements that no game decides are judged once all are played, by the rule that every judge has."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import ullage
from ullage.errors import SpecError
from ullage.kinds.werewolf.judged import judged_in
from ullage.phases.phase import Phase
from ullage.workloads.registry import find_kind

SAID = [f"I like day {number}." for number in range(4)]


def workload(judge: dict[str, Any] | None, **own: object) -> dict[str, Any]:
    return {
        "kind": "werewolf",
        "roles": {"player": {"model": "ullage:tiny", "batch": 8}} | ({"judge": judge} if judge else {}),
        "prompt_tokens": 700,
        "new_tokens": 8,
        "examples": 2,
        "werewolf": {
            "players": 4,
            "werewolves": 1,
            "rounds": 1,
            "asked_who": False,
            "first_kill": False,
            "thoughts": "none",
        }
        | own,
    }


def rows(run: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / f"{name}.jsonl").read_text().splitlines()]


def left_open(run: Path) -> set[tuple[str, int, int]]:
    return {
        (row["condition"], row["game"], row["number"])
        for row in rows(run, "turns")
        if row["truth"] == "unverifiable" and row["value"].strip()
    }


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An experiment whose judge has a script: yes, no, or neither with any weight."""
    folder = tmp_path_factory.mktemp("judge")
    script = [{"scores": {"yes": -0.1, "no": -3.0}}, {"scores": {"yes": -9.0, "no": -9.0}}]
    (folder / "script.jsonl").write_text("\n".join(map(json.dumps, script)))
    body = workload({"model": "script.jsonl", "engine": "scripted"})
    ullage.run(ullage.load(body), folder / "run", gpus="cpu", base=folder, quiet=True)
    return folder / "run"


def test_every_statement_that_is_left_open_is_judged_once_and_counted(run: Path) -> None:
    judged = judged_in(run)
    assert judged.keys() == left_open(run)
    assert len(rows(run, "judged")) == len(judged) > 0
    assert {each.truth for each in judged.values()} <= {"true", None}
    found = json.loads((run / "results.json").read_text())
    unscored = sum(each.truth is None for each in judged.values())
    assert found["judged"].get("unscored", 0) == unscored
    assert found["judged"].get("true", 0) == len(judged) - unscored
    assert found["truths"].get("unverifiable", 0) == unscored
    assert all("did not answer" in each.reason for each in judged.values() if each.truth is None)


def test_the_table_tells_a_judges_truth_from_the_games(run: Path) -> None:
    import pyarrow.parquet

    judged = judged_in(run)
    for row in pyarrow.parquet.read_table(run / "turns.parquet").to_pylist():
        own = judged.get((row["condition"], row["game"], row["number"]))
        assert row["judged"] == (own.truth if own else None)
        assert (row["truth"] == "unverifiable") or own is None
    assert "Of these the judge decided" in (run / "report.html").read_text()


def test_a_run_cut_short_while_it_judges_goes_on_to_the_same_verdicts(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "run/record.json").unlink()
    journal = tmp_path / "run/journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    first = next(at for at, line in enumerate(lines) if json.loads(line).get("stage") == "judged")
    journal.write_bytes(b"".join(lines[:first]))
    record = ullage.resume(tmp_path / "run", base=run.parent, quiet=True)
    assert record.examples == 2
    for name in ("turns", "games", "judged"):
        assert (tmp_path / f"run/{name}.jsonl").read_bytes() == (run / f"{name}.jsonl").read_bytes()


def phases(judge: dict[str, Any], **own: object) -> tuple[Phase, ...]:
    return find_kind("werewolf").phases(ullage.load(workload(judge, **own)))


def test_the_judge_is_planned_alone_after_the_players_unless_it_stays() -> None:
    found = phases({"model": "ullage:tiny"})
    assert [phase.name for phase in found][-2:] == ["judge load", "judge score"]
    assert [resident.name for resident in found[-1].resident] == ["judge"]
    stays = phases({"model": "ullage:tiny", "residency": "persistent"})
    assert all(len(phase.resident) == 2 for phase in stays if "load" not in phase.name)


def test_a_local_judge_stays_inside_its_plan(tmp_path: Path) -> None:
    body = workload({"model": "ullage:tiny", "batch": 4}, judge_by="text")
    folder, _ = ullage.run(ullage.load(body), tmp_path / "run", gpus="cpu", quiet=True)
    assert judged_in(folder).keys() == left_open(folder)
    assert ullage.verify(folder).holds


@pytest.mark.parametrize(
    ("judge", "own", "said"),
    [
        (None, {"judge_by": "text"}, "werewolf.judge_by: there is no role judge"),
        ({"model": "ullage:tiny"}, {"seats": {"1": "judge"}}, "judge is who judges, and plays no seat"),
        ({"model": "ullage:tiny", "residency": "host"}, {}, "roles.judge.residency: host is for roles"),
    ],
)
def test_a_judge_that_cannot_judge_is_refused(
    judge: dict[str, Any] | None, own: dict[str, object], said: str
) -> None:
    with pytest.raises(SpecError, match=said):
        ullage.load(workload(judge, **own))


def test_a_hosted_judge_and_hosted_players_are_asked_as_often_as_the_game_asks() -> None:
    """A statement each for the judge; of one game in one condition the players' texts and choices."""
    remote = {"model": "m", "engine": "openai", "openai": {"base_url": "http://localhost:1/v1"}}
    body = workload(remote | {"new_tokens": 4}, choose_by="text", judge_by="text")
    body["roles"]["player"] = remote
    asked = find_kind("werewolf").requests(ullage.load(body))
    counts = [(each.role, each.count, each.new_tokens) for each in asked]
    # Four talk and vote, one is exiled and the werewolf kills one: with two left it has won.
    assert counts == [("player", 4.0, 8), ("player", 5.0, 32), ("judge", 4.0, 4)]
    assert asked[-1].prompt_tokens == 700 + 8 + 160
