"""Roles that may be quantized are, as far as it takes to fit, and the plan says so."""

import json

import pytest

import ullage
from ullage import api
from ullage.errors import InputError
from ullage.planning.document import plan_document
from ullage.reports.console import PlainConsole
from ullage.reports.pages.screen import show
from ullage.reports.plan_page import plan_page
from ullage.workloads.loading import read_plan

FILE = """
kind: evaluate
schedule: sequential
roles:
  generator: {model: meta-llama/Llama-3.2-1B-Instruct}
  judge: {model: meta-llama/Llama-3.1-70B-Instruct, fallback_precisions: FALLBACKS}
prompt_tokens: 512
batch: 2
evaluate: {}
"""


def planned(tmp_path, gpus, fallbacks="[int8, nf4]"):
    file = tmp_path / "work.yaml"
    file.write_text(FILE.replace("FALLBACKS", fallbacks))
    return ullage.plan(ullage.load(file), gpus, advice=False)


def precision_of(plan, role):
    return next(d.choice for d in plan.decisions if d.subject == f"{role} precision")


@pytest.mark.parametrize(
    "gpus, precision", [("4xA100-80GB", "bf16"), ("1xA100-80GB", "int8"), ("1xA6000", "nf4")]
)
def test_the_first_precision_that_fits_is_taken(tmp_path, gpus, precision):
    plan = planned(tmp_path, gpus)
    assert plan.verdict != "does not fit"
    assert precision in precision_of(plan, "judge")
    assert "bf16" in precision_of(plan, "generator")
    if precision == "bf16":
        assert plan.warnings == ()
    else:
        (warning,) = plan.warnings
        assert warning.startswith(f"judge is planned in {precision}: in auto it does not fit; ")
        assert "answers" in warning


def test_what_fits_in_no_way_is_planned_as_it_was_asked_for(tmp_path):
    plan = planned(tmp_path, "1xRTX 4090")
    assert plan.verdict == "does not fit"
    assert plan.warnings == ("no fallback precision fits either; tried judge in int8, nf4",)
    assert "bf16" in precision_of(plan, "judge")


def test_a_judge_is_quantized_by_itself_where_the_file_says_so(tmp_path):
    def made(gpus, quantize, fallbacks="[]"):
        file = tmp_path / "work.yaml"
        text = FILE.replace("FALLBACKS", fallbacks).replace("evaluate: {}", "evaluate: {quantize: QUANTIZE}")
        file.write_text(text.replace("QUANTIZE", quantize))
        return ullage.plan(ullage.load(file), gpus, advice=False)

    for gpus, precision in (("1xA100-80GB", "int8"), ("1xA6000", "nf4")):
        plan = made(gpus, "auto")
        assert precision in precision_of(plan, "judge")
        assert plan.warnings[0].startswith(f"judge is planned in {precision}: in auto it does not fit; ")
        assert "bf16" in precision_of(plan, "generator")
    assert made("4xA100-80GB", "auto").warnings == ()
    assert made("1xA6000", "none").verdict == "does not fit"
    assert made("1xA6000", "auto", "[int8]").warnings[0].endswith("tried judge in int8")


HOSTED = """
kind: evaluate
roles:
  generator: {model: meta-llama/Llama-3.2-1B-Instruct}
  judge: {model: gpt-4, engine: openai, openai: {price_per_million: [30.0, 60.0]}}
prompt_tokens: 400
new_tokens: 32
examples: 5000
evaluate: {judge_by: HOW, judge_check: 0}
"""


@pytest.mark.parametrize("how, new_tokens", [("probabilities", 1), ("text", 32)])
def test_a_hosted_judge_is_in_the_plan_with_its_price(tmp_path, how, new_tokens, capsys):
    (tmp_path / "work.yaml").write_text(HOSTED.replace("HOW", how))
    plan = ullage.plan(tmp_path / "work.yaml", "A100-80GB", advice=False)
    (judge,) = plan.hosted
    read = 1000 * (400 + 32 + 256)  # question, answer, and the instruction around them
    assert (judge.role, judge.model, judge.requests) == ("judge", "gpt-4", 1000)
    assert (judge.prompt_tokens, judge.new_tokens) == (read, 1000 * new_tokens)
    assert judge.usd_per_1000_examples == pytest.approx((read * 30 + 1000 * new_tokens * 60) / 1e6)
    assert judge.usd == pytest.approx(5 * judge.usd_per_1000_examples)
    document = plan_document(plan)
    assert document["hosted"][0]["model"] == "gpt-4"
    (tmp_path / "plan.json").write_text(json.dumps(document))
    assert read_plan(tmp_path / "plan.json").hosted == plan.hosted
    show((plan_page(plan),), PlainConsole(width=80))
    assert f"hosted   judge (gpt-4): ${plan.hosted[0].usd:,.2f} for all" in capsys.readouterr().out
    assert "judge: gpt-4 is hosted: up to 1,000 requests" in f"{plan:details}"


def test_a_hosted_generator_is_asked_for_every_sample(tmp_path):
    text = HOSTED.replace("HOW", "text").replace("{model: meta", "{engine: openai, model: meta")
    (tmp_path / "work.yaml").write_text(text)
    plan = ullage.plan(
        ullage.load(tmp_path / "work.yaml", ["evaluate.samples=4", "evaluate.p_true=true"]), "cpu"
    )
    generator, judge = plan.hosted
    assert (generator.requests, judge.requests) == (6000, 1000)
    assert generator.usd is None


def test_nothing_is_quantized_unless_the_file_allows_it(tmp_path):
    assert planned(tmp_path, "1xA6000", "[]").verdict == "does not fit"


def test_a_precision_that_the_files_own_share_of_a_card_cannot_hold_is_passed_over():
    settings = {"engine": "vllm", "vllm": {"gpu_memory_utilization": 0.5, "max_model_len": 2048}}
    alone = api.bare_workload("Qwen/Qwen2.5-7B-Instruct", **settings)
    with pytest.raises(InputError, match=r"0\.5 is too little"):
        ullage.plan(alone, "RTX 4090")
    plan = ullage.plan(
        api.bare_workload("Qwen/Qwen2.5-7B-Instruct", **settings, fallback_precisions=["nf4"]), "RTX 4090"
    )
    assert plan.verdict == "fits"
    assert plan.roles["model"].precision.storage == "nf4"


def test_what_a_hosted_judge_is_checked_with_is_paid_for_too(tmp_path):
    (tmp_path / "work.yaml").write_text(
        HOSTED.replace("HOW", "text").replace("judge_check: 0", "judge_check: 40")
    )
    (judge,) = ullage.plan(tmp_path / "work.yaml", "A100-80GB", advice=False).hosted
    assert judge.requests == 1000 + 2 * 40 / 5
