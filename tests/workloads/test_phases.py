"""How each kind lays its work out over time."""

import pytest

from ullage import api
from ullage.errors import SpecError
from ullage.spec.parse import parse_workload

ROLES = {
    "extract": "{model: {model: x}}",
    "evaluate": "{generator: {model: x}, judge: {model: y}}",
    "werewolf": "{player: {model: x}}",
    "assistant": "{router: {model: r}, voice: {model: v}, one: {model: a}, two: {model: b}}",
    "pii": "{verifier: {model: x}}",
}


def phases(kind, more=""):
    text = f"kind: {kind}\nroles: {ROLES[kind]}\n{more}"
    return api.phases(parse_workload(text, "w.yaml", api.sections()))


def on_device(phase):
    return {resident.name for resident in phase.resident if resident.where == "device"}


@pytest.mark.parametrize("kind", ROLES)
@pytest.mark.parametrize("schedule", ["auto", "sequential", "simultaneous", "persistent", "swapped"])
def test_what_runs_is_on_the_device_and_names_are_unique(kind, schedule):
    found = phases(kind, f"schedule: {schedule}\n")
    assert len({phase.name for phase in found}) == len(found)
    for phase in found:
        assert phase.running is None or phase.running in on_device(phase)


def test_a_sequential_evaluation_never_holds_both_models():
    assert all(on_device(phase) != {"generator", "judge"} for phase in phases("evaluate"))


def test_a_simultaneous_one_does():
    found = phases("evaluate", "schedule: simultaneous\n")
    assert any(on_device(phase) == {"generator", "judge"} for phase in found)


def test_specialists_take_turns_while_router_and_voice_stay():
    found = phases("assistant")
    assert all(not {"one", "two"} <= on_device(phase) for phase in found)
    working = [
        phase for phase in found if phase.running in ("one", "two") and not phase.name.endswith("load")
    ]
    assert all({"router", "voice"} <= on_device(phase) for phase in working)


def test_a_swapped_assistant_holds_one_model_at_a_time():
    found = phases("assistant", "schedule: swapped\n")
    assert all(len(on_device(phase)) == 1 for phase in found)


def test_extraction_keeps_no_logits_unless_asked():
    assert phases("extract")[-1].work.logits == "none"
    assert phases("extract", "extract: {logits: all}\n")[-1].work.logits == "all"


def test_extraction_in_training_mode_is_one_training_phase():
    more = "training: {optimizer: adamw}\nmemory: {enable_gradient_checkpointing: true}\n"
    last = phases("extract", more)[-1]
    assert last.work.activity == "train"
    assert last.work.gradient_checkpointing


def test_a_verifier_keeps_the_shared_instruction_in_its_cache():
    scored = phases("pii", "pii: {prefix_tokens: 250}\n")[-1]
    assert scored.work.cached_tokens == 250
    assert scored.work.new_tokens == 0


def test_a_judge_behind_an_api_needs_nothing_here():
    text = "kind: evaluate\nroles: {generator: {model: x}, judge: {model: gpt, engine: openai}}\n"
    found = api.phases(parse_workload(text, "w.yaml", api.sections()))
    assert all(phase.running == "generator" for phase in found)


@pytest.mark.parametrize(
    ("kind", "roles", "said"),
    [
        ("werewolf", "{palyer: {model: x}}", "did you mean 'palyer'"),
        ("pii", "{verifier: {model: x}, judge: {model: y}}", "no such role"),
        ("evaluate", "{judge: {model: x}}", "needs a role 'generator'"),
        ("extract", "{a: {model: x}, b: {model: y}}", "one role"),
        ("extract", "{a: {model: x, engine: vllm}}", "transformers"),
        ("assistant", "{router: {model: x}, voice: {model: y}}", "specialist"),
    ],
)
def test_roles_a_kind_lacks_or_does_not_know_are_named(kind, roles, said):
    text = f"kind: {kind}\nroles: {roles}\n"
    with pytest.raises(SpecError, match=said):
        api.phases(parse_workload(text, "w.yaml", api.sections()))
