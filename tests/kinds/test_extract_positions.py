"""Runs that keep chosen positions, and runs whose states are no numbers."""

import json

import pytest
import small_models

import ullage
from ullage.cli.main import main
from ullage.errors import InputError, SpecError

SITE = "blocks.2.hook_resid_post"
TEXTS = ["<s>the cat sings over the red house", "a dog ran under the blue tree</s>", "river", "</s>"]


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    folder = tmp_path_factory.mktemp("work")
    small_models.save(folder / "model", "llama", hidden=64, layers=4)
    rows = [{"id": f"r{n}", "text": text, "span": [0, 3]} for n, text in enumerate(TEXTS)]
    (folder / "texts.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


def load(work, captures, **more):
    section = {"input": "texts.jsonl", **more.pop("extract", {})}
    return ullage.load(
        {
            "kind": "extract",
            "roles": {"model": {"model": str(work / "model")}},
            "budget": {"gpus": "cpu"},
            "batch": 2,
            "prompt_tokens": 32,
            "new_tokens": 4,
            "examples": len(TEXTS),
            "captures": [{"keep": "disk", **each} for each in captures],
            "extract": section,
            **more,
        }
    )


def run(work, name, captures, **more):
    folder, record = ullage.run(load(work, captures, **more), work / name, base=work)
    return folder, record, ullage.open_states(folder)


def within(folder):
    return all(
        each.verdict != "above"
        for each in ullage.verify(folder).comparisons
        if each.what in ("live", "captures")
    )


def command(*words):
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    return ended.value.code


EVERY = [{"sites": [SITE]}, {"sites": ["blocks.1.hook_resid_post", "ln_final"]}]
SOME = [
    {"sites": [SITE], "positions": "last:3"},
    {"sites": ["blocks.1.hook_resid_post"], "positions": [[0, 2], -1]},
    {"sites": ["ln_final"], "positions": "not-special"},
]


@pytest.mark.parametrize("generate", [False, True])
def test_chosen_positions_are_stored_and_those_that_are_missing_counted(work, generate, capsys):
    more = {"extract": {"generate": generate, "store": "safetensors" if generate else "npy"}}
    _, _, every = run(work, f"every-{generate}", EVERY, **more)
    folder, record, some = run(work, f"some-{generate}", SOME, **more)
    assert within(folder)
    for index, row in enumerate(every.rows):
        whole, found = every[index], some[index]
        assert (found[SITE] - whole[SITE][-3:]).abs().sum() == 0
        first = whole["blocks.1.hook_resid_post"]
        wanted = [*range(min(2, len(first))), len(first) - 1]
        assert (found["blocks.1.hook_resid_post"] - first[wanted]).abs().sum() == 0
        kept = [at for at in range(len(first)) if row["tokens"][at] > 2]
        assert found["ln_final"].shape == (len(kept), 64)
        assert (found["ln_final"] - whole["ln_final"][kept]).abs().sum() == 0
        of = {place["site"]: place["positions"] for place in some.rows[index]["states"]}
        assert of == {
            SITE: [*range(len(whole[SITE]))][-3:],
            "blocks.1.hook_resid_post": wanted,
            "ln_final": kept,
        }
        assert [place["positions"] for place in row["states"]] == [None] * 3
    if not generate:
        assert record.outcome["short"] == [
            {"positions": "[[0, 2], -1]", "fewer": 2, "none": 0},
            {"positions": "last:3", "fewer": 2, "none": 0},
            {"positions": "not-special", "fewer": 1, "none": 1},
        ]


def test_spans_are_kept_while_the_model_writes_in_chunks(work):
    capture = {"sites": [SITE], "positions": "span", "span_tokens": 3}
    more = {"extract": {"generate": True}, "memory": {"streaming_chunk_size": 4}}
    folder, _, some = run(work, "spans", [capture], **more)
    assert within(folder)
    every = run(work, "spans-every", EVERY, **more)[2]
    for index, row in enumerate(every.rows):
        inside = [at for at, (a, b) in enumerate(offsets(row)) if a < 3 and b > 0]
        assert len(inside) == len(some[index][SITE]) > 0
        assert (some[index][SITE] - every[index][SITE][inside]).abs().sum() == 0


def offsets(row):
    return zip(row["offset_begin"], row["offset_end"], strict=True)


def test_a_position_that_a_text_has_not_is_told_with_its_record(work):
    with pytest.raises(
        InputError, match=r"texts.jsonl:3: record 'r2' has 1 tokens and no position 1, which capt"
    ):
        run(work, "beyond", [{"sites": [SITE], "positions": [0, 1]}])
    assert not (work / "beyond").exists()


def test_layers_that_a_model_lacks_are_told_with_those_it_has(work):
    captures = [{"sites": ["blocks.{l}.hook_resid_post", "blocks.*.hook_resid_pst"], "layers": [0, 99, -5]}]
    with pytest.raises(SpecError) as error:
        ullage.plan(load(work, captures), "cpu")
    layers, site = error.value.mistakes
    assert (
        layers == "captures: layers: 99, -5: no such layers in model; it has 0 to 3, or -4 to -1 from the end"
    )
    assert "hook_resid_post" in site


@pytest.fixture(scope="module")
def overflowing(work):
    """A model whose states of one token are no numbers, and texts of which two short ones have it."""
    texts = [*small_models.texts(6, longest=8), "</s>", "river</s>"]
    rows = [{"id": f"r{n}", "text": text} for n, text in enumerate(texts)]
    (work / "closed.jsonl").write_text("\n".join(map(json.dumps, rows)))
    model = small_models.build("llama", vocabulary=len(small_models.tokenizer()), hidden=64, layers=4)
    model.model.embed_tokens.weight.data[2, :5] = float("inf")
    folder = work / "overflowing"
    small_models.save(folder, "llama", hidden=64, layers=4)
    model.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("store", ["safetensors", "npy"])
def test_states_that_are_no_numbers_stop_a_run_which_can_go_on(work, overflowing, store, capsys):
    captures = [{"sites": ["blocks.0.hook_resid_pre"], "positions": [-1]}, {"sites": [SITE]}]
    more = {"roles": {"model": {"model": str(overflowing)}}, "batch": 1, "prompt_tokens": 16}
    folder = work / f"stopped-{store}"
    with pytest.raises(InputError) as error:
        run(work, folder.name, captures, **more, extract={"input": "closed.jsonl", "store": store})
    said = str(error.value)
    assert (
        "closed.jsonl:8: record 'r7': blocks.0.hook_resid_pre (layer 0) holds 5 values that are NaN" in said
    )
    assert f"`ullage run --resume {folder} --allow-nan` goes on" in said
    with pytest.raises(InputError, match="record 'r7'"):
        ullage.resume(folder)
    assert command("run", "--resume", folder, "--allow-nan", "--quiet") == 0
    assert "values of 2 sequences are NaN or infinite: blocks.2" in capsys.readouterr().out
    stored = ullage.open_states(folder)
    outcome = ullage.resume(folder).outcome["not_finite"]
    assert (outcome["sequences"], len(stored)) == (2, 8)
    assert outcome["sites"]["blocks.0.hook_resid_pre"] == 10
    states = [state for row in range(8) for state in stored[row].values()]
    assert outcome["values"] == sum(int((~state.isfinite()).sum()) for state in states)
    assert all(not stored[row][SITE][-1].isfinite().any() for row in (6, 7))
    command("verify", folder, "--json")
    assert json.loads(capsys.readouterr().out)["not_finite"] == outcome


def test_states_that_may_be_no_numbers_are_kept_and_counted(work, overflowing, capsys):
    out = str(work / "allowed")
    model = ("--model", str(overflowing), "--input", str(work / "texts.jsonl"), "--gpus", "cpu", "--quiet")
    asked = ("--sites", "blocks.{l}.hook_resid_post", "--layers", "0,-1", "--positions", "last:2")
    assert command("extract", *model, *asked, "--out", out) == 2
    assert "record 'r1': blocks.0.hook_resid_post (layer 0) holds" in capsys.readouterr().err
    more = ("--logits", "last", "--allow-nan", "--no-special-tokens")
    assert command("extract", *model, *asked, "--out", out, *more) == 0
    assert "2 sequences are NaN or infinite" in capsys.readouterr().out
    stored = ullage.open_states(out)
    assert list(stored.sites) == ["blocks.0.hook_resid_post", "blocks.3.hook_resid_post", "logits"]
    assert [len(stored[row]["blocks.0.hook_resid_post"]) for row in range(4)] == [2, 2, 1, 1]
    assert stored[0]["logits"].shape[0] == 1
    command("verify", out)
    assert "are NaN or infinite" in capsys.readouterr().out


def test_one_text_that_is_too_long_is_named(work, capsys):
    small_models.save(work / "short", "llama", hidden=64, layers=1, positions=16)
    rows = [{"id": "brief", "text": "the cat"}, {"id": "novel", "text": "the cat " * 20}]
    (work / "long.jsonl").write_text("\n".join(map(json.dumps, rows)))
    asked = ["extract", "--model", str(work / "short"), "--input", str(work / "long.jsonl"), "--quiet"]
    asked += ["--sites", "ln_final", "--positions", "last", "--gpus", "cpu", "--out", str(work / "cut")]
    assert command(*asked) == 2
    said = capsys.readouterr().err
    assert "long.jsonl:2: record 'novel' has 41 tokens; " in said
    assert "has room for 16" in said
    assert "--too-long truncate" in said
    assert command(*asked, "--too-long", "truncate") == 0
    stored = ullage.open_states(work / "cut")
    assert [len(row["tokens"]) for row in stored.rows] == [2, 16]


WRONG = {
    "positions": (["--positions", "lst"], "positions: 'lst': names no positions; nearest: last"),
    "positions twice": (["--positions", "0,5,0"], "positions: [0, 5, 0]: 0 stands twice"),
    "layers": (["--layers", "first"], "layers: 'first' is not valid; valid: all, a list"),
    "logits": (["--logits", "some"], "logits: 'some' is not valid; valid: none, last, all"),
    "too long": (["--too-long", "cut"], "too_long: 'cut' is not valid; valid: error, truncate"),
    "several": (["--positions", "[]", "--batch", "0"], "batch: 0 must be at least 1"),
}


@pytest.mark.parametrize(("words", "said"), WRONG.values(), ids=WRONG)
def test_words_that_mean_nothing_are_told_before_anything_is_read(work, capsys, words, said):
    asked = ("--model", "nowhere", "--input", "nothing.jsonl", "--sites", "ln_final")
    assert command("extract", *asked, *words) == 2
    assert said in capsys.readouterr().err
