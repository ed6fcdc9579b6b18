"""A kind in a package of its own is found by its entry point and does all that Ullage's own kinds do."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from forks import Forks

SOURCE = Path(__file__).with_name("recite")
LINES = 60
WORDS = ["name", "the", "city", "person", "city", "river", "stone", "bread", "letter", "garden"]


def install(site, package, entry_point):
    """What an installer leaves of a distribution that has one entry point."""
    info = site / f"{package}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[ullage.kinds]\n{entry_point}\n")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    site = tmp_path_factory.mktemp("site")
    shutil.copytree(SOURCE, site / "ullage_recite", ignore=shutil.ignore_patterns("__pycache__"))
    install(site, "ullage_recite", "recite = ullage_recite:KIND")
    return site


@pytest.fixture(scope="module")
def forked(site):
    """Where the kind is installed, a process that has torch, for what loads models."""
    forks = Forks({"PYTHONPATH": str(site), "COLUMNS": "160"})
    yield forks
    forks.close()


@pytest.fixture
def python(site, tmp_path):
    """Runs Python in a folder with a workload file, where the kind is installed."""
    text = "".join(f"{WORDS[n % 10]} {n} {WORDS[n % 7]} {WORDS[n % 3]}\n" for n in range(LINES))
    (tmp_path / "lines.txt").write_text(text)
    (tmp_path / "work.yaml").write_text(
        "kind: recite\nroles: {reciter: {model: 'ullage:tiny'}}\nbatch: 4\nprompt_tokens: 64\n"
        "new_tokens: 6\nbudget: {gpus: cpu}\nrecite: {input: lines.txt}\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(site), "COLUMNS": "160"}

    def start(*arguments):
        return subprocess.Popen(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


@pytest.fixture
def loading(forked, python, tmp_path):
    """Runs a command that loads models, in a fork."""

    def call(*arguments):
        done = forked.run(*arguments, folder=tmp_path)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return call


@pytest.fixture
def ullage(python):
    def call(*arguments, code=0):
        process = python("-m", "ullage", *arguments)
        out, err = process.communicate(timeout=300)
        assert process.returncode == code, err
        return out

    return call


def test_it_is_listed_with_its_command_and_helps(ullage):
    listed = next(line for line in ullage("--help").splitlines() if line.startswith("  recite"))
    assert listed.split(maxsplit=1)[1] == "Go on with every line of a text, without a workload file."
    assert "--model" in ullage("recite", "--help")
    assert '"recite"' in ullage("schema")


def test_its_mistakes_are_told_as_those_of_any_kind(ullage, python):
    process = python("-m", "ullage", "plan", "work.yaml", "--set", "recite.imput=x")
    assert "nearest: input" in process.communicate()[1]
    assert process.returncode == 2


def test_it_is_planned_with_what_its_section_notes(ullage):
    plan = json.loads(ullage("plan", "work.yaml", "--json"))
    assert plan["verdict"] == "fits"
    assert "every line is recited by itself" in plan["notes"]
    assert {item["role"] for item in plan["items"]} >= {"reciter"}


@pytest.mark.long
def test_it_runs_resumes_after_a_kill_to_the_same_bytes_reports_and_verifies(
    ullage, loading, forked, tmp_path
):
    assert f"{LINES} records" in loading("run", "work.yaml", "--out", "whole", "--quiet")
    journal = tmp_path / "killed" / "journal.jsonl"

    def kept(_):
        return journal.exists() and journal.read_bytes().count(b"\n") >= 2

    arguments = ("run", "work.yaml", "--out", "killed", "--quiet")
    assert forked.run(*arguments, folder=tmp_path, when=kept).returncode == -signal.SIGKILL
    assert journal.read_bytes().count(b"\n") < LINES // 4
    loading("run", "--resume", "killed", "--quiet")
    whole = (tmp_path / "whole" / "said.jsonl").read_bytes()
    assert whole.count(b"\n") == LINES
    assert (tmp_path / "killed" / "said.jsonl").read_bytes() == whole
    for name in ("whole", "killed"):
        (tmp_path / name / "summary.json").unlink()
        assert ullage("report", name).split() == [f"{name}/summary.json"]
        assert json.loads((tmp_path / name / "summary.json").read_text()) == {"lines": LINES}
    assert sorted(json.loads(line)["line"] for line in whole.splitlines()) == list(range(LINES))
    verified = json.loads(ullage("verify", "whole", "--json"))
    assert verified["holds"]
    assert any(each["phase"].startswith("reciter") for each in verified["comparisons"])


def test_its_plan_read_back_gives_the_same_run_and_a_check_leaves_nothing(ullage, loading, tmp_path):
    (tmp_path / "plan.json").write_text(ullage("plan", "work.yaml", "--json"))
    before = set(tmp_path.iterdir())
    assert json.loads(loading("check", "work.yaml", "--json"))["device_maps"] == {
        "reciter": {"(whole model)": "cpu"}
    }
    assert set(tmp_path.iterdir()) == before
    loading("run", "plan.json", "--out", "planned", "--quiet")
    loading("run", "work.yaml", "--out", "whole", "--quiet")
    planned, whole = (tmp_path / name / "said.jsonl" for name in ("planned", "whole"))
    assert planned.read_bytes() == whole.read_bytes()


def test_its_function_is_ullages_and_its_command_calls_it(loading, python, tmp_path):
    program = (
        "import ullage; assert 'recite' in dir(ullage); folder, record = "
        "ullage.recite('ullage:tiny', 'lines.txt', 'called'); print(record.examples)"
    )
    out, err = python("-c", program).communicate(timeout=300)
    assert out == f"{LINES}\n", err
    document = json.loads(
        loading("recite", "lines.txt", "--model", "ullage:tiny", "--out", "commanded", "--quiet", "--json")
    )
    assert (document["document"], document["examples"]) == ("record", LINES)
    called, commanded = (tmp_path / name / "said.jsonl" for name in ("called", "commanded"))
    assert called.read_bytes() == commanded.read_bytes()


def test_a_command_that_is_there_already_stays_what_it_is(site, ullage):
    (site / "ullage_taking.py").write_text(
        "from ullage.workloads.kind import Command, Kind\n"
        "KIND = Kind('taking', 'ullage_recite', commands=(Command('plan', 'Mine.', 'ullage_taking:plan'),))\n"
    )
    install(site, "ullage_taking", "taking = ullage_taking:KIND")
    said = " ".join(ullage("--help").split())
    assert "ullage_taking:plan: there is a command plan already" in said
    assert "verdict: fits" in ullage("plan", "work.yaml")


def test_a_broken_package_takes_only_its_own_kind_with_it(site, ullage, python, tmp_path):
    install(site, "ullage_broken", "broken = ullage_gone:KIND")
    install(site, "ullage_other", "other = json:loads")
    said = " ".join(ullage("--help").split())
    assert "kind broken of entry point ullage_gone:KIND cannot be loaded: ModuleNotFoundError" in said
    assert "kind other of entry point json:loads is no Kind of that name" in said
    assert "recite" in said
    assert "verdict: fits" in ullage("plan", "work.yaml")
    assert "--calibration" in ullage("pii", "--help")
    assert '"recite"' in ullage("schema")
    (site / "ullage_half").mkdir()
    (site / "ullage_half" / "__init__.py").write_text(
        "from ullage.workloads.kind import Kind\nKIND = Kind('half', __name__)\n"
    )
    install(site, "ullage_half", "half = ullage_half:KIND")
    (tmp_path / "b.yaml").write_text("kind: broken\nroles: {a: {model: gpt2}}\n")
    (tmp_path / "h.yaml").write_text("kind: half\nroles: {a: {model: gpt2}}\n")
    for file, said in (
        ("b.yaml", "kind broken of entry point"),
        ("h.yaml", "ullage_half.section cannot be loaded"),
    ):
        process = python("-m", "ullage", "plan", file)
        _, err = process.communicate()
        assert (process.returncode, err.count("\n")) == (2, 1)
        assert said in err
