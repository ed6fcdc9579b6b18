"""A tokenizer that is not there, one that is broken and one of another model are three things."""

import json
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import ullage
from ullage.errors import FormatError, InputError, UnsupportedError
from ullage.runtime.loader import load_tokenizer
from ullage.spec.role import Role


@pytest.fixture
def folder(model_folder, tmp_path):
    return shutil.copytree(model_folder, tmp_path / "model")


def opened(folder, **fields):
    return load_tokenizer(Role(model=str(folder), **fields))


def test_a_folder_without_tokenizer_files_has_none(folder):
    assert opened(folder) is not None
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    assert opened(folder) is None


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json"])
@pytest.mark.parametrize("text", ["", "{", '{"model": {"type": "Nothing"}}', "[]"])
def test_a_broken_file_is_named(folder, name, text):
    (folder / name).write_text(text)
    if (name, text) == ("tokenizer_config.json", '{"model": {"type": "Nothing"}}'):
        return  # that is a configuration which says nothing
    with pytest.raises(FormatError) as caught:
        opened(folder)
    assert "\n" not in str(caught.value)
    assert f"{folder}/tokenizer" in str(caught.value)
    if text in ("", "{"):
        assert f"{folder}/{name}: " in str(caught.value)
        assert "not JSON" in str(caught.value)


def test_code_of_a_repository_is_asked_for_and_not_taken_for_none(folder):
    config = json.loads((folder / "tokenizer_config.json").read_text())
    config |= {"auto_map": {"AutoTokenizer": ["own.Own", None]}, "tokenizer_class": "Own"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").unlink()
    (folder / "own.py").write_text("raise SystemExit('ran')")
    with pytest.raises(UnsupportedError, match="trust_remote_code: true"):
        opened(folder)


def spoil(folder):
    """Gives the last word of the vocabulary an id that the model has no embedding of; that word."""
    body = json.loads((folder / "tokenizer.json").read_text())
    rows = json.loads((folder / "config.json").read_text())["vocab_size"]
    body["added_tokens"].append(
        {
            "id": rows + 7,
            "content": "<far>",
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": False,
        }
    )
    (folder / "tokenizer.json").write_text(json.dumps(body))
    assert max(opened(folder)("a <far> b")["input_ids"]) >= rows
    return "a <far> b"


def test_a_tokenizer_of_more_ids_than_the_model_has_rows(folder, tmp_path):
    text = spoil(folder)
    (tmp_path / "texts.jsonl").write_text(json.dumps({"text": text}))
    with pytest.raises(InputError, match=r"'<far>' as id [\d,]+, and the model has [\d,]+ embeddings"):
        ullage.extract(str(folder), tmp_path / "texts.jsonl", ["blocks.0.hook_resid_post"], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    (tmp_path / "texts.jsonl").write_text(json.dumps({"text": "a b"}))
    ullage.extract(str(folder), tmp_path / "texts.jsonl", ["blocks.0.hook_resid_post"], tmp_path / "out")


def test_a_prompt_of_such_a_token_is_refused(folder, tmp_path):
    text = spoil(folder)
    template = "{% for one in messages %}{{ one.content }} {% endfor %}"
    (folder / "chat_template.jinja").write_text(template)
    (tmp_path / "asked.jsonl").write_text(json.dumps({"question": text, "answers": ["b"]}))
    roles = {"generator": {"model": str(folder)}, "judge": {"model": str(folder)}}
    section = {"input": str(tmp_path / "asked.jsonl"), "fields": {"references": "answers"}}
    workload = {"kind": "evaluate", "roles": roles, "evaluate": section}
    (tmp_path / "w.yaml").write_text(json.dumps(workload | {"new_tokens": 2}))
    with pytest.raises(FormatError, match=r"embeddings; give it the tokenizer it was trained with"):
        ullage.run(ullage.load(tmp_path / "w.yaml"), tmp_path / "run", "cpu")


FIRST_CALLS = """
import sys
from threading import Barrier, Thread
import ullage
from ullage.runtime.loader import load_tokenizer
from ullage.spec.role import Role

said, ready = [], Barrier(8)

def call():
    ready.wait()
    try:
        said.append(len(load_tokenizer(Role(model=sys.argv[1]))("a b")["input_ids"]))
    except BaseException as error:
        said.append(repr(error))

threads = [Thread(target=call) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert len(said) == 8 and len(set(said)) == 1 and isinstance(said[0], int), said
"""


@pytest.mark.long
def test_first_calls_in_threads_lose_no_tokenizer(model_folder):
    subprocess.run([sys.executable, "-c", FIRST_CALLS, str(model_folder)], check=True)


def test_calls_in_threads_ask_the_library_one_after_another(folder, monkeypatch):
    from transformers import AutoTokenizer

    inside, most = [], []
    load = AutoTokenizer.from_pretrained

    def counted(*args, **kwargs):
        inside.append(1)
        most.append(len(inside))
        time.sleep(0.01)
        found = load(*args, **kwargs)
        inside.pop()
        return found

    monkeypatch.setattr(AutoTokenizer, "from_pretrained", counted)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: opened(folder), range(8)))
    assert len({len(each("a b")["input_ids"]) for each in found}) == 1
    assert set(most) == {1}
    assert len(most) >= 8


def replaces(content, **pattern):
    return {"type": "Replace", "pattern": pattern, "content": content}


@pytest.mark.parametrize(
    ("part", "body"),
    [
        ("normalizer", replaces("e" * 10_000, String="e")),
        ("normalizer", {"type": "Sequence", "normalizers": [replaces("eeee", String="e")] * 16}),
        ("normalizer", replaces("e" * 10_000, Regex="[a-z]*")),
        ("normalizer", {"type": "Prepend", "prepend": "e" * 10_000}),
        ("decoder", replaces("e" * 10_000, String="e")),
    ],
)
def test_one_that_makes_far_more_of_a_text_is_refused(folder, part, body):
    file = folder / "tokenizer.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), part: body}))
    with pytest.raises(FormatError, match=part):
        opened(folder)


def test_one_that_makes_a_little_more_is_not(folder):
    file = folder / "tokenizer.json"
    some = {
        "type": "Sequence",
        "normalizers": [{"type": "Prepend", "prepend": "_"}, replaces("__", String=" ")],
    }
    file.write_text(json.dumps({**json.loads(file.read_text()), "normalizer": some}))
    assert opened(folder) is not None


def test_one_without_an_end_is_refused(folder):
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer.json").symlink_to("/dev/zero")
    with pytest.raises(FormatError, match="no ordinary file"):
        opened(folder)
