"""A plan's roles in a pool: whatever plan is walked, the pool counts what is billed, and nobody waits."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

import ullage
from ullage.errors import UllageError, UnsupportedError
from ullage.planning.plan import Plan
from ullage.runtime.billed import Billed, billed
from ullage.runtime.pool import Pool, Role
from ullage.runtime.pool.clock import OneThread
from ullage.runtime.pool.lease import Lease
from ullage.runtime.pool.simulated import Memory, SimulatedWeights
from ullage.runtime.role_weights import HOST

EXAMPLES = sorted(path.stem for path in (Path(__file__).parents[3] / "examples").glob("*.yaml"))
SCHEDULES = ("auto", "sequential", "simultaneous", "persistent", "swapped")
RESIDENCIES = ("auto", "persistent", "swapped", "host", "disk")
SETS = ("cpu", "2x(cpu, 24GiB)", "1x RTX 4090", "2x A100", "4x RTX A6000", "8x H200")


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    name = draw(st.sampled_from(EXAMPLES))
    file = Path(__file__).parents[3] / f"examples/{name}.yaml"
    changes = [f"schedule={draw(st.sampled_from(SCHEDULES))}", f"batch={draw(st.integers(1, 64))}"]
    changes += [
        f"roles.{role}.residency={draw(st.sampled_from(RESIDENCIES))}" for role in ullage.load(file).roles
    ]
    gpus = draw(st.sampled_from(SETS))
    try:
        return ullage.plan(ullage.load(file, changes), gpus=gpus, base=file.parent)
    except UnsupportedError:
        reject()  # what is refused is not walked


def walk(plan: Plan, bill: Billed) -> tuple[Memory, dict[str, int]]:
    """The plan's phases with counted weights: what was held at most, and each role's loads from disk."""
    memory = Memory({**bill.budgets, HOST: bill.host})
    weights = {
        name: SimulatedWeights(
            name,
            memory,
            taken.sizes,
            {place: size - taken.sizes.get(place, 0) for place, size in taken.load_peaks.items()},
            taken.parked,
        )
        for name, taken in bill.roles.items()
    }
    pool = Pool(
        [Role(name, (each,)) for name, each in weights.items()], bill.budgets, bill.host, None, OneThread()
    )
    leases: dict[str, Lease] = {}
    for phase in plan.phases:
        here, waiting = phase.on_device(), {each.name for each in phase.resident if each.where == "host"}
        pool.occupy({})
        for name in [each.name for each in pool.snapshot().roles if each.where != "disk"]:
            if name not in here:
                if name in leases:
                    leases.pop(name).end()
                pool.send(name, "host" if name in waiting else "disk")
        for name in here:
            if name not in leases:
                load = next(one for one in plan.phases if one.running == name and one.activity == "load")
                pool.occupy(bill.beside[load.name])
                leases[name] = pool.lease(name).__enter__()
        pool.occupy(bill.beside[phase.name])
        taken = {place.place: place.used for place in pool.snapshot().places}
        for device, totals in plan.bill.totals.items():
            if device in taken and phase.name in totals and device != HOST:
                assert taken[device] <= totals[phase.name].device.high
    for lease in leases.values():
        lease.end()
    pool.close()
    return memory, {name: each.said.count("from disk") for name, each in weights.items()}


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(plans())
def test_every_plan_can_be_walked_within_its_bill(plan: Plan) -> None:
    memory, loads = walk(plan, billed(plan))
    assert not memory.beyond
    assert all(memory.held[place] == 0 for place in memory.held)
    assert set(loads) == set(plan.roles)
    assert all(loads.values())


@pytest.mark.parametrize("name", ["evaluate", "assistant"])
def test_what_waits_in_host_memory_is_loaded_from_disk_once(name: str) -> None:
    file = Path(__file__).parents[3] / f"examples/{name}.yaml"
    plan = ullage.plan(ullage.load(file, ["schedule=swapped"]), gpus="8x H200")
    waits = {each.name for phase in plan.phases for each in phase.resident if each.where == "host"}
    assert waits
    _, loads = walk(plan, billed(plan))
    assert {name: loads[name] for name in waits} == dict.fromkeys(waits, 1)


def test_a_plan_that_does_not_fit_is_counted_by_what_it_needs() -> None:
    file = Path(__file__).parents[3] / "examples/assistant.yaml"
    plan = ullage.plan(ullage.load(file), gpus="1x RTX 4090")
    assert plan.verdict == "does not fit"
    memory, _ = walk(plan, billed(plan))
    assert not memory.beyond


def test_working_memory_that_is_not_there_is_refused_and_changes_nothing() -> None:
    memory = Memory({"a": 10, HOST: 0})
    pool = Pool([Role("one", (SimulatedWeights("one", memory, {"a": 6}),))], {"a": 10}, 0, None, OneThread())
    pool.occupy({"a": 4})
    with pool.lease("one"):
        with pytest.raises(UllageError, match="too little is free"):
            pool.occupy({"a": 5})
        pool.occupy({"a": 3})
    pool.close()


def test_host_memory_holds_who_waits_in_one_phase_beside_what_the_next_takes(tmp_path):
    """Between two phases the one's roles wait while the other's tables are there already."""
    body = yaml.safe_load((Path(__file__).parents[3] / "examples/small/assistant-tiny.yaml").read_text())
    for part in ("artist", "perception"):
        body["roles"][part]["model"] = str(ullage.sample_model(part, tmp_path / part))
    plan = ullage.plan(body, base=tmp_path, advice=False)
    found = billed(plan)
    waiting = [
        sum(found.roles[each.name].parked for each in phase.resident if each.where == "host")
        for phase in plan.phases
    ]
    assert found.host >= max(waiting) + max(each[HOST] for each in found.beside.values())
