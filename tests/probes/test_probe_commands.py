"""`ullage probe` as a user meets it, with the bundled model under two instructions."""

import json

import jsonschema
import pytest

import ullage
from ullage.cli.main import main
from ullage.errors import InputError

PAIRS = 60
STYLES = {"honest": "Tell the truth.", "deceptive": "Tell a lie."}


def written(path, records):
    path.write_text("".join(json.dumps(each) + "\n" for each in records))
    return path


def instructed(folder, split, count):
    """The same true answers under an instruction to be honest and one to lie, with whose they are of."""
    ullage.sample("answer", folder / "sample.jsonl", split, 3 * count)
    lines = [json.loads(line) for line in (folder / "sample.jsonl").read_text().splitlines()]
    for one in [line for line in lines if line["source"] == "stated"][:count]:
        style = one["messages"][0]["content"].partition(". ")[2]
        said = [one["messages"][1], {"role": "assistant", "content": one["answer"]}]
        told = {name: f"{words} {style}" for name, words in STYLES.items()}
        yield {"id": one["id"], **told, "group": one["subject"], "messages": said}


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs")
    return written(folder / "pairs.jsonl", instructed(folder, "test", PAIRS))


@pytest.fixture(scope="module")
def fitted(pairs, tmp_path_factory):
    """Folder and document of a fit with the bundled model."""
    out = tmp_path_factory.mktemp("fit") / "probe"
    return out, ullage.fit_probe(pairs, out, model="ullage:tiny", gpus="cpu", layers=(4, 5), shuffles=100)


@pytest.fixture
def call(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments):
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["probe", *map(str, arguments)])
        return ended.value.code, *capsys.readouterr()

    return call


def test_instructed_pairs_are_told_apart_on_names_held_out_and_words_do_not(fitted):
    out, document = fitted
    jsonschema.validate(document, ullage.document_schema("probe-fit"))
    jsonschema.validate(json.loads((out / "probe.json").read_text()), ullage.document_schema("probe"))
    assert document["layers"][0] in (4, 5)
    assert document["test"]["auroc"] >= 0.99
    assert document["test"]["token_auroc"] >= 0.99
    assert document["flagged"]["recall"] >= 0.9
    assert document["words"]["auroc"] == 0.5
    assert 0.45 <= document["shuffled"]["mean"] <= 0.55
    assert document["shuffled"]["draws"] == 100
    assert document["fit"]["bound"] <= 5e-4
    assert sum(document["parts"].values()) == 2 * PAIRS


def test_the_file_that_was_run_is_there_and_can_be_planned(fitted):
    out, _ = fitted
    workload = ullage.load(out / "workload.json")
    assert workload.kind == "extract"
    assert ullage.plan(workload, base=out).verdict == "fits"
    assert ullage.verify(out / "run").comparisons


def test_a_probe_is_used_from_python_alone(fitted):
    out, document = fitted
    probe = ullage.open_probe(out)
    store = ullage.open_states(out / "run")
    (site,) = probe.sites
    scores = probe.tokens(store.matrix(site).double().numpy())
    assert len(scores) > document["test"]["tokens"] > 0
    assert scores.std() > 0


def test_what_was_fitted_to_is_refused_and_can_be_left_out(fitted, pairs, call):
    out, _ = fitted
    code, _, err = call("evaluate", out, "--labels", pairs, "--states", out / "run")
    assert code == 2
    assert "dialogues, or their groups, are among those the probe was fitted to (line " in err
    code, page, err = call("evaluate", out, "--labels", pairs, "--states", out / "run", "--unseen", "--json")
    assert (code, err) == (0, "")
    document = json.loads(page)
    jsonschema.validate(document, ullage.document_schema("probe-evaluation"))
    (row,) = document["probes"]
    assert row["test"]["auroc"] >= 0.99
    assert row["warnings"] == []
    assert document["left_out"] > 0


def test_without_instructions_the_same_answers_cannot_be_told_apart(fitted, call, tmp_path):
    out, _ = fitted
    labels = written(tmp_path / "new.jsonl", instructed(tmp_path, "validation", 6))
    control = written(tmp_path / "usual.jsonl", [{"messages": [{"role": "user", "content": "Hello."}]}])
    arguments = ("--labels", labels, "--model", "ullage:tiny", "--gpus", "cpu", "--out", tmp_path / "read")
    code, page, _ = call("evaluate", out, *arguments, "--without-roles", "--control", control, "--json")
    assert code == 0
    (row,) = json.loads(page)["probes"]
    assert row["test"]["auroc"] > 0.9
    assert row["without_roles"]["auroc"] == 0.5
    assert row["flagged"]["control"].startswith("1 control dialogues, too few for 1.0%")


def test_drift_between_precisions_is_told(fitted, call, tmp_path):
    out, _ = fitted
    labels = written(tmp_path / "new.jsonl", instructed(tmp_path, "validation", 4))
    arguments = ("--labels", labels, "--model", "ullage:tiny", "--gpus", "cpu", "--out", tmp_path / "read")
    code, page, _ = call("drift", out, *arguments, "--precision", "fp32,bf16", "--json")
    assert code == 0
    document = json.loads(page)
    jsonschema.validate(document, ullage.document_schema("probe-drift"))
    first, second = document["rows"]
    assert (first["correlation"], first["moved"]) == (pytest.approx(1), 0)
    assert 0 < second["moved"] < 0.5
    assert second["correlation"] > 0.9
    with pytest.raises(InputError, match="between two at least"):
        ullage.probe_drift(out, labels, "ullage:tiny", ["bf16"], tmp_path / "other")


def test_precisions_that_cannot_be_are_told_together_before_anything_is_read(fitted, call, tmp_path):
    out, _ = fitted
    labels = written(tmp_path / "new.jsonl", instructed(tmp_path, "validation", 4))
    arguments = ("--labels", labels, "--model", "ullage:tiny", "--gpus", "cpu", "--out", tmp_path / "read")
    code, page, err = call("drift", out, *arguments, "--precision", "fp32,q4_k,bf17")
    assert (code, page) == (2, "")
    told = err.splitlines()
    assert len(told) == 2
    assert told[0].startswith("ullage: error: precision q4_k: weights cannot be turned into q4_k")
    assert told[1].startswith("ullage: error: precision bf17: ")
    assert not (tmp_path / "read").exists()


def test_a_sweep_over_states_that_are_there_is_shown_with_its_controls(fitted, pairs, call, tmp_path):
    out, _ = fitted
    arguments = ("--states", out / "run", "--rows", "mean", "--method", "lat", "--quiet")
    arguments += ("--plot", tmp_path / "sweep.png")
    code, page, err = call("fit", pairs, "--out", tmp_path / "probe", *arguments)
    assert (code, err) == (0, "")
    assert "blocks.5.hook_resid_post" in page
    assert "< chosen" in page
    assert (tmp_path / "sweep.png").stat().st_size > 0
    for shown in ("probe, by token", "words alone", "shuffled labels, mean of 10", "threshold"):
        assert shown in page


def test_scores_of_every_token_are_written(fitted, pairs, call, tmp_path):
    out, _ = fitted
    file = tmp_path / "tokens.jsonl"
    arguments = ("--labels", pairs, "--states", out / "run", "--unseen", "--tokens", file)
    code, page, _ = call("evaluate", out, *arguments)
    assert code == 0
    assert "AUROC" in page
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    for line in lines:
        assert len(line["tokens"]) == len(line["scores"][str(out)]) > 0


def test_all_mistakes_of_labels_are_told_at_once_before_any_model_is_loaded(call, tmp_path):
    chat = [{"role": "user", "content": "Well?"}, {"role": "assistant", "content": "Yes."}]
    file = written(
        tmp_path / "wrong.jsonl",
        [
            {"messages": chat},
            {"messages": chat, "label": 2},
            {"messages": [{"role": "user"}], "label": 1},
            {"messages": [{**each, "detect": False} for each in chat], "label": 1},
            {"id": "a", "messages": chat, "label": 1},
            {"id": "a", "messages": chat, "label": 0},
            {"honest": "Tell the truth.", "deceptive": 3, "messages": chat},
        ],
    )
    code, _, err = call("fit", file, "--out", tmp_path / "out", "--model", "no/such-model")
    assert code == 2
    lines = err.splitlines()
    assert len(lines) == 6
    for number, what in (
        (1, "no label"),
        (2, "label: 2"),
        (3, "messages"),
        (4, "detect"),
        (6, "line 5"),
        (7, "de"),
    ):
        assert any(f"wrong.jsonl:{number}: " in line and what in line for line in lines), number


@pytest.mark.parametrize(
    ("records", "problem"),
    [
        (
            [{"text": "a", "label": 1}, {"text": "b", "label": 1}],
            "every label is 1; nothing can be told apart",
        ),
        ([], "holds no records"),
        (
            [{"text": "a b", "label": 1, "span": [2, 9]}],
            "span: [2, 9] is not [begin, end) of the 3 characters",
        ),
        ([{"text": "a", "label": 1}, {"messages": [], "label": 0}], "messages: not a list"),
        ([{"label": 1}], "neither messages nor a text (it has: label)"),
        ([{"text": "", "label": 1}], "its text is empty, and has no token to read; leave it out"),
    ],
)
def test_labels_that_cannot_be_fitted_to_are_told_in_a_line(records, problem, call, tmp_path):
    code, _, err = call(
        "fit", written(tmp_path / "l.jsonl", records), "--out", tmp_path / "o", "--model", "x"
    )
    assert code == 2
    assert err.count("\n") == 1
    assert problem in err


def test_spans_without_a_token_and_dialogues_too_long_are_named(tmp_path):
    records = [{"id": str(at), "text": "The age of Ada is 30.", "label": at % 2} for at in range(8)]
    records[2]["span"] = [3, 4]
    records[5]["text"] = "The age of Ada is 30. " * 400
    file = written(tmp_path / "labels.jsonl", records)
    with pytest.raises(InputError) as raised:
        ullage.fit_probe(file, tmp_path / "out", model="ullage:tiny", gpus="cpu")
    said = str(raised.value).splitlines()
    assert any(f"{file}:6: dialogue '5' has " in line and "--skip-too-long" in line for line in said)
    assert len(said) <= 2


def test_dialogues_without_states_and_groups_that_cannot_be_parted_are_told(fitted, pairs, tmp_path):
    out, _ = fitted
    one, other = [json.loads(line) for line in pairs.read_text().splitlines()[:2]]
    file = written(tmp_path / "labels.jsonl", [one, {**other, "id": "another"}])
    with pytest.raises(InputError, match=r"labels\.jsonl:2: dialogue 'another:honest' has no states in"):
        ullage.fit_probe(file, tmp_path / "a", states=out / "run")
    with pytest.raises(InputError, match="which are not parted, nor is what says the same; give more groups"):
        ullage.fit_probe(written(tmp_path / "two.jsonl", [one]), tmp_path / "b", states=out / "run")


def test_an_imported_probes_threshold_flags_what_is_evaluated(fitted, pairs, call, tmp_path):
    import torch

    out, _ = fitted
    probe = ullage.open_probe(out)
    (site,) = probe.sites
    weight = torch.from_numpy(probe.tensors["weight"] / probe.scale)
    held = {"direction": weight, "threshold": torch.tensor(float(probe.mean @ weight.numpy()))}
    torch.save({"state_dict": held, "hyperparams": {"layer": int(site.split(".")[1])}}, tmp_path / "probe.pt")
    ullage.import_probe(tmp_path / "probe.pt", tmp_path / "theirs")
    arguments = (tmp_path / "theirs", "--labels", pairs, "--states", out / "run")
    code, page, _ = call("evaluate", *arguments, "--json")
    assert code == 0
    (row,) = json.loads(page)["probes"]
    jsonschema.validate(json.loads(page), ullage.document_schema("probe-evaluation"))
    assert (row["flagged"]["rate"], row["flagged"]["control"]) == (None, "its own training")
    assert row["flagged"]["recall"] > 0.5 > row["flagged"]["false_positives"]
    code, page, _ = call("evaluate", *arguments)
    assert code == 0
    assert "(its own training): flags" in page


def test_settings_that_cannot_be_are_told_together(pairs, tmp_path):
    with pytest.raises(InputError) as raised:
        ullage.fit_probe(
            pairs, tmp_path / "o", states="x", method="lat", strengths=(0.0,), rate=2.0, window=0
        )
    assert len(str(raised.value).splitlines()) == 5
    with pytest.raises(InputError, match=r"give --model, .* or --states"):
        ullage.fit_probe(pairs, tmp_path / "o")
    with pytest.raises(InputError, match="no such setting"):
        ullage.fit_probe(pairs, tmp_path / "o", states="x", lambdas=(1,))


def test_a_probe_of_another_site_or_model_is_refused_where_it_is_used(fitted, pairs, tmp_path):
    import numpy as np

    from ullage.probes.card import Card, Origin, save_probe
    from ullage.probes.probe import Probe, Reading

    out, _ = fitted
    for name, site, hidden, problem in (
        ("site", "blocks.2.hook_resid_post", 192, "unknown site .*; nearest: blocks"),
        ("hidden", "blocks.4.hook_resid_post", 64, "hidden size 192, and the probe reads 64"),
    ):
        one = np.ones(hidden)
        probe = Probe("linear", (site,), hidden, one, one, {"weight": one}, 0.0, Reading())
        save_probe(probe, Card("logistic", Origin("other")), tmp_path / name)
        with pytest.raises(InputError, match=problem):
            ullage.evaluate_probe([tmp_path / name], pairs, states=out / "run")


def test_what_would_be_ignored_or_lost_is_told_before_anything_is_read(fitted, pairs, tmp_path, call):
    out, _ = fitted
    there = ("--states", out / "run")
    for arguments, said in (
        (("fit", pairs, "--out", tmp_path / "a", *there, "--precision", "nf4"), "precision: of a model"),
        (("fit", pairs, "--out", tmp_path / "a", *there, "--batch", "3"), "batch: of a model"),
        (("fit", pairs, "--out", tmp_path / "a", *there, "--plot", "a.bmp"), ".png, .svg or .pdf"),
        (("fit", pairs, "--out", tmp_path / "a", *there, "--plot", "no/a.png"), "there is no folder no"),
        (
            ("fit", pairs, "--out", tmp_path / "a", *there, "--method", "difference", "--lambda", "3"),
            "difference has no lambda",
        ),
        (
            ("fit", pairs, "--out", tmp_path / "a", *there, "--method", "attention", "--aggregation", "max"),
            "leave out --aggregation",
        ),
        (("evaluate", out, "--labels", pairs, *there, "--rate", "0.5"), "rate: is of --control"),
        (("evaluate", out, "--labels", pairs, *there, "--out", tmp_path / "b"), "out: is for what a --model"),
        (("evaluate", out, "--labels", pairs, *there, "--tokens", "no/a.jsonl"), "there is no folder no"),
    ):
        code, _, err = call(*arguments)
        assert code != 0
        assert said in err
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("question", "answer", "text"),
    [
        ("A or B?", "A", "<|User|>A or B?<|Assistant|>{}<end>"),
        ("A or B?", "A", "USER: A or B? ASSISTANT: {}</s>"),
        ("True or false?", "T", "<s>[INST] True or false? [/INST] {}</s>"),
        ("是吗", "是", "<s>user\n是吗\nassistant\n{}</s>"),
    ],
)
def test_a_short_answer_is_not_found_in_the_words_of_a_template(question, answer, text):
    from ullage.probes.labels import Labelled

    said = ({"role": "user", "content": question}, {"role": "assistant", "content": answer})
    one = Labelled("1", 1, True, messages=said, detect=(1,))
    begin = text.index("{}")
    assert one.counted(text.format(answer)) == [(begin, begin + len(answer))]


def test_states_of_one_row_a_text_have_the_words_of_all_that_counts(tmp_path):
    import random

    chance = random.Random(0)
    said = [f"{chance.choice(('red', 'blue', 'green'))} {chance.choice(('sky', 'sea'))}" for _ in range(60)]
    lines = [{"id": str(at), "text": f"{one} {at}."} for at, one in enumerate(said)]
    texts = written(tmp_path / "texts.jsonl", lines)
    labels = [{**one, "label": int("red" in one["text"])} for one in lines]
    for positions in ("last", "mean"):
        states = tmp_path / positions
        where = ("--sites", "blocks.0.hook_resid_post", "--positions", positions, "--out", str(states))
        with pytest.raises(SystemExit, match="0"):
            main(["extract", "--model", "ullage:tiny", "--input", str(texts), *where, "--quiet"])
        document = ullage.fit_probe(
            written(tmp_path / "labels.jsonl", labels),
            tmp_path / f"{positions}-probe",
            states=states,
            shuffles=1,
        )
        assert document["words"]["auroc"] > 0.9
        short = written(tmp_path / "short.jsonl", [{**one, "span": [0, 3]} for one in labels])
        with pytest.raises(InputError, match="what counts ends before the text does"):
            ullage.fit_probe(short, tmp_path / "no", states=states)
        late = written(tmp_path / "late.jsonl", [{**one, "span": [4, len(one["text"])]} for one in labels])
        if positions == "mean":
            with pytest.raises(InputError, match="may be the mean of the whole; extract with --positions"):
                ullage.fit_probe(late, tmp_path / "no", states=states)
        else:
            assert ullage.fit_probe(late, tmp_path / "late", states=states, shuffles=1)["sites"]


def test_words_of_states_without_tokens_are_told_as_unknown():
    import numpy as np

    from ullage.probes.baseline import words_scores

    both = np.array([True, False] * 4)
    assert words_scores([[0]] * 8, both, both | True) is None
    assert words_scores([[]] * 8, both, both | True) is None


def test_how_far_a_fit_is_from_its_optimum_is_printed(fitted, pairs, tmp_path, call):
    out, _ = fitted
    code, page, _ = call("fit", pairs, "--states", out / "run", "--out", tmp_path / "a", "--quiet")
    assert code == 0
    assert "of their length from the optimum (bound)" in page
