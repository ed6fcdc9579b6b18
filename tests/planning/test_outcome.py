"""What a candidate comes to is what its plan comes to, however it was reached."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ullage import api
from ullage.errors import UllageError
from ullage.spec.changes import apply_changes
from ullage.workloads.fidelity import with_fidelity

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = sorted(path.stem for path in EXAMPLES.glob("*.yaml"))
GPUS = ["A100-80GB", "2xA100-40GB", "4x RTX A6000", "1xA100-80GB+2xL4", "RTX 4060", "MI300X", "cpu"]
ROLE_VALUES = {
    "batch": ["1", "2", "7", "32"],
    "engine": ["transformers", "vllm"],
    "precision": ["auto", "bf16", "int8", "nf4"],
    "attention": ["auto", "sdpa", "eager"],
    "placement": ["auto", "balanced", "cpu", "gpu:0"],
    "max_memory": ["null", "{cpu: 4TiB}", "{0: 8GiB, cpu: 16GiB, disk: 1TiB}"],
    "new_tokens": ["null", "0", "64"],
}
VALUES = {
    "prompt_tokens": ["16", "512", "1000"],
    "batch": ["1", "3", "8"],
    "examples": ["1", "1000"],
    "schedule": ["auto", "sequential", "simultaneous", "swapped"],
    "memory.streaming_chunk_size": ["null", "256"],
    "memory.expandable_segments": ["true", "false"],
    "budget.reserve": ["0%", "10%", "2GiB"],
    "budget.host_memory": ["null", "64GiB"],
}
steps = st.one_of(
    st.sampled_from([(path, value) for path, values in VALUES.items() for value in values]),
    st.tuples(
        st.integers(0, 5),
        st.sampled_from([(path, value) for path, values in ROLE_VALUES.items() for value in values]),
    ),
)


def walked(name, chosen):
    """The example after each of the steps."""
    workload = api.load(EXAMPLES / f"{name}.yaml")
    roles = list(workload.roles)
    found = [workload]
    for first, second in chosen:
        change = first, second
        if isinstance(first, int):
            change = f"roles.{roles[first % len(roles)]}.{second[0]}", second[1]
        workload = apply_changes(workload, (change,))
        found.append(workload)
    return found


def short(workload, gpus):
    """The outcome, or what is refused."""
    try:
        return api.outcome(workload, api.models_of(workload), api.gpu_set(workload, gpus))
    except UllageError as error:
        return str(error)


def planned(workload, gpus):
    """The same from the whole plan, line items and all."""
    try:
        plan = api.plan(workload, gpus, advice=False)
    except UllageError as error:
        return str(error)
    cards = [device for device in plan.devices if device.name.startswith("gpu:") or device.gpu == "CPU"]
    seconds = [time.total_seconds for time in plan.times]
    return (
        plan.verdict,
        tuple(sum(getattr(card.peak.device, end) for card in cards) for end in ("low", "expected", "high")),
        sum(max(each.peak.device.high - each.budget, 0) for each in plan.devices if each.budget is not None),
        None if None in seconds else sum(each.expected for each in seconds) * (1000 / workload.examples),
        plan.cost and plan.cost.usd_per_1000_examples and plan.cost.usd_per_1000_examples.expected,
        min(card.budget - card.peak.device.high for card in cards),
        next((tuple(each.peak.device) for each in plan.devices if each.name == "host"), (0, 0, 0)),
        sum(each.expected for each in seconds if each) * (1000 / workload.examples),
    )


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(NAMES), st.sampled_from(GPUS), st.lists(steps, min_size=1, max_size=8))
def test_an_outcome_is_that_of_the_whole_plan(name, gpus, chosen):
    for workload in walked(name, chosen):
        found = short(workload, gpus)
        if not isinstance(found, str):
            found = (
                found.verdict,
                tuple(found.peak),
                found.over,
                found.seconds_per_1000,
                found.usd_per_1000,
                found.left,
                tuple(found.host),
                found.known_seconds,
            )
        assert found == planned(workload, gpus)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(NAMES), st.sampled_from(GPUS), st.lists(steps, min_size=1, max_size=4))
def test_a_rough_outcome_is_another_in_what_is_expected_of_bytes_alone(name, gpus, chosen):
    def told(workload, rough):
        try:
            found = api.outcomes(api.models_of(workload), rough=rough)(workload, api.gpu_set(workload, gpus))
        except UllageError as error:
            return str(error)
        ends = (found.peak.low, found.peak.high, found.host.low, found.host.high)
        return ends, found._replace(peak=None, host=None)

    for workload in walked(name, chosen):
        by_formula = with_fidelity(workload, "formula")  # a trace says other than a formula in either case
        assert told(by_formula, True) == told(by_formula, False)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data(), st.sampled_from(NAMES), st.lists(steps, min_size=2, max_size=8))
def test_what_was_asked_for_before_changes_no_outcome(data, name, chosen):
    def told(come_to, workload, gpus):
        try:
            return come_to(workload, api.gpu_set(workload, gpus))
        except UllageError as error:
            return str(error)

    sets = data.draw(st.lists(st.sampled_from(GPUS), min_size=2, max_size=2, unique=True))
    asked = [(number, gpus) for number in range(len(chosen) + 1) for gpus in sets]
    first, again = walked(name, chosen), walked(name, chosen)
    there = {(number, gpus): short(first[number], gpus) for number, gpus in asked}
    one_after_another = api.outcomes(api.models_of(again[0]))
    for number, gpus in data.draw(st.permutations(asked)):
        assert told(one_after_another, again[number], gpus) == there[number, gpus]


FRESH = """
import json, sys
from ullage import api
from ullage.spec.changes import apply_changes
found = []
file, sets, walk = json.loads(sys.argv[1])
workload = api.load(file)
for step in walk:
    workload = apply_changes(workload, (tuple(step),))
    last = sets[-1:] if step is walk[-1] else []
    for gpus in sets if len(sys.argv) > 2 else last:
        found = repr(api.outcome(workload, api.models_of(workload), api.gpu_set(workload, gpus)))
print(found)
"""


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.long
def test_a_process_that_planned_before_says_what_a_fresh_one_says(name):
    role = next(iter(api.load(EXAMPLES / f"{name}.yaml").roles))
    walk = [
        ("prompt_tokens", "2000" if name == "werewolf" else "700"),
        (f"roles.{role}.batch", "5"),
        (f"roles.{role}.precision", "int8"),
        (f"roles.{role}.max_memory", "{cpu: 4TiB}"),
        (f"roles.{role}.batch", "3"),
    ]
    asked = json.dumps([str(EXAMPLES / f"{name}.yaml"), ["4x H100", "4x L40S", "4x RTX A6000"], walk])
    command = [sys.executable, "-c", FRESH, asked]
    fresh, warm = (subprocess.check_output([*command, *more], text=True) for more in ([], ["warm"]))
    assert fresh == warm
