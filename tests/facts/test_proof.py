"""What the table of proven formulas answers, and that a name in it is one of the code's."""

import pytest

from ullage.facts import proof
from ullage.facts.families.rows import decoder_types, encoder_types
from ullage.facts.proof import Proof, Tried, proof_of, proof_table

NEAR, FAR = 0.004, 0.2
HELD_OUT, NEAR_HELD_OUT = 480, 0.97
LINES = (
    Tried("prefill", "sdpa", "bf16", False, 2, 0.001, NEAR),
    Tried("prefill, captures", "sdpa", "bf16", False, 1, NEAR, NEAR),
    Tried("decode", "eager", "bf16", False, 1, FAR, FAR),
    Tried("decode", "sdpa", "nf4 in bf16", False, 3, 0.001, proof.WORST),
    Tried("decode", "sdpa", "fp32", True, 1, 0.001, NEAR),
)


@pytest.fixture(autouse=True)
def table(monkeypatch):
    made = proof._Table({"transformers": "5.19.0", "torch": "2.13.0"}, {"llama": LINES})
    monkeypatch.setattr(proof, "proof_table", lambda: made)


def test_what_was_tried_together_answers_for_itself():
    found = proof_of("llama", "prefill", "sdpa", "bf16")
    assert found == Proof("proven", 2, NEAR, "transformers 5.19.0, torch 2.13.0")
    assert found.why == "2 configurations under transformers 5.19.0, torch 2.13.0, off by 0.4% at most"
    assert proof_of("llama", "decode", "sdpa", "nf4 in bf16").standing == "proven"
    far = proof_of("llama", "decode", "eager", "bf16")
    assert (far.standing, far.worst) == ("not proven", FAR)


def test_what_was_tried_apart_must_agree():
    apart = proof_of("llama", "prefill", "sdpa", "nf4 in bf16")
    assert (apart.standing, apart.configurations, apart.worst) == ("proven", 5, proof.WORST)
    tainted = proof_of("llama", "decode", "sdpa", "bf16")
    assert (tainted.standing, tainted.worst) == ("untried", FAR)
    assert tainted.why.endswith("those of its kin are off by up to 20.0%")


@pytest.mark.parametrize(
    ("asked", "missing"),
    [
        (("gpt2", "prefill", "sdpa", "bf16"), "gpt2 on a card"),
        (("llama", "train", "sdpa", "bf16"), "llama: train with sdpa attention"),
        (("llama", "prefill", "sdpa", "fp16"), "llama: fp16"),
        (("llama", "prefill, in chunks, captures", "sdpa", "bf16"), "llama: in chunks"),
        (("llama", "train", "flash", "fp16"), "llama: train with flash attention, fp16"),
    ],
)
def test_what_was_never_tried_is_named(asked, missing):
    found = proof_of(*asked)
    assert (found.standing, found.missing) == ("untried", missing)
    assert found.why == f"{missing}: its formula was not held against the model's own code"


def test_a_processor_and_another_version_are_other_things():
    assert proof_of("llama", "decode", "sdpa", "fp32").standing == "untried"
    assert proof_of("llama", "decode", "sdpa", "fp32", processor=True).standing == "proven"
    assert proof_of("llama", "prefill", "sdpa", "bf16", transformers="5.19.7").standing == "proven"
    other = proof_of("llama", "prefill", "sdpa", "bf16", transformers="5.17.0")
    assert (other.standing, other.missing) == ("untried", "llama under transformers 5.17.0")


def test_of_lines_that_are_left_out_in_turn_those_called_proven_are(monkeypatch):
    """The share that stands where the rule does, `_apart`."""
    shipped, rest = proof_table.__wrapped__(), {}
    monkeypatch.setattr(proof, "proof_table", lambda: proof._Table(shipped.versions, rest))
    near = []
    for family, lines in shipped.families.items():
        for line in lines:
            rest[family] = tuple(each for each in lines if each is not line)
            said = proof_of(family, line.kind, line.kernel, line.precision, processor=line.processor)
            if said.standing == "proven":
                near.append(line.worst <= proof.WORST)
    assert len(near) >= HELD_OUT
    assert sum(near) >= NEAR_HELD_OUT * len(near)


def test_the_table_that_ships_speaks_of_families_kernels_and_precisions_there_are():
    kernels, precisions = {"sdpa", "eager"}, {"bf16", "fp16", "fp32"}
    precisions |= {f"{scheme} in {compute}" for scheme in ("int8", "nf4") for compute in ("bf16", "fp32")}
    families = proof_table.__wrapped__().families
    assert families.keys() <= {*decoder_types(), *encoder_types()}
    for family, lines in families.items():
        keys = [line[:4] for line in lines]
        assert len({*keys}) == len(keys), family
        for line in lines:
            assert line.kernel in kernels
            assert line.precision in precisions
            assert line.kind.split(", ")[0] in ("prefill", "decode", "train")
            assert 0 <= line.median <= line.worst
            assert line.configurations >= 1
