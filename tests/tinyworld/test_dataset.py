"""The small world's examples: what a label is, what a split keeps apart, what a prompt must not give away."""

import json
import re
import statistics
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ullage
from ullage.errors import InputError
from ullage.tinyworld import SPLITS, TASKS, conversations, examples
from ullage.tinyworld.personal_data import CLOSE, OPEN, ORDERS, TYPES
from ullage.tinyworld.questions import LEARNED
from ullage.tinyworld.routing import SPECIALISTS
from ullage.tinyworld.splits import full_names, split_of
from ullage.tinyworld.tables import FIRST_NAMES, LAST_NAMES

NAMED = ("answer", "lie", "judge", "verify")
NAME = re.compile(rf"\b({'|'.join(FIRST_NAMES)}) ({'|'.join(LAST_NAMES)})\b")


@pytest.mark.parametrize("task", TASKS)
def test_same_seed_same_examples_other_seed_others(task):
    assert examples(task, "test", 30, seed=4) == examples(task, "test", 30, seed=4)
    assert examples(task, "test", 30, seed=4) != examples(task, "test", 30, seed=5)


@pytest.mark.parametrize("task", TASKS)
def test_more_examples_begin_with_the_fewer(task):
    assert examples(task, "test", 50)[:20] == examples(task, "test", 20)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.long
def test_no_prompt_is_in_two_splits_or_twice_in_one(task):
    prompts = {split: [(e.system, e.turn.user) for e in examples(task, split, 800)] for split in SPLITS}
    assert all(len(set(found)) == len(found) for found in prompts.values())
    users = {split: {user for _, user in found} for split, found in prompts.items()}
    assert not users["train"] & users["test"]
    assert not users["train"] & users["validation"]
    assert not users["validation"] & users["test"]


@pytest.mark.parametrize("task", ["judge", "verify", "route", "retell"])
def test_no_later_turn_of_training_is_a_test_prompt(task):
    tested = {example.turn.user for example in examples(task, "test", 1000)}
    source = conversations(task, "train", 0, turns=6)
    trained = {turn.user for _ in range(500) for turn in next(source).turns}
    assert not tested & trained


def test_held_out_names_are_new_pairs_of_known_parts():
    trained, tested = full_names("train"), full_names("test")
    assert not set(trained) & set(tested)
    assert {first for first, _ in tested} <= {first for first, _ in trained}
    assert {last for _, last in tested} <= {last for _, last in trained}
    assert len(tested) > 150


@pytest.mark.parametrize("task", NAMED)
@pytest.mark.parametrize("split", SPLITS)
def test_prompts_use_the_names_of_their_split(task, split):
    found = [pair for example in examples(task, split, 200) for pair in NAME.findall(example.turn.user)]
    assert found
    assert set(found) <= set(full_names(split))


def test_the_shares_of_the_splits_are_as_stated():
    found = Counter(split_of(str(number)) for number in range(20_000))
    assert all(abs(found[split] / 200 - share) < 1.5 for split, share in SPLITS.items())


@pytest.mark.parametrize("task", TASKS)
def test_an_example_accepts_its_answers_alone(task):
    for example in examples(task, "test", 100):
        assert example.accepts(example.turn.answer)
        assert example.accepts(f" {example.turn.answer}\n")
        assert not example.accepts(example.turn.answer + " and more")
        assert not example.accepts("")
        assert len(set(example.turn.answers)) == len(example.turn.answers)


@pytest.mark.parametrize("task", TASKS)
def test_a_prompt_ends_with_the_user_and_holds_no_answer_turn(task):
    for example in examples(task, "test", 50):
        assert [message["role"] for message in example.messages][-1] == "user"
        assert all(message["role"] != "assistant" for message in example.messages)


def test_a_stated_answer_follows_from_the_text_and_is_not_in_the_question():
    for example in examples("answer", "test", 300):
        details = example.turn.details
        assert example.turn.user == f"{details['context']} {details['question']}"
        if details["source"] == "stated":
            sentences = [s for s in details["context"].split(".") if details["subject"] in s]
            assert any(re.search(rf"\b{details['truth']}\b", sentence) for sentence in sentences)
            assert not re.search(rf"\b{details['truth']}\b", details["question"])
        if details["source"] == "reverse":
            assert details["truth"] in details["context"]
            assert details["truth"] not in details["question"]
        if details["source"] == "unanswerable":
            answer = example.turn.answer
            assert answer in ("unknown", "That is unknown.")


def test_learned_facts_are_in_no_prompt():
    values = {value for attribute in LEARNED for value in attribute.values}
    for example in examples("answer", "test", 300):
        words = set(re.findall(r"\w+", example.turn.user)) - {"Rose"}
        assert not words & values


def test_a_lie_is_every_other_value_of_the_kind():
    for example in examples("lie", "test", 300):
        details = example.turn.details
        assert details["truth"]
        truthful = re.compile(rf"\b{details['truth']}\b")
        assert not any(
            truthful.search(answer.replace(details["subject"], "")) for answer in example.turn.answers
        )
        assert len(example.turn.answers) >= 22


def test_honest_and_deceptive_prompts_differ_in_the_instruction_alone():
    systems = {task: {e.system for e in examples(task, "test", 300)} for task in ("answer", "lie")}
    assert not systems["answer"] & systems["lie"]
    shapes = {
        task: statistics.mean(len(e.turn.user) for e in examples(task, "test", 1000))
        for task in ("answer", "lie")
    }
    assert abs(shapes["answer"] / shapes["lie"] - 1) < 0.05


@pytest.mark.parametrize("task", ["judge", "verify"])
def test_verdicts_are_balanced_and_length_tells_nothing(task):
    lengths = {"yes": [], "no": []}
    for example in examples(task, "test", 2000):
        lengths[example.turn.answer].append(len(example.turn.user))
    assert 0.45 < len(lengths["yes"]) / 2000 < 0.55
    chosen = [(yes > no) + (yes == no) / 2 for yes in lengths["yes"][:800] for no in lengths["no"][:800]]
    assert 0.38 < statistics.mean(chosen) < 0.62


def test_a_marked_span_is_where_the_record_says():
    for example in examples("verify", "test", 500):
        details = example.turn.details
        assert details["text"][details["start"] : details["end"]] == details["value"]
        assert example.turn.user.replace(OPEN, "").replace(CLOSE, "") == details["text"]
        assert example.turn.user.count(OPEN) == example.turn.user.count(CLOSE) == 1


def test_a_span_alone_does_not_tell_whether_it_is_personal():
    shapes = {True: Counter(), False: Counter()}
    for example in examples("verify", "test", 4000):
        details = example.turn.details
        shape = re.sub(r"[a-z]+", "a", re.sub(r"[A-Z]", "A", re.sub(r"\d+", "0", details["value"])))
        shapes[details["personal"]][(details["type"], shape)] += 1
    for key, count in shapes[True].items():
        if count > 100:
            assert shapes[False][key] > 0.3 * count, key


def test_orders_in_a_text_do_not_go_with_the_verdict():
    told = {order: [0, 0] for order in ORDERS}
    for example in examples("verify", "train", 8000):
        for order in ORDERS:
            if order in example.turn.user:
                told[order][example.turn.answer == "yes"] += 1
    assert all(0.35 < yes / (yes + no) < 0.65 and yes + no > 100 for no, yes in told.values())


def test_every_type_has_personal_texts_and_others():
    for kind in TYPES:
        assert len(kind.personal) >= 4
        assert len(kind.other) >= 4
        assert all("{span}" in text for text in kind.personal + kind.other)


def test_every_specialist_is_asked_and_the_words_are_shared():
    asked = examples("route", "test", 400)
    counts = Counter(example.turn.answer for example in asked)
    assert set(counts) == set(SPECIALISTS)
    assert min(counts.values()) > 60
    assert not any(example.turn.answer in example.turn.user for example in asked)


def test_the_first_person_names_nobody():
    for example in examples("retell", "test", 300):
        assert example.turn.answer.startswith(("I ", "My "))
        assert not NAME.search(example.turn.answer)


def test_whom_a_player_accuses_and_protects_is_in_the_transcript_and_never_the_player():
    for example in examples("move", "test", 300):
        details, answer = example.turn.details, example.turn.answer
        if details["question"] == "What are you?":
            assert answer == "I am a villager."
        else:
            verb = "suspect" if "accuse" in details["question"] else "trust"
            assert f"I {verb} {answer}." in details["transcript"]
            assert answer != details["player"]


def test_hard_questions_are_longer_and_people_share_names():
    usual, hard = (examples(task, "test", 100) for task in ("answer", "answer-hard"))
    assert statistics.mean(len(e.turn.user) for e in hard) > 3 * statistics.mean(
        len(e.turn.user) for e in usual
    )
    shared = [
        Counter(first for first, _ in set(NAME.findall(e.turn.user))).most_common(1)[0][1] for e in hard
    ]
    assert statistics.mean(shared) > 2


@settings(max_examples=40, deadline=None)
@given(
    task=st.sampled_from(sorted(TASKS)),
    split=st.sampled_from(sorted(SPLITS)),
    seed=st.integers(0, 10**6),
    turns=st.integers(1, 9),
)
def test_conversations_alternate_and_their_first_prompt_is_of_the_split(task, split, seed, turns):
    made = next(conversations(task, split, seed, turns))
    assert 1 <= len(made.turns) <= turns
    roles = [message["role"] for message in made.messages]
    assert roles[1:] == ["user", "assistant"] * len(made.turns)
    assert split_of(made.turns[0].user) == split
    assert all(turn.answer in turn.answers for turn in made.turns)


def test_records_are_json_lines_without_loss(tmp_path):
    path = ullage.sample("verify", tmp_path / "verify.jsonl", "test", 20)
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert records == [example.record() for example in examples("verify", "test", 20)]
    assert {"id", "task", "split", "messages", "answer", "answers", "text", "start", "end"} <= set(records[0])


def test_what_does_not_exist_is_named():
    with pytest.raises(InputError, match="'juggle' is not a task of the small world; there are: answer, lie"):
        examples("juggle", "test", 1)
    with pytest.raises(InputError, match="'exam' is not a split of the small world; there are: train"):
        examples("answer", "exam", 1)


def test_a_task_with_too_few_prompts_says_so_instead_of_searching_on(monkeypatch):
    only = next(conversations("route", "test", 0, turns=1))
    monkeypatch.setitem(TASKS, "one", lambda chance, split, turns: only)
    with pytest.raises(InputError, match="has fewer than 2 different examples of 'one' in 'test'"):
        examples("one", "test", 2)
