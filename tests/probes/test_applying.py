"""`ullage probe apply`: one pass over finished texts gives the scores of stored states, and keeps none."""

import json

import jsonschema
import numpy as np
import pytest

import ullage
from ullage.api.probe_settings import settled, source_of
from ullage.cli.main import main
from ullage.errors import InputError
from ullage.probes.card import Card, Origin, save_probe
from ullage.probes.evaluation import dialogue_scores, token_scores
from ullage.probes.labels import read_labels
from ullage.probes.probe import Probe, Reading
from ullage.records.lines import LineStore

SITES = ("blocks.2.hook_resid_post", "blocks.4.hook_resid_post")
WIDTH = 192


def probe_of(form, sites, reading, seed):
    chance = np.random.default_rng(seed)
    width = len(sites) * WIDTH
    tensors = {"weight": chance.normal(size=7 if form == "mlp" else width)}
    if form == "mlp":
        tensors |= {"inner": chance.normal(size=(7, width)), "inner_bias": chance.normal(size=7)}
    if form == "attention":
        tensors["query"] = chance.normal(size=width) / width
    return Probe(form, sites, WIDTH, chance.normal(size=width), np.ones(width), tensors, 0.3, reading)


PROBES = {
    "line": probe_of("linear", SITES[:1], Reading(), 0),
    "both": probe_of("linear", SITES, Reading(aggregation="rolling", window=3, skip_first=1), 1),
    "net": probe_of("mlp", SITES[1:], Reading(rows="mean"), 2),
    "heard": probe_of("attention", SITES[:1], Reading(aggregation="attention"), 3),
    "end": probe_of("linear", SITES[1:], Reading(rows="last", aggregation="last"), 4),
}


def written(path, records):
    path.write_text("".join(json.dumps(each) + "\n" for each in records))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Probes, and dialogues of which two messages with one between them count."""
    path = tmp_path_factory.mktemp("applied")
    for name, probe in PROBES.items():
        card = Card("none", Origin("other/model", "", ""), threshold=1e9 if name == "end" else -1e9)
        save_probe(probe, Card("none") if name == "both" else card, path / name)
    ullage.sample("answer", path / "sample.jsonl", count=8)
    lines = [json.loads(line) for line in (path / "sample.jsonl").read_text().splitlines()]
    said = [
        {
            "id": each["id"],
            "label": place % 2,
            "messages": [
                each["messages"][1],
                {"role": "assistant", "content": each["answer"], "detect": True},
                {"role": "user", "content": "Why?"},
                {"role": "assistant", "content": "So it was told.", "detect": True},
            ],
        }
        for place, each in enumerate(lines)
    ]
    written(path / "said.jsonl", said)
    return path


@pytest.fixture
def call(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments):
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["probe", *map(str, arguments)])
        return ended.value.code, *capsys.readouterr()

    return call


def test_scores_are_those_of_stored_states(folder, call):
    probes = [folder / name for name in PROBES]
    out = folder / "scores.jsonl"
    model = ("--model", "ullage:tiny", "--gpus", "cpu", "--quiet")
    code, page, err = call("apply", *probes, "--texts", folder / "said.jsonl", "--out", out, *model, "--json")
    assert code == 0, err
    document = json.loads(page)
    jsonschema.validate(document, ullage.document_schema("probe-scores"))
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    labelled = read_labels(folder / "said.jsonl")
    given = {"gpus": "cpu", "sites": SITES}
    dialogues, _ = source_of("ullage:tiny", None, settled(given)).read(labelled, folder / "read", "said")
    whose, scores = token_scores(dialogues.rows(Reading()), [*PROBES.values()])
    assert [row["id"] for row in rows] == [one.id for one in dialogues.labelled]
    assert [row["label"] for row in rows] == [one.label for one in dialogues.labelled]
    assert [tuple(row["tokens"]) for row in rows] == [*dialogues.token_ids]
    for (name, probe), mine in zip(PROBES.items(), scores, strict=True):
        for number, row in enumerate(rows):
            np.testing.assert_allclose(row["scores"][name], mine[whose == number], rtol=1e-4, atol=1e-3)
        (whole,) = dialogue_scores(dialogues.rows(probe.reading), [probe], len(dialogues))
        np.testing.assert_allclose([row["score"][name] for row in rows], whole, rtol=1e-4, atol=1e-3)
    assert document["tokens"] == sum(len(row["tokens"]) for row in rows)
    assert [each["flagged"] for each in document["probes"]] == [8, None, 8, 8, 0]
    assert all(row["flagged"] == {**dict.fromkeys(PROBES, True), "both": None, "end": False} for row in rows)
    assert (
        "another model (other/model; these states are of ullage:tiny)" in document["probes"][0]["warnings"][0]
    )
    assert document["probes"][1]["warnings"] == []
    run = folder / "scores.run/run"
    assert ullage.verify(run).holds
    assert not (run / "states").exists()
    assert ullage.plan(folder / "scores.run/workload.json").verdict == "fits"


def test_what_was_cut_short_is_gone_on_with_and_something_else_refused(folder, tmp_path, monkeypatch):
    texts = written(
        tmp_path / "texts.jsonl", [{"text": f"The {word} ran."} for word in ("cat", "dog", "sun")]
    )
    arguments = ([folder / "line"], texts, "ullage:tiny", tmp_path / "out.jsonl")
    add, done = LineStore.add, []

    def stumble(self, *given, **facts):
        if done:
            raise KeyboardInterrupt
        done.append(add(self, *given, **facts))

    with monkeypatch.context() as patch:
        patch.setattr(LineStore, "add", stumble)
        with pytest.raises(KeyboardInterrupt):
            ullage.apply_probes(*arguments, gpus="cpu", batch=1)
    assert not (tmp_path / "out.jsonl").exists()
    assert len((tmp_path / "out.run/run/scores.jsonl").read_text().splitlines()) == 1
    other = ([folder / "net"], *arguments[1:])
    with pytest.raises(InputError, match="holds something else"):
        ullage.apply_probes(*other, gpus="cpu", batch=1)
    document = ullage.apply_probes(*arguments, gpus="cpu", batch=1)
    assert document["dialogues"] == 3
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [(row["id"], row["label"]) for row in rows] == [("0", None), ("1", None), ("2", None)]
    with pytest.raises(InputError, match="is there already"):
        ullage.apply_probes(*arguments, gpus="cpu", batch=1)


def test_an_answer_in_which_nothing_was_said_has_a_line_without_scores(folder, call, tmp_path):
    """As an evaluation leaves them."""
    said = [{"id": "a", "text": ""}, {"id": "b", "text": "The cat ran."}, {"id": "c", "text": " \n"}]
    texts, out = written(tmp_path / "texts.jsonl", said), tmp_path / "s.jsonl"
    model = ("--model", "ullage:tiny", "--gpus", "cpu", "--quiet")
    code, page, err = call("apply", folder / "line", "--texts", texts, "--out", out, *model)
    assert code == 0, err
    assert "1 of 1" in page
    assert "2 texts say nothing; their lines have no tokens and no scores" in page
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [(row["id"], bool(row["tokens"]), row["score"]["line"] is None) for row in rows] == [
        ("a", False, True),
        ("b", True, False),
        ("c", False, True),
    ]
    texts = written(tmp_path / "texts.jsonl", said[::2])
    code, _, err = call("apply", folder / "line", "--texts", texts, "--out", tmp_path / "t.jsonl", *model)
    assert code == 2
    assert "every text is empty; there is nothing to read" in err


def test_what_cannot_be_scored_is_refused_in_a_line(folder, call, tmp_path):
    texts = written(
        tmp_path / "texts.jsonl", [{"text": "A cat."}, {"nothing": 1}, {"text": "x", "span": [5, 6]}]
    )
    model = ("--model", "ullage:tiny", "--gpus", "cpu")
    code, out, err = call("apply", folder / "line", "--texts", texts, "--out", tmp_path / "s.jsonl", *model)
    assert (code, out) == (2, "")
    assert err.splitlines() == [
        f"ullage: error: {texts}:2: neither messages nor a text (it has: nothing)",
        f"ullage: error: {texts}:3: span: [5, 6] is not [begin, end) of the 1 characters",
    ]
    texts = written(tmp_path / "texts.jsonl", [{"text": "A cat."}])
    code, _, err = call("apply", tmp_path, "--texts", texts, "--out", tmp_path / "s.jsonl", *model)
    assert code == 2
    assert "no probe here" in err
    code, _, err = call("apply", folder / "line", "--texts", texts, "--out", tmp_path / "no/s.jsonl", *model)
    assert "there is no folder" in err
    workload = {
        "kind": "extract",
        "roles": {"model": {"model": "ullage:tiny"}},
        "captures": [{"sites": [SITES[0]]}],
        "probes": {"line": str(folder / "line")},
        "extract": {"input": str(texts), "generate": True},
    }
    with pytest.raises(ullage.SpecError, match="probes score texts and keep no states"):
        ullage.load(workload)
