"""A run's folder names nobody, belongs to one user, and goes on wherever it is taken."""

import json
import os
import shutil
import socket
import stat

import pytest
import small_models
from forks import Forks

import ullage
from ullage.errors import InputError
from ullage.kinds.pii.verbs import verify_pii
from ullage.records.journal import Journal, write_journal
from ullage.records.places import portable

USER = "zaphod"
KINDS = {
    "extract": {
        "roles": {"model": "MODEL"},
        "captures": [{"sites": ["blocks.1.hook_resid_post"], "positions": "last", "keep": "disk"}],
        "extract": {"input": "INPUT/questions.jsonl", "text_field": "question"},
    },
    "evaluate": {
        "roles": {"generator": "MODEL", "judge": "MODEL"},
        "evaluate": {"input": "INPUT/questions.jsonl", "fields": {"references": "truth"}, "samples": 1},
    },
    "pii": {"roles": {"verifier": "MODEL"}, "pii": {"input": "INPUT/records.jsonl", "max_failed": 1.0}},
}
PAGES = ("report.html", "scores.json", "results.parquet", "summary.json")
TIMES = (
    "record.json",
    "manifest.json",
    "log.jsonl",
    "timeline.jsonl",
    ".lock",
    "report.html",
    "summary.json",
)
UIDS = (12345, 23456)
MAY = "+dac_read_search,+setuid,+setgid"
AS_ANOTHER = ["--clear-groups", "--inh-caps", MAY, "--ambient-caps", MAY]
"""Another uid that may read (Python may lie in a folder of root's), writes where it owns alone, and may
become a third."""


def workload(kind, given, model):
    """A workload file's mapping, its paths as `given` (absolute, or relative to its base)."""
    text = json.dumps(KINDS[kind]).replace(
        '"MODEL"', json.dumps({"model": model, "batch": 2, "precision": "fp32"})
    )
    return {
        "kind": kind,
        "budget": {"gpus": "cpu"},
        "prompt_tokens": 160,
        "new_tokens": 4,
        "examples": 6,
        **json.loads(text.replace("INPUT/", given)),
    }


def data(folder):
    """A model and what is read, as a user has them."""
    (folder / "in").mkdir(parents=True)
    ullage.sample("answer", folder / "in" / "questions.jsonl", count=6)
    ullage.sample("verify", folder / "in" / "records.jsonl", count=12)
    small_models.save(folder / "models" / "chat", "llama", hidden=64, layers=2, chat=True)
    return folder


def results(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and path.name not in TIMES
        and (path.name != "journal.jsonl" or "pii" not in str(folder))
    }


def cut(folder):
    """What a kill after half of the journal leaves of a finished run."""
    for name in ("record.json", *PAGES):
        (folder / name).unlink(missing_ok=True)
    journal = Journal(folder / "journal.jsonl")
    journal.close()
    write_journal(journal.path, list(journal.entries)[: max(len(journal.entries) // 2, 1)])


@pytest.fixture
def home(tmp_path, monkeypatch):
    """The home of a user whose name nobody is to see."""
    folder = data(tmp_path / "home" / USER)
    for name in ("USER", "LOGNAME"):
        monkeypatch.setenv(name, USER)
    monkeypatch.setenv("HOME", str(folder))
    return folder


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("absolute", [True, False])
def test_nothing_in_a_folder_names_the_user_the_host_or_a_place(home, kind, absolute):
    given, model = (f"{home}/in/", f"{home}/models/chat") if absolute else ("in/", "models/chat")
    out, _ = ullage.run(ullage.load(workload(kind, given, model)), home / "out" / "run", base=home)
    cut(out)
    with pytest.MonkeyPatch.context() as patch:
        import torch

        before = torch.get_num_threads()
        patch.setattr(torch, "get_num_threads", lambda: before + 1)
        ullage.resume(out, anyway=True)  # which says something
    host = socket.gethostname()
    for path in (each for each in out.rglob("*") if each.is_file()):
        held = path.read_bytes()
        assert USER.encode() not in held, path
        assert str(home.parent.parent).encode() not in held, path
        assert len(host) < 4 or host.encode() not in held, path
    assert stat.S_IMODE(out.stat().st_mode) == 0o700


@pytest.fixture(scope="module")
def users():
    """A process of the first user, whose forks become the second where they are to."""
    forks = Forks(who=["setpriv", "--reuid", str(UIDS[0]), "--regid", str(UIDS[0]), *AS_ANOTHER])
    yield forks
    forks.close()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.skipif(os.getuid() != 0 or not shutil.which("setpriv"), reason="takes root, to be two users")
@pytest.mark.long
def test_a_run_begun_by_one_user_ends_as_another_elsewhere_with_the_same_bytes(tmp_path, kind, users):
    os.chmod(tmp_path, 0o755)
    for folder in (tmp_path, *tmp_path.parents):
        if not folder.stat().st_mode & 0o001:
            os.chmod(folder, folder.stat().st_mode | 0o011)  # pytest's own, which are root's alone
    first, second = tmp_path / "a" / "first", tmp_path / "b" / "second"
    data(first / "work")
    (first / "work" / "work.json").write_text(json.dumps(workload(kind, "in/", "models/chat")))
    _own(first, UIDS[0])
    _as(users, UIDS[0], first, "run", "work/work.json", "--out", "runs/whole", "--quiet")
    shutil.copytree(first / "runs" / "whole", first / "runs" / "half")
    cut(first / "runs" / "half")
    whole = results(first / "runs" / "whole")
    (second / "elsewhere").mkdir(parents=True)
    shutil.move(first / "runs" / "half", second / "taken")
    shutil.move(first / "work" / "in", second / "elsewhere" / "in")
    shutil.move(first / "work" / "models", second / "elsewhere" / "models")
    shutil.rmtree(first / "work")
    _own(second, UIDS[1])
    refused = _as(users, UIDS[1], second, "run", "--resume", "taken", "--quiet", code=2)
    assert "--base" in refused
    _as(users, UIDS[1], second, "run", "--resume", "taken", "--base", "elsewhere", "--quiet")
    assert results(second / "taken") == whole
    assert stat.S_IMODE((second / "taken").stat().st_mode) == 0o700
    assert {path.stat().st_uid for path in (second / "taken").rglob("*")} == {UIDS[1]}


def _own(folder, uid):
    for path in (folder, *folder.rglob("*")):
        os.chown(path, uid, uid, follow_symlinks=False)


def _as(users, uid, folder, *arguments, code=0):
    """Runs Ullage as a user in a folder; what it said."""
    first = f"os.setresgid({uid}, {uid}, {uid})\nos.setresuid({uid}, {uid}, {uid})\n"
    first += f"os.environ.update(HOME={str(folder)!r}, ULLAGE_HOME={str(folder / 'evidence')!r})\n"
    first += "for name in ('USER', 'LOGNAME'): os.environ.pop(name, None)"
    done = users.run(*arguments, folder=folder, first=first)
    assert done.returncode == code, done.stderr
    return done.stderr


def test_a_folder_that_was_moved_with_its_inputs_needs_no_word(tmp_path):
    work = data(tmp_path / "here")
    whole, _ = ullage.run(ullage.load(workload("evaluate", "in/", "models/chat")), work / "run", base=work)
    wanted = results(whole)
    cut(whole)
    (tmp_path / "deep").mkdir()
    there = shutil.move(work, tmp_path / "deep" / "there")
    ullage.resume(there / "run")
    assert results(there / "run") == wanted
    assert ullage.report(there / "run")


def test_verbs_of_a_finished_run_take_a_base(tmp_path):
    work = data(tmp_path / "here")
    ullage.run(ullage.load(workload("evaluate", "in/", "models/chat")), work / "run", base=work)
    moved = shutil.move(work / "run", tmp_path / "moved")
    work.rename(tmp_path / "inputs")
    with pytest.raises(InputError, match="--base"):
        ullage.report(moved)
    assert ullage.verify(moved).comparisons
    before = results(moved)
    assert ullage.report(moved, base=tmp_path / "inputs")
    assert results(moved) == before
    again, _ = ullage.judge(moved, tmp_path / "again", base=tmp_path / "inputs")
    assert (again / "judge.jsonl").read_bytes() == (moved / "judge.jsonl").read_bytes()


def test_a_verification_by_few_words_is_moved_with_its_input(tmp_path):
    work = data(tmp_path / "here")
    given = {"precision": "fp32", "gpus": "cpu", "new_tokens": 0, "batch": 2}
    chat = str(work / "models" / "chat")
    verify_pii(chat, work / "in" / "records.jsonl", work / "out.jsonl", **given)
    wanted = (work / "out.jsonl").read_bytes()
    cut(work / "out.jsonl.run")
    for name in ("out.jsonl", "out.failed.jsonl", "out.rejects.jsonl"):
        (work / name).unlink()
    there = shutil.move(work, tmp_path / "there")
    chat = str(there / "models" / "chat")
    verify_pii(chat, there / "in" / "records.jsonl", there / "out.jsonl", resumed=True, **given)
    assert (there / "out.jsonl").read_bytes() == wanted


@pytest.mark.parametrize(
    "path, start, said",
    [
        ("/users/zaphod/study/in", "/users/zaphod/study", "in"),
        ("/users/zaphod/models/m", "/users/zaphod/study", "../models/m"),
        ("/users/zaphod/models/m", "/scratch/run", "~/models/m"),
        ("/scratch/zaphod/m", "/scratch/zaphod/study", "../m"),
        ("/models/m", "/scratch/run", "/models/m"),
    ],
)
def test_a_path_is_told_from_where_it_is_needed(monkeypatch, path, start, said):
    from pathlib import Path

    monkeypatch.setenv("HOME", "/users/zaphod")
    assert portable(Path(path), Path(start)) == said


def test_a_base_that_only_the_users_name_would_tell_is_asked_for(home, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "elsewhere"))
    out, _ = ullage.run(ullage.load(workload("pii", "in/", "models/chat")), tmp_path / "run", base=home)
    assert USER not in (out / "manifest.json").read_text()
    cut(out)
    with pytest.raises(InputError, match="does not say where its inputs are; say it: --base FOLDER"):
        ullage.resume(out)
    ullage.resume(out, base=home)
