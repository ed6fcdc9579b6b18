"""`ullage chat` as a user meets it: at a terminal, in a pipe, and read by probes."""

import io
import json
import signal

import jsonschema
import numpy as np
import pytest
import small_models
from transformers import AutoModelForCausalLM, AutoTokenizer

import ullage
from ullage.cli.chat import converse
from ullage.cli.main import main
from ullage.cli.replies import screen_for
from ullage.engines.prompts import PromptEncoder
from ullage.probes.card import Card, Origin, save_probe
from ullage.probes.probe import Probe, Reading
from ullage.runtime.bounded import bounded

SITES = ("blocks.2.hook_resid_post", "blocks.4.hook_resid_post")
LONG = ("--temperature", "9", "--seed", "3", "--new-tokens", "12")


class Typing(io.StringIO):
    """A terminal at which somebody types."""

    def isatty(self):
        return True


class Screen(io.StringIO):
    """A terminal, whose reader presses Ctrl-C after so many writes."""

    encoding = "utf-8"

    def __init__(self, after):
        super().__init__()
        self.left = after

    def isatty(self):
        return True

    def write(self, text):
        written = super().write(text)
        if self.left is not None and text.strip() and not text.startswith(">"):
            self.left -= 1
            if self.left == 0:
                signal.raise_signal(signal.SIGINT)
        return written


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two probes of the bundled model."""
    path = tmp_path_factory.mktemp("read")
    chance = np.random.default_rng(0)
    for name, sites, reading in (("line", SITES[:1], Reading()), ("both", SITES, Reading("mean"))):
        width = 192 * len(sites)
        weight = {"weight": chance.normal(size=width)}
        probe = Probe("linear", sites, 192, np.zeros(width), np.ones(width), weight, 0.0, reading)
        card = Card(
            "none", Origin("ullage:tiny", "", "bf16"), threshold=0.5, rate=0.01, control="9 dialogues"
        )
        save_probe(probe, card, path / name)
    return path


@pytest.fixture
def talk(capsys, monkeypatch):
    """Exit code, output and errors of a talk, whose turns are lines."""

    def talk(*arguments, typed="Who?\n", terminal=False, interrupted=None):
        screen = Screen(interrupted)
        monkeypatch.setattr("sys.stdin", Typing(typed) if terminal else io.StringIO(typed))
        if terminal:
            monkeypatch.setattr("sys.stdout", screen)
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["chat", *map(str, arguments), "--gpus", "cpu"])
        out, err = capsys.readouterr()
        return ended.value.code, screen.getvalue() if terminal else out, err

    return talk


def test_scores_of_a_talk_are_those_of_its_states(talk, folder):
    """Of every token, the last one included, whatever turn; of the whole reply too."""
    probes = ("--probe", folder / "line", "--probe", folder / "both")
    code, out, err = talk("ullage:tiny", "--json", *LONG, *probes, typed="Who is it?\nWhy?\n")
    assert code == 0
    assert "probes.line: the probe was fitted to another precision (bf16; these states are of fp32)" in err
    lines = [json.loads(line) for line in out.splitlines()]
    assert all(len(line["tokens"]) > 1 for line in lines)
    assert "length" in {line["stop"] for line in lines}
    tokenizer = AutoTokenizer.from_pretrained(ullage.tiny_path())
    model = AutoModelForCausalLM.from_pretrained(ullage.tiny_path(), dtype="float32")
    extractor = ullage.Extractor(model, SITES)
    said = []
    for question, line in zip(("Who is it?", "Why?"), lines, strict=True):
        jsonschema.validate(line, ullage.document_schema("chat-reply"))
        assert "".join(line["pieces"]) == line["text"]
        said.append({"role": "user", "content": question})
        prompt = PromptEncoder(tokenizer, "tiny").ids(tuple(said))
        said.append({"role": "assistant", "content": line["text"]})
        assert line["prompt_tokens"] == len(prompt)
        states = extractor.read([[*prompt, *line["tokens"]]])[0].states
        for name in ("line", "both"):
            probe, told = ullage.open_probe(folder / name), line["probes"][name]
            mine = np.concatenate([states[site].double().numpy() for site in probe.sites], 1)[len(prompt) :]
            np.testing.assert_allclose(told["tokens"], probe.tokens(mine), rtol=1e-4, atol=1e-3)
            kept = mine.mean(0, keepdims=True) if name == "both" else mine
            (whole,) = probe.dialogues(kept, np.zeros(1, np.int64))
            assert told["score"] == pytest.approx(whole, rel=1e-4, abs=1e-3)
            assert told["above"] == (told["score"] >= 0.5)


def test_a_terminal_shows_colours_and_those_who_want_none_signs_and_numbers(talk, folder, monkeypatch):
    arguments = ("ullage:tiny", "--probe", folder / "line", *LONG)
    code, out, err = talk(*arguments, typed="Who?\n/reset\nWho?\n/exit\nWho?\n", terminal=True)
    assert code == 0
    assert (
        "planned: ullage:tiny in fp32, 1,012 tokens of conversation, replies of up to 12, read by line:"
        in err
    )
    assert "from 0.5, its card's threshold on" in err
    first, _, second = out.partition("the threshold 0.5 (at most 1.0% of 9 dialogues)\n")
    assert "\x1b[" in first
    assert second.count("the threshold 0.5") == 1
    assert any(sign in first for sign in "⁺⁻")
    monkeypatch.setenv("NO_COLOR", "1")
    code, plain, _ = talk(*arguments, "--numbers", terminal=True)
    assert "\x1b" not in plain
    assert plain.count("[+") + plain.count("[-") >= 8


def test_ctrl_c_stops_the_reply_and_keeps_the_talk(talk):
    arguments = ("ullage:tiny", *LONG)
    code, out, _ = talk(*arguments, typed="Who?\nWhy?\n", terminal=True, interrupted=3)
    assert code == 0
    stopped, _, rest = out.removeprefix("> ").partition(" (stopped)\n")
    assert stopped
    assert rest.count("\n") == 1
    assert rest.startswith("> ")
    whole, _, _ = talk(*arguments, typed="Who?\n", terminal=True)[1].removeprefix("> ").partition("\n")
    assert whole.startswith(stopped)
    assert whole != stopped


def test_a_talk_longer_than_planned_says_what_it_leaves_out(talk):
    typed = "Who is it?\nAnd why?\nAnd where?\nOr how?\n"
    sized = ("--prompt-tokens", "24", "--new-tokens", "2", "--json", "--temperature", "3")
    code, out, err = talk("ullage:tiny", *sized, typed=typed)
    assert code == 0
    left = [json.loads(line)["left_out"] for line in out.splitlines()]
    assert left[0] == 0
    assert left == sorted(left)
    assert left[-1] >= 1
    assert all(json.loads(line)["prompt_tokens"] <= 24 for line in out.splitlines())
    assert (
        "longer than the 24 tokens planned for: its oldest 1 turn is left out from here on, 1 so far" in err
    )
    code, out, err = talk("ullage:tiny", *sized, typed="why " * 40)
    assert (code, out) == (2, "")
    assert "by itself, and the plan is for 24; shorten it" in err
    code, _, err = talk("ullage:tiny", *sized[:4], typed="why " * 40 + "\nWho?\n", terminal=True)
    assert code == 0
    assert "by itself" in err


def test_bytes_that_are_no_text_are_refused_and_a_terminal_asks_on(talk):
    """As Python reads bytes that are none; the others of a pipe are answered."""
    code, out, err = talk("ullage:tiny", "--new-tokens", "2", typed="Wh\udcffo\nWho?\n")
    assert code == 2
    assert out.strip()
    assert "line 1: not UTF-8 text; it is not answered" in err
    assert "standard input: 1 line is not UTF-8 text; all others were answered" in err
    code, out, err = talk("ullage:tiny", "--new-tokens", "2", typed="Wh\udcffo\nWho?\n", terminal=True)
    assert code == 0
    assert "not UTF-8 text" in err


@pytest.mark.long
def test_bytes_that_are_no_text_end_no_talk(forks):
    arguments = ("chat", "ullage:tiny", "--gpus", "cpu", "--new-tokens", "2", "--json")
    done = forks.run(*arguments, given=b"caf\xe9\nWho?\n")
    assert done.returncode == 2
    assert len(done.stdout.splitlines()) == 1
    assert "line 1: not UTF-8 text" in done.stderr


@pytest.mark.parametrize("terminal", [True, False])
def test_a_command_that_there_is_not_is_told_what_there_is(talk, terminal):
    arguments = ("ullage:tiny", "--new-tokens", "2", "--json")
    code, out, err = talk(*arguments, typed="/help\n/rest me\n/usr/bin?\n", terminal=terminal)
    assert code == 0
    assert "/help is no command here: /reset forgets what was said, /exit or Ctrl-D ends" in err
    assert "/rest is no command here" in err
    assert out.count('"text"') == 1


def test_a_model_without_a_template_goes_on_from_plain_text(talk, tmp_path):
    model = small_models.save(tmp_path / "plain")
    code, out, err = talk(model, "--new-tokens", "4", "--json", typed="the cat\n")
    assert code == 0
    assert "has no chat template; what is said is plain text, line after line" in err
    with ullage.chat(str(model), gpus="cpu", new_tokens=4) as talking:
        *tokens, said = talking.say("the cat")
    assert "".join(token.text for token in tokens) == said.text == json.loads(out)["text"]


def test_memory_that_runs_out_is_a_line_and_the_talk_goes_on(tmp_path, monkeypatch, capsys):
    """Scores of all pairs of 5,000 tokens are asked for at once, in a process that may take little more."""
    model = small_models.save(tmp_path / "eager", chat=True, positions=8192)
    role = {"model": str(model), "attention": "eager"}
    file = {"kind": "evaluate", "roles": {"generator": role}, "evaluate": {"input": "none.jsonl"}}
    (tmp_path / "work.json").write_text(json.dumps(file))
    long = "the cat " * 2500
    monkeypatch.setattr("sys.stdin", Typing(f"Who?\n{long}\nWhy?\n"))
    with ullage.chat(tmp_path / "work.json", gpus="cpu", prompt_tokens=8000, new_tokens=4) as talk:
        with bounded(60, 150 * 2**20):
            converse(talk, screen_for({}, False, False), True)
        said = [message["content"] for message in talk.messages if message["role"] == "user"]
        with bounded(60, 150 * 2**20), pytest.raises(ullage.OutOfMemoryError, match="plan for less"):
            list(talk.say(long))
        assert [message["content"] for message in talk.messages if message["role"] == "user"] == said
    assert said == ["Who?", "Why?"]
    out, err = capsys.readouterr()
    assert out.count("> ") == 4
    assert err.count("ullage: memory ran out 0 tokens into a reply to") == 1
    assert "Traceback" not in err


def test_a_workload_file_is_talked_to_as_it_says(talk, folder):
    file = {
        "kind": "evaluate",
        "roles": {
            "generator": {"model": "ullage:tiny", "new_tokens": 3},
            "judge": {"model": "ullage:tiny", "prompt_tokens": 64},
        },
        "probes": {"inner": {"path": "line", "role": "generator"}},
        "evaluate": {"input": "none.jsonl"},
    }
    (folder / "work.json").write_text(json.dumps(file))
    code, out, err = talk(folder / "work.json", "--json", "--prompt-tokens", "100", "--temperature", "4")
    assert code == 0, err
    line = json.loads(out)
    assert len(line["tokens"]) <= 3
    assert list(line["probes"]) == ["inner"]
    parts = {name: {"model": "ullage:tiny"} for name in ("wolf", "villager")}
    seats = {"werewolf": "wolf", "villager": "villager"}
    two = {
        "kind": "werewolf",
        "roles": parts,
        "prompt_tokens": 900,
        "new_tokens": 8,
        "werewolf": {"seats": seats},
    }
    (folder / "two.json").write_text(json.dumps(two))
    code, _, err = talk(folder / "two.json")
    assert code == 2
    assert "has roles wolf, villager and none called generator to talk to" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["ullage:tiny", "--probe", "nowhere"], "probes.nowhere: "),
        (["ullage:tiny", "--new-tokens", "2000"], "has room for 1,024 tokens, and not for a reply of 2,000"),
        (["ullage:tiny", "--temperature", "-1"], "temperature: is from 0 to 10"),
        (["ullage:tiny", "--seed", "99999999999999"], "seed: 99999999999999 is not from 0 to 2,147,483,648"),
        (["ullage:tiny", "--system", "Wh\udcffo"], "system: not UTF-8 text"),
        (["ullage:tiny", "--json", "--numbers"], "--numbers: is of what is shown"),
        (["nobody/nothing"], "nobody/nothing"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(talk, arguments, said):
    code, out, err = talk(*arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert "Traceback" not in err


def test_an_engine_without_states_is_refused_with_what_has_them(talk, folder):
    served = {
        "kind": "evaluate",
        "roles": {"generator": {"model": "ullage:tiny", "engine": "vllm"}},
        "evaluate": {"input": "none.jsonl"},
    }
    (folder / "served.json").write_text(json.dumps(served))
    code, _, err = talk(folder / "served.json", "--probe", folder / "line")
    assert code == 2
    assert (
        "which gives no states; use transformers, or score the finished texts with `ullage probe apply`"
        in err
    )
