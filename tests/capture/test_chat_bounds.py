"""A chat template is a stranger's program: it ends, takes little, and what it trips over is one line."""

import os
import resource

import pytest

from ullage.capture import chats
from ullage.capture.chats import render_chat
from ullage.errors import InputError, UnsupportedError
from ullage.facts.bundled import tiny_path

MESSAGES = [{"role": "user", "content": "hello"}]


@pytest.fixture(scope="module")
def tokenizer():
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_path())


@pytest.fixture
def rendered(tokenizer, monkeypatch):
    monkeypatch.setattr(chats, "MOST_SECONDS", 0.3)

    def render(template):
        monkeypatch.setattr(tokenizer, "chat_template", template)
        return render_chat(tokenizer, MESSAGES, "m", invite=True)

    return render


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", "does not end"),
        ("{% for a in range(9999) %}" + "x" * 200 + "{% endfor %}", "makes 1,999,800 characters of 9"),
        ("{{ 'word ' * 3000000000 }}", "takes more than"),
        ("{{ 1 // 0 }}", "fails: ZeroDivisionError"),
        ("{{ messages[0] + 1 }}", "fails: TypeError"),
        ("{% for m in messages %}", "refuses them"),
        ("{{ raise_exception('no\x1b[2J\nullage: error: forged') }}", r"no\\x1b\[2J\\nullage"),
    ],
)
def test_what_a_template_does_is_told_in_one_line(rendered, template, said):
    before = resource.getrlimit(resource.RLIMIT_AS)
    with pytest.raises(InputError, match=said) as raised:
        rendered(template)
    assert len(str(raised.value).splitlines()) == 1
    assert resource.getrlimit(resource.RLIMIT_AS) == before


def test_powers_are_refused(rendered):
    with pytest.raises(UnsupportedError, match="power"):
        rendered("{{ 10 ** 10 ** 10 }}")


def test_a_template_that_ends_is_as_before_and_nothing_is_raised_later(rendered):
    with pytest.raises(InputError):
        rendered("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}")
    for _ in range(1000):
        assert rendered("{{ messages[0]['content'] }} there") == "hello there"


def test_a_fork_is_held_to_it_too(rendered):
    rendered("{{ messages[0]['content'] }}")
    child = os.fork()
    if child == 0:
        try:
            rendered("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}")
        except InputError:
            os._exit(0)
        os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
