"""Formulas against traces of models' own code, where they once differed, and over families at random."""

import random

import formula_traces
import pytest
from formula_traces import KINDS, Case
from small_families import FAMILIES

from ullage.facts.families.rows import family_of
from ullage.memory.proven import kind_of
from ullage.memory.traced import Asked
from ullage.phases.phase import Work

WITHIN = 0.02
READ = Work("prefill", 4, 200, caches=False, logits="none")
DECODE = Work("decode", 6, 200, new_tokens=3)


@pytest.mark.long
@pytest.mark.parametrize(
    ("family", "compute", "scheme", "work"),
    [
        ("gpt_oss", "bf16", None, READ),  # has no sdpa: scores are held, and sinks among them
        ("ernie4_5_moe", "bf16", None, READ),  # weighs what experts give in 16 bits
        ("mixtral", "bf16", None, READ),  # and in fp32
        ("nemotron", "bf16", "int8", READ),  # one first projection, no gate
        ("qwen3_next", "bf16", None, READ),  # states of a recurrence beside its chunks
        ("qwen3", "fp32", None, READ),  # torch's reference attends where heads share keys
        ("cohere2", "bf16", None, DECODE.but(prompt_tokens=4500)),  # windows hold the prompt for one step
        ("llama", "bf16", None, DECODE.but(prompt_tokens=20)),  # a token is chosen
    ],
)
def test_a_formula_says_what_the_code_does(family, compute, scheme, work):
    asked = Asked(family, compute, "sdpa", work, False, scheme)
    case = Case(family, True, asked)
    assert formula_traces.formula(case) == pytest.approx(formula_traces.traced(case), rel=WITHIN)


def test_small_models_of_any_family_take_what_their_formulas_say():
    """Not a proof of each: half of some drawn at random are within what is called proven."""
    known = [each for each in FAMILIES if not family_of(each).flow_open]
    found = []
    for family in random.Random(5).sample(known, 6):
        case = Case(family, False, Asked(family, "bf16", "sdpa", READ.but(batch=32, prompt_tokens=40), False))
        found.append(abs(formula_traces.formula(case) / formula_traces.traced(case) - 1))
    assert sorted(found)[3] < 0.03, found


def test_every_kind_of_pass_that_is_tried_has_a_name_of_its_own():
    draw = random.Random(0)
    works = {name: formula_traces._work(name, draw, False) for name in KINDS}
    names = {kind_of(Asked("m", "bf16", "sdpa", work, False)) for work in works.values()}
    assert len(names) == len(KINDS)
