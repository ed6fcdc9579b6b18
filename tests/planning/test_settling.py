"""Roles that may be quantized are, as far as it takes to fit, and the plan says so."""

import pytest

import ullage
from ullage import api
from ullage.errors import InputError

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
    assert plan.warnings == ()
    assert "bf16" in precision_of(plan, "judge")


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
