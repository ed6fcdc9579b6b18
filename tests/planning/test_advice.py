"""Laws of advice: what is offered is so, is not beaten, is what was asked for, agrees with `ullage gpus`."""

import json
import sys
from itertools import islice
from pathlib import Path

import pytest

import ullage
from ullage import api
from ullage.errors import InputError, UnsupportedError
from ullage.planning.advice.front import beats, chosen, front
from ullage.planning.advice.step import Step, loss_of
from ullage.planning.advice.trials import Candidate
from ullage.planning.outcome import IMPOSSIBLE
from ullage.units import ZERO

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))
from plans_offered import plan_of, points, refused  # noqa: E402
from random_workloads import cases, catalog, write_models  # noqa: E402

RANDOM = 12
"""benchmarks/plans_offered.py has thousands."""
CHAT = {
    "kind": "evaluate",
    "roles": {"generator": {"model": "meta-llama/Llama-3.1-8B-Instruct", "precision": "bf16"}},
    "prompt_tokens": 512,
    "new_tokens": 64,
}


def random_plans(seed):
    from ullage.reports.model_document import model_document

    for case in cases(catalog([model_document(model) for model in api.models()]), seed):
        try:
            yield plan_of(case.data, case.arguments, advice=True)
        except InputError:
            continue


def test_what_random_workloads_are_offered_is_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_models(tmp_path)
    offered = 0
    for plan in islice(random_plans(7), RANDOM):
        for ground in (True, False):
            found = [points(entry) for entry in plan.advice if entry.own_cards is ground]
            for one in found:
                rest = [two for two in found if two != one]
                assert not any(all(a <= b for a, b in zip(two, one, strict=True)) for two in rest), plan
        for entry in plan.advice[:3]:
            changed = ullage.spec.changes.apply_changes(plan.workload, entry.changes)
            gpus = plan.asked if entry.own_cards else entry.gpus
            again = ullage.plan(changed, gpus, base=tmp_path, advice=False)
            assert again.verdict == "fits", (plan, entry)
            assert not list(refused(again)), (plan, entry)
            offered += 1
    assert offered > RANDOM


@pytest.mark.parametrize("name", ["werewolf", "extract", "evaluate"])
def test_no_set_that_holds_it_as_it_is_is_cheaper_than_the_cheapest_advice(name):
    workload = api.load(ROOT / f"examples/{name}.yaml")
    plan = ullage.plan(workload)
    priced = [each.usd_per_1000_examples for each in plan.advice if each.usd_per_1000_examples is not None]
    holding = [each for _, each in api.gpus(workload) if each.verdict == "fits"]
    assert min(priced) <= min(each.usd_per_1000 for each in holding if each.usd_per_1000 is not None)
    # An entry without a change is what the list has.
    listed = {gpus.name: each for gpus, each in api.gpus(workload)}
    for entry in plan.advice:
        if not entry.changes:
            assert entry.usd_per_1000_examples == listed[entry.gpus].usd_per_1000


@pytest.mark.parametrize(
    ("for_", "key"),
    [
        ("cost", lambda entry: entry.usd_per_1000_examples),
        ("time", lambda entry: entry.known_seconds),
        ("quality", lambda entry: entry.quality_loss),
    ],
)
def test_what_is_asked_for_comes_first(for_, key):
    plan = ullage.plan(api.load(CHAT), "A100-80GB", for_=for_)
    assert plan.search.for_ == for_
    found = [key(entry) for entry in plan.advice]
    assert len(found) >= 3
    assert found == sorted(found)


@pytest.mark.parametrize("keep", ["roles.generator.precision", "roles.*.engine", "roles", "budget.gpus"])
def test_what_is_kept_is_not_changed(keep):
    plan = ullage.plan(api.load(CHAT), "A100-80GB", keep=(keep,))
    assert plan.advice
    assert plan.search.kept == (keep,)
    if keep == "budget.gpus":
        assert all(entry.own_cards for entry in plan.advice)
    stem = keep.replace("*", "generator")
    paths = [path for entry in plan.advice for path, _ in entry.changes]
    assert not [path for path in paths if path == stem or path.startswith(f"{stem}.")]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"for_": "speed"}, "use cost, time, quality"),
        ({"keep": ("roles.nobody",)}, "roles has no nobody; nearest: generator"),
        ({"keep": ("presicion",)}, "a workload has no presicion"),
        ({"keep": ("*",)}, "nothing is left to change"),
        ({"keep": ("roles.*.presicion",)}, r"roles\.\* has no presicion; nearest: precision"),
        ({"keep": ("roles.no*.precision",)}, r"roles has no no\*"),
    ],
)
def test_what_cannot_be_asked_for_is_one_line(options, said):
    with pytest.raises(InputError, match=said) as raised:
        ullage.plan(api.load(CHAT), "A100-80GB", **options)
    assert "\n" not in str(raised.value)


def test_without_advice_nothing_of_a_search_is_said():
    plan = ullage.plan(api.load(CHAT), "A100-80GB", advice=False)
    assert plan.advice == ()
    assert plan.search is None
    found = ullage.advise(plan)
    assert found.entries == ullage.plan(api.load(CHAT), "A100-80GB").advice
    assert found.search.tried > 10


def test_a_search_that_is_cut_short_says_what_it_left():
    plan = ullage.plan(api.load(CHAT), "A100-80GB", advice=False)
    short = ullage.advise(plan, limit=ullage.SearchLimit(20, 5.0)).search
    assert short.left > 0
    assert short.tried < ullage.advise(plan).search.tried


def test_advice_that_finds_nothing_says_how_near_it_came():
    keep = ("budget.gpus", "roles.*.precision", "roles.*.engine")
    plan = ullage.plan(api.load(CHAT), "RTX 4060", keep=keep)
    assert plan.verdict == "does not fit"
    assert plan.advice == ()
    assert plan.search.tried > 1
    assert plan.search.nearest.over > 0


def test_weights_wait_in_no_memory_that_nobody_states():
    large = {**CHAT, "roles": {"generator": {"model": "meta-llama/Llama-3.3-70B-Instruct"}}}
    plan = ullage.plan(api.load(large), "A100-80GB", keep=("budget.gpus",))
    assert not any("max_memory" in path for entry in plan.advice for path, _ in entry.changes)
    stated = ullage.plan(api.load(large, ["budget.host_memory=256GiB"]), "A100-80GB", keep=("budget.gpus",))
    waiting = [entry for entry in stated.advice if any("max_memory" in path for path, _ in entry.changes)]
    assert waiting
    assert all(0 < entry.host.high <= 256 * 2**30 for entry in waiting)


def test_a_loss_is_never_a_bare_number():
    plan = ullage.plan(api.load(CHAT), "A100-80GB")
    assert {entry.quality_basis for entry in plan.advice if entry.quality_loss} == {"assumed"}
    assert {entry.quality_basis for entry in plan.advice if not entry.quality_loss} == {"unchanged"}


def test_a_measured_loss_stands_in_place_of_the_assumed_one(tmp_path):
    model = CHAT["roles"]["generator"]["model"]
    drift, compared = tmp_path / "drift.json", tmp_path / "compared.json"
    rows = [{"precision": "bf16", "correlation": 1.0}, {"precision": "nf4", "correlation": 0.875}]
    drift.write_text(json.dumps({"document": "probe-drift", "model": model, "rows": rows}))
    beside = {"candidates": 400, "other_verdicts": 10}
    runs = [
        {"model": model, "weights": "bf16", "beside_first": None},
        {"model": model, "weights": "int8", "beside_first": beside},
    ]
    compared.write_text(json.dumps({"document": "pii-comparison", "runs": runs}))
    plan = ullage.plan(api.load(CHAT), "RTX 3060 12GB", advice=False)  # 16 bits have no room there
    kept = ["roles.generator.engine", "budget.gpus"]
    found = ullage.advise(plan, measured=[drift, compared], keep=kept, for_="cost")
    losses = {dict(e.changes)["roles.generator.precision"]: e for e in found.entries if e.quality_loss}
    assert losses
    for precision, entry in losses.items():
        measured = {"nf4": 0.125, "int8": 0.025}
        assert entry.quality_basis == ("measured" if precision in measured else "assumed")
        if precision in measured:
            assert entry.quality_loss == measured[precision]
            assert "drift.json" in entry.quality_note or "2.5% of verdicts change" in entry.quality_note
    other = tmp_path / "other.json"
    other.write_text("{}")
    for file, said in ((other, "measures no loss of quality"), (tmp_path / "none.json", "cannot be read")):
        with pytest.raises(InputError, match=said):
            ullage.advise(plan, measured=[file])


def test_of_two_equal_settings_the_simpler_is_kept_and_a_beaten_one_is_not():
    outcome = IMPOSSIBLE._replace(verdict="fits", peak=ZERO, known_seconds=100.0)
    gpus = api.gpu_set(api.load(CHAT), "A100-80GB")
    step = Step("chunk", "512", (("memory.streaming_chunk_size", "512"),), 0.0, "")
    plain, same = Candidate(gpus, (), outcome, 1.0, 0.0), Candidate(gpus, (step,), outcome, 1.0, 0.0)
    slow = Candidate(gpus, (step._replace(key="64"),), outcome._replace(known_seconds=200.0), 1.0, 0.0)
    assert front([slow, same, plain]) == [plain]
    lossy = (step._replace(axis="bits", loss=0.03),)
    hardly = Candidate(gpus, lossy, outcome._replace(known_seconds=99.0), 1.0, loss_of(lossy))
    much = Candidate(gpus, lossy, outcome._replace(known_seconds=50.0), 1.0, loss_of(lossy))
    assert front([plain, hardly]) == [plain]
    assert front([plain, much]) == [plain, much]
    assert not beats(*[(0.0, 1.0, 1.0)] * 2)


def test_a_dearer_entry_is_faster_by_more_than_next_to_nothing():
    outcome = IMPOSSIBLE._replace(verdict="fits", peak=ZERO, known_seconds=100.0)
    gpus = api.gpu_set(api.load(CHAT), "A100-80GB")
    plain = Candidate(gpus, (), outcome, 1.0, 0.0)
    hardly, clearly = (
        plain._replace(outcome=outcome._replace(known_seconds=seconds), usd_per_hour=2.0)
        for seconds in (99.0, 80.0)
    )
    assert front([plain, hardly]) == [plain]
    assert front([plain, clearly]) == [plain, clearly]
    free = plain._replace(usd_per_hour=None)  # what nobody prices is beyond all prices
    assert front([free, plain]) == [plain]
    assert front([free, hardly]) == [hardly]


def test_what_is_shown_of_a_front_differs():
    gpus = api.gpu_set(api.load(CHAT), "A100-80GB")
    lossy = Step("bits", "nf4", (("roles.generator.precision", "nf4"),), 0.03, "")

    def candidate(usd, seconds, *steps):
        outcome = IMPOSSIBLE._replace(verdict="fits", peak=ZERO, known_seconds=seconds)
        return Candidate(gpus, steps, outcome, usd / seconds * 3600, loss_of(steps))

    cheapest, fastest = candidate(1.0, 200.0), candidate(5.0, 11.0)
    like = [candidate(1.0 + 0.01 * step, 200.0 - step) for step in range(1, 6)]  # next to nothing faster
    between, lossier = candidate(1.05, 20.0), candidate(1.0, 19.5, lossy)
    for order in ("cost", "time"):
        found = chosen([cheapest, *like, between, lossier, fastest], order)
        assert {cheapest, between, fastest, lossier} <= set(found)
        assert len(found) == 5


SHARE_OF_A_LARGE_CARD = {
    "kind": "werewolf",
    "roles": {
        "player": {
            "model": "TinyLlama/TinyLlama-1.1B-Chat-v1.0",
            "engine": "vllm",
            "vllm": {"gpu_memory_utilization": 0.2, "max_model_len": 2048, "enforce_eager": True},
            "batch": 10,
        }
    },
    "prompt_tokens": 1720,
    "examples": 11,
    "budget": {"reserve": "0%"},
}
CARDS_THAT_WAIT = {
    "kind": "evaluate",
    "roles": {
        "generator": {
            "model": "meta-llama/Llama-2-70b-hf",
            "engine": "vllm",
            "vllm": {"gpu_memory_utilization": 0.59},
            "precision": "nf4",
            "batch": 31,
            "new_tokens": 17,
        },
        "judge": {
            "model": "Qwen/Qwen2.5-VL-3B-Instruct",
            "engine": "vllm",
            "batch": 30,
            "prompt_tokens": 128,
        },
    },
    "evaluate": {"p_true": True},
    "prompt_tokens": 3,
    "new_tokens": 62,
    "schedule": "swapped",
}


@pytest.mark.parametrize(("file", "gpus"), [(SHARE_OF_A_LARGE_CARD, "2x GB300"), (CARDS_THAT_WAIT, "2x T4")])
def test_no_set_that_holds_it_as_it_is_is_cheaper_than_the_cheapest_entry(file, gpus):
    plan = ullage.plan(api.load(file), gpus)
    cheapest = ullage.rentals(api.load(file)).best
    best = min(entry.usd_per_1000_examples for entry in plan.advice if entry.usd_per_1000_examples)
    assert best <= cheapest.cost.usd_per_1000_examples.expected * (1 + 1e-9)


def test_a_search_traces_no_pass_that_it_has_no_time_for(monkeypatch):
    asked = []

    def traced(each, base):
        asked.append(each)
        raise UnsupportedError("a double")

    monkeypatch.setattr("ullage.workloads.traced.trace_model", traced)
    roles = {
        "router": {"model": "google/gemma-3-1b-it", "precision": "bf16", "new_tokens": 16},
        "voice": {"model": "Qwen/Qwen2.5-0.5B-Instruct"},
        "poet": {"model": "openai-community/gpt2"},
    }
    own = {"router": "router", "voice": "voice"}
    workload = {"kind": "assistant", "roles": roles, "prompt_tokens": 640, "assistant": own}
    plan = ullage.plan(workload, "L4", advice=False)
    as_it_is = {*asked}
    assert as_it_is
    short = ullage.advise(plan)
    assert {*asked} == as_it_is
    assert short.entries
    assert short.search.left > 0
    ullage.advise(plan, keep=["roles.*.engine"], limit=ullage.SearchLimit(8000, 20))
    assert {*asked} > as_it_is


def test_an_entry_has_the_ends_of_its_time_and_price_as_its_plan_has():
    workload = {
        "kind": "extract",
        "roles": {"model": "Llama-3.1-8B-Instruct"},
        "budget": {"gpus": "2xL4"},
        "prompt_tokens": 512,
        "new_tokens": 64,
        "examples": 200,
    }
    entries = ullage.plan(workload).advice
    assert entries
    for entry in entries:
        changed = ullage.load(workload, [f"{p}={v}" for p, v in entry.changes])
        again = ullage.plan(changed, entry.gpus, advice=False)
        assert entry.seconds == pytest.approx(again.total_seconds * 5, rel=1e-6)
        assert entry.usd == pytest.approx(again.cost.usd_per_1000_examples, rel=1e-6)
        assert entry.seconds.low < entry.seconds_per_1000_examples == entry.seconds.expected


def forget():
    """Everything that was kept of what was computed before."""
    for name, module in [*sys.modules.items()]:
        if name.startswith(("ullage.memory", "ullage.planning")):
            for each in vars(module).values():
                if hasattr(each, "cache_clear"):
                    each.cache_clear()


@pytest.mark.parametrize("name", ["extract", "pii", "assistant"])
def test_a_search_finds_the_same_whatever_was_kept_before(name):
    limit = ullage.SearchLimit(20, 60.0)
    plan = ullage.plan(ROOT / f"examples/{name}.yaml", advice=False)
    ullage.advise(plan, keep=["budget"], for_="quality", limit=limit)
    kept = ullage.advise(plan, limit=limit)
    forget()
    assert ullage.advise(plan, limit=limit) == kept


def test_states_too_many_for_the_disk_are_offered_of_the_last_position():
    """An expert keeps one position in place of the first layer alone, or of prompts an eighth as long."""
    capture = {"sites": ["blocks.*.hook_resid_post"], "keep": "disk"}
    role = {"model": "meta-llama/Llama-3.1-8B", "batch": 32}
    workload = {"kind": "extract", "roles": {"model": role}, "captures": [capture], "prompt_tokens": 128}
    workload |= {"budget": {"gpus": "RTX 4090", "disk": "500GB"}, "examples": 100_000}
    plan = ullage.plan(workload)
    assert plan.verdict == "does not fit"
    (entry,) = (each for each in plan.advice if each.own_cards)
    assert dict(entry.changes)["captures.0.positions"] == "last"


def test_what_is_kept_is_named_one_path_at_a_time():
    plan = ullage.plan(CHAT, "L4", advice=False)
    for path, said in (
        ("roles.generator.batch,budget.gpus", "one path each"),
        ("", "write a path as"),
        ("roles.generator.precison", "nearest: precision"),
    ):
        with pytest.raises(InputError, match=said):
            ullage.advise(plan, keep=[path])
