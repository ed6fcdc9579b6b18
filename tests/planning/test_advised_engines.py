"""Advice that changes a role's engine, and what goes with that."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ullage
from ullage import api
from ullage.errors import UnsupportedError
from ullage.planning.advice.card_sets import cards_named
from ullage.planning.advice.step import Step, changes_of, with_step, without
from ullage.spec.changes import apply_changes

ENGINE = "a engine"
STEPS = [
    Step(ENGINE, "vllm on one", (("roles.a.engine", "vllm"), ("roles.a.residency", "persistent")), 0.0, ""),
    Step(ENGINE, "vllm on all", (("roles.a.engine", "vllm"),), 0.0, ""),
    Step("a cache", "static", (("roles.a.cache.kind", "static"),), 0.0, "", only="transformers"),
    Step("a graphs", "true", (("roles.a.vllm.enforce_eager", "true"),), 0.0, "", only="vllm"),
    Step("a residency", "disk", (("roles.a.residency", "disk"),), 0.0, "", only="transformers"),
    Step("a residency", "persistent", (("roles.a.residency", "persistent"),), 0.0, ""),
    Step("a batch", "4", (("roles.a.batch", "4"),), 0.0, ""),
]


@given(st.lists(st.sampled_from(STEPS)), st.sampled_from(["", *(step.axis for step in STEPS)]))
def test_a_setting_holds_no_step_of_another_engine(taken, left):
    steps = ()
    for step in (each._replace(role="a", now="transformers") for each in taken):
        before, steps = steps, with_step(steps, step)
        assert step in steps or steps == before
    steps = without(steps, left)
    engine = next((step.key for step in steps if step.axis == ENGINE), "transformers")
    assert all(not step.only or engine.startswith(step.only) for step in steps)
    assert [step.axis for step in steps] == sorted({step.axis for step in steps} - {left})
    paths = [path for path, _ in changes_of(steps)]
    assert len(paths) == len(set(paths))


LLAMA = "meta-llama/Llama-3.1-8B-Instruct"
STATIC = {
    "kind": "evaluate",
    "roles": {"generator": {"model": LLAMA, "cache": {"kind": "static"}, "batch": 4}},
    "prompt_tokens": 512,
    "new_tokens": 256,
}
IN_TURNS = {
    "kind": "assistant",
    "roles": {
        "router": {"model": "Qwen/Qwen2.5-0.5B-Instruct"},
        "voice": {"model": "Qwen/Qwen2.5-0.5B-Instruct"},
        "poet": {"model": LLAMA, "new_tokens": 512},
    },
    "assistant": {"router": "router", "voice": "voice"},
}


@pytest.mark.parametrize(
    ("file", "role", "change"),
    [
        (STATIC, "generator", ("roles.generator.cache.kind", "dynamic")),
        (IN_TURNS, "poet", ("roles.poet.residency", "persistent")),
    ],
)
def test_what_vllm_refuses_is_changed_with_the_engine(file, role, change):
    plan = ullage.plan(file, "A100-80GB")
    by_vllm = [entry for entry in plan.advice if (f"roles.{role}.engine", "vllm") in entry.changes]
    assert by_vllm
    for entry in by_vllm:
        assert change in entry.changes
        again = ullage.plan(apply_changes(plan.workload, entry.changes), entry.gpus, advice=False)
        assert again.verdict == "fits"
        assert again.cost.usd_per_1000_examples.expected < plan.cost.usd_per_1000_examples.expected


@pytest.mark.parametrize(
    ("role", "count"),
    [
        ({}, 0),
        ({"placement": "gpu:2"}, 3),
        ({"placement": ["gpu:0", "gpu:1"]}, 2),
        ({"device_map": {"": 1}}, 2),
    ],
)
def test_cards_that_a_file_names_are_there(role, count):
    file = {"kind": "evaluate", "roles": {"generator": {"model": LLAMA} | role}}
    plan = ullage.plan(file, "4x A100-80GB")
    assert cards_named(plan.workload) == count
    assert all(int(entry.gpus.partition("x ")[0]) >= count for entry in plan.advice)


BITS = [
    Step("a precision", "fp8", (("roles.a.precision", "fp8"),), 0.005, "", role="a", only="vllm"),
    Step("a precision", "nf4", (("roles.a.precision", "nf4"),), 0.03, "", role="a", only="transformers"),
]
BITS[1] = BITS[1]._replace(instead=BITS[0]._replace(now="transformers"), now="transformers")


def test_bits_of_one_engine_become_those_of_the_other_with_it():
    vllm = STEPS[1]._replace(role="a")
    taken = with_step(with_step((), BITS[1]), vllm)
    assert [step.key for step in taken] == ["vllm on all", "fp8"]
    assert [step.key for step in with_step((vllm,), BITS[1])] == ["vllm on all", "fp8"]


@pytest.mark.parametrize("model", ["Qwen2.5-32B-Instruct", "Mixtral-8x7B-Instruct-v0.1"])
def test_what_vllm_has_no_room_for_is_offered_in_its_own_bits(model):
    file = {"kind": "evaluate", "roles": {"generator": {"model": model, "engine": "vllm", "batch": 16}}}
    plan = ullage.plan(file, "2x RTX A6000", advice=False)
    assert plan.verdict == "does not fit"
    own = [entry for entry in ullage.advise(plan, keep=["budget.gpus"]).entries if entry.own_cards]
    assert any(("roles.generator.precision", "fp8") in entry.changes for entry in own)


def test_no_entry_keeps_bits_that_its_engine_does_not_make():
    file = {
        "kind": "evaluate",
        "roles": {"generator": {"model": LLAMA, "engine": "vllm", "precision": "int8"}},
    }
    plan = ullage.plan(file, "H100")
    assert any("checkpoint stored in int8" in note for note in plan.notes)
    assert plan.advice
    for entry in plan.advice:
        set_ = dict(entry.changes)
        engine = set_.get("roles.generator.engine", "vllm")
        assert (engine, set_.get("roles.generator.precision", "int8")) != ("vllm", "int8")


def test_batches_are_as_large_as_there_are_samples_of_few_questions():
    file = {
        "kind": "evaluate",
        "roles": {"generator": {"model": LLAMA}},
        "examples": 10,
        "evaluate": {"samples": 64},
        "new_tokens": 256,
    }
    plan = ullage.plan(file, "H100")
    batches = [int(dict(entry.changes).get("roles.generator.batch", 1)) for entry in plan.advice]
    assert max(batches) > 10


def test_no_single_change_makes_the_cheapest_entry_much_cheaper():
    """On its cards: the search ends with what is one change away, as far as it comes."""
    file = {
        "kind": "evaluate",
        "roles": {"generator": {"model": LLAMA}, "judge": {"model": "Qwen2.5-32B-Instruct"}},
        "prompt_tokens": 512,
        "new_tokens": 256,
        "examples": 1000,
    }
    plan = ullage.plan(file, "2x A100-80GB", advice=False)
    best = min(ullage.advise(plan).entries, key=lambda entry: entry.usd_per_1000_examples)
    there = apply_changes(plan.workload, best.changes)
    beside = [
        (f"roles.{role}.{path}", value)
        for role in there.roles
        for path, value in (("precision", "nf4"), ("precision", "fp8"), ("engine", "vllm"))
    ]
    for change in beside:
        then = ullage.plan(apply_changes(there, (change,)), best.gpus, advice=False)
        runs = not any("checkpoint stored in" in note for note in then.notes)
        if then.verdict == "fits" and runs:
            assert then.cost.usd_per_1000_examples.expected > 0.9 * best.usd_per_1000_examples


def test_a_cache_in_fp8_is_offered_by_vllm_where_it_holds_more_at_once():
    """A 70B in fp8 wrote for $0.32 per 1,000 on a B200, where a cache in fp8 makes it a third cheaper."""
    fields = {"prompt_tokens": 1000, "new_tokens": 500, "advice": True}
    plan = api.estimate_model("meta-llama/Llama-3.3-70B-Instruct", "A100-80GB", **fields)
    best = dict(plan.advice[0].changes)
    assert (best["roles.model.engine"], best["roles.model.cache.precision"]) == ("vllm", "fp8")
    kept = api.estimate_model("meta-llama/Llama-3.3-70B-Instruct", "B200-SXM", engine="vllm", **fields)
    for entry in kept.advice:
        changes = dict(entry.changes)
        if changes.get("roles.model.engine") == "transformers":
            assert "roles.model.cache.precision" not in changes or "roles.model.cache.kind" in changes


def test_a_static_cache_that_vllm_takes_over_may_be_in_fp8():
    workload = {**STATIC, "prompt_tokens": 8192, "examples": 100_000}
    plan = ullage.plan(workload, "H100")
    taken = [dict(entry.changes) for entry in plan.advice]
    fp8 = [each for each in taken if each.get("roles.generator.cache.precision") == "fp8"]
    assert fp8
    assert all(each["roles.generator.cache.kind"] == "dynamic" for each in fp8)


@pytest.mark.parametrize(
    ("gpus", "taken"), [("T4", False), ("V100", False), ("A100-80GB", True), ("MI300X", True)]
)
def test_a_cache_in_fp8_needs_a_card_whose_kernels_read_it(gpus, taken):
    own = {"engine": "vllm", "cache": {"precision": "fp8"}}
    if taken:
        assert api.estimate_model("Llama-3.2-1B-Instruct", gpus, **own).verdict == "fits"
    else:
        with pytest.raises(
            UnsupportedError, match=r"reads no cache in fp8 on .*; it needs compute capability 8\.0"
        ):
            api.estimate_model("Llama-3.2-1B-Instruct", gpus, **own)
