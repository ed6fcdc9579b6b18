"""Verdicts weighed here and behind a server are the same: those of one rule, held against whole models."""

import json
import math
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from remote_server import Server
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers_server import served

import ullage
from ullage.engines.engine import Failure
from ullage.engines.forms import Step, begun_with, together, weigh
from ullage.engines.openai import Settings
from ullage.engines.openai_engine import OpenAIEngine
from ullage.engines.scripted import open_script
from ullage.engines.transformers_engine import TransformersEngine
from ullage.facts.bundled import tiny_path
from ullage.kinds.evaluate.judging import Judging
from ullage.kinds.evaluate.questions import Question
from ullage.workloads.judgement import Rule

ANSWERS = 200
WORDS = [("yes", "no"), ("correct", "incorrect")]


@pytest.fixture(scope="module")
def tiny():
    folder = tiny_path()
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    return model, AutoTokenizer.from_pretrained(folder)


@pytest.fixture(scope="module")
def prompts(tmp_path_factory):
    """Of 200 answers, half of them right."""
    file = tmp_path_factory.mktemp("asked") / "questions.jsonl"
    ullage.sample("answer", file, count=ANSWERS // 2)
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    judging = Judging(system="Judge whether the answer is correct. Reply {verdicts}.")
    return [
        judging.prompt(Question(str(n), row["question"], (row["truth"] or "unknown",)), answer or "unknown")
        for n, row in enumerate(rows)
        for answer in (row["truth"], rows[n - 1]["truth"])
    ]


@pytest.mark.parametrize("words", WORDS, ids="-".join)
@pytest.mark.long
def test_a_local_judge_and_the_same_model_behind_a_server_say_the_same(tiny, prompts, words, monkeypatch):
    monkeypatch.setenv("TEST_KEY", "sk-test")
    model, tokenizer = tiny
    local = TransformersEngine(SimpleNamespace(model=model, tokenizer=tokenizer, device="cpu"), "tiny")
    server = served(model, tokenizer)
    hosted = OpenAIEngine("tiny", Settings(base_url=server.url, key_env="TEST_KEY", concurrency=1))
    rule = Rule(words, least_mass=0.01)
    try:
        ours = [one for at in range(0, ANSWERS, 40) for one in weigh(local, prompts[at : at + 40], words)]
        theirs = weigh(hosted, prompts, words)
    finally:
        server.http.shutdown()
    same = 0
    for one, other in zip(ours, theirs, strict=True):
        assert [math.exp(each) for each in one] == pytest.approx([math.exp(e) for e in other], abs=1e-4)
        same += rule.weighed(one).verdict == rule.weighed(other).verdict
    assert same >= 0.99 * ANSWERS
    if words == WORDS[0]:
        assert {rule.weighed(one).verdict for one in ours} == {"yes", "no"}


def test_all_forms_of_a_word_count_and_nothing_beyond_the_twenty_likeliest(tiny, prompts):
    model, tokenizer = tiny
    local = TransformersEngine(SimpleNamespace(model=model, tokenizer=tokenizer, device="cpu"), "tiny")
    prompt = prompts[0]
    ids = tokenizer.apply_chat_template(
        list(prompt), add_generation_prompt=True, return_tensors="pt", return_dict=False
    )
    with torch.inference_mode():
        weights = model(ids).logits[0, -1].float().softmax(-1)
    top = weights.topk(20).indices.tolist()
    for word in ("yes", "no", "a"):
        forms = [token for token in top if tokenizer.decode([token]).strip().casefold() == word]
        ((found,),) = weigh(local, [prompt], [word])
        assert math.exp(found) == pytest.approx(sum(weights[token].item() for token in forms), abs=1e-6)


def step(token, **likeliest):
    told = [(name.replace("_", " "), math.log(share)) for name, share in likeliest.items()]
    return Step(token, dict(told)[token], told)


def test_words_are_summed_over_their_forms():
    found = begun_with(
        ("yes", "no"), [step("Yes", Yes=0.5, _yes=0.2, YES=0.1, No=0.1, y=0.05, yesterday=0.01)]
    )
    assert [math.exp(one) for one in found] == pytest.approx([0.8, 0.1])


def test_a_word_of_several_tokens_is_followed_as_far_as_the_likeliest_reply_has_it():
    steps = [step("In", In=0.6, Correct=0.3, incorrect=0.05), step("correct", correct=0.9, fact=0.1)]
    found = begun_with(("correct", "incorrect"), steps)
    assert [math.exp(one) for one in found] == pytest.approx([0.3, 0.05 + 0.6 * 0.9])
    other = [step("In", In=0.6, Correct=0.3), step("fact", fact=0.9, correct=0.1)]
    assert math.exp(begun_with(("correct", "incorrect"), other)[1]) == pytest.approx(0.06)
    assert begun_with(("correct", "incorrect"), [step("I", I=0.9)])[1] == -math.inf


@given(st.lists(st.floats(-20, 0), max_size=8))
def test_the_forms_of_a_word_exclude_each_other(logprobs):
    assert math.exp(together(logprobs)) == pytest.approx(math.fsum(map(math.exp, logprobs)))
    assert math.isnan(together([*logprobs, math.nan]))


def test_a_script_writes_any_forms(tmp_path):
    scores = {"Yes": math.log(0.25), " yes": math.log(0.5), "No": math.log(0.1)}
    (tmp_path / "script.jsonl").write_text(json.dumps({"scores": scores}))
    (found,) = weigh(open_script(tmp_path / "script.jsonl"), ["?"], ["yes", "no"])
    assert [math.exp(one) for one in found] == pytest.approx([0.75, 0.1])


def test_a_server_without_probabilities_is_a_failure_that_says_so(monkeypatch):
    monkeypatch.setenv("TEST_KEY", "sk-test")
    message = {"role": "assistant", "content": "Yes"}
    choice = {"index": 0, "finish_reason": "stop", "message": message, "logprobs": None}
    told = {"id": "1", "object": "chat.completion", "created": 0, "model": "served", "choices": [choice]}
    server = Server(lambda body, seen: (200, told))
    try:
        engine = OpenAIEngine("served", Settings(base_url=server.url, key_env="TEST_KEY", retries=0))
        (found,) = weigh(engine, ["?"], ["yes", "no"])
    finally:
        server.http.shutdown()
    assert isinstance(found, Failure)
    assert "gives no log-probabilities" in found.reason
