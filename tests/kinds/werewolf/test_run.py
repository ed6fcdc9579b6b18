"""Games that a model plays, read by a probe of the very same copy; cut short and taken up again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ullage
from ullage.errors import InputError
from ullage.facts.architecture import Architecture
from ullage.probes.card import Card, save_probe
from ullage.probes.probe import Probe, Reading
from ullage.records.folder import RunFolder

SITE = "blocks.3.hook_resid_post"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A probe, and an experiment that it listened to."""
    path = tmp_path_factory.mktemp("werewolf")
    model = ullage.model("ullage:tiny")
    assert isinstance(model, Architecture)
    width = model.hidden_size
    weight = {"weight": np.random.default_rng(0).normal(size=width)}
    (path / "lie").mkdir()
    probe = Probe("linear", (SITE,), width, np.zeros(width), np.ones(width), weight, 0.0, Reading())
    save_probe(probe, Card("none"), path / "lie")
    ullage.run(ullage.load(workload()), path / "run", gpus="cpu", base=path, quiet=True)
    return path


def workload(**own: object) -> dict[str, Any]:
    return {
        "kind": "werewolf",
        "roles": {"player": {"model": "ullage:tiny", "batch": 8}},
        "probes": {"lie": "lie"},
        "prompt_tokens": 900,
        "new_tokens": 8,
        "examples": 2,
        "werewolf": {
            "players": 4,
            "werewolves": 1,
            "rounds": 1,
            "asked_who": False,
            "first_kill": False,
            "conditions": ["treatment", "control"],
            "score_without_role_context": True,
        }
        | own,
    }


def rows(run: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / f"{name}.jsonl").read_text().splitlines()]


def test_every_statement_has_scores_with_and_without_roles(folder: Path) -> None:
    turns, games = rows(folder / "run", "turns"), rows(folder / "run", "games")
    assert {(game["condition"], game["game"]) for game in games} == {
        (arm, number) for arm in ("control", "treatment") for number in (0, 1)
    }
    seeds = {
        arm: {game["seed"] for game in games if game["condition"] == arm} for arm in ("control", "treatment")
    }
    assert seeds["control"] == seeds["treatment"]
    said = [turn for turn in turns if turn["purpose"] == "statement" and turn["how"] != "fallback"]
    assert said
    for turn in said:
        assert len(turn["scores"]["lie"]["values"]) == len(turn["scores"]["lie"]["offsets"]) > 0
        bare, own = turn["stripped"]["lie"]["values"], turn["scores"]["lie"]["values"]
        assert bare
        assert bare != own
    votes = [turn for turn in turns if turn["purpose"] == "vote"]
    assert votes
    assert all(turn["value"] in turn["legal"] and turn["how"] == "probability" for turn in votes)
    assert (folder / "run/report.html").is_file()
    assert ullage.verify(folder / "run").holds


@pytest.mark.parametrize("share", [0.25, 0.6])
@pytest.mark.long
def test_a_run_that_was_cut_short_goes_on_as_the_same_games(
    folder: Path, tmp_path: Path, share: float
) -> None:
    """As a kill leaves it: the journal ends somewhere, and lines lie beyond what it names."""
    import shutil

    shutil.copytree(folder / "run", tmp_path / "run")
    for gone in ("record.json", "report.html", "results.json", "turns.parquet", "games.parquet"):
        (tmp_path / "run" / gone).unlink(missing_ok=True)
    journal = tmp_path / "run/journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[: max(int(len(lines) * share), 1)]))
    assert not RunFolder(tmp_path / "run").complete
    ullage.resume(tmp_path / "run", base=folder, quiet=True)
    for name in ("turns", "games"):
        assert (tmp_path / f"run/{name}.jsonl").read_bytes() == (folder / f"run/{name}.jsonl").read_bytes()


def test_what_cannot_be_shown_is_refused(folder: Path) -> None:
    body = workload()
    del body["probes"]
    with pytest.raises(InputError, match="treatment shows players"):
        ullage.run(ullage.load(body), folder / "none", gpus="cpu", base=folder, quiet=True)
    assert not (folder / "none").exists()


def test_a_treatment_whose_control_games_have_no_score_stops_after_the_first(tmp_path: Path) -> None:
    model = ullage.model("ullage:tiny")
    assert isinstance(model, Architecture)
    width = model.hidden_size
    weight = {"weight": np.full(width, 1e38)}
    (tmp_path / "lie").mkdir()
    probe = Probe("linear", (SITE,), width, np.zeros(width), np.ones(width), weight, 0.0, Reading())
    save_probe(probe, Card("none"), tmp_path / "lie")
    body = workload(score_without_role_context=False) | {"examples": 9}
    body["roles"]["player"]["batch"] = 1
    with pytest.raises(InputError, match="a whole control game has no score: a state was NaN or infinite"):
        ullage.run(ullage.load(body), tmp_path / "run", gpus="cpu", base=tmp_path, quiet=True)
    assert len(rows(tmp_path / "run", "games")) <= 2


def test_a_person_takes_a_seat(folder: Path) -> None:
    """The same view as a prompt's; answers that cannot be read are asked for again, once."""
    from ullage.kinds.werewolf.verbs import play

    (folder / "game.json").write_text(json.dumps(workload(conditions=["control"])))
    shown: list[str] = []
    asked = 0

    def read(_mark: str) -> str:
        nonlocal asked
        asked += 1
        return "I am a villager."

    outcome = play(folder / "game.json", shown.append, read, seat=2, gpus="cpu")
    assert outcome.winner in ("villagers", "werewolves")
    assert asked
    assert any("was a werewolf" in text for text in shown)
    with pytest.raises(InputError, match="seats 1 to 4"):
        play(folder / "game.json", shown.append, read, seat=5, gpus="cpu")
