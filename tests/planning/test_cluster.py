"""Plans of clusters: laws of the expectations, of the partition's size, and the door."""

from __future__ import annotations

import heapq
import json
import re
from math import ceil, exp, isclose
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ullage
from ullage.cli.main import main
from ullage.facts.node import CARD_FAILURES, parse_nodes
from ullage.planning.cluster.crew import Crew, steady_rate
from ullage.planning.cluster.interruptions import expected_seconds, lost_seconds, missed_seconds
from ullage.planning.cluster.partition import best_partition
from ullage.planning.cluster.passes import Passes
from ullage.planning.cluster.wall import wall_seconds
from ullage.units import Estimate

EXAMPLES = Path(__file__).parents[2] / "examples"
FILE = str(EXAMPLES / "pii.yaml")
SECONDS = st.floats(0.1, 3600)
RATES = st.floats(0, 1e-3)


@pytest.fixture
def plan_on(capsys):
    def call(file, *arguments, code=0):
        with pytest.raises(SystemExit) as ended:
            main(["plan", file, *arguments])
        output = capsys.readouterr()
        assert ended.value.code == code, output.err
        return output.out or output.err

    return call


def crews(rates=RATES):
    return st.builds(
        lambda machines, each, passes, beside, rate, back: Crew(
            machines * each, machines, (passes,), 1, 0.0, beside, rate, back
        ),
        st.integers(1, 200),
        st.integers(1, 8),
        st.builds(
            lambda sequences, batch, seconds: Passes(sequences, batch, Estimate(seconds, seconds, seconds)),
            st.sampled_from((0.1, 1.0, 2.5, 3.0)),
            st.integers(1, 64),
            st.floats(0.001, 10),
        ),
        st.floats(0.01, 100),
        rates,
        st.floats(0, 1000),
    )


@given(SECONDS, st.floats(1e-9, 1e-3), st.floats(0, 1000))
def test_an_expectation_is_that_of_its_first_step(seconds, rate, back):
    """E = P(no loss) seconds + P(loss) (mean time of a loss + back + E), solved for E."""
    stays = exp(-rate * seconds)
    mean_loss = (1 / rate) - seconds * stays / (1 - stays)
    solved = seconds + (1 - stays) / stays * (mean_loss + back)
    assert isclose(expected_seconds(seconds, rate, back), solved, rel_tol=1e-4)


@given(SECONDS, RATES, st.floats(0, 1000), st.floats(0.1, 1e6), st.floats(0, 1))
def test_losses_only_add(seconds, rate, back, whole, others):
    assert expected_seconds(seconds, rate, back) >= seconds * (1 - 1e-12)
    assert lost_seconds(seconds, rate) >= -1e-9
    assert 0 <= missed_seconds(back, whole, others) <= back
    assert missed_seconds(back, whole, 0.0) == back  # nobody else works meanwhile


@given(st.lists(crews(), min_size=1, max_size=3), st.integers(1, 10**7), st.integers(1, 64))
def test_no_other_number_of_batches_is_sooner_done_beside_a_slow_replica(found, examples, batch):
    best = best_partition(found, examples, batch)
    assert best % batch == 0

    def late(records):
        return wall_seconds(found, records, examples) + max(crew.partition(records) for crew in found)

    for factor in (0.5, 0.9, 1.1, 2):
        other = max(round(best * factor / batch), 1) * batch
        if other * sum(crew.replicas for crew in found) < examples:
            assert late(best) <= late(other) * 1.02


@pytest.mark.parametrize("each", [1, 2, 8])
def test_with_more_machines_than_there_is_work_for_it_is_done_no_later(each):
    """Each partition loads its models: fewer than there are replicas are then soonest done."""
    passes = (Passes(1.0, 1, Estimate(0.5, 0.5, 0.5)),)
    walls = []
    for machines in (256, 1024):
        crew = Crew(machines * each, machines, passes, 1, 0.0, 120.0, 0.2 / 3600, 250.0)
        walls.append(wall_seconds([crew], best_partition([crew], 1000, 1), 1000))
    assert walls[1] <= walls[0] * 1.01


@given(crews(), st.integers(1, 1000), st.integers(1000, 10**7))
def test_all_is_never_sooner_done_than_the_replicas_can(crew, records, examples):
    whole = wall_seconds([crew], records, examples)
    at_once = ceil(examples / crew.replicas)
    assert wall_seconds([crew], at_once, examples) >= crew._replace(back=0.0).expected(at_once) * (1 - 1e-9)
    assert whole >= examples / records / crew.replicas * crew.partition(records) * (1 - 1e-9)
    twice = crew._replace(replicas=2 * crew.replicas, machines=2 * crew.machines)
    assert steady_rate([twice], records) >= steady_rate([crew], records)
    calm, calm_twice = (each._replace(rate=0.0) for each in (crew, twice))
    assert wall_seconds([calm_twice], records, examples) <= wall_seconds([calm], records, examples)
    assert wall_seconds([calm], records, examples) <= (whole + crew.partition(records)) * (1 + 1e-9)
    assert wall_seconds([calm], records, examples) <= wall_seconds([calm], records, 2 * examples)


@given(st.lists(crews(st.just(0.0)), min_size=1, max_size=3), st.integers(1, 100), st.floats(0.01, 4))
def test_without_losses_each_partition_goes_to_who_is_free_first(found, records, rounds):
    replicas = sum(crew.replicas for crew in found)
    partitions = max(round(rounds * min(replicas, 200)), 1)
    free = [(0.0, crew.partition(records)) for crew in found for _ in range(crew.replicas)]
    heapq.heapify(free)  # of equals the fastest first; the plan waits for the slowest
    ends = []
    for _ in range(partitions):
        now, seconds = free[0]
        ends.append(now + seconds)
        heapq.heapreplace(free, (now + seconds, seconds))
    planned = wall_seconds(found, records, partitions * records)
    assert planned >= max(ends) * (1 - 1e-6)
    if len(found) == 1 or partitions >= replicas:
        assert planned <= max(ends) + max(seconds for _, seconds in free)


@given(st.sampled_from((1.0, 2.5, 0.3, 3.0)), st.integers(1, 64), st.integers(1, 5000))
def test_a_partition_has_whole_passes(sequences, batch, records):
    passes = Passes(sequences, batch, Estimate(1.0, 1.0, 1.0))
    full = sequences * records / batch
    if passes.certain:
        assert passes.of(records) == ceil(round(full, 6))
    assert full * 0.98 <= passes.of(records) <= full + 1
    assert passes.of(records + 1) >= passes.of(records) * 0.98


@pytest.mark.parametrize(("mean", "batch"), [(0.3, 8), (3.1, 8), (8.1, 8), (16.3, 16), (60.5, 64), (70.3, 2)])
def test_of_what_only_some_records_have_the_mean_of_whole_passes_is_taken(mean, batch):
    chances = [exp(-mean)]
    for number in range(1, 300):
        chances.append(chances[-1] * mean / number)
    passes = sum(chance * ceil(number / batch) for number, chance in enumerate(chances))
    assert Passes(mean / 10, batch, Estimate(1.0, 1.0, 1.0)).of(10) == pytest.approx(passes, rel=0.02)


def test_nodes_are_read_as_they_are_written():
    said = "spot 0.05/h; network 100Gbit/s; disk 2GB/s; start 5min; $32/h"
    spot, own = parse_nodes(f"4x(8xH100-80GB; {said}) + 2x((24GiB, sm86))")
    assert (spot.count, len(spot.gpus.gpus), spot.network, spot.disk) == (4, 8, 12.5e9, 2e9)
    assert (spot.start, spot.price) == (300, 32)
    assert isclose(spot.interruptions * 3600, 0.05)
    assert (own.count, own.spot, own.interruptions) == (2, None, CARD_FAILURES)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "names no nodes"),
        ("8xH100", "names no nodes"),
        ("0x(8xH100-80GB)", "names no nodes"),
        ("4x(8xH100-80GB; fast)", "'fast' says nothing of a node"),
        ("4x(8xH100-80GB; network 0GB/s)", "'network 0GB/s' is nothing"),
        ("4x(8xH100-80GB; start 5min; start 1min)", "says start twice"),
        ("4x(8xH100-80GB", "names no nodes"),
        ("4x(8xH1000)", "H1000"),
        ("999999x(8xH100-80GB)", "at most 100,000 nodes"),
        ("1000000000000x(8xH100-80GB)", "at most 100,000 nodes"),
    ],
)
def test_what_names_no_nodes_is_one_line(plan_on, text, said):
    found = plan_on(FILE, "--nodes", text, code=2)
    assert said in found
    assert len(found.splitlines()) == 1


def test_two_things_that_say_what_machines_there_are_are_refused(plan_on):
    assert "leave out --gpus" in plan_on(FILE, "--nodes", "2x(4xL4)", "--gpus", "L4", code=2)
    assert "give --nodes too" in plan_on(FILE, "--partition", "5", code=2)


def test_a_node_that_is_too_small_is_exit_code_3(plan_on):
    found = plan_on(str(EXAMPLES / "evaluate.yaml"), "--nodes", "2x(1xL4)", code=3)
    assert "does not fit one node" in found


def test_the_whole_is_its_parts_and_what_they_cost():
    workload = ullage.load(FILE)
    plan = ullage.plan_cluster(workload, "2x(4xL4; $3/h; start 60s)")
    (node,) = plan.nodes
    assert (node.replicas, node.cards, node.count) == (4, "1x L4", 2)
    assert plan.seconds.expected == pytest.approx(
        plan.start.expected + plan.steady.expected + plan.end.expected
    )
    assert plan.usd.expected == pytest.approx(plan.seconds.expected / 3600 * 6)
    assert plan.steady.expected == pytest.approx(plan.examples / plan.records_per_second.expected)
    assert plan.partitions * plan.partition >= plan.examples > (plan.partitions - 1) * plan.partition
    one = ullage.plan(workload, "L4", advice=False)
    alone = one.total_seconds.expected / plan.examples
    assert node.record_seconds.expected == pytest.approx(alone, rel=0.01)


@pytest.mark.parametrize("name", ["extract.yaml", "evaluate.yaml"])
def test_a_partition_takes_what_a_run_of_its_records_takes(name):
    workload = ullage.load(EXAMPLES / name, ["examples=100000"])
    plan = ullage.plan_cluster(workload, "1x(1xA100-80GB; spot 0/h)", partition=50)
    alone = ullage.plan(ullage.load(EXAMPLES / name, ["examples=50"]), "A100-80GB", advice=False)
    steady = {phase.name for phase in alone.phases if phase.activity != "load" and phase.verb != "check"}
    took = sum(time.total_seconds.expected for time in alone.times if time.phase in steady)
    loads = sum(time.total_seconds.expected for time in alone.times if time.bound == "load")
    each = 0.03 + took + (loads if name == "evaluate.yaml" else 0)
    assert plan.steady.expected + plan.end.expected == pytest.approx(2000 * each, rel=0.01)


@pytest.mark.parametrize("examples", [1, 3, 100])
def test_a_partition_has_no_more_records_than_there_are(examples):
    workload = ullage.load(FILE, [f"examples={examples}"])
    for asked in (None, 10**12):
        plan = ullage.plan_cluster(workload, "4x(8xL4)", partition=asked)
        assert plan.partition <= examples
        assert plan.seconds is not None


def test_nodes_that_are_lost_too_often_are_said():
    plan = ullage.plan_cluster(ullage.load(FILE), "4x(8xL4; spot 100000/h)")
    assert (plan.seconds, plan.usd) == (None, None)
    assert "nodes are lost before a partition" in str(plan)


def test_a_node_in_its_start_is_not_lost():
    workload = ullage.load(FILE)
    early = ullage.plan_cluster(workload, "4x(8xL4; spot 1/h; start 60s)", partition=200)
    late = ullage.plan_cluster(workload, "4x(8xL4; spot 1/h; start 3h)", partition=200)
    assert late.interruptions < early.interruptions < 4 * (early.steady.expected + early.end.expected) / 3600


def test_what_is_read_is_a_record_and_no_prefix_that_all_share():
    plan = ullage.plan_cluster(ullage.load(FILE), "4x(8xL4; spot 0/h)")
    assert plan.read_per_second.expected == pytest.approx(256 * 5 * plan.records_per_second.expected)


def test_a_slow_network_is_the_limit_and_said():
    workload = ullage.load(EXAMPLES / "extract.yaml")
    free = ullage.plan_cluster(workload, "4x(8xH100-80GB)")
    bound = ullage.plan_cluster(workload, "4x(8xH100-80GB; network 10Gbit/s)")
    assert (free.nodes[0].bound, bound.nodes[0].bound) == ("compute", "network")
    assert bound.records_per_second.expected < free.records_per_second.expected
    assert "its network is the limit now" in str(bound)
    assert bound.nodes[0].network_needs.expected == pytest.approx(1.25e9, rel=0.05)


def test_an_input_in_a_store_is_copied_to_every_node_and_that_is_in_the_plan():
    given = ["examples=1000000000"]
    here = ullage.load(FILE, given)
    there = ullage.load(FILE, [*given, "pii.input=s3://bucket/records.jsonl"])
    (copy,) = (
        each for each in ullage.plan(there, advice=False).stored if each.what.startswith("copy of s3:")
    )
    nodes = "4x(8xL4; network 10Gbit/s; start 60s)"
    shared, copied = (ullage.plan_cluster(each, nodes) for each in (here, there))
    assert copied.copied_bytes == copy.bytes
    assert shared.copied_bytes.high == 0
    more = copied.start.expected - shared.start.expected
    assert more == pytest.approx(copy.bytes.expected / 1.25e9)
    assert copied.fetched_bytes == shared.fetched_bytes  # of models
    assert copied.read_per_second.high == 0 < shared.read_per_second.low
    assert "every node copies the whole input from its store" in str(copied)
    assert "copies the whole input" not in str(shared)


def test_nodes_without_cards_are_refused_with_the_reason(plan_on):
    assert "planned with cards alone" in plan_on(FILE, "--nodes", "2x(cpu)", code=2)


def test_losing_nodes_costs_time_and_is_said():
    workload = ullage.load(FILE, ["examples=1000000000"])
    calm = ullage.plan_cluster(workload, "1000x(8xL4)")
    spot = ullage.plan_cluster(workload, "1000x(8xL4; spot 0.2/h)")
    assert spot.seconds.expected > calm.seconds.expected
    assert spot.partition < calm.partition
    assert spot.interruptions > 100 * calm.interruptions > 0
    assert "nodes are expected to be lost" in str(spot)


@pytest.mark.parametrize("name", ["pii.yaml", "extract.yaml"])
def test_a_node_of_one_card_takes_what_a_plan_of_that_card_does(name):
    workload = ullage.load(EXAMPLES / name, ["examples=100000", "partition={per_card: 1, bytes: 1TiB}"])
    plan = ullage.plan_cluster(workload, "1x(1xL4; spot 0/h; start 1s)", partition=10**9)
    alone = ullage.plan(ullage.load(EXAMPLES / name, ["examples=100000"]), "L4", advice=False)
    assert plan.seconds.expected == pytest.approx(alone.total_seconds.expected + 11, rel=0.01)
    assert plan.nodes[0].usd_per_hour == alone.cost.usd_per_hour
    assert plan.usd.expected == pytest.approx(alone.cost.usd.expected, rel=0.01)


def test_the_page_s_example_is_what_is_planned():
    page = (EXAMPLES.parent / "docs" / "cluster-plans.md").read_text()
    plan = ullage.plan_cluster(ullage.load(FILE), "4x(8xL4; spot 0.5/h)", partition=136)
    assert f"in `B = {plan.steady.expected:,.0f}` s" in page
    assert f"= {plan.records_per_second.expected:.1f}` records a second" in page
    assert f"`t = 0.03 + 0.090 + 31.2 = {plan.slow_end:.1f}`" in page


def test_every_interval_holds_its_expectation_and_the_page_says_them():
    for nodes in ("1x(1xL4)", "7x(8xL4; spot 1/h; disk 1MB/s)", "300x(8xA100-80GB; spot 0.05/h) + 2x(4xL4)"):
        for examples in (1, 1000, 10**9):
            plan = ullage.plan_cluster(ullage.load(FILE, [f"examples={examples}"]), nodes)
            found = [getattr(plan, name) for name in plan.__slots__]
            found += [getattr(node, name) for node in plan.nodes for name in node.__slots__]
            for each in (each for each in found if isinstance(each, Estimate)):
                assert each.low <= each.expected <= each.high
            many = [f"{each:,}" if each > 1 else "one" for each in (plan.partitions, plan.partition)]
            assert re.search("{} partitions? of {} record".format(*many), str(plan))


def test_each_figure_of_the_table_stands_below_its_head():
    plan = ullage.plan_cluster(ullage.load(FILE), "4x(8xL4; $3/h)")
    lines = str(plan).splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("nodes  "))
    heads, cells = (re.split(r"\s{2,}", lines[number].strip()) for number in (at, at + 1))
    found = dict(zip(heads, cells, strict=True))
    (node,) = plan.nodes
    assert (found["nodes"], found["replicas each"], found["$/h"]) == ("4 x (8x L4)", "8 on 1x L4", "3.00")
    assert found["records/s"] == f"{node.records_per_second.expected:,.2f}"


def test_the_document_has_what_the_page_says(plan_on):
    document = json.loads(plan_on(FILE, "--nodes", "2x(4xL4)", "--json"))
    jsonschema.validate(document, ullage.document_schema("cluster"))
    assert document == ullage.plan_cluster(ullage.load(FILE), "2x(4xL4)").to_json()
    rate = document["nodes"][0]["records_per_second"]
    assert rate["low"] < rate["expected"] < rate["high"]
