"""The `werewolf:` part of a file, its mistakes and its plan."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ullage import api
from ullage.errors import SpecError
from ullage.kinds.werewolf.rules import PRESETS, Rules
from ullage.kinds.werewolf.section import Section

EXAMPLE = Path(__file__).parents[3] / "examples" / "werewolf.yaml"


def load(*overrides):
    return api.load(EXAMPLE, overrides)


def test_the_example_plays_the_guides_game():
    rules = load().section.rules
    assert rules == PRESETS["guide"]
    assert (rules.players, rules.werewolves, rules.rounds) == (6, 2, 2)
    assert rules.identities.count("villager") == 4


def test_every_rule_can_be_given_and_stands_in_the_record():
    rules = set(Rules.__dataclass_fields__)
    assert rules <= set(Section.model_fields)
    assert set(PRESETS["guide"].written()) == rules
    assert Section(preset="arena", players=9, ties="random").rules == Rules(
        **{**PRESETS["arena"].written(), "players": 9, "werewolves": 3, "ties": "random"}
    )


@pytest.mark.parametrize("players", range(4, 17))
def test_any_number_of_players_has_a_game(players):
    assert not list(Section(players=players).rules.mistakes())


MISTAKES = {
    "werewolf.players=5 werewolf.werewolves=2": "ends before the first vote: after one night there are 2",
    "werewolf.players=3": "after one night there is 1 werewolf against 1, who can no longer outvote them",
    "werewolf.werewolves=3": "the game ends before the first vote: there are 3 werewolves against 3",
    "werewolf.players=17": "17 must be at most 16",
    "werewolf.players=4 werewolf.seer=true werewolf.doctor=true werewolf.hunter=true werewolf.witch=true": (
        "1 and 4 others with a part are more than 4 players"
    ),
    "werewolf.callouts=true werewolf.speech=at_once": "all at once nobody can answer",
    "prompt_tokens=900": "one round of 5 players who say up to 256 tokens takes",
    "prompt_tokens=2000 werewolf.conditions=[control, public_cot]": (
        "one round of 5 players who say up to 256 tokens, and whose thoughts all hear (public_cot), takes"
    ),
    "werewolf.conditions=[control, control]": "names each condition once",
    "werewolf.conditions=[placebo]": "placebo",
    "werewolf.seats={seer: player}": "no player of this game; valid: werewolf, villager, or 1 to 6",
    "werewolf.seats={7: player}": "no player of this game",
    "werewolf.seats={werewolf: wolf}": "needs a role called 'wolf'",
    "werewolf.instructions={witch: be kind}": "nobody in this game; valid: all, werewolf, villager",
    "roles.stranger=gpt2": "kind werewolf has no such role",
    "roles.player.engine=diffusers": "is not an engine that writes replies",
    "training={}": "kind werewolf trains nothing",
    "schedule=sequential roles.wolf=gpt2 werewolf.seats={werewolf: wolf}": "players speak in turns all",
}


@pytest.mark.parametrize("given", MISTAKES)
def test_mistakes_are_told_in_a_sentence(given):
    with pytest.raises(SpecError, match=re.escape(MISTAKES[given])):
        load(*re.split(r" (?=[a-z]+[.=])", given))


def test_a_treatment_has_one_scale_of_scores():
    """Truths that two probes scored calibrate neither."""
    given = ("captures=[]", "roles.wolf=gpt2", "werewolf.seats={werewolf: wolf}")
    mine, wolfs = "probes.mine={path: lie, role: player}", "probes.its={path: other, role: wolf}"
    with pytest.raises(SpecError, match="player and wolf are read by different probes"):
        load(*given, "werewolf.conditions=[control, treatment]", mine, wolfs)
    assert load(*given, "werewolf.conditions=[control]", mine, wolfs).probes
    assert load(*given, "werewolf.conditions=[control, treatment]", mine).probes


def test_all_are_told_at_once():
    with pytest.raises(SpecError) as found:
        load("werewolf.seats={9: player}", "werewolf.conditions=[]", "prompt_tokens=100", "training={}")
    assert len(found.value.mistakes) == 4


def test_seats_and_identities_can_have_models_of_their_own():
    mixed = load(
        "captures=[]", "roles.wolf=gpt2", "roles.first=gpt2", "werewolf.seats={werewolf: wolf, 1: first}"
    )
    assert mixed.section.role_of(0, "werewolf") == "first"
    assert mixed.section.role_of(1, "werewolf") == "wolf"
    assert mixed.section.role_of(1, "villager") == "player"
    shares = mixed.section.played_by()
    assert shares == pytest.approx({"first": 1, "wolf": 5 / 3, "player": 10 / 3})
    phases = api.phases(mixed)
    assert [phase.name for phase in phases if phase.activity == "load"] == [
        "player load",
        "wolf load",
        "first load",
    ]
    assert {len(phase.resident) for phase in phases if phase.activity != "load"} == {3}
    decodes = {phase.running: phase.work.passes for phase in phases if phase.activity == "decode"}
    assert decodes["wolf"] == pytest.approx(decodes["player"] / 2)


def test_a_longer_talk_is_billed_as_it_grows():
    """Prefill counts tokens, which grow with the talk; decode counts texts."""

    def passes(*overrides):
        return {phase.name: phase.work.passes for phase in api.phases(load(*overrides)) if phase.work.passes}

    short, long = passes("werewolf.rounds=1"), passes("werewolf.rounds=4")
    assert long["player prefill"] > 4.5 * short["player prefill"]
    assert long["player decode"] < 4 * short["player decode"]
    assert long["player choose"] > short["player choose"]
    assert "player score" not in passes("werewolf.score_without_role_context=true")  # nothing reads it
    probe = "probes.lie={path: lie, sites: [blocks.22.hook_resid_post], hidden: 8192}"
    again = passes("werewolf.score_without_role_context=true", probe)
    assert again["player score"] < again["player decode"]
    wider = passes("prompt_tokens=61440")
    assert wider["player prefill"] == pytest.approx(passes()["player prefill"] / 10, rel=0.01)


def test_probes_listen_to_what_is_said_and_not_to_choices():
    probe = "probes.lie={path: lie, sites: [blocks.22.hook_resid_post], hidden: 8192}"
    phases = {
        phase.name: phase for phase in api.phases(load(probe, "werewolf.score_without_role_context=true"))
    }
    listening = {name for name, phase in phases.items() if phase.work.probed}
    assert listening == {"player prefill", "player decode", "player score"}
    with pytest.raises(SpecError, match="is missing; one of: player, wolf"):
        load("captures=[]", "roles.wolf=gpt2", "werewolf.seats={werewolf: wolf}", probe)


def test_choices_by_text_are_written():
    phases = api.phases(load("werewolf.choose_by=text"))
    assert [phase.name for phase in phases][3:] == ["player choose prefill", "player choose decode"]


def test_a_plan_says_what_chance_wins_and_what_the_games_can_find():
    notes = "\n".join(api.plan(load("werewolf.conditions=[control, treatment]", "examples=30")).notes)
    assert "random play: the villagers win 2/15 of the games (13.3%)" in notes
    assert "17 points with a power of 18%" in notes


def test_no_more_speak_at_once_than_there_are_games():
    import ullage

    def hours(batch):
        file = {
            "kind": "werewolf",
            "roles": {"player": {"model": "Llama-3.1-8B-Instruct", "batch": batch}},
            "examples": 8,
        }
        plan = ullage.plan(file, "A100-80GB", advice=False)
        return sum(each.total_seconds.expected for each in plan.times if "decode" in each.phase)

    assert hours(8) < hours(4) / 1.5
    assert hours(64) >= hours(8)
