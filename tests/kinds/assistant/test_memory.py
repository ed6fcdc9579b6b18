"""An assistant's memory: notes are kept, found and forgotten, each user's apart."""

import sqlite3
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import memory_kills
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer

from ullage.engines.transformers_engine import TransformersEngine
from ullage.errors import BusyError, EngineError, FormatError, InputError, UnsupportedError
from ullage.facts.bundled import TINY, tiny_path
from ullage.kinds.assistant.memory.chroma_memory import DATABASE, id_of, open_chroma
from ullage.kinds.assistant.memory.embedder import QUESTIONS, STATEMENTS, beginning, by_states, by_words
from ullage.kinds.assistant.memory.memory import Found, Limits, Note, Query
from ullage.kinds.assistant.memory.opening import open_memory
from ullage.kinds.assistant.memory.ranking import Weights, ranked
from ullage.kinds.assistant.memory_section import MemorySection

WORDS = by_words(64)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "memories"


@pytest.fixture
def memory(folder):
    with open_chroma(folder, WORDS) as opened:
        yield opened


def keep(memory, user, *texts, **more):
    return [memory.add(user, Note(text, text, **more)).id for text in texts]


def texts_of(memory, user, text, count=100, tags=()):
    return [one.text for one in memory.search(user, Query(text, tags, count))]


NAMES = st.sampled_from(
    ["ada", "Ada", "ada ", "", "a\0da", "\u00e9", "e\u0301", "../ada", "user-", "x" * 300]
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), NAMES, st.integers(0, 30)),
        st.tuples(st.just("search"), NAMES, st.integers(0, 30)),
        st.tuples(st.just("delete"), NAMES, st.integers(0, 30)),
    ),
    max_size=20,
)


@settings(max_examples=10)
@given(STEPS)
def test_no_query_of_a_user_gives_what_another_said(tmp_path_factory, steps):
    said = {}
    with open_chroma(tmp_path_factory.mktemp("law"), WORDS) as memory:
        for what, user, number in steps:
            own = said.setdefault(user, {})
            if what == "add":
                own[f"k{number}"] = text = f"{user!r} said the number {number}"
                memory.add(user, Note(f"k{number}", text, (f"t{number % 3}",)))
            elif what == "search":
                found = memory.search(user, Query(f"said the number {number}", (f"t{number % 3}",), 50))
                assert sorted(one.text for one in found) == sorted(own.values())
            elif number in range(10):
                memory.delete(user, [id_of(f"k{number}")])
                own.pop(f"k{number}", None)
            assert memory.count(user) == len(own)


def test_what_was_kept_is_there_when_the_folder_is_opened_again(folder):
    with open_chroma(folder, WORDS) as memory:
        keep(
            memory,
            "ada",
            "her cat is called Moss",
            tags=("pets", "names"),
            significance=0.9,
            said="on Monday",
        )
    with open_chroma(folder, WORDS) as memory:
        (found,) = memory.search("ada", Query("what is her cat called"))
        assert found.text == "her cat is called Moss"
        assert (found.tags, found.significance, found.said) == (("pets", "names"), 0.9, "on Monday")
        assert memory.count("ada") == 1


def test_the_nearest_note_comes_first_among_many(memory):
    many = [f"note {n} about topic{n} and thing{n * 7}" for n in range(60)]
    keep(memory, "ada", *many)
    for n in range(0, 60, 9):
        assert texts_of(memory, "ada", many[n], 1) == [many[n]]


def test_a_note_with_a_tag_that_is_asked_for_is_considered_however_far_it_is(folder):
    with open_chroma(folder, WORDS, weights=Weights(1, 2, 0)) as memory:
        keep(memory, "ada", *(f"apples and pears and plums {n}" for n in range(40)))
        keep(memory, "ada", "something else entirely", tags=("wanted", "more"))
        near = memory.search("ada", Query("apples and pears", count=4))
        assert all("apples" in one.text for one in near)
        (found,) = memory.search("ada", Query("apples and pears", ("wanted", "more"), 1))
        assert (found.text, found.score) == ("something else entirely", pytest.approx(2.0))


FOUND = [
    Found("near", "", (), 0.0, "", 0.95, 0.0),
    Found("tagged", "", ("a", "b"), 0.0, "", 0.93, 0.0),
    Found("grave", "", (), 1.0, "", 0.91, 0.0),
]


@pytest.mark.parametrize(
    ("weights", "tags", "scores"),
    [
        (Weights(1, 0, 0), ("a",), {"near": 1.0, "tagged": 0.5, "grave": 0.0}),
        (Weights(0, 1, 0), ("a", "c"), {"tagged": 0.5, "near": 0.0, "grave": 0.0}),
        (Weights(0, 0, 2), (), {"grave": 2.0, "near": 0.0, "tagged": 0.0}),
        (Weights(1, 0.75, 0.5), ("b",), {"tagged": 1.25, "near": 1.0, "grave": 0.5}),
    ],
)
def test_notes_are_ranked_by_the_stated_formula(weights, tags, scores):
    found = ranked(FOUND, tags, weights)
    assert {one.id: one.score for one in found} == pytest.approx(scores)
    assert [one.id for one in found] == list(scores)


def test_where_all_are_equally_alike_significance_decides():
    same = [replace(one, similarity=0.5) for one in FOUND]
    assert next(one.id for one in ranked(same, (), Weights())) == "grave"


def test_too_many_notes_lose_the_least_significant_and_of_these_the_oldest(folder):
    with open_chroma(folder, WORDS, Limits(notes=10)) as memory:
        for n in range(10):
            assert (
                memory.add(
                    "ada", Note(f"k{n}", f"word{n}", significance=0.2 if n in (3, 4, 8) else 0.6)
                ).dropped
                == 0
            )
        memory.add("bob", Note("k", "bob's"))
        assert memory.add("ada", Note("new", "newest", significance=0.0)).dropped == 2
        held = set(texts_of(memory, "ada", "word"))
        assert held == {f"word{n}" for n in range(10) if n not in (3, 4)} | {"newest"}
        assert texts_of(memory, "bob", "word") == ["bob's"]
    texts = [f"word{n}" for n in (3, 4)]
    with sqlite3.connect(folder / DATABASE) as database:
        rows = [row for (row,) in database.execute("SELECT string_value FROM embedding_metadata")]
    assert not set(texts) & set(rows)


def test_the_same_note_is_there_once_and_a_key_has_one_text(memory):
    first = memory.add("ada", Note("turn 2", "likes tea"))
    again = memory.add("ada", Note("turn 2", "likes tea"))
    assert (first.known, again.known, first.id == again.id, memory.count("ada")) == (False, True, True, 1)
    with pytest.raises(InputError, match="key 'turn 2' says something else; delete it first"):
        memory.add("ada", Note("turn 2", "likes coffee"))
    assert texts_of(memory, "ada", "tea") == ["likes tea"]


@pytest.mark.parametrize(
    ("note", "message"),
    [
        (Note("k", " \n"), "no key, or no text"),
        (Note("", "text"), "no key, or no text"),
        (Note("k", "x" * 4001), "4,001 characters is longer than the 4,000"),
        (Note("k", "text", significance=1.5), "significance is 1.5"),
        (Note("k", "text", significance=float("nan")), "significance is nan"),
        (Note("k", "text", ("",)), "empty tag"),
        (Note("k", "half \ud83d"), "half of a character"),
    ],
)
def test_a_note_that_cannot_be_kept_is_refused_in_one_line(memory, note, message):
    with pytest.raises(InputError, match=message) as raised:
        memory.add("ada", note)
    assert "\n" not in str(raised.value)
    assert memory.count("ada") == 0


def test_reading_writes_nothing(folder, memory):
    before = (folder / DATABASE).read_bytes()
    assert (memory.search("nobody", Query("x")), memory.count("nobody")) == ([], 0)
    assert (folder / DATABASE).read_bytes() == before


def test_chroma_leaves_no_index_beside_the_database(folder, memory):
    keep(memory, "ada", "a note")
    texts_of(memory, "ada", "a note")
    assert sorted(path.name for path in folder.iterdir()) == [".lock", "chroma.sqlite3", "memory.json"]


def test_two_processes_do_not_share_a_folder(folder, memory):
    keep(memory, "ada", "a note")
    code = (
        "import sys; from pathlib import Path\n"
        "from ullage.kinds.assistant.memory.chroma_memory import open_chroma\n"
        "from ullage.kinds.assistant.memory.embedder import by_words\n"
        "try: open_chroma(Path(sys.argv[1]), by_words(64)).__enter__()\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True
    )
    assert done.stdout == (
        f"BusyError {folder}: another process has this memory open; end it, or name another chroma_dir\n"
    )
    with pytest.raises(BusyError):
        open_chroma(folder, WORDS).__enter__()
    assert memory.count("ada") == 1


def turned(texts):
    return WORDS.embed(texts)[:, ::-1]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            replace(WORDS, identity="mistral"),
            "embedded with embedder 'words .64.', and this run's is 'mistral'",
        ),
        (replace(WORDS, precision="int8"), "embedded with precision 'fp32', and this run's is 'int8'"),
        (replace(WORDS, embed=turned), "but with other weights"),
        (replace(by_words(32), identity=WORDS.identity), "but with other weights"),
    ],
)
def test_notes_of_another_embedder_are_refused_in_one_line(folder, other, message):
    with open_chroma(folder, WORDS) as memory:
        keep(memory, "ada", "a note")
    with pytest.raises(InputError, match=message) as raised, open_chroma(folder, other):
        pass
    assert "\n" not in str(raised.value)
    with open_chroma(folder, WORDS) as memory:
        assert memory.count("ada") == 1


@pytest.mark.parametrize("name", [DATABASE, "9a695177-a057-4c9d-9b6a-32eb5018e7f0/letters.txt"])
def test_what_others_put_in_the_folder_is_left_alone(folder, name):
    path = folder / name
    path.parent.mkdir(parents=True)
    path.write_bytes(b"theirs")
    with pytest.raises(InputError, match="no memory that Ullage made; name an empty folder"):
        open_chroma(folder, WORDS).__enter__()
    assert path.read_bytes() == b"theirs"


def test_folders_that_are_no_index_of_chromas_stay(folder, memory):
    theirs = folder / "9a695177-a057-4c9d-9b6a-32eb5018e7f0" / "letters.txt"
    theirs.parent.mkdir()
    theirs.write_text("theirs")
    memory.delete("ada", keep(memory, "ada", "a note"))
    assert theirs.read_text() == "theirs"


@pytest.mark.parametrize("name", [DATABASE, "memory.json"])
def test_a_damaged_folder_is_told_in_one_line(folder, name):
    with open_chroma(folder, WORDS) as memory:
        keep(memory, "ada", *(f"note {n}" for n in range(5)))
    data = bytearray((folder / name).read_bytes())
    data[: len(data) // 2] = b"\x5a" * (len(data) // 2)
    (folder / name).write_bytes(data)
    with pytest.raises(FormatError) as raised, open_chroma(folder, WORDS) as memory:
        memory.search("ada", Query("note"))
    assert "\n" not in str(raised.value)
    assert str(folder) in str(raised.value)


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot hold a memory"), open_chroma(tmp_path / "file", WORDS):
        pass


def test_without_chromadb_a_line_is_said_and_the_talk_goes_on(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "chromadb", None)
    said = []
    with open_memory(MemorySection(chroma_dir="m"), tmp_path, WORDS, said.append) as memory:
        assert memory is None
    (line,) = said
    assert 'pip install "ullage[memory]"' in line
    assert not (tmp_path / "m").exists()


def test_the_files_options_reach_the_memory(tmp_path):
    said = []
    section = MemorySection(chroma_dir="m", limit=3, characters=20)
    with open_memory(section, tmp_path, WORDS, said.append) as memory:
        assert memory is not None
        keep(memory, "ada", *(f"note {n}" for n in range(5)))
        assert memory.count("ada") == 3
        with pytest.raises(InputError, match="longer than the 20"):
            memory.add("ada", Note("k", "x" * 21))
    assert (tmp_path / "m" / DATABASE).exists()
    with open_memory(None, tmp_path, WORDS, said.append) as memory:
        assert memory is None
    assert said == []


@pytest.mark.long
def test_notes_survive_kills_at_random_moments(tmp_path):
    figures = memory_kills.kill_memory(tmp_path / "memory", 5)
    assert figures["added"] > 5
    assert {name: figures[name] for name in ("lost", "back", "traces", "untold")} == {
        "lost": 0, "back": 0, "traces": 0, "untold": 0
    }  # fmt: skip


class Lengths:
    """An engine that counts characters; the state of a text is its length, its last character and `more`."""

    def __init__(self, more):
        self.read, self.more = [], more

    def lengths(self, prompts):
        return [len(prompt) for prompt in prompts]

    def embed(self, texts, batch):
        self.read += texts
        return torch.tensor([[len(text), ord(text[-1]), self.more] for text in texts])


def test_of_a_long_note_the_beginning_is_embedded():
    engine = Lengths(0.5)
    embedder = by_states(engine, "model", "fp32", 10)
    engine.read.clear()
    embedder.embed(["short", "a text that is far too long"])
    assert engine.read == ["short", "a text tha"]
    assert beginning(engine, "abc", 1) == "a"


@pytest.mark.parametrize("more", [float("nan"), float("inf")])
def test_states_that_are_no_direction_are_refused(more):
    with pytest.raises(EngineError, match="zero, infinite or NaN"):
        by_states(Lengths(more), "model", "fp16", 100)


def test_a_text_without_a_direction_of_its_own_is_refused():
    engine = Lengths(0.0)
    embedder = by_states(engine, "model", "fp16", 1)
    engine.more = float("nan")
    with pytest.raises(EngineError, match="zero, infinite or NaN"):
        embedder.embed(["text"])


def test_an_engine_without_states_embeds_nothing():
    with pytest.raises(UnsupportedError, match="gives no states"):
        by_states(object(), "model", "fp16", 10)


def test_states_of_a_model_find_the_note_that_was_meant(folder):
    source = tiny_path()
    model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(source)
    loaded = SimpleNamespace(model=model, tokenizer=tokenizer, device="cpu")
    engine = TransformersEngine(loaded, TINY)
    notes = ("Mira lives in Oslo .", "Jonas has a dog .", "The car of Lena is red .")
    with open_chroma(folder, by_states(engine, TINY, "fp32", 64)) as memory:
        keep(memory, "ada", *notes)
        for note in notes:
            (one,) = memory.search("ada", Query(note, count=1))
            assert one.text == note
    vectors = {}
    with torch.inference_mode():
        for text in (*notes, *STATEMENTS, *QUESTIONS):
            last = model.model(tokenizer(text, return_tensors="pt")["input_ids"]).last_hidden_state[0].mean(0)
            vectors[text] = (last / last.norm()).numpy()
    embedder = by_states(engine, TINY, "fp32", 64)
    for made, shared in ((embedder.embed, STATEMENTS), (embedder.ask, QUESTIONS)):
        wanted = vectors[notes[0]] - np.mean([vectors[text] for text in shared], axis=0)
        assert np.allclose(made(notes[:1])[0], wanted / np.linalg.norm(wanted), atol=1e-5)
