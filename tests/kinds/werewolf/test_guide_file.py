"""The guide's JSON files are read as they are; what has no meaning here is named."""

from __future__ import annotations

import json

import pytest

from ullage import api
from ullage.errors import SpecError
from ullage.kinds.werewolf.guide_file import is_guide_file, read_guide_file
from ullage.kinds.werewolf.section import Section

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


def read(**changes):
    return read_guide_file(json.dumps({**EIGHT_BIT, **changes}), "config.json")


def section_of(found):
    workload = api.load(found.workload)
    assert isinstance(workload.section, Section)
    return workload, workload.section


def test_the_guides_experiment_is_the_guide_preset():
    found = read()
    workload, section = section_of(found)
    assert section.rules == Section(days=5).rules
    assert section.conditions == ("treatment",)
    assert section.score_without_role_context
    assert section.instructions == {"werewolf": "Stay calm."}
    assert workload.roles["player"].precision == "int8"
    assert workload.roles["player"].model == "meta-llama/Llama-3.3-70B-Instruct"
    assert (found.detector, found.output) == ("detectors/lie.pt", "results")


def test_what_is_left_out_is_what_the_guides_system_takes_it_for():
    found = read_guide_file('{"backend_type": "probe"}', "config.json")
    _, section = section_of(found)
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
    _, section = section_of(read(**changes))
    assert getattr(section.rules, rule) == expected


def test_backends_by_identity_are_roles():
    own = {"backend_type": "openai", "model": "gpt-4o-mini"}
    local = {"backend_type": "local", "model": "llama", "model_url": "http://localhost:8000/v1"}
    workload, section = section_of(read(werewolf_config=own, villager_config=local))
    assert section.seats == {"werewolf": "werewolf", "villager": "villager"}
    assert set(workload.roles) == {"werewolf", "villager"}
    assert {name: role.engine for name, role in workload.roles.items()} == {
        "werewolf": "openai",
        "villager": "openai",
    }
    assert workload.roles["villager"].settings.base_url == "http://localhost:8000/v1"
    mixed, section = section_of(read(werewolf_config=own))
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
        read_guide_file(json.dumps(wrong, indent=1), "config.json")
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
    assert is_guide_file(EIGHT_BIT)
    assert not is_guide_file({"kind": "werewolf", "roles": {}})
