"""Replicas that share a card: how many, what they take of it, and how fast each is."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

import ullage
from ullage.errors import DoesNotFitError, UnsupportedError
from ullage.planning.cluster.sharing import replicas_of_a_card, shared
from ullage.scale.share import share_of
from ullage.spec.partition import Partition
from ullage.units import Estimate

WORK = {
    "kind": "pii",
    "roles": {"verifier": {"model": "Qwen/Qwen2.5-0.5B-Instruct", "batch": 1}},
    "prompt_tokens": 64,
    "new_tokens": 32,
    "examples": 1000,
    "pii": {"explain": "all"},
}
NODES = "2x(2xH100-80GB)"


def planned(gpus="H100-80GB", per_card=None, **changes):
    partition = {"partition": {"per_card": per_card}} if per_card else {}
    return ullage.plan(ullage.load({**WORK, **partition, **changes}), gpus, advice=False)


@pytest.fixture(scope="module")
def waiting():
    """A plan in which the card waits for the processor."""
    plan = planned()
    assert {time.bound for time in plan.times if time.bound != "load"} == {"host"}
    return plan


def test_a_card_that_waits_for_the_processor_is_shared_and_one_that_works_is_not(waiting):
    assert replicas_of_a_card(waiting) == 2
    busy = planned(roles={"verifier": {"model": "Qwen/Qwen2.5-7B-Instruct", "batch": 64}}, prompt_tokens=2048)
    assert sum(time.bound in ("compute", "memory") for time in busy.times) == 3
    assert replicas_of_a_card(busy) == 1


@pytest.mark.parametrize("per_card", [None, 1, 3, 5])
def test_plans_and_runs_have_as_many_replicas_on_a_card(per_card):
    plan = planned(per_card=per_card)
    (node,) = ullage.plan_cluster(plan.workload, NODES).nodes
    share = share_of(plan, plan.workload.partition or Partition())
    assert node.sharing == share.sharing == replicas_of_a_card(plan)
    assert node.replicas == share.fits({"CPU": 100, "GPU": 2, "memory": 2**40})


def test_what_shares_a_card_is_within_its_budget_and_one_more_is_refused():
    card = planned().devices[0]
    most = card.budget // card.peak.device.high
    assert replicas_of_a_card(planned(per_card=most)) == most
    with pytest.raises(
        DoesNotFitError, match=rf"{most + 1} replicas of up to .* do not fit .*; {most} would"
    ):
        replicas_of_a_card(planned(per_card=most + 1))


@pytest.mark.parametrize(
    ("gpus", "roles", "said"),
    [
        ("cpu", WORK["roles"], "a replica is on no card"),
        ("H100-80GB", {"verifier": {"model": "Qwen/Qwen2.5-0.5B-Instruct", "engine": "vllm"}}, "engine vllm"),
        (
            "2xL4",
            {"verifier": {"model": "Qwen/Qwen2.5-14B-Instruct"}},
            "on 2 cards",
        ),
    ],
)
def test_what_cannot_share_is_refused_where_it_was_asked_for(gpus, roles, said):
    plan = planned(gpus, 2, roles=roles)
    with pytest.raises(UnsupportedError, match=said):
        replicas_of_a_card(plan)
    assert replicas_of_a_card(planned(gpus, roles=roles)) == 1


def test_none_is_faster_than_alone_and_a_card_does_no_more_than_the_time_it_has(waiting):
    alone = Estimate(1.0, 2.0, 4.0)
    assert shared(alone, waiting, 1) == alone
    for replicas in range(2, 9):
        each = shared(alone, waiting, replicas)
        assert all(now >= before for now, before in zip(each, alone, strict=True))
        assert each.high == replicas * alone.high  # at worst they take turns, and nothing is gained
        assert each.expected == max(alone.expected, replicas * alone.expected / 2)


@pytest.mark.parametrize("sharing", [1, 2, 4])
def test_torch_is_kept_to_the_part_of_each(monkeypatch, sharing, waiting):
    torch = pytest.importorskip("torch")
    from ullage.runtime.opening import _keep_inside

    card, kept = waiting.devices[0], []
    total = card.usable + 2**30
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda index: SimpleNamespace(total_memory=total)
    )
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", lambda part, index: kept.append(part))
    _keep_inside(waiting, sharing)
    beside = card.peak.process.low - card.peak.reserved.low
    assert sharing * (kept[0] * total + beside) <= card.budget
    assert kept[0] * total >= card.peak.reserved.expected


def test_of_a_shared_card_each_process_sees_its_part_and_what_is_its_own(monkeypatch):
    pytest.importorskip("torch")
    from ullage.runtime import gauges
    from ullage.runtime.reading import Reading

    readings = iter((Reading("gpu:0", 1, 2, 30, 900, 1000), Reading("gpu:0", 1, 20, None, 900, 1000)))
    monkeypatch.setattr(gauges, "read_device", lambda device: next(readings))
    gauge = gauges.SharedCardGauge("gpu:0", 4)
    assert (gauge.read().free, gauge.read().free) == (250 - 30, 250 - 20)
