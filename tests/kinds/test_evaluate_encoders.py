"""Encoders in an evaluation: cross-encoders say how alike answers are, models of inference cluster them."""

import json
import math
from itertools import combinations, permutations

import pyarrow.parquet
import pytest
import small_encoders
import small_models
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer

import ullage
from ullage.cli.main import main
from ullage.errors import FormatError, SpecError, UnsupportedError
from ullage.kinds.evaluate.accuracy import normalised
from ullage.kinds.evaluate.labels import are_of_inference, is_entailed
from ullage.measures import uncertainty

MNLI = ("CONTRADICTION", "Neutral", "entailment")
LONG = "red zebra " * 14
FAMILIES = [("bert", "deberta-v2"), ("roberta", "bert"), ("deberta-v2", "roberta"), ("modernbert", "mpnet")]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """`models(family, *labels, ...)`: a small encoder's folder, made once."""
    folder, made = tmp_path_factory.mktemp("encoders"), {}

    def of(family, *labels, name="", **fields):
        key = (family, labels, name)
        if key not in made:
            made[key] = small_encoders.save(folder / str(len(made)), family, labels, **fields)
        return made[key]

    return of


@pytest.fixture(scope="module")
def chat_model(tmp_path_factory):
    return small_models.save(tmp_path_factory.mktemp("chat") / "m", "llama", hidden=64, layers=2, chat=True)


@pytest.fixture
def work(tmp_path, chat_model):
    """`work(similarity=..., entailment=...)`: an evaluation of six questions with these encoders."""
    rows = [{"id": f"q{n}", "question": f"Where is {n}? {LONG}", "references": ["Rask"]} for n in range(6)]
    (tmp_path / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def of(most=None, **roles):
        given = {name: {"model": str(path), "batch": 4} for name, path in roles.items()}
        for name, tokens in (most or {}).items():
            given[name]["prompt_tokens"] = tokens
        clusters = {"clusters_by": "entailment"} if "entailment" in roles else {}
        return {
            "kind": "evaluate",
            "schedule": "sequential",
            "roles": {"generator": {"model": str(chat_model), "batch": 6}, **given},
            "budget": {"gpus": "cpu"},
            "prompt_tokens": 100,
            "new_tokens": 6,
            "examples": 6,
            "evaluate": {"input": "questions.jsonl", "samples": 3, **clusters},
        }

    return of


def run(work, folder, name="run"):
    out, record = ullage.run(ullage.load(work), folder / name, base=folder)
    return out, record


def rows_of(out, stage):
    return [json.loads(line) for line in (out / f"{stage}.jsonl").read_text(encoding="utf-8").splitlines()]


class Direct:
    """The same model asked by transformers alone, one pair at a time."""

    def __init__(self, folder):
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModelForSequenceClassification.from_pretrained(folder).eval()

    def logits(self, first, second):
        with torch.inference_mode():
            return self.model(**self.tokenizer(first, second, return_tensors="pt")).logits[0]

    def alike(self, first, second):
        return torch.sigmoid(self.logits(first, second)).item()

    def length(self, first, second):
        return len(self.tokenizer(first, second)["input_ids"])


def questions_and_answers(out):
    """By question its prompt text and its answers, the greedy one first."""
    found = {}
    for stage in ("greedy", "samples"):
        for row in rows_of(out, stage):
            found.setdefault(row["index"], {})[row["sample"]] = row
    return {
        index: (f"Where is {index}? {LONG}".strip(), [own[at] for at in sorted(own)])
        for index, own in found.items()
    }


def beside(question, text):
    return f"{' '.join(question.split())} {' '.join(text.split())}"


@pytest.mark.parametrize("families", FAMILIES, ids="-".join)
@pytest.mark.long
def test_scores_are_transformers_own_and_so_are_measures_and_clusters(models, work, tmp_path, families):
    folders = models(families[0], "LABEL_0"), models(families[1], *MNLI)
    most = {"similarity": 216, "entailment": 216}
    out, record = run(work(most, similarity=folders[0], entailment=folders[1]), tmp_path)
    assert record.outcome["failed"] == []
    cross, nli = map(Direct, folders)
    kept = {(row["index"], row["sample"]): row for row in rows_of(out, "similarity")}
    inferred = {tuple(row["key"]): row["labels"] for row in rows_of(out, "entailment")}
    table = pyarrow.parquet.read_table(out / "results.parquet").to_pylist()
    assert len(kept) == 24
    for index, (question, answers) in questions_and_answers(out).items():
        whole = [beside(question, one["text"]) for one in answers]
        near = {(a, b): cross.alike(whole[a], whole[b]) for a, b in combinations(range(1, len(answers)), 2)}
        relevance = []
        for place, one in enumerate(answers):
            cuts = [
                beside(question, one["text"][:begin] + one["text"][end:]) for begin, end in one["offsets"]
            ]
            tokens = [cross.alike(whole[place], cut) for cut in cuts]
            assert kept[index, place]["tokens"] == pytest.approx(tokens, abs=2e-6)
            relevance.append(uncertainty.token_relevance(tokens))
        for (a, b), value in near.items():
            assert kept[index, a]["samples"][str(b)] == pytest.approx(value, abs=2e-6)
            assert kept[index, b]["samples"][str(a)] == pytest.approx(value, abs=2e-6)
        table_of = [[1.0 if a == b else near[min(a, b), max(a, b)] for b in (1, 2, 3)] for a in (1, 2, 3)]
        weighed = [
            uncertainty.relevance_nll(answers[at]["logprobs"][: len(relevance[at])], relevance[at])
            for at in (1, 2, 3)
        ]
        assert table[index]["sar"] == pytest.approx(uncertainty.sentence_sar(weighed, table_of), rel=1e-3)
        texts = [one["text"] for one in answers[1:]]
        implied = {}
        for both in permutations(texts, 2):
            logits = nli.logits(beside(question, both[0]), beside(question, both[1]))
            implied[both] = logits.argmax().item() == 2
            if normalised(both[0]) != normalised(both[1]):
                wanted = dict(zip(MNLI, logits.log_softmax(0).tolist(), strict=True))
                assert inferred[(index, *both)] == pytest.approx(wanted, abs=2e-5)
        assert table[index]["semantic_entropy"] == pytest.approx(
            uncertainty.semantic_entropy([one["logprobs"] for one in answers[1:]], clustered(texts, implied)),
            rel=1e-6,
        )


def clustered(texts, implied):
    """Farquhar et al. 2024, algorithm 1, written down again: the first cluster whose first member implies a
    text and is implied by it."""
    heads, found = [], []
    for text in texts:
        same = [
            at
            for at, head in enumerate(heads)
            if normalised(text) == normalised(head) or (implied[text, head] and implied[head, text])
        ]
        found.append(same[0] if same else len(heads))
        heads += [] if same else [text]
    return found


@pytest.mark.parametrize("families", FAMILIES[:2], ids="-".join)
@pytest.mark.long
def test_a_full_batch_takes_what_was_planned(models, work, tmp_path, families):
    folders = models(families[0], "LABEL_0"), models(families[1], *MNLI)
    roles = {"similarity": folders[0], "entailment": folders[1]}
    out, _ = run(work({"similarity": 216, "entailment": 216}, **roles), tmp_path, "first")
    cross, nli = map(Direct, folders)
    longest = {"similarity": 0, "entailment": 0}
    for question, answers in questions_and_answers(out).values():
        whole = [beside(question, one["text"]) for one in answers]
        longest["similarity"] = max(longest["similarity"], *(cross.length(one, one) for one in whole))
        for both in permutations(whole[1:], 2):
            longest["entailment"] = max(longest["entailment"], nli.length(*both))
    filled, _ = run(work(longest, **roles), tmp_path, "filled")
    found = [
        each
        for each in ullage.verify(filled).comparisons
        if each.what == "live" and each.phase in ("similarity score", "entailment score")
    ]
    assert len(found) == 2
    for each in found:
        assert each.measured <= each.predicted.high
        assert abs(each.error) < 0.05


def test_a_pair_longer_than_the_plan_is_counted_and_said(models, work, tmp_path, capsys):
    most = {"similarity": 60, "entailment": 60}
    file = tmp_path / "work.json"
    roles = {"similarity": models("bert", "LABEL_0"), "entailment": models("bert", *MNLI)}
    file.write_text(json.dumps(work(most, **roles)))
    with pytest.raises(SystemExit, match="1"):
        main(["run", str(file), "--out", str(tmp_path / "run"), "--quiet"])
    said = " ".join("".join(capsys.readouterr()).split())
    assert "24 of 24 answers compared with others failed: it has " in said
    assert "comparisons of samples failed: its prompt has " in said
    assert {row["asked"] for row in rows_of(tmp_path / "run", "similarity")} == {False}
    table = pyarrow.parquet.read_table(tmp_path / "run" / "results.parquet").to_pylist()
    assert all(row.get("sar") is None for row in table)


@pytest.mark.parametrize(
    ("roles", "said"),
    [
        (
            {"entailment": ("bert", "LABEL_0", "LABEL_1", "LABEL_2")},
            "needs entailment, neutral and contradic",
        ),
        ({"entailment": ("bert", "LABEL_0")}, "needs entailment, neutral and contradiction by name"),
        ({"similarity": ("bert", *MNLI)}, "how alike two texts are is one score"),
        ({"judge": ("bert", "LABEL_0")}, "writes and weighs nothing; name a decoder"),
    ],
)
def test_labels_that_are_not_those_of_a_role_are_refused(models, work, tmp_path, roles, said):
    named = {name: models(*given) for name, given in roles.items()}
    with pytest.raises(SpecError, match=said):
        ullage.plan(work(**named), base=tmp_path)


def test_an_encoder_of_states_is_no_model_of_inference(models, work, tmp_path):
    with pytest.raises(UnsupportedError, match="gives states of texts; name a decoder to run, or an encoder"):
        run(work({"entailment": 60}, entailment=models("bert")), tmp_path)


@pytest.mark.parametrize(
    "labels",
    [
        *permutations(("entailment", "neutral", "contradiction")),
        MNLI,
        ("ENTAILMENT", "NOT_ENTAILMENT"),
        ("not-entailment", "Entailment"),
    ],
)
def test_labels_of_inference_are_told_in_any_order_and_spelling(labels):
    assert are_of_inference(labels)
    surest = {label: math.log(0.5 if label.lower() == "entailment" else 0.1) for label in labels}
    assert is_entailed(surest)
    assert not is_entailed(dict.fromkeys(labels, math.log(1 / len(labels))))


@pytest.mark.parametrize(
    "labels",
    [("LABEL_0", "LABEL_1", "LABEL_2"), ("entailment", "neutral"), ("entailment",) * 3, ("yes", "no")],
)
def test_labels_of_something_else_are_not_guessed(labels):
    assert not are_of_inference(labels)


@pytest.mark.long
@pytest.mark.parametrize("kept", [None, "pooling_mode_mean_tokens", "pooling_mode_cls_token"])
def test_an_encoder_of_states_is_pooled_as_its_folder_says(models, work, tmp_path, kept):
    folder = models("bert", name=str(kept))
    if kept is not None:
        pooled(folder, {kept: True, "pooling_mode_max_tokens": False})
    out, _ = run(work(similarity=folder), tmp_path)
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()

    def vector(text):
        with torch.inference_mode():
            states = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
        return states[0] if kept == "pooling_mode_cls_token" else states.mean(0)

    kept_rows = {(row["index"], row["sample"]): row for row in rows_of(out, "similarity")}
    for index, (question, answers) in questions_and_answers(out).items():
        one, other = (vector(beside(question, each["text"])) for each in answers[1:3])
        wanted = max(torch.cosine_similarity(one, other, dim=0).item(), 0)
        assert kept_rows[index, 1]["samples"]["2"] == pytest.approx(wanted, abs=2e-6)


def pooled(folder, modes):
    (folder / "1_Pooling").mkdir(exist_ok=True)
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(modes))
    parts = [("", "Transformer"), ("1_Pooling", "Pooling")]
    (folder / "modules.json").write_text(
        json.dumps([{"path": path, "type": f"sentence_transformers.models.{kind}"} for path, kind in parts])
    )


def test_a_pooling_that_is_not_done_is_refused_by_name(models, work, tmp_path):
    folder = models("bert", name="max")
    pooled(folder, {"pooling_mode_max_tokens": True})
    with pytest.raises(UnsupportedError, match="pools by pooling_mode_max_tokens"):
        run(work(similarity=folder), tmp_path)


def test_scores_that_are_no_numbers_are_counted_and_nothing_is_made_of_them(models, work, tmp_path):
    folders = models("bert", "LABEL_0", name="nan"), models("bert", *MNLI, name="nan")
    for folder in folders:
        weights = load_file(folder / "model.safetensors")
        weights["classifier.bias"].fill_(float("nan"))
        save_file(weights, folder / "model.safetensors", {"format": "pt"})
    out, record = run(work({"similarity": 216}, similarity=folders[0], entailment=folders[1]), tmp_path)
    said = {each["what"]: each["reasons"] for each in record.outcome["failed"]}
    assert said["answers compared with others"] == {
        "its scores are no numbers: the model overflows in this precision": 24
    }
    assert "comparisons of samples" in said
    assert all(
        row.get("sar") is None for row in pyarrow.parquet.read_table(out / "results.parquet").to_pylist()
    )


def test_no_answer_ends_the_text_it_stands_in(models):
    from types import SimpleNamespace

    from ullage.engines.encoders import PairEncoder

    direct = Direct(models("bert", *MNLI))
    engine = PairEncoder(SimpleNamespace(model=direct.model, tokenizer=direct.tokenizer, device="cpu"), "nli")
    ids = engine._read(["a [SEP] b"], ["c"])["input_ids"][0].tolist()
    assert ids.count(direct.tokenizer.sep_token_id) == 2


def test_a_tokenizer_of_another_model_is_refused(models, work, tmp_path):
    folder = models("bert", "LABEL_0", name="other")
    words = small_encoders.tokenizer("bert", corpus=["new words of all kinds " * 9])
    words.add_tokens([f"word{n}" for n in range(9)] + ["zebra"])
    words.save_pretrained(folder)
    with pytest.raises(FormatError, match="give it the tokenizer it was trained with"):
        run(work({"similarity": 216}, similarity=folder), tmp_path)


def test_what_encoders_read_is_billed(models, work, tmp_path):
    made = ullage.plan(
        work(similarity=models("bert", "LABEL_0"), entailment=models("bert", *MNLI)), base=tmp_path
    )
    read = {phase.running: phase.work for phase in made.phases if phase.verb == "score"}
    # Each of 4 answers without each of 6 tokens, and each two samples; for entailment both ways round.
    assert read["similarity"].passes == pytest.approx((4 * 6 + 3) / 4)
    assert read["entailment"].passes == pytest.approx(3 * 2 / 4)
    assert {each.prompt_tokens for each in read.values()} == {2 * (100 + 6) + 4}
