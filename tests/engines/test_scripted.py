"""The engine that replays a file."""

import pytest

from ullage.engines.engine import Sampling
from ullage.engines.scripted import ScriptedEngine, open_script, stand_in
from ullage.errors import EngineError, FormatError, InputError

SCRIPT = """
{"contains": "capital", "text": "Drosa", "logprobs": [-0.2], "entropies": [0.5]}
{"contains": "judge", "scores": {"yes": -0.1, "no": -2.5}}
{"text": "unknown"}
"""


@pytest.fixture
def engine(tmp_path):
    (tmp_path / "s.jsonl").write_text(SCRIPT, encoding="utf-8")
    return open_script(tmp_path / "s.jsonl")


def test_the_first_line_that_meets_a_prompt_answers_it(engine):
    chat = ({"role": "user", "content": "the capital?"},)
    replies = engine.generate([chat, "what else?"], Sampling(4), [0, 1])
    assert [reply.text for reply in replies] == ["Drosa", "unknown"]
    assert replies[0].logprobs == (-0.2,)
    assert engine.score(["judge this"], ["no", " yes"]) == [(-2.5, -0.1)]


def test_what_the_script_lacks_is_named_without_the_prompt(engine):
    with pytest.raises(EngineError, match="no score for the choice 'maybe'"):
        engine.score(["judge this"], ["maybe"])
    with pytest.raises(EngineError, match="no line with 'scores' meets a prompt of 6 characters"):
        engine.score(["secret"], ["yes"])


def test_a_batch_takes_as_long_as_the_slowest_of_its_lines(tmp_path, monkeypatch):
    slept = []
    monkeypatch.setattr("time.sleep", slept.append)
    lines = ('{"contains": "a", "text": "x", "seconds": 0.1}', '{"contains": "b", "text": "y", "seconds": 2}')
    (tmp_path / "s.jsonl").write_text("\n".join(lines))
    open_script(tmp_path / "s.jsonl").generate(["a", "b", "a"], Sampling(4), [0, 1, 2])
    assert slept == [2.0]


@pytest.mark.parametrize(
    "text, said",
    [
        ("", "has no lines"),
        ('{"text": "a", "seconds": -1}', "seconds are from 0 to 3600, not -1"),
        ('{"text": "a", "seconds": NaN}', "seconds are from 0 to 3600, not nan"),
        ("{", "s.jsonl:1: not JSON"),
        ('{"contains": "x"}', "s.jsonl:1: not an object with 'text' or 'scores'"),
        ('{"text": "a", "colour": 1}', "s.jsonl:1: not an object"),
        ('{"text": "a", "logprobs": "many"}', "s.jsonl:1"),
        ('{"scores": {"yes": "high"}}', "s.jsonl:1"),
        ("[]", "s.jsonl:1: not an object"),
    ],
)
def test_a_broken_script_is_refused_with_its_line(tmp_path, text, said):
    (tmp_path / "s.jsonl").write_text(text, encoding="utf-8")
    with pytest.raises(FormatError, match=said):
        open_script(tmp_path / "s.jsonl")


def test_a_missing_script_is_named(tmp_path):
    with pytest.raises(InputError, match="the script cannot be read"):
        open_script(tmp_path / "none.jsonl")


def test_what_stands_in_for_a_model_says_so_and_repeats_what_it_was_given():
    engine = ScriptedEngine("stand-in", [stand_in("voice")])
    chat = ({"role": "system", "content": "Be kind."}, {"role": "user", "content": "Is it five?"})
    replies = engine.generate([chat, "plain"], Sampling(1), [0, 0])
    assert [reply.text for reply in replies] == [
        "(development, no model) voice was given: Is it five?",
        "(development, no model) voice was given: plain",
    ]
    with pytest.raises(EngineError, match="stand-in: no line with 'scores'"):
        engine.weigh(["?"], ["yes"])
