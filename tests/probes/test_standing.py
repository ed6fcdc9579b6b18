"""What counts in a dialogue is found where it was said, not in the words of a template."""

import json

import jinja2
import pytest

from ullage.api.probe_states import Extraction, Reader, stored
from ullage.probes.dialogues import match
from ullage.probes.labels import Labelled, read_labels
from ullage.probes.standing import Frames, written

CHATML = (
    "{% for one in messages %}<|im_start|>{{ one.role }}\n{{ one.content | trim }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
INSIDE = (
    "{% for one in messages %}{% if one.role != 'system' %}[{{ one.role }} {% if loop.index0 == 1 %}"
    "{{ messages[0].content }} {% endif %}{{ one.content }}]{% endif %}{% endfor %}"
)


class Templated:
    """A tokenizer, of which only its template is used."""

    def __init__(self, chat_template):
        self.chat_template = chat_template

    def apply_chat_template(self, messages, tokenize, add_generation_prompt):
        asked = {"messages": messages, "add_generation_prompt": add_generation_prompt}
        return jinja2.Template(self.chat_template).render(**asked)


@pytest.mark.parametrize("template", [CHATML, INSIDE])
@pytest.mark.parametrize("answer", ["assistant", "user", "im_start", "assistant\nassistant", "A"])
@pytest.mark.parametrize("question", ["user", "assistant", "Who?"])
def test_an_answer_that_is_a_word_of_the_template_is_found_where_it_was_said(template, answer, question):
    told = [("system", "system"), ("user", question), ("assistant", answer), ("user", question)]
    said = tuple({"role": role, "content": content} for role, content in told)
    tokenizer = Templated(template)
    text = written(said, tokenizer)
    begin = written([*said[:2], {**said[2], "content": "\x00"}, said[3]], tokenizer).index("\x00")
    one = Labelled("1", 1, True, messages=said, detect=(2,))
    place = (begin, begin + len(answer))
    assert one.counted(text, Frames(lambda: tokenizer).of(said)) == [place]
    assert one.counted(text) in (None, [place])


def test_a_dialogue_whose_answer_says_assistant_is_read_at_its_answer(tmp_path):
    """By the model, and again from the states that it left."""
    chat = [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "assistant"}]
    file = tmp_path / "labels.jsonl"
    lines = [{"messages": chat, "label": at % 2, "id": str(at)} for at in range(4)]
    file.write_text("".join(json.dumps(each) + "\n" for each in lines))
    labelled = read_labels(file)
    reader = Reader("ullage:tiny", ("blocks.0.hook_resid_post",), how=Extraction(gpus="cpu"))
    read = reader.read(labelled, tmp_path / "out", "it")
    for found in (read, stored(tmp_path / "out" / "run")):
        row = found.states.rows[0]
        low = row["text"].rindex("assistant")
        wanted = [
            token
            for token, begin, end in zip(row["tokens"], row["offset_begin"], row["offset_end"], strict=True)
            if begin < low + len("assistant") and end > low
        ]
        dialogues = match(labelled, found.states, tuple(found.states.sites), "it", frames=found.frames())
        assert row["text"].count("assistant") == 2
        assert list(dialogues.token_ids[0]) == wanted
