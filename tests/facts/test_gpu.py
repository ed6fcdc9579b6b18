import pytest
from hypothesis import given
from hypothesis import strategies as st

from ullage.errors import InputError, UnknownNameError
from ullage.facts.gpu import find_gpu, gpu_names, parse_gpu_set
from ullage.facts.price import EXCLUDED, all_prices, price_of, prices_of
from ullage.units import GIB


@pytest.mark.parametrize(
    ("name", "id_"),
    [
        ("A100-80GB", "A100-SXM4-80GB"),
        ("a100", "A100-SXM4-80GB"),
        ("NVIDIA A100 40GB", "A100-SXM4-40GB"),
        ("H100-80GB", "H100-SXM5-80GB"),
        ("4090", "GeForce RTX 4090"),
        ("rtx-a6000", "RTX A6000"),
        ("Tesla T4", "T4"),
        ("AMD Instinct MI300X", "MI300X"),
    ],
)
def test_cards_are_found_by_the_names_people_use(name, id_):
    assert find_gpu(name).id == id_


@pytest.mark.parametrize("name", gpu_names())
def test_usable_memory_is_less_than_the_marketing_size(name):
    gpu = find_gpu(name)
    assert 0 < gpu.usable.low <= gpu.usable.expected <= gpu.usable.high
    assert find_gpu(name.lower()) is gpu or find_gpu(name.lower()) == gpu
    assert gpu.bandwidth > 0
    assert gpu.flops > 0
    assert gpu.pcie > 0


def test_an_80_gb_card_has_79_gib():
    assert 79 * GIB < find_gpu("A100-80GB").usable.low < 79.5 * GIB


def test_sets_may_be_mixed():
    assert parse_gpu_set("1xA100-80GB+2xL4").name == "1x A100-SXM4-80GB + 2x L4"
    assert parse_gpu_set("T4, L4").capability == (7, 5)


@pytest.mark.parametrize("text", ["", " ", "0xA100", "2x", "+", "999999xA100", "x", "-1xA100"])
def test_a_set_that_is_none_is_one_error(text):
    with pytest.raises(InputError):
        parse_gpu_set(text)


@given(st.text(max_size=20))
def test_any_text_is_a_set_or_one_error(text):
    try:
        assert parse_gpu_set(text).gpus
    except InputError as error:
        assert str(error)


def test_an_unknown_card_offers_the_nearest():
    with pytest.raises(UnknownNameError) as unknown:
        find_gpu("A100-80G8")
    assert unknown.value.nearest


def test_every_price_belongs_to_a_known_card_and_says_when_it_was_seen():
    for price in all_prices():
        assert find_gpu(price.gpu).id == price.gpu
        assert price.low <= price.high
        assert price.source


def test_a_set_costs_the_sum_of_its_cards_and_never_an_excluded_offer():
    one, two = price_of(parse_gpu_set("A100-80GB")), price_of(parse_gpu_set("2xA100-80GB"))
    assert two.usd_per_hour == pytest.approx(2 * one.usd_per_hour)
    assert one.as_of
    assert all(price.kind not in EXCLUDED for price in prices_of("A100-SXM4-80GB"))
