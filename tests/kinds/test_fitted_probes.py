"""Probes that a run fits for itself, in every kind that listens; cut short, killed and taken up again."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from forks import Forks

import ullage
from ullage.cli.main import main
from ullage.errors import FormatError, InputError, SpecError
from ullage.facts.architecture import Architecture
from ullage.probes.card import open_probe

PAIRS = 30
ROLES = {"evaluate": "generator", "extract": "model", "werewolf": "player"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data of all runs, and a run of each kind."""
    path = tmp_path_factory.mktemp("fitted")
    ullage.sample("pairs", path / "pairs.jsonl", "test", PAIRS)
    ullage.sample("answer", path / "questions.jsonl", "test", 4)
    (path / "usual.jsonl").write_text(
        "".join(
            json.dumps({"messages": [{"role": "user", "content": f"What is {at}?"}]}) + "\n"
            for at in range(9)
        )
    )
    (path / "texts.jsonl").write_text(
        "".join(json.dumps({"text": f"Ada saw {at} cats."}) + "\n" for at in range(5))
    )
    for kind in ROLES:
        ullage.run(ullage.load(workload(kind)), path / kind, gpus="cpu", base=path)
    return path


def workload(kind: str, **fit: object) -> dict[str, Any]:
    """A file of this kind whose one role is read by a probe that is fitted first."""
    own: dict[str, dict[str, Any]] = {
        "evaluate": {
            "input": "questions.jsonl",
            "fields": {"references": "truth", "context": "context"},
            "samples": 0,
        },
        "extract": {"input": "texts.jsonl"},
        "werewolf": {
            "players": 4,
            "werewolves": 1,
            "rounds": 1,
            "days": 1,
            "thoughts": "none",
            "asked_who": False,
            "first_kill": False,
            "conditions": ["control", "treatment"],
        },
    }
    fit = {"labels": "pairs.jsonl", "layers": [4, 5], "prompt_tokens": 200, "span_tokens": 40} | fit
    return {
        "kind": kind,
        "roles": {ROLES[kind]: {"model": "ullage:tiny", "batch": 16}},
        "probes": {
            "lie": {
                "role": ROLES[kind],
                "fit": {"without_roles": True, "control": "usual.jsonl", "rate": 0.2, "shuffles": 2, **fit},
            }
        },
        "prompt_tokens": 600,
        "new_tokens": 0 if kind == "extract" else 8,
        "examples": 2 if kind == "evaluate" else 1,
        kind: own[kind],
    }


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def bytes_of(run: Path) -> dict[str, bytes]:
    """What the run wrote but for times and its journal: every line, and the probe."""
    return {
        path.relative_to(run).as_posix(): path.read_bytes()
        for path in [*run.glob("*.jsonl"), *run.glob("probes/*/*")]
        if path.name not in ("log.jsonl", "timeline.jsonl", "journal.jsonl")
    }


@pytest.mark.parametrize("kind", ROLES)
def test_a_kind_that_listens_is_read_by_the_probe_that_its_run_has_fitted(folder: Path, kind: str) -> None:
    run = folder / kind
    probe, card = open_probe(run / "probes" / "lie")
    assert probe.sites[0] in ("blocks.4.hook_resid_post", "blocks.5.hook_resid_post")
    assert card.origin.model == "ullage:tiny"
    assert card.rate == 0.2
    assert card.control.startswith("9 control dialogues")
    fit = json.loads((run / "probes/lie/fit.json").read_text())
    assert fit["test"]["auroc"] > 0.9
    assert abs(fit["without_roles"]["auroc"] - 0.5) < 0.1  # the same words, and nothing that tells them apart
    assert fit["words"]["auroc"] == 0.5
    rows = {"evaluate": "greedy", "extract": "scores", "werewolf": "turns"}[kind]
    name = {"evaluate": "probes", "extract": "scores", "werewolf": "scores"}[kind]
    heard = [row for row in lines(run / f"{rows}.jsonl") if row.get(name)]
    assert heard
    assert all("lie" in row[name] for row in heard)
    assert len(lines(run / "fit.lie.jsonl")) == 2 * PAIRS
    assert len(lines(run / "fit.lie.control.jsonl")) == 9
    verified = ullage.verify(run)
    assert verified.holds
    phase = f"{ROLES[kind]} fit lie"
    assert any(one.phase == phase and one.measured is not None for one in verified.comparisons)


@pytest.mark.parametrize("kind", ["evaluate", "werewolf"])
def test_pages_say_how_a_probe_was_fitted(folder: Path, kind: str) -> None:
    page = (folder / kind / "report.html").read_text()
    for told in (
        "Probes fitted in this run",
        "without system messages",
        "shuffled labels",
        "9 control dialogues",
    ):
        assert told in page


def test_the_terminal_says_how_a_probe_was_fitted(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    file = folder / "play.json"
    file.write_text(json.dumps(workload("extract")))
    with pytest.raises(SystemExit) as ended:
        main(["check", str(file), "--gpus", "cpu"])
    assert ended.value.code in (0, None)
    assert "model fit lie" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        main(["run", str(file), "--gpus", "cpu", "--out", str(tmp_path / "run")])
    assert ended.value.code in (0, None)
    told = capsys.readouterr().out
    assert "probes.lie: logistic at blocks." in told
    assert "held out AUROC" in told
    assert "without system messages 0.5" in told


def cut(run: Path, into: Path, entries: int) -> Path:
    """A copy as a kill leaves it after so many entries of the journal, with what was written beyond them."""
    shutil.copytree(run, into)
    for gone in ("record.json", "report.html", "results.json"):
        (into / gone).unlink(missing_ok=True)
    journal = into / "journal.jsonl"
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:entries]))
    return into


@pytest.mark.parametrize("kind", ROLES)
@pytest.mark.long
def test_a_run_cut_short_while_it_fits_or_after_goes_on_as_the_same(
    folder: Path, tmp_path: Path, kind: str
) -> None:
    entries = lines(folder / kind / "journal.jsonl")
    fitted = next(at for at, entry in enumerate(entries) if "fitted" in entry)
    for count in (fitted // 2, fitted, fitted + 1)[:: 2 if kind == "werewolf" else 1]:
        run = cut(folder / kind, tmp_path / str(count), count)
        ullage.resume(run, base=folder)
        assert bytes_of(run) == bytes_of(folder / kind)


def test_what_was_fitted_is_not_fitted_again(folder: Path, tmp_path: Path) -> None:
    """Nobody reads the dialogues, and the probe's files are as old as they were."""
    entries = lines(folder / "extract/journal.jsonl")
    fitted = next(at for at, entry in enumerate(entries) if "fitted" in entry)
    run = cut(folder / "extract", tmp_path / "run", fitted + 1)
    before = (run / "probes/lie/probe.json").stat().st_mtime_ns
    record = ullage.resume(run, base=folder)
    assert "model fit lie" not in {one.phase for one in record.measured}
    assert (run / "probes/lie/probe.json").stat().st_mtime_ns == before
    assert record.outcome["fits"]


def test_a_probe_that_was_lost_is_fitted_again_from_its_states_and_a_changed_one_is_refused(
    folder: Path, tmp_path: Path
) -> None:
    entries = lines(folder / "extract/journal.jsonl")
    fitted = next(at for at, entry in enumerate(entries) if "fitted" in entry)
    run = cut(folder / "extract", tmp_path / "run", fitted + 2)
    weights = run / "probes/lie/probe.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(FormatError, match=r"probes/lie/probe\.safetensors"):
        ullage.resume(run, base=folder)
    assert ullage.check_run(run, repair=True).dropped
    assert not (run / "probes/lie").exists()
    ullage.resume(run, base=folder)
    assert bytes_of(run) == bytes_of(folder / "extract")


def test_a_finished_run_whose_probe_was_changed_is_no_longer_whole(folder: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(folder / "extract", tmp_path / "run"))
    assert ullage.check_run(run).holds
    (run / "probes/lie/fit.json").unlink()
    assert [damage.where for damage in ullage.check_run(run).damaged] == [str(run / "probes/lie/fit.json")]


@pytest.mark.parametrize("name", ["pairs.jsonl", "usual.jsonl"])
def test_data_that_has_changed_is_refused_as_other_inputs_are(
    folder: Path, tmp_path: Path, name: str
) -> None:
    base = tmp_path / "base"
    base.mkdir()
    for file in folder.glob("*.jsonl"):
        shutil.copy(file, base)
    run = cut(folder / "extract", tmp_path / "run", 2)
    with (base / name).open("a") as file:
        file.write(json.dumps({"text": "one more", "label": 1}) + "\n")
    with pytest.raises(InputError, match=f"{name} has changed since this run began"):
        ullage.resume(run, base=base)


@pytest.mark.long
def test_kill_9_while_it_fits_and_the_run_goes_on_as_the_same(
    folder: Path, tmp_path: Path, forks: Forks
) -> None:
    file = folder / "kill.json"
    file.write_text(json.dumps(workload("extract", batch=4)))
    whole, _ = ullage.run(ullage.load(file), tmp_path / "whole", gpus="cpu", base=folder)
    run = tmp_path / "killed"
    journal = run / "journal.jsonl"

    def fitting(_: str) -> bool:
        return journal.exists() and len(journal.read_bytes().splitlines()) >= 2

    arguments = ("run", file, "--gpus", "cpu", "--out", run, "--quiet")
    assert forks.run(*arguments, when=fitting).returncode == -signal.SIGKILL
    assert not (run / "probes").exists()
    ullage.resume(run, base=folder)
    assert bytes_of(run) == bytes_of(whole)


def test_judging_anew_keeps_the_fit(folder: Path, tmp_path: Path) -> None:
    out, _ = ullage.judge(
        folder / "evaluate", tmp_path / "again", ["roles.judge.model=ullage:tiny"], base=folder
    )
    assert bytes_of(out).keys() >= {"probes/lie/probe.json", "fit.lie.jsonl"}
    entries = lines(out / "journal.jsonl")
    assert sum("fitted" in entry for entry in entries) == 1


def test_a_fit_is_billed_as_an_extract_of_its_dialogues(folder: Path) -> None:
    made = ullage.plan(workload("werewolf"), "cpu", base=folder)
    names = [phase.name for phase in made.phases]
    assert names[:3] == ["player load", "player fit lie", "player prefill"]
    work = made.phases[1].work
    assert work.prompt_tokens == 200
    assert round(work.passes * work.batch * work.examples) == 2 * PAIRS + 9 + 18  # the test's a second time
    assert work.captures[0].positions == "span"
    bare = workload("werewolf")
    del bare["probes"]
    assert "player fit lie" not in [
        phase.name for phase in ullage.plan(bare | {"werewolf": {}}, "cpu").phases
    ]
    more = ullage.plan(workload("werewolf", layers="all"), "cpu", base=folder)

    def stored(plan: ullage.Plan) -> int:
        """Bytes of all dialogues' states, on disk."""
        items = [each for each in plan.bill.items if (each.device, each.phase) == ("disk", "player fit lie")]
        return sum(each.bytes.high for each in items if each.component == "captures")

    model = ullage.model("ullage:tiny")
    assert isinstance(model, Architecture)
    assert stored(made) == (2 * PAIRS + 9 + 18) * 40 * model.hidden_size * 4 * 2
    assert stored(more) == 3 * stored(made)  # six blocks instead of two


def test_every_mistake_of_a_fit_is_told_at_once(folder: Path, tmp_path: Path) -> None:
    wrong = workload("extract", rate=2.0, strengths=[0.0], method="attention", aggregation="max")
    wrong["probes"]["other"] = {"path": "there", "fit": {"labels": "pairs.jsonl"}}
    wrong["probes"]["none"] = {"role": "model"}
    with pytest.raises(SpecError) as found:
        ullage.load(wrong)
    told = "\n".join(found.value.mistakes)
    for problem in (
        "probes.lie.fit.rate: 2.0 is no share between 0 and 1",
        "probes.lie.fit.strengths: 0.0 is not above 0",
        "leave out aggregation",
        "probes.other.path: is of a probe that is fitted already",
        "probes.none.path: names no folder",
    ):
        assert problem in told
    (tmp_path / "empty.jsonl").write_text("")
    missing = workload("extract", labels="nowhere.jsonl", sites=["blocks.*.hook_nothing"])
    with pytest.raises(SpecError, match=r"probes\.lie\.fit: .*hook_nothing"):
        ullage.plan(missing, "cpu", base=folder)
    with pytest.raises(SpecError, match=r"probes\.lie: .*nowhere\.jsonl: cannot be read"):
        ullage.plan(workload("extract", labels="nowhere.jsonl"), "cpu", base=folder)
    with pytest.raises(SpecError, match="holds no records"):
        ullage.plan(workload("extract", labels=str(tmp_path / "empty.jsonl")), "cpu", base=folder)


@pytest.mark.parametrize(
    ("fit", "told"),
    [
        ({"prompt_tokens": 20}, r"pairs\.jsonl:1: dialogue .* tokens, and the plan is for 20"),
        ({"span_tokens": 1}, r"pairs\.jsonl:1: what counts of .* the fit's span_tokens is 1"),
        ({"labels": "one.jsonl"}, "every label is 1; nothing can be told apart"),
        ({"labels": "said.jsonl"}, "takes labels of messages"),
        ({"labels": "few.jsonl"}, "the part to .* has"),
    ],
)
def test_data_that_cannot_be_fitted_to_is_told_before_a_model_is_loaded(
    folder: Path, tmp_path: Path, fit: dict[str, object], told: str
) -> None:
    pairs = (folder / "pairs.jsonl").read_text().splitlines()
    (folder / "few.jsonl").write_text("\n".join(pairs[:1]))
    (folder / "one.jsonl").write_text(json.dumps({"text": "So it is.", "label": 1}))
    (folder / "said.jsonl").write_text(
        "".join(json.dumps({"text": f"{at} is {at}.", "label": at % 2}) + "\n" for at in range(20))
    )
    with pytest.raises(InputError, match=told):
        ullage.run(ullage.load(workload("extract", **fit)), tmp_path / "run", gpus="cpu", base=folder)
    assert not (tmp_path / "run").exists()  # nothing was done, so nothing is left


def test_a_talk_takes_a_probe_that_is_fitted_and_no_other(folder: Path) -> None:
    (folder / "talk.json").write_text(json.dumps(workload("evaluate")))
    told = pytest.raises(InputError, match=r"probes\.lie: is fitted in a run of this file")
    with told, ullage.chat(folder / "talk.json"):
        pass
    with ullage.chat("ullage:tiny", [folder / "evaluate/probes/lie"]) as talk:
        assert [*talk.say("What is a cat?")][-1].probes.keys() == {"lie"}
