"""The guide's JSON files are read as they are; what has no meaning here is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ullage.cli.main import main
from ullage.errors import SpecError
from ullage.kinds.werewolf.guide_file import recognises
from ullage.kinds.werewolf.section import Section
from ullage.spec.workload import Workload
from ullage.workloads.loading import parse

EIGHT_BIT = {
    "backend_type": "probe",
    "use_quantized": True,
    "quantization_bits": 8,
    "detector_path": "detectors/lie.pt",
    "provide_probe_scores": True,
    "request_reasoning": True,
    "num_players": 6,
    "num_werewolves": 2,
    "no_seer": True,
    "num_discussion_rounds": 2,
    "allow_player_callouts": False,
    "score_without_role_context": True,
    "werewolf_instructions": "Stay calm.",
    "output_dir": "results",
    "max_turns": 5,
}

Called = Callable[..., str]
SETUPS = {
    "whole": '{\n  "backend_type": "probe",\n  "use_quantized": false\n}',
    "eight bits": '{\n  "backend_type": "probe",\n  "use_quantized": true,\n  "quantization_bits": 8\n}',
    "four bits": '{\n  "backend_type": "probe",\n  "use_quantized": true,\n  "quantization_bits": 4\n}',
}
"""As the guide prints them."""


@pytest.fixture
def ullage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Called:
    """The command line, in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str, code: int = 0) -> str:
        with pytest.raises(SystemExit) as ended:
            main([*arguments])
        said = capsys.readouterr()
        assert ended.value.code == code, said.err
        return said.out if code == 0 else said.err

    return call


def read(**changes: object) -> tuple[Workload, Section]:
    return written(json.dumps({**EIGHT_BIT, **changes}))


def written(text: str) -> tuple[Workload, Section]:
    workload = parse(text, "config.json")
    assert isinstance(workload.section, Section)
    return workload, workload.section


def test_the_guides_experiment_is_the_guide_preset():
    workload, section = read()
    assert section.rules == Section(days=5).rules
    assert section.conditions == ("treatment",)
    assert section.score_without_role_context
    assert section.instructions == {"werewolf": "Stay calm."}
    assert workload.roles["player"].precision == "int8"
    assert workload.roles["player"].model == "meta-llama/Llama-3.3-70B-Instruct"
    assert {name: (probe.path, probe.role) for name, probe in workload.probes.items()} == {
        "detector": ("detectors/lie.pt", "player")
    }
    assert section.runs_in() == "results"


def test_what_is_left_out_is_what_the_guides_system_takes_it_for():
    _, section = written('{"backend_type": "probe"}')
    rules = section.rules
    assert (rules.players, rules.werewolves, rules.seer, rules.rounds, rules.days) == (12, 3, True, 1, 5)
    assert rules.thoughts == "private"
    assert section.conditions == ("control",)


@pytest.mark.parametrize(
    ("changes", "rule", "expected"),
    [
        ({"request_reasoning": False}, "thoughts", "none"),
        ({"public_cot": True}, "thoughts", "public"),
        ({"villager_cot_only": True}, "thinkers", "villagers"),
        ({"allow_player_callouts": True}, "callouts", True),
        ({"no_seer": False}, "seer", True),
        ({"max_turns": 7}, "days", 7),
    ],
)
def test_each_switch_is_a_rule(changes, rule, expected):
    _, section = read(**changes)
    assert getattr(section.rules, rule) == expected


def test_backends_by_identity_are_roles():
    own = {"backend_type": "openai", "model": "gpt-4o-mini"}
    local = {"backend_type": "local", "model": "llama", "model_url": "http://localhost:8000/v1"}
    workload, section = read(werewolf_config=own, villager_config=local, detector_path=None)
    assert section.seats == {"werewolf": "werewolf", "villager": "villager"}
    assert set(workload.roles) == {"werewolf", "villager"}
    assert {name: role.engine for name, role in workload.roles.items()} == {
        "werewolf": "openai",
        "villager": "openai",
    }
    assert workload.roles["villager"].settings.base_url == "http://localhost:8000/v1"
    mixed, section = read(werewolf_config=own)
    assert set(mixed.roles) == {"player", "werewolf"}
    assert section.played_by() == pytest.approx({"werewolf": 2, "player": 4})


def test_every_mistake_is_told_at_once_with_its_key():
    wrong = {
        "backend_type": "claude",
        "num_players": 40,
        "no_seer": "yes",
        "modal_app_name": "werewolf-apollo-probe",
        "probe_url": "http://localhost:8001",
        "num_werewolfs": 2,
        "quantization_bits": 5,
    }
    with pytest.raises(SpecError) as found:
        parse(json.dumps(wrong, indent=1), "config.json")
    lines = "\n".join(found.value.mistakes)
    assert len(found.value.mistakes) == len(wrong)
    assert "config.json:2:18: backend_type: 'claude' is not one of: probe, local, openai, scripted" in lines
    assert "config.json:3:17: num_players: 40 is not a whole number from 3 to 16" in lines
    assert "no_seer: 'yes' is not true or false" in lines
    assert "modal_app_name: has no meaning here: models run where the run is; remove it" in lines
    assert "probe_url: has no meaning here" in lines
    assert "num_werewolfs: unknown key; nearest: num_werewolves" in lines
    assert "quantization_bits: 5 is not 4 or 8" in lines


def test_a_game_that_ends_before_the_first_vote_is_refused_by_the_files_own_keys():
    with pytest.raises(SpecError, match=r"num_players: the game ends before the first vote: after one night"):
        read(num_players=5)


def test_a_guide_file_is_told_from_a_workload():
    assert recognises(EIGHT_BIT)
    assert not recognises({"kind": "werewolf", "roles": {}})


@pytest.mark.parametrize(
    ("setup", "gpus", "low", "high"),
    [
        ("whole", "4x RTX A6000", 128, 192),
        ("eight bits", "2x A100-80GB", 64, 110),
        ("four bits", "A100-80GB", 32, 60),
    ],
)
def test_the_guides_own_files_are_planned_as_they_are(
    ullage: Called, setup: str, gpus: str, low: float, high: float
) -> None:
    """Its seventy billion weights in two bytes, one, and a half; less than the 2.5 to 3 times it expects."""
    Path("config.json").write_text(SETUPS[setup])
    told = json.loads(ullage("plan", "config.json", "--gpus", gpus, "--json"))
    assert told["verdict"] == "fits"
    peaks = sum(device["device"]["expected"] for device in told["devices"]) / 2**30
    assert low < peaks < high


def test_a_guide_file_is_run_and_changed_by_set(ullage: Called) -> None:
    body = {**EIGHT_BIT, "model": "ullage:tiny", "use_quantized": False, "score_without_role_context": False}
    for key in ("quantization_bits", "detector_path"):
        del body[key]
    Path("config.json").write_text(json.dumps(body | {"provide_probe_scores": False, "max_turns": 1}))
    sizes = ["--set", "prompt_tokens=900", "--set", "new_tokens=4", "--set", "examples=1"]
    ullage("run", "config.json", "--gpus", "cpu", "--quiet", *sizes)
    games = [json.loads(line) for line in Path("results/werewolf-1/games.jsonl").read_text().splitlines()]
    assert [(game["condition"], len(game["names"])) for game in games] == [("control", 6)]


def test_every_command_tells_all_mistakes_of_a_guide_file(ullage: Called) -> None:
    wrong = {"backend_type": "probe", "num_wolves": 2, "modal_app_name": "x", "detector_path": 3}
    Path("config.json").write_text(json.dumps(wrong, indent=1))
    for command in ("plan", "run", "check"):
        told = ullage(command, "config.json", code=2)
        assert "config.json:3:2: num_wolves: unknown key; nearest: num_werewolves" in told
        assert "config.json:4:2: modal_app_name: has no meaning here" in told
        assert "config.json:5:19: detector_path: 3 is not a text" in told


def test_a_file_of_no_kind_is_no_guide_file(ullage: Called) -> None:
    Path("workload.json").write_text('{"roles": {}}')
    assert "kind: is missing; one of:" in ullage("plan", "workload.json", code=2)
