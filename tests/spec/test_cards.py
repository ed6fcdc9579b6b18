"""Cards of the user's own in a workload file."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ullage import api
from ullage.errors import SpecError
from ullage.spec.parse import parse_workload
from ullage.spec.written import workload_text
from ullage.units import GIB
from ullage.workloads.outcomes import gpu_set

FILE = """\
kind: werewolf
roles: {player: {model: some/model}}
budget: {gpus: "2x my card + A100"}
cards:
"""


def parsed(cards):
    return parse_workload(f"{FILE}  {cards}\n", "w.yaml", api.sections())


def told(cards):
    with pytest.raises(SpecError) as caught:
        parsed(cards)
    return list(caught.value.mistakes)


def test_a_set_names_the_files_own_cards():
    workload = parsed("my card: {memory: 24GiB, usable: 23.5GiB, capability: sm86, price: 0.4}")
    found = gpu_set(workload, None)
    assert found.name == "2x my card + 1x A100-SXM4-80GB"
    assert found.gpus[0].usable.low == 23.5 * GIB
    assert found.gpus[0].usd_per_hour == 0.4
    assert gpu_set(workload, "MY CARD").gpus == found.gpus[:1]


@given(
    st.integers(1, 1000),
    st.one_of(st.none(), st.integers(1, 10**5)),
    st.one_of(st.none(), st.integers(0, 99)),
)
def test_cards_are_written_and_read_back(memory, bandwidth, price):
    figures = [f"memory: {memory}GiB"]
    figures += [] if bandwidth is None else [f"bandwidth: {bandwidth}GB/s"]
    figures += [] if price is None else [f"price: {price}"]
    workload = parsed(f"my card: {{{', '.join(figures)}}}")
    again = parse_workload(workload_text(workload), "again.json", api.sections())
    assert gpu_set(again, None) == gpu_set(workload, None)


@pytest.mark.parametrize(
    ("cards", "problem"),
    [
        (
            "mine: {capability: sm86}",
            "w.yaml:5:3: cards.mine.memory: is missing: as the driver shows it: 24GiB",
        ),
        (
            "mine: {memory: 24 lb}",
            "w.yaml:5:18: cards.mine.memory: '24 lb' is no memory; as the driver shows",
        ),
        (
            "mine: {memory: 9GiB, capability: '8.6'}",
            "'8.6' is no capability; CUDA's compute capability, as sm86",
        ),
        ("mine: {memory: 9GiB, bandwith: 1GB/s}", "unknown key; nearest: bandwidth"),
        ("mine: {memory: 9GiB, price: -1}", "-1 must be at least 0"),
        ("mine: {memory: 9GiB, usable: 10GiB}", "w.yaml:5:3: cards.mine: more of its memory is usable"),
        ("mine: {memory: 9GiB, capability: sm86, maker: amd}", "amd and 8.6 are of different makers"),
        ("h100: {memory: 9GiB}", "w.yaml:5:3: cards.h100: is what H100-SXM5-80GB is known by"),
        ("cpu: {memory: 9GiB}", "cards.cpu: a card's name is letters"),
        ("2xmine: {memory: 9GiB}", "cards.2xmine: a card's name is letters"),
    ],
)
def test_a_card_that_makes_no_sense_is_told_with_its_place(cards, problem):
    assert any(problem in mistake for mistake in told(cards)), told(cards)


@pytest.mark.parametrize("gpus", ["2x(24GiB, foo)", "(sm86)", "A100 + (24GiB"])
def test_a_description_in_the_budget_is_read_with_the_file(gpus):
    with pytest.raises(SpecError, match=r"w\.yaml:3:16: budget\.gpus: \(") as caught:
        parse_workload(
            FILE.replace("2x my card + A100", gpus).replace("cards:\n", ""), "w.yaml", api.sections()
        )
    assert len(caught.value.mistakes) == 1
