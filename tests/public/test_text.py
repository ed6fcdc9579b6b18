"""What comes from outside is shown escaped, on one line, and without secrets."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ullage
from ullage.errors import InputError, SpecError
from ullage.reports.html_page import render_page
from ullage.text import LONGEST_LINE, holds_secret, keep_secret, one_line, visible

EVIL = "a\x1b[2J\x07\r\nullage: error: all is well\u202e\u2028\x9b1mb\ud800\u200f"


@given(st.text(st.characters(exclude_categories=())))
def test_a_line_is_one_line_and_shows_all_it_has(text):
    shown = one_line(text)
    assert len(shown.splitlines()) <= 1
    assert len(shown) <= LONGEST_LINE + 5
    assert one_line(shown) == shown
    shown.encode()


@given(st.text(st.characters(exclude_categories=("Cc", "Cf", "Cs", "Zl", "Zp"))))
def test_letters_of_every_script_stay(text):
    assert visible(text) == text


def test_joined_letters_and_emoji_stay():
    text = "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645 \U0001f468\u200d\U0001f469 a\u00a0b"
    assert visible(text) == text


def test_an_error_quotes_what_came_from_outside():
    said = str(InputError(f"{EVIL}: no such model"))
    assert said == (
        "a\\x1b[2J\\x07\\r\\nullage: error: all is well\\u202e\\u2028\\x9b1mb\\ud800\\u200f: no such model"
    )


def test_several_mistakes_are_several_lines_and_each_is_one():
    assert str(SpecError([f"one {EVIL}", "two"])).count("\n") == 1
    assert str(InputError("one\n", "two")) == "one\\n\ntwo"


def test_an_error_survives_being_sent():
    error = InputError("one\n", "two")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_a_long_line_keeps_its_end():
    said = one_line("n" * 100_000 + "; name another")
    assert len(said) < 2100
    assert said.endswith("; name another")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://me:pass@host/v1 fails", "http://***@host/v1 fails"),
        ("https://token@host", "https://***@host"),
        ("http://host/v1?api_key=abcdef&x=1", "http://host/v1?api_key=***&x=1"),
        ("http://host/a@b", "http://host/a@b"),
        ("a@b.org and http://host/v1", "a@b.org and http://host/v1"),
    ],
)
def test_passwords_and_tokens_in_addresses_are_hidden(text, shown):
    assert one_line(text) == shown
    assert holds_secret(text) == (text != shown)


def test_a_key_that_was_read_is_shown_nowhere():
    keep_secret("k-0123456789")
    assert one_line("wrong key k-0123456789 given") == "wrong key *** given"


def test_a_page_shows_what_turns_round_what_is_read(tmp_path):
    template = tmp_path / "page.jinja"
    template.write_text("<p>{{ text }}</p>")
    assert render_page(template, text="<b>\u202e\x1b\nline") == "<p>&lt;b&gt;\\u202e\\x1b\nline</p>"


def test_a_plan_shows_a_name_escaped():
    role = {"model": "ullage:tiny"}
    body = {"kind": "extract", "name": EVIL, "roles": {"model": role}, "budget": {"gpus": "cpu"}}
    body["captures"] = [{"sites": ["ln_final"]}]
    shown = str(ullage.plan(body))
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "\nullage: error" not in shown


@pytest.mark.parametrize("where", ["base_url", "model"])
def test_a_workload_holds_no_password(where):
    address = "http://me:correct-horse@host/v1"
    role = {"model": "m", "engine": "openai", "openai": {"base_url": "http://host/v1"}}
    if where == "model":
        role["model"] = address
    else:
        role["openai"]["base_url"] = address
    body = {"kind": "pii", "roles": {"verifier": role}, "budget": {"gpus": "cpu"}, "pii": {"input": "i"}}
    with pytest.raises(SpecError, match="password") as raised:
        ullage.load(body)
    assert "correct-horse" not in str(raised.value)


def test_a_workload_has_only_so_many_roles():
    roles = {f"r{number}": {"model": "ullage:tiny"} for number in range(5000)}
    with pytest.raises(SpecError, match="5,000 roles"):
        ullage.load({"kind": "assistant", "roles": roles, "budget": {"gpus": "cpu"}})
