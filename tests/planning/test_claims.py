"""What is ruled of a claim, and what of a plan it is held against."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ullage
from ullage.errors import InputError
from ullage.planning.audit import judge
from ullage.planning.claimed import amount_in
from ullage.spec.amount import parse_amount
from ullage.units import GIB, Estimate

BYTES = st.integers(1, 10**12)


@given(st.integers(1, 400), st.lists(BYTES, min_size=3, max_size=3).map(sorted))
def test_the_ruling_does_not_depend_on_the_unit_a_claim_is_written_in(size, ends):
    computed = Estimate(*map(float, ends))
    mebi = size * 2**10 * 10**6  # whole in every unit below
    written = [f"{mebi} B", f"{mebi // 10**6} MB", f"{mebi / 10**9:.9f} GB", f"{mebi / GIB:.12f} GiB"]
    assert len({judge(parse_amount(each), computed).ruling for each in written[:3]}) == 1
    near = parse_amount(written[3])
    assert abs(near.low - mebi) < 1
    if abs(judge(near, computed).off or 1) > 1e-6:
        assert judge(near, computed).ruling == judge(parse_amount(written[0]), computed).ruling


@given(BYTES, st.lists(BYTES, min_size=3, max_size=3).map(sorted))
def test_what_lies_in_the_interval_is_right_and_what_is_far_from_it_wrong(size, ends):
    computed = Estimate(*map(float, ends))
    found = judge(parse_amount(f"{size} B"), computed)
    assert (found.ruling == "right") == (ends[0] <= size <= ends[2])
    if size > ends[2] * 1.08 or size < ends[0] / 1.08:
        assert found.ruling == "wrong"
        assert (found.off > 0) == (size > ends[2])


def test_gb_and_gib_taken_for_one_another_pass_for_rounded_and_nothing_further():
    computed = Estimate(*[16.0 * GIB] * 3)
    assert judge(parse_amount("16 GiB"), computed).ruling == "right"
    assert judge(parse_amount("16 GB"), computed).ruling == "rounded"
    assert judge(parse_amount("15 GB"), computed).ruling == "wrong"


@pytest.mark.parametrize(
    ("text", "low", "high", "measure"),
    [
        ("~2 GB", 2e9, 2e9, "bytes"),
        ("0.5-0.8GB", 0.5e9, 0.8e9, "bytes"),
        ("60 to 80 GiB", 60 * GIB, 80 * GIB, "bytes"),
        ("40\u201350 %", 0.4, 0.5, "share"),
        ("3 h", 10800, 10800, "seconds"),
        ("120 tokens/s", 120, 120, "tokens per second"),
    ],
)
def test_amounts_are_read_as_guides_write_them(text, low, high, measure):
    found = parse_amount(text)
    assert found.measure == measure
    assert (found.low, found.high) == pytest.approx((low, high))


@pytest.mark.parametrize("text", ["16", "3-2 GB", "many GB", "16 apples", "", "16 GB 17 GB", "-3 GB"])
def test_what_is_no_amount_is_refused_with_what_to_write(text):
    with pytest.raises(InputError, match=r"write|known|first"):
        parse_amount(text)


def test_a_number_without_unit_is_told_both_that_it_may_be():
    with pytest.raises(InputError, match=r"16 GB where 10\^9 bytes are meant, 16 GiB where"):
        parse_amount("16")


@pytest.fixture(scope="module")
def plan():
    return ullage.estimate_model(
        "mistralai/Mistral-7B-v0.1", "2xA100-40GB", precision="fp16", prompt_tokens=2048
    )


def test_components_of_all_cards_and_of_each(plan):
    whole = amount_in(plan, "weights")
    parts = [amount_in(plan, "weights", on=f"gpu:{at}") for at in (0, 1)]
    assert whole.expected == sum(each.expected for each in parts) == 2 * 7_241_732_096
    assert amount_in(plan, "all", role="model").expected >= whole.expected


def test_what_is_beside_the_weights_and_the_weights_are_all_at_the_peak(plan):
    beside, weights = amount_in(plan, "overhead"), amount_in(plan, "weights")
    device = amount_in(plan, "device")
    assert beside.expected + weights.expected == pytest.approx(device.expected, rel=1e-6)
    assert amount_in(plan, "other").expected < beside.expected


def test_levels_are_nested(plan):
    levels = [amount_in(plan, level).expected for level in ("live", "reserved", "process", "device")]
    assert levels == sorted(levels)


@pytest.mark.parametrize(
    ("metric", "on", "role", "said"),
    [
        ("weigths", "", "", "is not computed"),
        ("device", "gpu:7", "", "no gpu:7"),
        ("weights", "", "judge", "no role"),
    ],
)
def test_what_no_plan_has_is_refused(plan, metric, on, role, said):
    with pytest.raises(InputError, match=said):
        amount_in(plan, metric, on, role)
