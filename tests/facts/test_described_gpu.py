"""Cards by their own figures."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from ullage.errors import InputError
from ullage.facts.described_gpu import FORMS
from ullage.facts.gpu import Gpu, GpuSet
from ullage.facts.gpu_catalog import find_gpu
from ullage.facts.gpu_set import parse_gpu_set
from ullage.facts.price import price_of
from ullage.units import GIB, MIB

SIZES = st.one_of(
    st.integers(1, 4096).map(lambda size: f"{size}GiB"),
    st.integers(1, 10**6).map(lambda size: f"{size} MiB"),
    st.integers(1, 4000).map(lambda size: f"{size / 8}GB"),
)
OPTIONAL = {
    "bandwidth": st.integers(1, 10**5).map(lambda value: f"{value / 10}GB/s"),
    "operations": st.integers(1, 10**5).map(lambda value: f"{value / 10} TFLOPS"),
    "capability": st.sampled_from(["sm70", "sm_86", "SM90", "sm120"]),
    "bus": st.sampled_from(["PCIe 4.0 x16", "pcie 3 x8"]),
    "price": st.integers(0, 10**4).map(lambda cents: f"${cents / 100}/h"),
}


@st.composite
def descriptions(draw):
    """Text of a card, with any of its figures, in any order."""
    chosen = draw(st.sets(st.sampled_from(sorted(OPTIONAL))))
    parts = draw(st.permutations([draw(SIZES), *(draw(OPTIONAL[name]) for name in sorted(chosen))]))
    return f"({', '.join(parts)})", chosen


@given(descriptions(), st.integers(1, 4))
def test_a_described_set_is_read_back_from_its_text_and_from_json(described, count):
    text, _ = described
    found = parse_gpu_set(f"{count}x{text} + 1xA100-80GB")
    assert parse_gpu_set(found.name) == found
    assert len(found.gpus) == count + 1
    adapter = TypeAdapter(tuple[Gpu, ...])
    assert GpuSet(adapter.validate_json(adapter.dump_json(found.gpus))) == found


@given(descriptions())
def test_what_is_not_told_is_no_number_anywhere(described):
    text, chosen = described
    card = parse_gpu_set(text).gpus[0]
    written = TypeAdapter(Gpu).dump_python(card, mode="json")
    for field, part in (
        ("bandwidth", "bandwidth"),
        ("operations", "operations"),
        ("pcie", "bus"),
        ("usd_per_hour", "price"),
    ):
        assert (written[field] is None) == (part not in chosen)
    assert (written["abilities"]["capability"] is None) == ("capability" not in chosen)
    assert card.abilities.known == ("capability" in chosen)
    assert ("bandwidth" in card.unknown) == ("bandwidth" not in chosen)
    assert written["nvlink"] is None


def test_the_figures_are_those_of_the_text():
    card = parse_gpu_set("2x(24GiB, 936GB/s, 71TFLOPS, sm86)").gpus[1]
    assert (card.bandwidth, card.operations.per_second) == (936e9, 71e12)
    assert card.abilities == find_gpu("RTX 3090").abilities
    assert card.usable.low <= find_gpu("RTX 3090").usable.low  # what drivers keep is not known of it
    assert card.usable_basis == "derived"
    exactly = parse_gpu_set("(24GiB, 23.5GiB usable)").gpus[0]
    assert (exactly.usable.low, exactly.usable.high, exactly.usable_basis) == (
        23.5 * GIB,
        23.5 * GIB,
        "given",
    )


def test_a_price_of_ones_own_is_counted():
    one = price_of(parse_gpu_set("2x(24GiB, $0.40/h)"))
    assert (one.usd_per_hour, one.provider, one.as_of) == (0.8, "your own", "your description")
    assert price_of(parse_gpu_set("A100 + (24GiB)")) is None


def test_a_simulated_device_has_what_is_said():
    found = parse_gpu_set("2x(cpu, 24MiB)")
    assert found.device_names == ("gpu:0", "gpu:1")
    assert found.gpus[0].usable.low == found.gpus[0].usable.high == 24 * MIB
    assert found.abilities.simulated
    with pytest.raises(InputError, match="plan them apart"):
        parse_gpu_set("(cpu, 24MiB) + A100")


def test_a_card_of_an_unknown_maker_stands_beside_any_and_can_the_least():
    found = parse_gpu_set("A100 + (24GiB)")
    assert found.abilities.names == ()
    assert not found.abilities.known
    assert parse_gpu_set("A100 + (24GiB, sm75)").abilities.names == ("fp16",)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("(sm86)", "says nothing of its memory"),
        ("()", "says nothing that is known"),
        ("(24GiB, 24GiB)", "gives its memory twice"),
        ("(24GiB, 12 bananas)", "'12 bananas' says nothing that is known of a card"),
        ("(24GiB, sm86, amd)", "are of different makers"),
        ("(24GiB, CDNA 3.0, sm86)", "are of different makers"),
        ("(24GiB, RDNA 9.0)", "RDNA 9.0 is not known"),
        ("(24GiB, sm11)", "there is no compute capability 1.1"),
        ("(24GiB, 25GiB usable)", "more of its memory is usable than it has"),
        ("(24GiB, PCIe 9.0 x16)", "there is no PCIe 9.0 x16"),
        ("(0GiB)", "no card has memory of 0"),
        ("(99999999TiB)", "no card has memory of"),
        ("2x(24GiB", "the bracket is not closed"),
        ("2x(24GiB, nan GB/s)", "says nothing that is known"),
    ],
)
def test_a_description_that_makes_no_sense_is_one_line_that_says_why(text, problem):
    with pytest.raises(InputError, match=r"^[^\n]*$") as refused:
        parse_gpu_set(text)
    assert problem in str(refused.value)


@given(st.text(max_size=30))
def test_any_text_in_brackets_is_a_card_or_one_error(text):
    try:
        assert all(gpu.usable.low >= 0 for gpu in parse_gpu_set(f"({text})").gpus)
    except InputError as error:
        assert str(error)


@given(SIZES)
def test_something_of_every_card_is_usable(size):
    usable = parse_gpu_set(f"({size})").gpus[0].usable
    assert 0 < usable.low <= usable.expected <= usable.high


def test_the_forms_that_a_mistake_names_are_read():
    parts = ("24GiB", "936GB/s", "71TFLOPS", "sm86", "23.5GiB usable", "PCIe 4.0 x16", "$0.40/h", "nvidia")
    assert all(part in FORMS for part in parts)
    card = parse_gpu_set(f"({', '.join(parts)})").gpus[0]
    assert card.unknown == ()
    assert replace(card, id="mine") != card
