"""What a run's folder holds is checked by whoever reads it, and `check --repair` keeps what is whole."""

import json
import shutil

import pytest

import ullage
from ullage.cli.main import main
from ullage.errors import FormatError
from ullage.records.seal import read_sealed, write_sealed

EVALUATION = {
    "kind": "evaluate",
    "roles": {
        "generator": {"model": "ullage:tiny", "batch": 1},
        "judge": {"model": "ullage:tiny", "batch": 2},
    },
    "budget": {"gpus": "cpu"},
    "prompt_tokens": 160,
    "new_tokens": 4,
    "examples": 6,
    "evaluate": {"input": "questions.jsonl", "fields": {"references": "truth"}},
}
EXTRACTION = {
    "kind": "extract",
    "roles": {"model": {"model": "ullage:tiny"}},
    "captures": [{"sites": ["blocks.1.hook_resid_post"], "positions": "last", "keep": "disk"}],
    "budget": {"gpus": "cpu"},
    "prompt_tokens": 160,
    "batch": 2,
    "extract": {"input": "questions.jsonl", "text_field": "question", "store": "npy"},
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    ullage.sample("answer", folder / "questions.jsonl", count=6)
    ullage.run(ullage.load(EVALUATION), folder / "run", base=folder)
    ullage.run(ullage.load(EXTRACTION), folder / "states", base=folder)
    return folder


@pytest.fixture
def work(made, tmp_path):
    shutil.copytree(made, tmp_path / "work")
    return tmp_path / "work"


def lines_of(path):
    return path.read_bytes().splitlines(keepends=True)


def results(folder):
    names = ("greedy.jsonl", "judge.jsonl", "journal.jsonl", "scores.json", "results.parquet")
    return {name: (folder / name).read_bytes() for name in names}


def doubled(lines):
    return [*lines[:2], lines[1], *lines[2:]]


def moved(lines):
    return [lines[1], lines[0], *lines[2:]]


def lost(lines):
    return [lines[0], *lines[2:]]


def malformed(lines):
    return [lines[0], b"{\n", *lines[2:]]


USES = {
    "verified": ullage.verify,
    "reported": ullage.report,
    "judged": lambda folder: ullage.judge(folder, folder.parent / "again"),
    "resumed": ullage.resume,
}


@pytest.mark.parametrize("name", ["journal.jsonl", "greedy.jsonl", "judge.jsonl"])
@pytest.mark.parametrize("change", [doubled, moved, lost, malformed])
@pytest.mark.long
def test_changed_lines_are_an_error_that_names_them_for_whoever_reads(work, name, change):
    path = work / "run" / name
    whole = results(work / "run")
    path.write_bytes(b"".join(change(lines_of(path))))
    for use in USES.values():
        with pytest.raises(FormatError) as refused:
            use(work / "run")
        assert f"{path}:" in str(refused.value)
        assert "--repair" in str(refused.value)
        assert "\n" not in str(refused.value)
    (work / "run" / "record.json").unlink()
    with pytest.raises(FormatError, match=f"{name}:[1-3]"):
        ullage.resume(work / "run")
    found = ullage.check_run(work / "run", repair=True)
    assert found.holds
    assert found.damaged
    assert ullage.check_run(work / "run").damaged == ()
    ullage.resume(work / "run")
    assert results(work / "run") == whole


def test_a_journal_that_was_cut_short_at_a_line_is_found_in_a_finished_run_and_done_again_in_another(work):
    path, whole = work / "run" / "journal.jsonl", results(work / "run")
    path.write_bytes(b"".join(lines_of(path)[:3]))
    with pytest.raises(FormatError, match=r"journal\.jsonl: was changed"):
        ullage.verify(work / "run")
    (work / "run" / "record.json").unlink()
    for name in ("scores.json", "results.parquet", "report.html"):
        (work / "run" / name).unlink()
    ullage.resume(work / "run")
    assert results(work / "run") == whole


@pytest.mark.parametrize("name", ["scores.json", "results.parquet", "report.html"])
def test_a_page_that_was_changed_is_written_anew(work, name):
    path, whole = work / "run" / name, results(work / "run")
    record = (work / "run" / "record.json").read_bytes()
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(FormatError, match=f"{name}: was changed .*`ullage report .*` writes it anew"):
        ullage.verify(work / "run")
    ullage.report(work / "run")
    assert ullage.verify(work / "run").comparisons
    path.unlink()
    (dropped,) = ullage.check_run(work / "run", repair=True).dropped
    assert name in dropped
    assert ullage.check_run(work / "run").damaged == ()
    assert results(work / "run") == whole
    assert read_sealed(work / "run" / "record.json")["measured"] == json.loads(record)["measured"]


def test_a_record_that_was_changed_is_dropped_and_written_again(work):
    path = work / "run" / "record.json"
    path.write_text(path.read_text().replace('"examples": 6', '"examples": 7'))
    with pytest.raises(FormatError, match=r"record\.json: was changed since it was written"):
        ullage.verify(work / "run")
    assert "record.json" in ullage.check_run(work / "run", repair=True).dropped
    assert ullage.resume(work / "run").examples == 6


def test_a_manifest_that_was_changed_cannot_be_mended(work):
    path = work / "run" / "manifest.json"
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 1'))
    with pytest.raises(FormatError, match=r"manifest\.json: was changed .*restore it from a copy"):
        ullage.verify(work / "run")
    assert ullage.check_run(work / "run").damaged
    with pytest.raises(FormatError, match=r"manifest\.json: .*restore it from a copy"):
        ullage.check_run(work / "run", repair=True)
    assert (work / "run" / "greedy.jsonl").exists()


@pytest.mark.long
@pytest.mark.parametrize("name", ["blocks.1.hook_resid_post.npy", "tokens.npy", "offsets.npy"])
@pytest.mark.parametrize("place", [70, -3])
def test_memory_maps_that_were_changed_are_found(work, name, place):
    path = work / "states" / "states" / name
    whole = {each.name: each.read_bytes() for each in path.parent.iterdir()}
    data = bytearray(path.read_bytes())
    data[place] ^= 4
    path.write_bytes(data)
    for use in (ullage.verify, ullage.survey, ullage.resume):
        with pytest.raises(FormatError, match=name.replace(".", r"\.")):
            use(work / "states")
    (work / "states" / "record.json").unlink()
    with pytest.raises(FormatError, match=name.replace(".", r"\.")):
        ullage.resume(work / "states")
    assert ullage.check_run(work / "states", repair=True).holds
    ullage.resume(work / "states")
    assert {each.name: each.read_bytes() for each in path.parent.iterdir()} == whole


def test_states_alone_are_checked_by_their_index(work):
    alone = shutil.copytree(work / "states" / "states", work / "alone")
    store = ullage.open_states(alone)
    assert store[0]
    path = alone / "blocks.1.hook_resid_post.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(FormatError, match=r"hook_resid_post\.npy: was changed"):
        ullage.open_states(alone)[0]
    write_sealed(alone / "index.json", {**read_sealed(alone / "index.json"), "version": 2})
    with pytest.raises(FormatError, match="of a later version"):
        ullage.open_states(alone)


def test_the_command_line_checks_and_repairs(work, capsys):
    def called(*arguments):
        with pytest.raises(SystemExit) as ended:
            main([*arguments])
        return ended.value.code or 0, capsys.readouterr()

    run = str(work / "run")
    code, said = called("check", run)
    assert code == 0
    assert "whole" in said.out
    path = work / "run" / "greedy.jsonl"
    path.write_bytes(b"".join(doubled(lines_of(path))))
    code, said = called("check", run, "--json")
    found = json.loads(said.out)
    assert (code, found["document"], found["dropped"]) == (3, "run-check", [])
    assert found["damaged"][0].startswith(f"{path}:")
    code, said = called("check", run, "--repair")
    assert code == 0
    assert "dropped record.json" in said.out
    assert called("run", "--resume", run, "--quiet")[0] == 0
    assert called("check", run)[0] == 0
    code, said = called("check", str(work / "questions.jsonl"), "--repair")
    assert code == 2
    assert "is no folder of a run" in said.err
    code, said = called("check", str(work))
    assert code == 2
    assert "is this the folder of a run" in said.err
