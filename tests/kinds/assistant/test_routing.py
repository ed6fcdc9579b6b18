"""Who answers a request: right on the small world, and never somebody who is not there."""

import re
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ullage
from ullage.engines.engine import Failure, Reply
from ullage.engines.scripted import open_script
from ullage.engines.transformers_engine import TransformersEngine
from ullage.errors import SpecError
from ullage.kinds.assistant.routing.labels import Asking, LabelRouter, WrittenRouter
from ullage.kinds.assistant.routing.opening import open_router, served
from ullage.kinds.assistant.routing.route import Chosen, Request, Served
from ullage.kinds.assistant.routing.rules import LOOKED_AT, RuleRouter
from ullage.kinds.assistant.routing_section import Rule
from ullage.runtime.loader import load_model
from ullage.tinyworld import examples

NAMES = ("pragmatist", "philosopher", "artist", "archivist")
FILE = """
kind: assistant
budget: {gpus: cpu}
roles:
  router: {model: ullage:tiny}
  pragmatist: {model: ullage:tiny}
  philosopher: {model: ullage:tiny}
  artist: {model: ullage:tiny}
  archivist: {model: ullage:tiny}
  voice: {model: ullage:tiny}
prompt_tokens: 128
new_tokens: 16
batch: 50
assistant:
  routing: {routing}
"""


def workload(tmp_path, routing="{}", file=FILE):
    path = tmp_path / "w.yaml"
    path.write_text(textwrap.dedent(file).replace("{routing}", routing))
    return ullage.load(path)


@pytest.fixture(scope="module")
def engine():
    plan = ullage.estimate_model("ullage:tiny", "cpu")
    return TransformersEngine(load_model(plan.workload.roles["model"], plan.roles["model"]), "ullage:tiny")


def routed(found, engine, requests):
    router = open_router(found.section, found, engine)
    serving = served(found.section, found)
    return [
        route
        for at in range(0, len(requests), 50)
        for route in serving.routes(router, [Request(text) for text in requests[at : at + 50]])
    ]


def right(routes, tests):
    return sum(route.to == test.turn.answer for route, test in zip(routes, tests, strict=True)) / len(tests)


@pytest.mark.parametrize("by", ["labels", "written"])
def test_requests_of_the_small_world_find_their_specialist(engine, tmp_path, by):
    tests = examples("route", "test", 400)
    routes = routed(workload(tmp_path, f"{{by: {by}}}"), engine, [each.turn.user for each in tests])
    assert right(routes, tests) >= 0.97
    assert not any(route.fell_back for route in routes)
    if by == "labels":
        assert all(sum(r.chosen.probabilities.values()) == pytest.approx(1) for r in routes)
        assert all(r.chosen.confidence == max(r.chosen.probabilities.values()) for r in routes)
        assert all(0.9 < r.chosen.weight <= 1 for r in routes)


def test_likeness_to_examples_finds_them_too(engine, tmp_path):
    shown = {name: [] for name in NAMES}
    for each in examples("route", "train", 400):
        if len(shown[each.turn.answer]) < 40:
            shown[each.turn.answer].append(each.turn.user)
    tests = examples("route", "test", 300)
    found = workload(tmp_path, f"{{by: examples, examples: {shown}, least_confidence: 0.0}}")
    routes = routed(found, engine, [each.turn.user for each in tests])
    assert right(routes, tests) >= 0.97
    sure = sum(r.chosen.confidence for r in routes) / len(routes)
    assert sure == pytest.approx(right(routes, tests), abs=0.05)
    assert all(sum(r.chosen.probabilities.values()) == pytest.approx(1) for r in routes)


def test_words_that_a_rule_names_decide_in_their_order(tmp_path):
    rules = "[{to: artist, words: [paint, a poem]}, {to: archivist, pattern: '(?i)^when was'}]"
    found = workload(
        tmp_path,
        f"{{by: rules, rules: {rules}, fallback: philosopher}}",
        FILE.replace("  router: {model: ullage:tiny}\n", ""),
    )
    routes = routed(found, None, ["Paint a boat", "When was a poem written?", "when was it?", "Painting?"])
    assert [each.to for each in routes] == ["artist", "artist", "archivist", "philosopher"]
    assert routes[-1].problem == "no rule meets the request"
    assert routes[-1].chosen.label is None


def test_a_word_that_nobody_serves_is_kept_and_the_fallback_asked(engine, tmp_path):
    labels = "{pragmatist: pragmatist, philosopher: philosopher, artist: artist, archivist: null}"
    found = workload(tmp_path, f"{{labels: {labels}, fallback: pragmatist}}")
    (route,) = routed(found, engine, ["Find the records of Ada Adler."])
    assert (route.to, route.chosen.label) == ("pragmatist", "archivist")
    assert route.problem == "no specialist serves 'archivist'"
    assert route.fell_back


def test_what_is_less_sure_than_asked_goes_to_the_fallback(engine, tmp_path):
    found = workload(tmp_path, "{least_confidence: 1.0, fallback: artist}")
    (route,) = routed(found, engine, ["How do I repair a boat?"])
    assert route.to == "artist"
    assert route.chosen.label == "pragmatist"
    assert re.fullmatch(r"'pragmatist' has [01]\.\d{3}, less than 1", route.problem)


class Saying:
    """An engine whose replies and scores are given."""

    def __init__(self, given):
        self.given = given

    def generate(self, prompts, sampling, seeds):
        return [self.given] * len(prompts)

    def score(self, prompts, choices):
        return [self.given] * len(prompts)


@pytest.mark.parametrize(
    ("said", "label", "problem"),
    [
        ("Artist.", "artist", ""),
        ("the ARTIST", "artist", ""),
        ("", None, "the router's reply names none of its words"),
        ("partisan artists", None, "the router's reply names none of its words"),
        ("artist or philosopher", None, "the router's reply names 2 of its words"),
    ],
)
def test_a_reply_that_names_no_word_or_two_is_no_choice(said, label, problem):
    router = WrittenRouter(Saying(Reply(said, "end", 1)), Asking(NAMES), 8)
    assert router.choose(["x"]) == [Chosen(label, written=said, problem=problem)]


@pytest.mark.parametrize(
    ("scores", "problem"),
    [
        (Failure("the server is tired"), "the server is tired"),
        ((float("nan"), -1.0, -1.0, -1.0), "no word of the router has a probability"),
        ((-float("inf"),) * 4, "no word of the router has a probability"),
    ],
)
def test_scores_that_say_nothing_are_no_choice(scores, problem):
    assert LabelRouter(Saying(scores), Asking(NAMES)).choose(["x"]) == [Chosen(None, problem=problem)]


@given(st.lists(st.floats(-1000, 0), min_size=4, max_size=4))
def test_probabilities_add_up_whatever_is_scored(scores):
    (chosen,) = LabelRouter(Saying(tuple(scores)), Asking(NAMES)).choose(["x"])
    assert sum(chosen.probabilities.values()) == pytest.approx(1)
    assert chosen.confidence == max(chosen.probabilities.values()) >= 0.25
    assert 0 <= chosen.weight <= 1


WORDS = st.none() | st.sampled_from((*NAMES, "nobody"))


@given(
    st.lists(st.tuples(st.booleans(), WORDS, st.none() | st.floats(0, 1)), max_size=8),
    st.sampled_from([(), ("perception",)]),
    st.floats(0, 1),
)
def test_a_route_always_names_somebody_who_is_there_and_says_why_it_fell_back(asked, viewers, least):
    class Given:
        def choose(self, texts):
            picked = [each for each in asked if not (each[0] and viewers)]
            return [Chosen(label, sure, problem="" if label else "nothing") for _, label, sure in picked]

    words = {name: name for name in NAMES}
    serving = Served("labels", words, "pragmatist", least, viewers)
    routes = serving.routes(Given(), [Request("x", picture) for picture, _, _ in asked])
    assert len(routes) == len(asked)
    for route, (picture, label, sure) in zip(routes, asked, strict=True):
        assert route.to in (*NAMES, *viewers)
        if picture and viewers:
            assert (route.to, route.how) == ("perception", "picture")
            continue
        wrong = picture or label not in NAMES or (sure is not None and sure < least)
        assert route.fell_back == wrong
        assert route.to == ("pragmatist" if wrong else label)
        assert route.chosen.label == label


@given(st.text(max_size=80))
def test_what_a_request_says_is_data(text):
    system, asked = Asking(NAMES, "Choose {labels}.").prompt(text)
    assert system["content"] == "Choose pragmatist, philosopher, artist or archivist."
    assert asked == {"role": "user", "content": text}


def test_a_pattern_sees_the_beginning_of_a_long_request_and_ends_soon(bounded):
    router = RuleRouter([Rule(to="artist", pattern="a.*b.*c$"), Rule(to="artist", words=("the end",))])
    with bounded(5000):
        (chosen, far) = router.choose(["a" * 10**6, "x" * 2 * LOOKED_AT + " THE END"])
    assert chosen.label is None
    assert far.label == "artist"


def test_every_mistake_is_told_at_once_with_its_place(tmp_path):
    routing = (
        "{by: labels, rules: [{to: x}], examples: {y: [z]}, fallback: artst, least_confidence: 1.5, "
        "labels: {a: nobody}}"
    )
    with pytest.raises(SpecError) as caught:
        workload(tmp_path, routing)
    assert "least_confidence" in str(caught.value)
    with pytest.raises(SpecError) as caught:
        workload(tmp_path, routing.replace("least_confidence: 1.5, ", ""))
    said = str(caught.value)
    for part in (
        "routing.rules: has no effect with by: labels; it is for by: rules",
        "routing.examples: has no effect with by: labels; it is for by: examples",
        "routing.fallback: no specialist is called 'artst'; nearest: artist",
        "routing.labels.a: no specialist is called 'nobody'",
        "routing.labels: names fewer than two words",
        "routing.rules.0: has neither words nor a pattern",
        "routing.rules.0.to: no specialist is called 'x'",
        "routing.examples.y: no specialist is called 'y'",
    ):
        assert part in said
    assert all(line.startswith(str(tmp_path / "w.yaml") + ":") for line in said.splitlines())


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("(", "is no regular expression"),
        ("(a+)+b", "repeats a group"),
        ("(a|aa){9}", "repeats a group"),
        ("a*b*c*", "more than 2 repeats"),
    ],
)
def test_a_pattern_that_could_take_for_ever_is_refused(tmp_path, pattern, said):
    with pytest.raises(SpecError, match=said):
        workload(
            tmp_path,
            f"{{by: rules, rules: [{{to: artist, pattern: '{pattern}'}}]}}",
            FILE.replace("  router: {model: ullage:tiny}\n", ""),
        )


@pytest.mark.parametrize("pattern", ["^When", r"\(.*\)", "[+*]{2}", r"a\+\+\+b", "(?i)paint|draw", r"[^]]x"])
def test_usual_patterns_are_taken(tmp_path, pattern):
    found = workload(
        tmp_path,
        f"{{by: rules, rules: [{{to: artist, pattern: '{pattern}'}}]}}",
        FILE.replace("  router: {model: ullage:tiny}\n", ""),
    )
    assert found.section.routing.rules[0].pattern == pattern


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("router: {model: ullage:tiny}", "router: {model: m, engine: diffusers}"), "weighs choices"),
        (("voice: {model: ullage:tiny}", "voice: {model: m, engine: diffusers}"), "writes replies"),
        (
            ("artist: {model: ullage:tiny}", "artist: {model: m, engine: diffusers, images: 1}"),
            "is given none",
        ),
        (("artist: {model: ullage:tiny}", "artist: {model: m, engine: vllm}"), "role artist takes turns"),
    ],
)
def test_a_role_that_cannot_do_its_part_is_refused(tmp_path, change, said):
    with pytest.raises(SpecError, match=said):
        workload(tmp_path, "{}", FILE.replace(*change))


def test_vllm_is_taken_where_it_stays(tmp_path):
    stays = "artist: {model: m, engine: vllm, residency: persistent}"
    assert workload(tmp_path, "{}", FILE.replace("artist: {model: ullage:tiny}", stays))


def test_a_script_can_route(tmp_path):
    script = tmp_path / "script.jsonl"
    scores = ", ".join(f'"{name}": {-at - 0.1}' for at, name in enumerate(NAMES))
    script.write_text(f'{{"scores": {{{scores}}}}}\n')
    router = LabelRouter(open_script(script), Asking(NAMES))
    assert router.choose(["anything"])[0].label == "pragmatist"
