"""What is left of deleted texts is found, in whatever form; and a memory leaves nothing."""

import bz2
import gzip
import json
import lzma
import sqlite3
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ullage.kinds.assistant.memory.chroma_memory import DATABASE, open_chroma
from ullage.kinds.assistant.memory.embedder import by_words
from ullage.kinds.assistant.memory.erasure import RUN, look_for
from ullage.kinds.assistant.memory.memory import Limits, Note, Query

SECRET = 'The safe behind the \u00fcber-large "mirror" opens with 4711 and a key'
NOISE = np.random.default_rng(0).bytes(5000)
WORDS = by_words(64)


@pytest.mark.parametrize(
    ("form", "write"),
    [
        ("UTF-8", str.encode),
        ("UTF-16-LE", lambda text: text.encode("utf-16-le")),
        ("UTF-16-BE", lambda text: text.encode("utf-16-be")),
        ("UTF-32-LE", lambda text: text.encode("utf-32-le")),
        ("JSON in ASCII", lambda text: json.dumps(text).encode()),
        ("UTF-8", lambda text: zlib.compress(text.encode())),
        ("UTF-8", lambda text: gzip.compress(text.encode())),
        ("UTF-8", lambda text: bz2.compress(text.encode())),
        ("UTF-8", lambda text: lzma.compress(text.encode())),
    ],
)
def test_a_text_is_found_in_every_form(tmp_path, form, write):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file").write_bytes(NOISE + write(SECRET) + NOISE)
    (tmp_path / "other").write_bytes(NOISE)
    found = look_for(tmp_path, [SECRET])
    assert {one.file for one in found.left} == {"deep/file"}
    assert form in {one.form for one in found.left}
    assert found.left[0].offset >= len(NOISE)
    assert found.files == 2
    assert not found.proven


def test_of_what_is_packed_and_cut_off_the_beginning_is_found(tmp_path):
    (tmp_path / "file").write_bytes(zlib.compress(SECRET.encode())[:-12])
    assert look_for(tmp_path, [SECRET]).left


@given(st.integers(0, len(SECRET.encode()) - RUN), st.integers(0, 40))
def test_any_run_of_a_text_is_found_wherever_it_begins(tmp_path_factory, begin, before):
    folder = tmp_path_factory.mktemp("run")
    run = SECRET.encode()[begin : begin + RUN]
    (folder / "file").write_bytes(NOISE[:before] + run + NOISE)
    (left,) = look_for(folder, [SECRET]).left
    assert left.offset == before


@given(st.binary(max_size=3000), st.text(min_size=16, max_size=60))
def test_nothing_is_found_where_nothing_is(tmp_path_factory, data, text):
    folder = tmp_path_factory.mktemp("none")
    (folder / "file").write_bytes(data)
    found = look_for(folder, [text])
    assert found.left == ()
    assert (found.files, found.bytes) == (1, len(data))


def test_what_is_still_remembered_is_not_counted_as_left(tmp_path):
    (tmp_path / "file").write_bytes(b"Her favourite colour is a deep blue of the sea")
    shared = "Her favourite colour is a bright red"
    assert look_for(tmp_path, [shared]).left
    found = look_for(tmp_path, [shared], kept=["Her favourite colour is a deep blue of the sea"])
    assert found.proven


def test_what_is_remembered_is_told_apart_in_the_form_that_a_queue_has_it_in(tmp_path):
    kept = "Her favourite colour is a deep blue of the sea"
    (tmp_path / "queue").write_bytes(json.dumps({"text": kept}).encode())
    assert look_for(tmp_path, ['Her favourite colour is a "red"'], kept=[kept]).proven
    assert look_for(tmp_path, ['Her favourite colour is a "red"'], kept=["nothing of that"]).left


@pytest.mark.parametrize("text", ["tea", "aaaaaaaaaaaaaaaaaaaaaaaaaaaa", "colour is a deep"])
def test_what_cannot_be_told_from_others_or_chance_is_counted(tmp_path, text):
    found = look_for(tmp_path, [text], kept=["Her favourite colour is a deep blue"])
    assert (found.untold, found.proven) == (1, False)


def test_files_packed_in_an_unknown_way_are_named(tmp_path):
    (tmp_path / "pages").write_bytes(b"\x28\xb5\x2f\xfd" + NOISE)
    found = look_for(tmp_path, [SECRET])
    assert found.unread == ("pages (zstd)",)
    assert not found.proven


def test_a_vector_is_found(tmp_path):
    (vector,) = WORDS.embed([SECRET])
    (tmp_path / "index").write_bytes(NOISE[:333] + vector.astype("<f4").tobytes() + NOISE)
    found = look_for(tmp_path, [SECRET], [vector.tobytes()])
    assert {one.form for one in found.left} == {"vector"}
    (other,) = WORDS.embed(["another note"])
    assert look_for(tmp_path, [SECRET], [other.tobytes()]).proven


LONG = " ".join(f"word{n * n}" for n in range(500))[:3900]


def test_a_deleted_note_leaves_no_byte_and_the_check_would_have_found_it(tmp_path):
    texts = [SECRET, LONG, "Caf\u00e9 \U0001f408 \u4f60\u597d, remember the r\u00f4le of the river"]
    with open_chroma(tmp_path, WORDS) as memory:
        ids = [memory.add("ada", Note(f"k{n}", text, ("tag",))).id for n, text in enumerate(texts)]
        memory.add("ada", Note("kept", "The safe is in the hall"))
        memory.add("bob", Note("kept", "Bob owns a boat"))
        vectors = [row.tobytes() for row in WORDS.embed(texts)]
        for text, vector in zip(texts, vectors, strict=True):
            assert look_for(tmp_path, [text]).left
            assert look_for(tmp_path, [], [vector]).left
        erased = memory.delete("ada", ids)
        assert (erased.notes, erased.left, erased.untold, erased.proven) == (3, (), 0, True)
        assert erased.files == 3
        assert erased.bytes >= (tmp_path / DATABASE).stat().st_size
        assert [one.text for one in memory.search("ada", Query("safe"))] == ["The safe is in the hall"]
        assert memory.count("bob") == 1
        data = b"".join(path.read_bytes() for path in tmp_path.iterdir())
        for text in texts:
            raw = text.encode()
            assert not any(raw[at : at + 24] in data for at in range(0, len(raw) - 24, 8))
        memory.add("ada", Note("later", "A note that is written afterwards"))
        memory.search("ada", Query("note"))
        assert look_for(tmp_path, texts, vectors).proven


def test_what_goes_because_there_is_too_much_leaves_nothing_once_closed(tmp_path):
    texts = [f"A note with the secret number {n * 7919} in it" for n in range(14)]
    with open_chroma(tmp_path, WORDS, Limits(notes=10)) as memory:
        for n, text in enumerate(texts):
            memory.add("ada", Note(f"k{n}", text, significance=0.9 if n > 5 else 0.1))
        held = [one.text for one in memory.search("ada", Query("secret", count=20))]
    gone = [text for text in texts if text not in held]
    assert gone
    assert look_for(tmp_path, gone, kept=held).proven


def test_deleting_what_is_not_there_says_so(tmp_path):
    with open_chroma(tmp_path, WORDS) as memory:
        assert memory.delete("ada", ["nothing"]).notes == 0
        memory.add("ada", Note("k", "a note about lighthouses"))
        assert memory.delete("bob").notes == 0
        assert memory.delete("ada", ["nothing"]).notes == 0
        assert memory.count("ada") == 1
        assert memory.delete("ada").notes == 1
        assert memory.count("ada") == 0
    with sqlite3.connect(tmp_path / DATABASE) as database:
        assert database.execute("SELECT count(*) FROM collections").fetchone() == (0,)


def test_a_vector_that_another_note_of_the_same_words_has_is_not_left_of_the_one_that_went(tmp_path):
    text = "How do I boil an egg?"
    vector = np.random.default_rng(0).normal(size=64).astype("<f4").tobytes()
    (tmp_path / "notes").write_bytes(b"..." + vector + text.encode())
    assert {each.form for each in look_for(tmp_path, [text], [vector]).left} == {"vector", "UTF-8"}
    found = look_for(tmp_path, [text], [vector], kept=[text])
    assert not found.left
    assert found.untold == 1
    assert look_for(tmp_path, [text], [vector], kept=["How do I mend a sock?"]).left
