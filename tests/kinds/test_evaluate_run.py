"""Evaluations from a file of questions to a report: whole runs through the public functions."""

import csv
import json
import re
import time
from html.parser import HTMLParser

import pyarrow.parquet
import pytest
import small_models
from remote_server import Server, completion
from transformers import AutoModelForCausalLM

import ullage
from ullage.cli.main import main
from ullage.errors import EngineError, FormatError, InputError, SpecError
from ullage.records.journal import Journal
from ullage.records.pool import write_pool
from ullage.records.seal import read_sealed, write_sealed
from ullage.runtime import opening

NAMES = ("Drosa", "Rask", "Quarn", "Selby", "Ostra", "Lunda", "Wexel", "Norby")
SCRIPTED = """
kind: evaluate
roles:
  generator: {model: answers.jsonl, engine: scripted}
  judge: {model: judge.jsonl, engine: scripted}
budget: {gpus: cpu}
evaluate: {input: questions.jsonl}
"""
LOCAL = """
kind: evaluate
schedule: sequential
roles:
  generator: {model: MODEL, batch: 4}
  judge: {model: MODEL, batch: 4}
  similarity: {model: MODEL, batch: 4}
  entailment: {model: MODEL, batch: 4}
budget: {gpus: cpu}
prompt_tokens: 96
new_tokens: 6
examples: 8
evaluate: {input: questions.jsonl, samples: 3, clusters_by: entailment, p_true: true}
"""


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def write_questions(folder, count=8):
    rows = [
        {"id": f"q{n}", "question": f"Where does person {n} live?", "references": [NAMES[n % 8]]}
        for n in range(count)
    ]
    write_lines(folder / "questions.jsonl", rows)
    return rows


@pytest.fixture
def scripted(tmp_path):
    """Eight questions: answers 0 to 4 right and sure, 5 to 7 wrong and less sure; the judge says nothing
    usable of answer 4."""
    write_questions(tmp_path)
    answers = [
        {
            "contains": f"person {n} ",
            "text": NAMES[n] if n < 5 else "Atlantis",
            "logprobs": [-0.1 - 0.01 * n if n < 5 else -2.0 - n],
            "entropies": [0.3],
        }
        for n in range(8)
    ]
    judged = [
        {"contains": "person 4 ", "text": "perhaps", "scores": {"yes": -0.1, "no": -3.0}},
        {"contains": "Answer: Atlantis", "text": "No.", "scores": {"yes": -3.0, "no": -0.1}},
        {"contains": "", "text": "yes", "scores": {"yes": -0.1, "no": -3.0}},
    ]
    write_lines(tmp_path / "answers.jsonl", answers)
    write_lines(tmp_path / "judge.jsonl", judged)
    file = tmp_path / "work.yaml"
    file.write_text(SCRIPTED)
    return file


@pytest.fixture(scope="session")
def chat_model(tmp_path_factory):
    return small_models.save(
        tmp_path_factory.mktemp("models") / "chat", "llama", hidden=64, layers=2, chat=True
    )


@pytest.fixture
def local(tmp_path, chat_model):
    write_questions(tmp_path)
    file = tmp_path / "work.yaml"
    file.write_text(LOCAL.replace("MODEL", str(chat_model)))
    return file


def run(file, name="run", *overrides):
    folder = file.parent / name
    _, record = ullage.run(ullage.load(file, overrides), folder, base=file.parent)
    return folder, record


def summary(folder):
    return json.loads((folder / "scores.json").read_text(encoding="utf-8"))


def table(folder):
    return pyarrow.parquet.read_table(folder / "results.parquet").to_pylist()


def score(found, label, uncertainty, name="AUROC"):
    (row,) = [r for r in found["scores"] if (r["label"], r["uncertainty"]) == (label, uncertainty)]
    return next(one for one in row["scores"] if one["name"] == name)


def test_answers_are_judged_and_measured(scripted):
    folder, _ = run(scripted)
    found = summary(folder)
    assert found["labels"]["exact_match"] == {"right": 5, "wrong": 3, "unscored": 0, "accuracy": 5 / 8}
    assert found["labels"]["judge"]["accuracy"] == 5 / 8
    one = score(found, "exact_match", "G-NLL")
    assert (one["value"], one["answers"], one["mistakes"]) == (1.0, 8, 3)
    rows = table(folder)
    assert [row["id"] for row in rows] == [f"q{n}" for n in range(8)]
    assert rows[0]["answer"] == "Drosa"
    assert rows[0]["g_nll"] == pytest.approx(0.1)
    assert rows[5]["judge_verdict"] == "no"
    assert rows[5]["judge_probability"] == pytest.approx(1 / (1 + 2.718281828**2.9), rel=1e-6)


def test_every_column_has_a_name_and_a_type_that_sql_takes(scripted):
    folder, _ = run(scripted)
    schema = pyarrow.parquet.read_schema(folder / "results.parquet")
    assert all(re.fullmatch("[a-z_][a-z0-9_]*", name) for name in schema.names)
    assert not [field.name for field in schema if pyarrow.types.is_null(field.type)]
    assert {"context", "sample_logprobs", "sar", "one_minus_p_true", "judge_mass"} <= set(schema.names)
    assert table(folder)[0]["sar"] is None


def test_a_verdict_outside_the_offered_is_unscored_and_never_a_no(scripted):
    folder, _ = run(scripted, "run", "evaluate.judge_by=text")
    found = summary(folder)
    assert found["labels"]["judge"] == {"right": 4, "wrong": 3, "unscored": 1, "accuracy": 4 / 7}
    assert [one["id"] for one in found["unscored"]["judge"]] == ["q4"]
    row = table(folder)[4]
    assert row["judge_verdict"] is None
    assert row["judge_reply"] == "perhaps"
    (agreed,) = [one for one in found["agreement"] if one["labels"] == ["judge", "exact_match"]]
    assert (agreed["answers"], agreed["agree"], agreed["kappa"]) == (7, 1.0, 1.0)


def test_the_judges_whole_prompt_is_kept(scripted):
    folder, _ = run(scripted)
    rows = [json.loads(line) for line in (folder / "judge.jsonl").read_text().splitlines()]
    assert all(row["prompt"][0]["role"] == "system" for row in rows)
    assert any("Reference: Drosa\nAnswer: Drosa" in row["prompt"][1]["content"] for row in rows)


def test_judging_again_keeps_answers_and_adds_a_judge(scripted):
    folder, _ = run(scripted)
    write_lines(scripted.parent / "strict.jsonl", [{"scores": {"yes": -4, "no": -0.1}}])
    (scripted.parent / "answers.jsonl").unlink()  # nothing may be generated
    out = scripted.parent / "again"
    changes = ["roles.judge_strict.model=strict.jsonl", "roles.judge_strict.engine=scripted"]
    ullage.judge(folder, out, changes)
    found = summary(out)
    assert list(found["labels"])[:3] == ["judge", "judge_strict", "vote"]
    assert found["labels"]["judge_strict"]["wrong"] == 8
    assert found["labels"]["judge"] == summary(folder)["labels"]["judge"]
    # One for and one against is no majority.
    assert found["labels"]["vote"] == {"right": 0, "wrong": 3, "unscored": 5, "accuracy": 0.0}
    assert (out / "greedy.jsonl").read_bytes() == (folder / "greedy.jsonl").read_bytes()


@pytest.mark.parametrize(
    "change, said",
    [
        ("roles.generator.batch=2", "roles.generator: has changed"),
        ("evaluate.style=long", "evaluate.style: has changed"),
    ],
)
def test_judging_again_refuses_what_needs_other_answers(scripted, change, said):
    folder, _ = run(scripted)
    with pytest.raises(InputError, match=said):
        ullage.judge(folder, scripted.parent / "again", [change])
    assert not (scripted.parent / "again").exists()


def test_judging_again_notices_changed_questions(scripted):
    folder, _ = run(scripted)
    write_questions(scripted.parent, 9)
    with pytest.raises(InputError, match=r"questions\.jsonl has changed since this run began"):
        ullage.judge(folder, scripted.parent / "again", ["evaluate.right_from=0.7"])


def test_a_local_model_gives_every_measure_for_every_answer(local):
    folder, record = run(local)
    rows = table(folder)
    measures = [
        "length", "g_nll", "mean_nll", "nll_early", "nll_late", "nll_surprising", "mean_entropy",
        "max_entropy", "predictive_entropy", "mean_predictive_entropy", "semantic_entropy",
        "discrete_semantic_entropy", "relevance_g_nll", "sentsar", "sar", "one_minus_p_true",
    ]  # fmt: skip
    assert all(row[name] is not None for row in rows for name in measures)
    for row in rows:
        assert len(row["offsets"]) == len(row["tokens"]) == len(row["relevance"])
        assert sum(row["relevance"]) == pytest.approx(1, abs=1e-4)
        assert "".join(row["answer"][b:e] for b, e in row["offsets"]) == row["answer"]
        assert len(row["samples"]) == len(row["meanings"]) == len(row["sample_logprobs"]) == 3
        assert all(row["sample_logprobs"])
    assert record.examples == 8


def test_one_model_in_memory_at_a_time(local):
    folder, record = run(local)
    freed = record.outcome["freed"]
    assert [one["role"] for one in freed] == ["generator", "judge", "similarity", "entailment"]
    model = AutoModelForCausalLM.from_pretrained(ullage.load(local).roles["generator"].model)
    weights = sum(weight.nbytes for weight in model.parameters())
    for one in freed:
        assert one["before"]["cpu"] >= weights
        assert one["after"]["cpu"] <= 0.02 * one["before"]["cpu"]
    levels = [c for c in ullage.verify(folder).comparisons if c.what == "live"]
    assert levels
    assert all(c.verdict != "above" for c in levels)


def test_swapped_models_wait_in_host_memory_are_loaded_once_and_say_the_same(local, monkeypatch):
    from ullage.runtime import parking, residents
    from ullage.runtime.loader import load_model

    loads = {parking: 0, residents: 0}

    def count(room):
        def counted(*args, **named):
            loads[room] += 1
            return load_model(*args, **named)

        monkeypatch.setattr(room, "load_model", counted)

    count(parking)
    count(residents)
    write_questions(local.parent, 2)
    freeing, _ = run(local, "freeing", "examples=2")
    assert loads == {parking: 0, residents: 4}
    swapping, _ = run(local, "swapping", "examples=2", "schedule=swapped")
    # The last one's turn is the end: it never waits.
    assert loads == {parking: 3, residents: 5}
    for name in ("results.parquet", "scores.json"):
        assert (swapping / name).read_bytes() == (freeing / name).read_bytes(), name
    levels = [c for c in ullage.verify(swapping).comparisons if c.kind == "level"]
    assert levels
    assert all(c.verdict != "above" for c in levels)


def test_devices_that_are_simulated_are_counted_apart_and_change_no_result(local, capsys):
    write_questions(local.parent, 2)
    plain, _ = run(local, "plain", "examples=2")
    folder = local.parent / "simulated"
    placed = ["roles.judge.placement=gpu:1", "schedule=swapped", "roles.similarity.residency=disk"]
    workload = ullage.load(local, ["examples=2", *placed])
    ullage.run(workload, folder, gpus="2x(cpu, 24MiB)", base=local.parent)
    for name in ("results.parquet", "scores.json"):
        assert (plain / name).read_bytes() == (folder / name).read_bytes(), name
    found = ullage.verify(folder).comparisons
    levels = [each for each in found if each.kind == "level"]
    assert {each.device for each in levels} == {"gpu:0", "gpu:1"}
    assert all(each.verdict != "above" for each in levels)
    weights = {each.device: each.measured for each in found if each.what == "weights"}
    assert weights["gpu:0"] == weights["gpu:1"] > 0
    last = ullage.read_pool(folder)
    assert last.state == "ended"
    assert last.seen.simulated
    roles = ("generator", "judge", "similarity", "entailment")
    assert {role.name: role.loads for role in last.seen.roles} == dict.fromkeys(roles, 1)
    for place in last.seen.places:
        assert 0 < place.most <= place.budget
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["pool", str(folder)])
    printed = capsys.readouterr().out
    assert "simulated" in printed
    assert all(f"{name} " in printed for name in ("gpu:0", "gpu:1", "host", *roles))


def test_a_pool_is_seen_while_its_run_goes_on_and_when_it_was_killed(local, monkeypatch):
    write_questions(local.parent, 2)
    folder, seen = local.parent / "run", []

    def written(path, found):
        write_pool(path, found)
        seen.append(ullage.read_pool(path))

    monkeypatch.setattr(opening, "write_pool", written)
    run(local, "run", "examples=2", "schedule=simultaneous")
    assert {each.state for each in seen} == {"running"}
    assert {role.where for each in seen for role in each.seen.roles} >= {"disk", "moving", "device"}
    assert not (folder / "pool.json").exists()
    write_pool(folder, seen[-1].seen)
    assert ullage.read_pool(folder).state == "cut short"
    (folder / "pool.json").write_text("{}")
    with pytest.raises(FormatError, match=r"pool\.json"):
        ullage.read_pool(folder)
    with pytest.raises(FormatError, match="folder of a run"):
        ullage.read_pool(local.parent)


def test_simultaneous_models_stay(local):
    _, record = run(local, "run", "schedule=simultaneous")
    assert "freed" not in record.outcome


@pytest.mark.long
def test_a_run_killed_in_any_turn_is_resumed_to_the_same_bytes(local, forks):
    whole, _ = run(local, "whole")
    for number in (0, 2):
        folder = local.parent / f"killed{number}"
        journal, wanted = folder / "journal.jsonl", 1 + 4 * number

        def kept(_, journal=journal, wanted=wanted):
            return journal.exists() and journal.read_bytes().count(b"\n") >= wanted

        forks.run("run", local, "--out", folder, "--quiet", when=kept)
        ullage.resume(folder)
        for name in ("greedy", "samples", "p_true", "judge", "similarity", "entailment"):
            assert (folder / f"{name}.jsonl").read_bytes() == (whole / f"{name}.jsonl").read_bytes()
        assert table(folder) == table(whole)
        assert (folder / "scores.json").read_bytes() == (whole / "scores.json").read_bytes()


def test_every_kind_of_file_holds_the_same_questions(scripted):
    datasets = pytest.importorskip("datasets")
    whole = table(run(scripted)[0])
    rows = [json.loads(line) for line in (scripted.parent / "questions.jsonl").read_text().splitlines()]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), scripted.parent / "q.parquet")
    datasets.Dataset.from_list(rows).save_to_disk(str(scripted.parent / "q"))
    with (scripted.parent / "q.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["id", "question", "references"])
        writer.writeheader()
        writer.writerows({**row, "references": row["references"][0]} for row in rows)
    (scripted.parent / "q.json").write_text(json.dumps({"version": 1, "data": rows}, indent=1))
    for name in ("q.parquet", "q", "q.csv", "q.json"):
        found = table(run(scripted, f"run {name}", f"evaluate.input={name}")[0])
        assert found == whole


def test_worked_examples_are_in_prompts_and_not_asked(scripted):
    folder, _ = run(scripted, "run", "evaluate.shots=2")
    assert [row["id"] for row in table(folder)] == [f"q{n}" for n in range(2, 8)]


@pytest.mark.parametrize(
    "line, said",
    [
        ('{"question": "Who?", "references": 4.5}', None),
        ('{"question": "", "references": []}', r"questions\.jsonl:9: no text under 'question'"),
        ('{"question": "Who", "references": {"a": 1}}', r"questions\.jsonl:9: references: not a text"),
        ('{"question": "Who", "id": "q0"}', "'q0' is that of questions.jsonl:1 too"),
        ("{", r"questions\.jsonl:9: not JSON"),
    ],
)
def test_a_wrong_record_is_named_and_nothing_is_left(scripted, line, said):
    with (scripted.parent / "questions.jsonl").open("a") as file:
        file.write(line + "\n")
    if said is None:
        write_lines(scripted.parent / "answers.jsonl", [{"text": "4.5", "logprobs": [-1]}])
        assert table(run(scripted)[0])[-1]["exact_match"] == 1
        return
    with pytest.raises(InputError, match=said):
        run(scripted)
    assert not (scripted.parent / "run").exists()


def test_a_question_longer_than_the_plan_is_refused_by_name(local):
    rows = [{"id": "long", "question": "where " * 200, "references": ["x"]}]
    write_lines(local.parent / "questions.jsonl", rows)
    with pytest.raises(
        InputError, match=r"'long': its prompt has [\d,]+ tokens, the plan is for prompt_tokens: 96"
    ):
        run(local)


def test_an_empty_file_holds_no_questions(scripted):
    (scripted.parent / "questions.jsonl").write_text("\n")
    with pytest.raises(InputError, match=r"questions\.jsonl: holds no questions"):
        run(scripted)


def test_several_files_are_asked_one_after_another(scripted):
    rows = (scripted.parent / "questions.jsonl").read_text().splitlines(keepends=True)
    whole = table(run(scripted)[0])
    (scripted.parent / "a.jsonl").write_text("".join(rows[:3]))
    (scripted.parent / "b.jsonl").write_text("".join(rows[3:]))
    assert table(run(scripted, "both", "evaluate.input=[a.jsonl, b.jsonl]")[0]) == whole


def test_a_question_without_an_answer_is_answered_by_saying_so(scripted):
    rows = [{"id": n, "question": f"Who is person {n} then?", "references": []} for n in range(3)]
    write_lines(scripted.parent / "questions.jsonl", rows)
    answers = [
        {"contains": "person 0 ", "text": "Unknown."},
        {"contains": "person 1 ", "text": "Drosa"},
        {"contains": "person 2 ", "text": " "},
    ]
    write_lines(scripted.parent / "answers.jsonl", answers)
    folder, _ = run(scripted)
    assert [row["exact_match"] for row in table(folder)] == [1, 0, 1]
    prompts = [json.loads(line)["prompt"][1]["content"] for line in (folder / "judge.jsonl").open()]
    assert all("cannot be answered" in prompt for prompt in prompts)


@pytest.mark.parametrize(
    "override, said",
    [
        ("evaluate.template=tell me", "lacks {question}"),
        ("evaluate.verdicts=[right, Right]", "twice the same word"),
        ("evaluate.clusters_by=entailment", "no role called entailment"),
        ("roles.critic.model=judge.jsonl", "no such role; valid: generator, judge, similarity, entailment$"),
    ],
)
def test_settings_that_make_no_sense_are_refused(scripted, override, said):
    with pytest.raises(SpecError, match=said):
        ullage.load(scripted, [override])


@pytest.fixture
def serve(monkeypatch):
    monkeypatch.setenv("TEST_KEY", "sk-test")
    servers = []

    def start(behave):
        servers.append(Server(behave))
        return servers[-1]

    yield start
    for server in servers:
        server.http.shutdown()


@pytest.mark.parametrize("fault", ["429", "500", "truncated", "hang"])
def test_a_failing_server_costs_only_the_questions_it_fails(scripted, serve, fault):
    def behave(body, seen):
        text = body["messages"][-1]["content"]
        if "person 3 " not in text:
            return 200, completion("Drosa")
        if fault == "hang":
            time.sleep(1.5)
        if fault == "truncated":
            return 200, b'{"id": "1", "choices": [{"ind'
        return (int(fault) if fault.isdigit() else 200), {"error": {"message": "no"}}

    server = serve(behave)
    remote = [
        "roles.generator.engine=openai",
        f"roles.generator.openai.base_url={server.url}",
        "roles.generator.openai.key_env=TEST_KEY",
        "roles.generator.openai.retries=1",
        "roles.generator.openai.timeout_seconds=0.5",
        "roles.generator.openai.price_per_million=[1.0, 2.0]",
    ]
    folder, record = run(scripted, "run", *remote)
    found = summary(folder)
    assert [one["id"] for one in found["failed"]] == ["q3"]
    assert found["labels"]["judge"]["unscored"] == 1
    assert record.outcome["usage"]["generator"]["requests"] == 7
    assert record.outcome["usage"]["generator"]["usd"] > 0


def test_a_server_that_refuses_stops_the_run_with_its_work_kept(scripted, serve):
    asked = []

    def behave(body, seen):
        asked.append(body)
        return (200, completion("Drosa")) if len(asked) <= 4 else (401, {"error": {"message": "bad key"}})

    server = serve(behave)
    remote = [
        "roles.generator.engine=openai",
        f"roles.generator.openai.base_url={server.url}",
        "roles.generator.openai.key_env=TEST_KEY",
        "roles.generator.openai.concurrency=1",
    ]
    with pytest.raises(EngineError, match="refuses"):
        run(scripted, "run", *remote)
    folder = scripted.parent / "run"
    assert len((folder / "greedy.jsonl").read_text().splitlines()) == 4
    server.behave = lambda body, seen: (200, completion("Drosa"))
    ullage.resume(folder)
    assert len(table(folder)) == 8
    assert not summary(folder)["failed"]


class Page(HTMLParser):
    """Texts of a page, and every address it would fetch something from."""

    def __init__(self, text):
        super().__init__()
        self.texts, self.fetched = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.fetched += [values[name] for name in ("src", "href") if name in values and tag != "a"]
        assert tag != "iframe"
        assert tag != "link" or values["rel"] == "icon"
        assert tag != "script" or not attrs  # what filters and searches is in the page itself

    def handle_data(self, data):
        self.texts.append(data.strip())


def test_the_report_needs_nothing_beside_itself_and_shows_the_numbers(scripted):
    folder, _ = run(scripted)
    page = Page((folder / "report.html").read_text(encoding="utf-8"))
    assert not [address for address in page.fetched if address and not address.startswith(("#", "data:"))]
    assert "62.5%" in page.texts
    assert "Atlantis" in page.texts
    before = (folder / "report.html").read_bytes()
    ullage.report(folder)
    assert (folder / "report.html").read_bytes() == before


def test_markup_in_answers_stays_text(scripted):
    nasty = "<script>alert(1)</script>"
    write_lines(scripted.parent / "answers.jsonl", [{"text": nasty, "logprobs": [-1]}])
    folder, _ = run(scripted)
    assert nasty not in (folder / "report.html").read_text(encoding="utf-8")


def test_a_check_runs_one_question_and_writes_nothing(local):
    before = sorted(path.name for path in local.parent.iterdir())
    checked = ullage.check(ullage.load(local), base=local.parent)
    assert checked.measured
    assert sorted(path.name for path in local.parent.iterdir()) == before


@pytest.mark.parametrize(
    "outcome, said",
    [
        ({"usage": {"judge": {"requests": "many"}}}, 'usage: judge: requests is "many", not a number'),
        ({"usage": []}, "usage is an array, not an object"),
        ({"freed": [1]}, "freed[0] is 1, not an object"),
    ],
)
def test_a_record_whose_outcome_was_changed_is_refused(scripted, outcome, said):
    folder, _ = run(scripted)
    path = folder / "record.json"
    write_sealed(path, read_sealed(path) | {"outcome": outcome})
    with pytest.raises(FormatError) as refused:
        ullage.report(folder)
    assert said in str(refused.value)


def test_what_nobody_counted_is_unknown_on_the_page(scripted):
    """vLLM holds a model in a process of its own, and nothing alive is counted there."""
    folder, _ = run(scripted)
    path = folder / "record.json"
    freed = {"role": "judge", "before": {"cpu": 2**20}, "after": {"cpu": None}}
    write_sealed(path, read_sealed(path) | {"outcome": {"freed": [freed]}})
    ullage.report(folder)
    assert ">unknown<" in (folder / "report.html").read_text(encoding="utf-8")


def test_a_journal_whose_usage_was_changed_is_refused(scripted):
    folder, _ = run(scripted)
    (folder / "record.json").unlink()
    Journal(folder / "journal.jsonl").append({"usage": "judge", "requests": "many"})
    with pytest.raises(FormatError, match=r'journal\.jsonl: requests is "many", not a number'):
        ullage.resume(folder)


def test_a_plan_for_far_longer_prompts_than_there_are_is_said(local, capsys):
    said = "fewer need less memory"
    ample, close = local.parent / "ample", local.parent / "close"
    ullage.run(ullage.load(local, ("prompt_tokens=400",)), ample, base=local.parent, quiet=False)
    assert f"the plan is for prompt_tokens: 400; {said}" in capsys.readouterr().err
    rows = [json.loads(line) for line in (ample / "greedy.jsonl").open()]
    longest = max(row["prompt_tokens"] for row in rows)
    ullage.run(ullage.load(local, (f"prompt_tokens={longest}",)), close, base=local.parent, quiet=False)
    assert said not in capsys.readouterr().err
