"""What must hold of the phases of each kind, whatever the schedule and residency."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from ullage import api
from ullage.errors import SpecError
from ullage.phases.phase import Phase, Work
from ullage.spec.installed import engine_names, find_engine
from ullage.spec.role import Role
from ullage.spec.workload import Workload
from ullage.workloads.registry import kind_names

EXAMPLES = {path.stem: path for path in (Path(__file__).parents[2] / "examples").glob("*.yaml")}
SCHEDULES = ("auto", "sequential", "simultaneous", "persistent", "swapped")
RESIDENCIES = ("auto", "persistent", "swapped", "host", "disk")
SPECIALISTS = {"pragmatist", "philosopher", "artist", "perception"}


def phases(kind: str, *overrides: str) -> tuple[Phase, ...]:
    return api.phases(api.load(EXAMPLES[kind], overrides))


def on_device(phase: Phase) -> set[str]:
    return {resident.name for resident in phase.resident if resident.where == "device"}


def names(found: tuple[Phase, ...]) -> list[str]:
    return [phase.name for phase in found]


def test_every_kind_has_an_example() -> None:
    assert {api.load(file).kind for file in EXAMPLES.values()} == set(kind_names())


@st.composite
def workloads(draw: st.DrawFn) -> Workload:
    """An example under any schedule, with any residency and engine of its roles."""
    kind = draw(st.sampled_from(sorted(EXAMPLES)))
    changes = [f"schedule={draw(st.sampled_from(SCHEDULES))}", f"batch={draw(st.integers(1, 64))}"]
    changes.append(f"new_tokens={draw(st.integers(1, 512))}")
    for name in api.load(EXAMPLES[kind]).roles:
        changes.append(f"roles.{name}.residency={draw(st.sampled_from(RESIDENCIES))}")
        if kind in ("evaluate", "assistant"):
            engines = [name for name in engine_names() if find_engine(name).memory != "pipeline"]
            changes.append(f"roles.{name}.engine={draw(st.sampled_from(engines))}")
    try:
        return api.load(EXAMPLES[kind], changes)
    except SpecError as error:
        # An engine that keeps its share of a card is refused where its role takes turns.
        if all("takes turns" in mistake for mistake in error.mistakes):
            reject()
        raise


@settings(max_examples=150, deadline=None)
@given(workloads())
def test_laws_of_phases(workload: Workload) -> None:
    found = api.phases(workload)
    assert len(set(names(found))) == len(found)
    loaded: set[str] = set()
    for phase in found:
        assert phase.running in on_device(phase)
        assert len({resident.name for resident in phase.resident}) == len(phase.resident)
        assert not any(not r.role.runs_with.local for r in phase.resident)
        assert phase.work.passes > 0
        if phase.work.activity == "load":
            loaded.add(phase.running)
        assert phase.running in loaded, "nothing runs before it is loaded"
        role = workload.roles[phase.running]
        assert phase.work.activity in ("load", *role.runs_with.phases)
    local = {name for name, role in workload.roles.items() if role.runs_with.local}
    assert loaded == local


@pytest.mark.parametrize("schedule", ["sequential", "auto"])
def test_a_sequential_evaluation_never_holds_both_models(schedule: str) -> None:
    found = phases("evaluate", f"schedule={schedule}")
    assert all(len(phase.resident) == 1 for phase in found)
    assert names(found) == [
        "generator load",
        "generator prefill",
        "generator decode",
        "judge load",
        "judge check",
        "judge score",
    ]


def test_a_simultaneous_evaluation_holds_both_while_either_runs() -> None:
    found = phases("evaluate", "schedule=simultaneous")
    assert names(found)[:2] == ["generator load", "judge load"]
    assert on_device(found[0]) == {"generator"}
    assert all(on_device(phase) == {"generator", "judge"} for phase in found[1:])


def test_a_swapped_evaluation_keeps_a_model_whose_turn_is_over_in_host_memory() -> None:
    found = phases("evaluate", "schedule=swapped")
    assert {phase.running for phase in found} == {"generator", "judge"}
    for phase in found:
        assert on_device(phase) == {phase.running}
        waiting = {each.name for each in phase.resident if each.where == "host"}
        assert waiting == ({"generator"} if phase.running == "judge" else set())


def test_a_judge_behind_an_api_needs_nothing_here() -> None:
    found = phases("evaluate", "roles.judge.engine=openai", "roles.judge.model=gpt-4")
    assert names(found) == ["generator load", "generator prefill", "generator decode"]


def test_a_judge_that_writes_its_verdict_decodes_and_reads_the_answer() -> None:
    by_text = phases("evaluate", "evaluate.judge_by=text")
    assert names(by_text)[-2:] == ["judge score prefill", "judge score decode"]
    generator, judge = (
        next(p.work for p in by_text if p.name.startswith(n)) for n in ("generator p", "judge s")
    )
    assert judge.prompt_tokens >= generator.prompt_tokens + generator.new_tokens


def test_more_samples_mean_more_passes_and_no_other_work() -> None:
    one, many = (
        phases("evaluate", "evaluate.samples=0")[2].work,
        phases("evaluate", "evaluate.samples=9")[2].work,
    )
    assert one.activity == many.activity == "decode"
    assert many.passes == pytest.approx(10 * one.passes)
    assert many.batch == one.batch


@pytest.mark.parametrize("samples, batch", [(1, 1), (9, 1), (10, 10), (10, 4), (3, 8), (7, 16), (12, 8)])
def test_samples_of_a_question_read_its_prompt_once_a_batch(samples, batch) -> None:
    found = phases("evaluate", f"evaluate.samples={samples}", f"roles.generator.batch={batch}")[1]
    assert found.activity == "prefill"
    questions = 2 * batch  # which both cut evenly
    read = {(item // samples, item // batch) for item in range(samples * questions)}
    assert found.work.passes * batch == pytest.approx(1 + len(read) / questions)


def test_what_is_watched_reads_every_prompt_by_itself() -> None:
    captured = "captures=[{role: generator, sites: [ln_final]}]"
    found = phases("evaluate", "evaluate.samples=9", captured)
    assert found[1].work.passes == found[2].work.passes


def test_specialists_are_never_on_the_device_together() -> None:
    for schedule in ("auto", "swapped", "sequential"):
        for phase in phases("assistant", f"schedule={schedule}"):
            assert len(on_device(phase) & SPECIALISTS) <= 1


def test_router_and_voice_stay_while_a_specialist_works() -> None:
    found = phases("assistant")
    assert all({"router", "voice"} <= on_device(phase) for phase in found[1:])
    assert not any(
        resident.name in SPECIALISTS and resident.where == "disk" for p in found for resident in p.resident
    )


def test_the_voice_speaks_beside_each_specialist() -> None:
    beside = [
        on_device(phase) - {"router", "voice"}
        for phase in phases("assistant")
        if phase.name.startswith("voice p")
    ]
    assert beside == [{name} for name in ("pragmatist", "philosopher", "artist", "perception")]


@pytest.mark.parametrize("schedule", ["swapped", "sequential"])
def test_when_nothing_stays_one_role_at_a_time_is_on_the_device(schedule: str) -> None:
    found = phases("assistant", f"schedule={schedule}")
    assert all(on_device(phase) == {phase.running} for phase in found)
    loads = [phase for phase in found if phase.work.activity == "load"]
    assert not any(phase.once for phase in loads)


def test_a_request_is_shared_out_among_the_specialists() -> None:
    found = phases("assistant")
    for activity, name in (("prefill", "router"), ("prefill", "voice"), ("decode", "voice")):
        passes = [p.work.passes for p in found if p.running == name and p.work.activity == activity]
        assert sum(passes) == pytest.approx(1)
    worked = [
        p.work.passes for p in found if p.running in SPECIALISTS and p.work.activity in ("prefill", "denoise")
    ]
    assert sum(worked) == pytest.approx(1)
    swaps = [p.work.passes for p in found if p.running in SPECIALISTS and p.work.activity == "load"]
    assert sum(swaps) == pytest.approx(1)


@pytest.mark.parametrize(
    ("by", "activities", "logits"),
    [
        ("labels", {"prefill"}, {"last"}),
        ("written", {"prefill", "decode"}, {"last"}),
        ("examples", {"prefill"}, {"none"}),
    ],
)
def test_a_router_writes_only_where_its_word_is_to_be_written(by, activities, logits) -> None:
    texts = "{pragmatist: [fix it], philosopher: [why], artist: [paint]}"
    more = [f"assistant.routing.examples={texts}"] if by == "examples" else []
    found = [
        phase.work
        for phase in phases("assistant", f"assistant.routing.by={by}", *more)
        if phase.running == "router" and phase.activity != "load"
    ]
    assert {work.activity for work in found} == activities
    assert {work.logits for work in found} == logits
    assert sum(work.passes for work in found if work.activity == "prefill") == pytest.approx(1)


def test_rules_ask_no_router() -> None:
    text = EXAMPLES["assistant"].read_text()
    workload = api.load(
        {
            **yaml.safe_load(text),
            "roles": {n: r for n, r in yaml.safe_load(text)["roles"].items() if n != "router"},
            "assistant": {"routing": {"by": "rules", "rules": [{"to": "artist", "words": ["paint"]}]}},
        }
    )
    found = api.phases(workload)
    assert "router" not in {resident.name for phase in found for resident in phase.resident}
    assert sum(p.work.passes for p in found if p.running == "voice" and p.activity == "decode") == (
        pytest.approx(1)
    )


def test_specialists_do_what_their_models_do() -> None:
    found = phases("assistant")
    assert [p.work.activity for p in found if p.running == "artist"] == ["load", "denoise"]
    assert all(
        p.work.images == 1 for p in found if p.running == "perception" and p.work.activity == "prefill"
    )


def test_a_specialist_that_stays_is_loaded_once_and_stays() -> None:
    found = phases("assistant", "roles.perception.residency=persistent")
    (loaded,) = [p for p in found if p.running == "perception" and p.work.activity == "load"]
    assert loaded.once
    after = found[found.index(loaded) :]
    assert all("perception" in on_device(phase) for phase in after)


def test_one_swapped_specialist_is_loaded_once() -> None:
    text = [f"roles.{name}.engine=openai" for name in ("pragmatist", "philosopher", "artist")]
    loads = [p for p in phases("assistant", *text) if p.work.activity == "load"]
    assert all(phase.once for phase in loads)


def test_one_copy_of_the_model_plays_and_is_probed() -> None:
    found = phases("werewolf")
    assert names(found) == ["player load", "player prefill", "player decode", "player choose"]
    assert all(len(phase.resident) == 1 for phase in found)
    assert all(phase.work.captures for phase in found[1:3])
    twice = phases("werewolf", "werewolf.conditions=[control, treatment]")
    assert [phase.work.passes for phase in twice[1:]] == [2 * phase.work.passes for phase in found[1:]]


def test_pii_computes_the_shared_prefix_once_and_then_only_the_rest() -> None:
    found = phases("pii", "pii.explain=none", "pii.explain_fraction=null")
    assert names(found) == ["verifier load", "verifier prefix", "verifier score"]
    prefix, score = found[1], found[2]
    assert prefix.once
    assert not score.once
    assert prefix.work.prompt_tokens == score.work.cached_tokens == 600
    assert (score.work.new_tokens, score.work.logits) == (0, "last")


def test_a_row_of_pii_is_a_text_with_all_its_candidates_where_they_can_be_read_together() -> None:
    """Else it is one candidate, and there are as many passes as candidates."""

    def score(*overrides: str) -> Work:
        found = phases(
            "pii",
            "pii.candidates_per_record=2.5",
            "pii.branch_tokens=20",
            "roles.verifier.batch=8",
            *overrides,
        )
        return next(phase.work for phase in found if phase.verb == "score")

    assert (score().prompt_tokens, score().passes) == (256 + 3 * 20, 1 / 8)
    for singly, prompt in (
        (("captures=[{sites: ['*'], positions: last}]",), 256 + 20),
        (("memory.streaming_chunk_size=64",), 256 + 20),
        (("pii.system='Is it {type}? {verdicts}'",), 256),
        (("pii.template='Text: {text}'",), 256),
        (("roles.verifier.model=ullage:tiny",), 256),
        (("roles.verifier.engine=vllm", "roles.verifier.precision=bf16"), 256 + 20),
    ):
        assert (score(*singly).prompt_tokens, score(*singly).passes) == (prompt, 2.5 / 8), singly


def test_wrong_prompts_of_pii_are_refused() -> None:
    for system, template, said in (
        ("Hello", None, "lacks {types}"),
        (None, "Hello", "lacks {text}"),
        ("{type}", "{text} {span}", "needs a system with {types}"),
        ("{types}", "{text}", "lacks {span} or {type}"),
    ):
        given = api.load(EXAMPLES["pii"])
        assert given.section is not None
        section = given.section.model_copy(update={"system": system, "template": template})
        with pytest.raises(SpecError, match=re.escape(said)):
            api.phases(given.model_copy(update={"section": section}))


def test_pii_explains_a_share_of_the_candidates() -> None:
    found = {phase.name: phase for phase in phases("pii", "pii.explain=all", "pii.explain_fraction=0.25")}
    explained, read = found["verifier explain decode"].work, found["verifier score"].work
    assert explained.passes == pytest.approx(3 * read.passes / 4)  # a row is read with three candidates


def test_pii_under_vllm_serves() -> None:
    found = phases(
        "pii",
        "roles.verifier.engine=vllm",
        "roles.verifier.precision=bf16",
        "pii.explain=none",
        "pii.explain_fraction=null",
    )
    assert [(p.name, p.work.activity) for p in found[1:]] == [("verifier score", "serve")]


def test_extract_reads_in_chunks_keeps_captures_and_no_logits() -> None:
    load, read = phases("extract")
    assert (load.name, read.name) == ("model load", "model extract")
    assert (read.work.chunk_tokens, read.work.logits, read.work.new_tokens) == (512, "none", 0)
    assert len(read.work.captures) == 1


@pytest.mark.parametrize("keep", ["device", "host", "disk"])
@pytest.mark.parametrize("kind", ["evaluate", "extract", "pii", "werewolf"])
def test_states_of_a_run_are_stored_wherever_they_wait(kind: str, keep: str) -> None:
    role = next(iter(api.load(EXAMPLES[kind]).roles))
    asked = f'captures=[{{role: {role}, sites: ["blocks.*.hook_resid_post"], positions: last, keep: {keep}}}]'
    capturing = [phase.work for phase in phases(kind, asked) if phase.work.captures]
    assert capturing
    assert all(work.shard_bytes for work in capturing)


def test_extract_captures_what_it_generates_when_asked() -> None:
    found = phases("extract", "extract.generate=true")
    assert names(found) == ["model load", "model prefill", "model decode"]
    assert found[2].work.captures


def test_extract_trains_when_asked() -> None:
    whole = "memory.streaming_chunk_size=null"
    training = ("training={optimizer: adamw}", "memory.enable_gradient_checkpointing=true")
    found = phases("extract", whole, *training)
    assert [p.work.activity for p in found] == ["load", "train", "update"]
    assert found[1].work.gradient_checkpointing
    assert not found[2].work.captures


def test_a_workload_made_in_python_is_checked_too() -> None:
    workload = Workload(kind="pii", roles={"judge": Role(model="m")})
    with pytest.raises(SpecError, match="kind pii needs a role called 'verifier'"):
        api.phases(workload)
