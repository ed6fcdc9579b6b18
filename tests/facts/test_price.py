"""Price lists: dated, labelled, of one provider; what a set costs by them."""

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ullage.errors import InputError, UnknownNameError
from ullage.facts.gpu_catalog import find_gpu
from ullage.facts.gpu_set import parse_gpu_set
from ullage.facts.price import FRESH, LABELS, Price, Prices, known_prices

DAY = date(2026, 11, 1)


def offer(provider="One", gpu="L4", usd=1.0, label="on-demand", day=DAY, counts=(), host=None):
    return Price(provider, find_gpu(gpu).id, usd, label, day, "a page", counts, host)


def priced(*offers, of):
    return Prices(offers).of(parse_gpu_set(of))


def test_every_known_price_has_a_card_a_label_a_day_and_a_source():
    offers = known_prices().offers
    assert len({each.provider for each in offers}) >= 10
    for each in offers:
        assert find_gpu(each.gpu).id == each.gpu
        assert each.label in LABELS
        assert date(2025, 1, 1) <= each.as_of <= date(2026, 11, 28)
        assert each.source
        assert 0 < each.usd_per_hour < 100


def test_within_one_list_the_smaller_of_two_like_cards_is_never_dearer():
    like = [
        ("A100-SXM4-40GB", "A100-SXM4-80GB"),
        ("H100-SXM5-80GB", "H200-SXM-141GB"),
        ("L40S", "H100-SXM5-80GB"),
    ]
    lists = known_prices()
    compared = 0
    for provider in {each.provider for each in lists.offers}:
        for label in LABELS:
            for small, large in like:
                for count in (1, 8):
                    own = lists.only(label, provider)
                    both = [own._by(label, parse_gpu_set(f"{count}x{card}")) for card in (small, large)]
                    if None not in both:
                        compared += 1
                        assert both[0].usd_per_hour <= both[1].usd_per_hour, (provider, label, small, large)
    assert compared >= 8


def test_the_forty_gigabyte_card_is_not_dearer_than_the_eighty():
    small, large = (known_prices().of(parse_gpu_set(f"A100-{size}GB")) for size in (40, 80))
    assert small.usd_per_hour < large.usd_per_hour
    assert small.label == large.label == "on-demand"


def test_a_set_is_of_one_provider_and_costs_the_sum_of_its_cards():
    cheap, other = offer("One", "L4", 0.5), offer("Two", "A100-80GB", 1.0)
    whole = [offer("Three", "L4", 0.8), offer("Three", "A100-80GB", 1.2)]
    found = priced(cheap, other, *whole, of="2xL4 + A100-80GB")
    assert (found.provider, found.usd_per_hour) == ("Three", pytest.approx(2.8))
    mixed = priced(cheap, other, of="2xL4 + A100-80GB")
    assert (mixed.provider, mixed.usd_per_hour) == ("One + Two", pytest.approx(2.0))
    assert priced(cheap, of="L4 + A100-80GB") is None


def test_a_machine_is_rented_with_as_many_cards_as_it_has():
    eight = offer(counts=(8,), usd=0.5, host=2**40)
    assert priced(eight, of="L4") is None
    assert priced(eight, of="8xL4").usd_per_hour == 4.0
    assert priced(eight, of="8xL4").host_bytes == 2**40
    assert priced(eight, offer("Two", usd=0.7), of="3xL4").provider == "Two"


def test_labels_are_not_mixed_while_one_has_the_whole_set():
    offers = offer(usd=2.0), offer("Two", usd=0.2, label="spot"), offer("Three", usd=0.1, label="marketplace")
    assert priced(*offers, of="L4").label == "on-demand"
    assert Prices(offers).only("spot").of(parse_gpu_set("L4")).usd_per_hour == 0.2
    assert priced(*offers[1:], of="L4") is None
    other = Prices(offers[1:]).having(parse_gpu_set("L4"))  # by the next one that has it
    assert (other.of(parse_gpu_set("L4")).label, other.instead_of) == ("marketplace", "on-demand")
    assert {other.of(gpus).label for _, gpus in other.sets()} == {"marketplace"}
    assert Prices(offers).having(parse_gpu_set("L4")).instead_of is None
    assert Prices(offers).having(parse_gpu_set("A40")).instead_of is None
    assert Prices(offers[1:]).sets() == []  # never compared


def test_the_newest_list_of_a_provider_counts_and_old_ones_only_where_there_is_no_other():
    old = DAY - FRESH - timedelta(days=1)
    assert priced(offer(usd=1.0, day=old), offer(usd=2.0), of="L4").usd_per_hour == 2.0
    other = offer("Two", usd=0.5, day=old)
    assert priced(other, offer(usd=2.0), of="L4").provider == "One"
    assert priced(other, offer(gpu="A40"), of="L4").provider == "Two"


@given(st.lists(st.tuples(st.sampled_from(["One", "Two"]), st.sampled_from(LABELS), st.floats(0.1, 9))))
def test_a_further_offer_never_makes_a_set_dearer(rows):
    offers = tuple(offer(provider, usd=usd, label=label) for provider, label, usd in rows)
    more = (*offers, offer("Three", usd=1.0))
    before, after = (Prices(each).of(parse_gpu_set("2xL4")) for each in (offers, more))
    assert after.usd_per_hour <= 2.0
    assert before is None or before.label != "on-demand" or after.usd_per_hour <= before.usd_per_hour


def test_what_is_compared_is_priced_by_the_label_and_cheapest_first():
    for label in LABELS:
        lists = known_prices().only(label)
        sets = lists.sets()
        assert sets
        assert [usd for usd, _ in sets] == sorted(usd for usd, _ in sets)
        for usd, gpus in sets:
            assert lists.of(gpus).label == label
            assert lists.of(gpus).usd_per_hour == usd


def test_one_provider_is_compared_by_itself_and_an_unknown_one_told_of_the_others():
    lists = known_prices().only(provider="lambda")
    assert lists.provider == "Lambda"
    assert {lists.of(gpus).provider for _, gpus in lists.sets()} == {"Lambda"}
    with pytest.raises(UnknownNameError, match="nearest: Lambda"):
        known_prices().only(provider="Lamda")
    with pytest.raises(InputError, match="on-demand, marketplace, spot"):
        known_prices().only(label="cheap")


def test_cards_without_a_price_are_counted():
    lists = replace(known_prices(), offers=(offer(),))
    assert len(lists.unpriced()) > 150
    assert "L4" not in lists.unpriced()
