"""What a plan says of one request: its stages, and how many are answered."""

import json
from pathlib import Path

import jsonschema
import pytest
import small_families
from hypothesis import given
from hypothesis import strategies as st

from ullage import api
from ullage.planning.document import plan_document
from ullage.reports.shown import page, table
from ullage.units import NO_TIME
from ullage.workloads.loading import plan_of

FILE = Path(__file__).parents[2] / "examples/assistant.yaml"
ALL_KNOWN = "roles.philosopher.model=Qwen/Qwen2.5-32B-Instruct"


def plan(*overrides, gpus=None):
    return api.plan(api.load(FILE, overrides), gpus, advice=False)


def way(found, name):
    return next(each for each in found.latency.ways if each.name == name)


sets = st.sampled_from(["2x RTX A6000", "8xH100", "1xA100-80GB", "2xL4"])
changes = st.lists(
    st.sampled_from(
        [
            "schedule=swapped",
            "schedule=sequential",
            "batch=4",
            "roles.voice.batch=3",
            "roles.voice.precision=nf4",
            "roles.pragmatist.residency=disk",
            "roles.perception.residency=persistent",
            "assistant.routing.by=written",
            ALL_KNOWN,
        ]
    ),
    unique=True,
    max_size=4,
)


@given(changes, sets)
def test_a_request_is_its_stages_and_more_has_to_be_brought_the_longer_it_takes(overrides, gpus):
    found = plan(*overrides, gpus=gpus)
    assert [each.name for each in found.latency.ways] == ["pragmatist", "philosopher", "artist", "perception"]
    for each in found.latency.ways:
        if ALL_KNOWN in overrides or each.name != "philosopher":
            for there, away, at_first in zip(each.there, each.away, each.at_first, strict=True):
                assert 0 < there <= away <= at_first
            for end in range(3):
                assert each.away[end] == pytest.approx(sum(stage.seconds[end] for stage in each.stages))
                there, away = each.rate(away=False), each.rate(away=True)
                assert away.a_minute[end] <= there.a_minute[end]
                assert away.a_day[end] == pytest.approx(1440 * away.a_minute[end])
            assert each.away.low < each.away.expected < each.away.high
        stages = [stage.name for stage in each.stages if stage.name != "switch"]
        route = [] if each.name == "perception" else ["route"]
        voice = [] if each.name == "artist" else ["voice"]
        assert stages == [*route, "specialist", *voice]


def test_batches_answer_more_and_a_request_by_itself_is_no_longer_for_them():
    one, eight = plan(ALL_KNOWN), plan(ALL_KNOWN, "batch=8")
    for name in ("pragmatist", "philosopher"):
        assert way(one, name).away == pytest.approx(way(eight, name).away)
        assert way(eight, name).rate(away=False).a_day.expected > (
            2.5 * way(one, name).rate(away=False).a_day.expected
        )
        # One request at a time: each takes what it takes by itself.
        assert way(one, name).rate(away=True).seconds == pytest.approx(way(one, name).away)
    # Pictures are painted one by one.
    painting = next(stage for stage in way(eight, "artist").stages if stage.name == "specialist")
    assert painting.batch == 1
    assert painting.share == pytest.approx(painting.seconds)


def test_the_phases_of_the_plan_take_what_its_requests_do():
    """A quarter of all is for each specialist, who is brought each time."""
    found = plan(ALL_KNOWN)
    text = [way(found, name) for name in ("pragmatist", "philosopher")]
    by_phase = {time.phase: time.total_seconds.expected for time in found.times}
    for each in text:
        beside = [seconds for phase, seconds in by_phase.items() if each.name in phase]
        assert sum(beside) == pytest.approx(each.away.expected * found.workload.examples / 4)


@pytest.fixture(scope="module")
def untimed(tmp_path_factory):
    """An override to a model of which nobody measured how long torch takes to read a prompt."""
    folder = tmp_path_factory.mktemp("kimi")
    small_families.config_of("kimi_linear").save_pretrained(folder)
    return f"roles.philosopher.model={folder}"


def test_what_is_not_known_is_said_and_the_rest_given(untimed):
    found = plan(untimed)
    kimi = way(found, "philosopher")
    assert kimi.unknown == ("specialist (philosopher)",)
    assert (kimi.there, kimi.away, kimi.at_first, kimi.rate(away=True)) == (None,) * 4
    writing = next(time.seconds for time in found.times if time.phase == "philosopher decode")
    specialist = next(stage for stage in kimi.stages if stage.name == "specialist")
    assert specialist.known == pytest.approx(writing)
    others = sum((stage.seconds for stage in kimi.stages if stage.seconds is not None), NO_TIME)
    assert kimi.known(away=True) == pytest.approx(others + writing)
    assert found.latency.rate(away=True) is None
    assert way(found, "pragmatist").away is not None


def test_a_servers_time_is_not_known():
    server = "roles.voice.openai={base_url: http://127.0.0.1:1/v1}"
    found = plan("roles.voice.engine=openai", server, ALL_KNOWN)
    assert way(found, "pragmatist").unknown == ("voice (voice)",)
    assert way(found, "artist").away is not None


def test_specialists_come_from_where_they_wait():
    host, disk = plan(), plan("roles.pragmatist.residency=disk")
    stays = plan("roles.pragmatist.residency=persistent")
    at = {"host": way(host, "pragmatist"), "disk": way(disk, "pragmatist")}
    assert at["disk"].away == at["disk"].at_first == pytest.approx(at["host"].at_first)
    assert at["host"].away < at["host"].at_first
    assert "switch" not in [stage.name for stage in way(stays, "pragmatist").stages]
    assert way(stays, "pragmatist").away == way(stays, "pragmatist").there


def test_where_the_voice_leaves_too_everyone_is_brought_for_each_request():
    each = way(plan("schedule=swapped"), "pragmatist")
    assert [stage.name for stage in each.stages] == [
        "switch", "route", "switch", "specialist", "switch", "voice",
    ]  # fmt: skip
    assert each.there == each.away < each.at_first


def test_weights_quantized_on_load_are_read_whole():
    full, four = plan(), plan("roles.pragmatist.precision=nf4")
    switch = [
        next(stage for stage in way(found, "pragmatist").stages if stage.name == "switch")
        for found in (full, four)
    ]
    assert switch[1].at_first == pytest.approx(switch[0].at_first)
    assert switch[1].seconds.expected < 0.4 * switch[0].seconds.expected


def test_notes_are_embedded_in_passes_that_are_billed():
    found = plan("assistant.memory={chroma_dir: notes}", ALL_KNOWN)
    each = way(found, "pragmatist")
    assert [stage.name for stage in each.stages][:2] == ["route", "remember"]
    passes = {p.name: p for p in found.phases if p.verb == "embed"}
    assert set(passes) == {
        f"router embed beside {name}" for name in ("pragmatist", "philosopher", "artist", "perception")
    }
    assert sum(p.work.passes for p in passes.values()) * 1000 == pytest.approx(2000 + 16)
    assert all((p.work.batch, p.work.new_tokens, p.work.caches) == (1, 0, False) for p in passes.values())
    assert {time.phase for time in found.times} >= set(passes)
    billed = {item.component for item in found.bill.items if item.phase in passes and item.role == "router"}
    assert {"weights", "activations"} <= billed
    words = plan("assistant.memory={chroma_dir: notes, embedder: words}")
    assert not any(phase.verb == "embed" for phase in words.phases)


def test_a_specialist_that_embeds_notes_is_brought_for_it():
    found = plan("assistant.memory={chroma_dir: notes, embedder: pragmatist}", ALL_KNOWN)
    own = [(stage.name, stage.role) for stage in way(found, "pragmatist").stages]
    assert own == [
        ("route", "router"), ("switch", "pragmatist"), ("remember", "pragmatist"),
        ("specialist", "pragmatist"), ("voice", "voice"),
    ]  # fmt: skip
    other = [(stage.name, stage.role) for stage in way(found, "artist").stages]
    assert other == [
        ("route", "router"), ("switch", "pragmatist"), ("remember", "pragmatist"),
        ("switch", "artist"), ("specialist", "artist"),
    ]  # fmt: skip


def test_it_is_shown_on_the_terminal_in_html_and_in_json_and_read_back_whole(untimed):
    found = plan(untimed)
    text, html = f"{found:details}", table(found)
    for shown in (text, html):
        assert "latency: seconds of one request by itself" in shown
        shown = " ".join(shown.replace("&gt;", ">").split())
        assert "> is more than what is known: specialist (philosopher) is not" in shown
        assert f"> {way(found, 'philosopher').known(away=True).low:,.1f}" in shown
    document = json.loads(json.dumps(plan_document(found)))
    jsonschema.validate(document, api.document_schema("plan"))
    pragmatist = document["latency"]["ways"][0]
    assert pragmatist["seconds"]["away"] == way(found, "pragmatist").away._asdict()
    assert pragmatist["a_day"]["there"] == way(found, "pragmatist").rate(away=False).a_day._asdict()
    assert document["latency"]["a_day"] == {"there": None, "away": None}
    assert plan_of(document, "plan.json", Path()).latency == found.latency


def test_a_kind_that_lays_out_no_request_says_nothing_of_one():
    found = api.plan(api.load(FILE.parent / "extract.yaml"), advice=False)
    assert found.latency is None
    assert "latency" not in page(found)
    assert plan_document(found)["latency"] is None


def test_what_tools_add_is_counted_by_itself_and_said():
    found = plan("assistant.tools=[calculator]", "assistant.tool_limits={calls: 3}", ALL_KNOWN)
    again = {(each.name, stage.name): stage.again for each in found.latency.ways for stage in each.stages}
    assert {key for key, times in again.items() if times} == {
        ("pragmatist", "specialist"),
        ("philosopher", "specialist"),
    }
    assert again["pragmatist", "specialist"] == 3
    assert way(found, "pragmatist").away == way(plan(ALL_KNOWN), "pragmatist").away
    shown = " ".join(table(found).split())
    assert "pragmatist writes again after each tool it calls, up to 3 times" in shown
    only = plan("assistant.tools=[calculator]", "assistant.callers=[pragmatist]")
    assert all(not stage.again for stage in way(only, "philosopher").stages)
    assert "writes again" not in table(plan())
