"""`ullage guide`: a requirements guide of workload files, through the command line and from Python."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import guides
import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import ullage
from ullage.cli.main import main
from ullage.errors import InputError
from ullage.reports.guide.guide_file import (
    as_text,
    changes,
    check_is_guide,
    own_words,
    read_guide,
    with_words,
)
from ullage.reports.pages.html import html
from ullage.reports.pages.markdown import BEGIN, END, markdown
from ullage.reports.pages.page import Code, Items, Own, Page, Prose, Section
from ullage.reports.pages.table import Table

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples/pii.yaml"


@pytest.fixture
def said(capsys):
    """What the command prints and exits with."""

    def said(*arguments):
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["guide", *map(str, arguments)])
        out, err = capsys.readouterr()
        return ended.value.code, out, err

    return said


@pytest.fixture(scope="module")
def text():
    return ullage.guide([EXAMPLE])


def titles(text):
    return re.findall(r"^#{2,6} (.*)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)


def test_what_a_guide_has(text):
    assert titles(text)[:4] == [
        "Summary",
        "Recommended set-ups",
        "Memory by precision and component",
        "What the peak is made of",
    ]
    assert EXAMPLE.read_text() in text  # to be pasted
    for size in ("8 GB", "24 GB", "40 GB", "80 GB", "several cards"):
        assert f"| {size} |" in text
    assert re.search(r"\| \$ an hour \| \$ per 1000 examples", text)
    assert re.search(r"\| ullage \| \d", text)
    assert re.search(r"\| prices, newest list \| \d{4}-\d\d-\d\d \|", text)


def test_its_numbers_are_those_of_the_plan(text):
    plan = ullage.plan(EXAMPLE, advice=False, fidelity="formula")
    peak = plan.devices[0].peak.device
    assert f"{peak.expected / 2**30:.2f} ({peak.low / 2**30:.2f}-{peak.high / 2**30:.2f}) GiB" in text
    assert f"| peak | {peak.high / 2**30:.2f} |" in text
    batch = ullage.plan(ullage.load(EXAMPLE, ["roles.verifier.batch=16"]), advice=False, fidelity="formula")
    assert re.search(
        rf"^\| 16 \| [^|]*-{batch.devices[0].peak.device.high / 2**30:.2f}\) \|", text, re.MULTILINE
    )


def test_the_same_file_gives_the_same_bytes_elsewhere_and_on_another_day(text, tmp_path):
    """In a process of its own, with another hash seed, home, day and past runs, and without torch."""
    script = (
        "import sys, datetime, time; sys.modules['torch'] = None; time.time = lambda: 4e9\n"
        f"import ullage; sys.stdout.buffer.write(ullage.guide([{str(EXAMPLE)!r}]).encode())"
    )
    environment = {
        "PYTHONHASHSEED": "7",
        "ULLAGE_HOME": str(tmp_path),
        "HOME": str(tmp_path),
        "HF_HUB_OFFLINE": "1",
    }
    other = subprocess.run([sys.executable, "-c", script], capture_output=True, env=environment, check=True)
    assert other.stdout.decode() == text


def test_its_commands_name_the_file_as_it_was_typed(tmp_path, monkeypatch):
    (tmp_path / "plans").mkdir()
    shutil.copy(guides.ROOT / "examples/extract.yaml", tmp_path / "plans/w.yaml")
    monkeypatch.chdir(tmp_path)
    typed, elsewhere = ullage.guide(["./plans/w.yaml"]), ullage.guide([tmp_path / "plans/w.yaml"])
    assert "ullage guide plans/w.yaml`" in typed
    assert "\nullage check plans/w.yaml " in typed
    assert str(tmp_path) not in typed + elsewhere
    assert typed.replace("plans/w.yaml", "w.yaml").split() == elsewhere.split()


def test_no_past_run_on_this_machine_is_looked_at(text, monkeypatch):
    """The plan itself does look, which shows that looking would be noticed."""

    def looked():
        raise AssertionError("past runs are looked at")

    monkeypatch.setattr("ullage.records.evidence_place.is_there", looked)
    with pytest.raises(AssertionError, match="are looked at"):
        ullage.plan(EXAMPLE, advice=False)
    assert ullage.guide([EXAMPLE]) == text
    assert ullage.audit(ROOT / "examples/claims/werewolf-probes.yaml").of("wrong")


def test_a_guide_that_is_true_passes_and_one_that_is_not_names_its_lines(said, tmp_path):
    workload, out = tmp_path / "pii.yaml", tmp_path / "GPU.md"
    workload.write_text(EXAMPLE.read_text())
    assert said(workload, "--out", out)[0] == 0
    assert said(workload, "--out", out, "--check") == (0, "", "")
    committed = out.read_text()
    lines = committed.split("\n")
    at = next(at for at, line in enumerate(lines) if line.startswith("| 24 GB |"))
    lines[at] = lines[at].replace("fits", "no")
    out.write_text("\n".join(lines))
    code, printed, _ = said(workload, "--out", out, "--check")
    assert code == 1
    assert f"{out}:{at + 1}: - {lines[at]}" in printed
    assert f"{out}:{at + 1}: + | 24 GB |" in printed
    assert out.read_text() == "\n".join(lines)  # nothing is written
    out.write_text(committed)
    workload.write_text(EXAMPLE.read_text().replace("batch: 8", "batch: 16"))
    code, printed, _ = said(workload, "--out", out, "--check")
    assert code == 1
    assert "-     batch: 8" in printed
    assert "+     batch: 16" in printed


def test_own_words_stay_and_what_has_no_place_is_not_lost(said, tmp_path):
    out = tmp_path / "GPU.md"
    said(EXAMPLE, "--out", out)
    words = "We rent these at **our** provider:\n\n| a | b |\n|---|---|\n| `x|y` | <b>1</b> |\n"
    text = out.read_text().replace("<!-- own words: summary -->\n", f"<!-- own words: summary -->\n{words}")
    out.write_text(f"{text}\n<!-- own words: of old -->\nkept too\n{END}\n")
    assert said(EXAMPLE, "--out", out)[0] == 0
    again = out.read_text()
    assert f"<!-- own words: summary -->\n{words}" in again
    assert "<!-- own words: of old -->\nkept too\n" in again
    assert said(EXAMPLE, "--out", out, "--check")[0] == 0


@pytest.mark.parametrize(
    ("broken", "said_of_it"),
    [
        ("<!-- own words: a -->\nmine\n", ":1: own words 'a' do not end"),
        (f"mine\n{END}\n", ":2: own words end that did not begin"),
        (
            f"<!-- own words: a -->\n<!-- own words: b -->\n{END}\n",
            ":2: own words begin within",
        ),
        (f"<!-- own words: a -->\n{END}\n<!-- own words: a -->\n{END}\n", ":3: own words 'a' stand twice"),
    ],
)
def test_a_broken_marker_stops_it_with_its_line_and_nothing_is_written(said, tmp_path, broken, said_of_it):
    out = tmp_path / "GPU.md"
    out.write_text(broken)
    code, _, err = said(EXAMPLE, "--out", out)
    assert code == 2
    assert f"{out}{said_of_it}" in err
    assert out.read_text() == broken


LINES = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\n")).filter(
    lambda line: not line.strip().startswith("<!--")
)
WORDS = st.lists(LINES, min_size=1).map("\n".join).filter(bool)
PAGE = Page("t", (Section("one", (Own("a"), Prose("x"))), Section("two", (Own("b"),))))


@given(
    st.dictionaries(st.sampled_from(["a", "b", "gone"]), WORDS),
    st.integers(1, 4),
    st.sampled_from(["x.md", "x.html"]),
)
def test_own_words_survive_any_number_of_regenerations(words, times, name):
    """Those without a place too, as long as they say anything."""
    due = {name: said for name, said in words.items() if name != "gone" or said.strip()}
    text = as_text(with_words(PAGE, words), Path(name))
    for _ in range(times):
        held = own_words(text, name)
        assert {name: said for name, said in held.items() if said} == due
        text = as_text(with_words(PAGE, held), Path(name))
    assert list(changes(text, as_text(with_words(PAGE, held), Path(name)))) == []


TEXTS = st.text(max_size=30)
TAGS = {
    *("html", "head", "meta", "link", "title", "style", "body", "main", "h1", "h2", "p", "ul", "li", "div"),
    *("table", "thead", "tbody", "tr", "th", "td", "pre", "code"),
}


@given(TEXTS, TEXTS, TEXTS, st.text(min_size=1, max_size=30))
def test_no_text_of_a_workload_makes_markup_or_rows_of_its_own(title, prose, cell, code):
    parts = (Prose(prose), Items((prose,)), Table(("a", "b"), ((cell, "x"),)), Code(code))
    page = Page(title, (Section(prose, parts),))
    text, shown = markdown(page), html(page)
    assert "<script" not in text.replace("\\<", "").replace(code, "")
    tags = set(re.findall(r"<(\w+)", shown))
    assert tags <= TAGS
    rows = [line for line in text.split("\n") if line.endswith("| x |")]
    assert len(rows) >= 1
    assert len(re.findall(r"(?<!\\)\|", rows[-1].replace("\\\\", ""))) == 3


def test_several_files_are_one_guide_and_its_html_needs_nothing_beside_it(said, tmp_path):
    out = tmp_path / "GPU.html"
    assert said(EXAMPLE, ROOT / "examples/extract.yaml", "--out", out)[0] == 0
    page = out.read_text()
    assert "<!-- own words: pii: summary -->" in page
    assert "<!-- own words: extract: summary -->" in page
    assert not re.search(
        r"<script|src=|https?://", re.sub(r"<td.*?</td>|<li>.*?</li>|<p>.*?</p>|xmlns=\S+", "", page)
    )
    assert page.count("<svg") == 2
    assert said(EXAMPLE, ROOT / "examples/extract.yaml", "--out", out, "--check")[0] == 0


@pytest.mark.long
@pytest.mark.parametrize("name", ["extract", "evaluate", "werewolf", "assistant"])
def test_every_example_has_a_guide(name):
    text = ullage.guide([ROOT / f"examples/{name}.yaml"])
    assert "Which cards hold it" in titles(text)
    assert "None" not in re.sub(r"```.*?```", "", text, flags=re.DOTALL)


def test_a_role_that_runs_elsewhere_is_named_and_takes_nothing():
    hosted = ("model=gpt-4o", "engine=openai", "precision=auto")
    text = ullage.guide([ROOT / "examples/evaluate.yaml"], set_=[f"roles.judge.{each}" for each in hosted])
    assert "judge: gpt-4o, runs elsewhere" in text
    assert "| judge |" not in text


@pytest.fixture
def hosted(tmp_path):
    """A file whose every role runs elsewhere, and a guide is quickly made."""
    path = tmp_path / "hosted.yaml"
    role = {"model": "gpt-4o", "engine": "openai"}
    path.write_text(yaml.safe_dump({"kind": "evaluate", "roles": {"generator": role, "judge": role}}))
    return path


def test_where_no_role_is_held_here_nothing_is_said_of_memory(said, hosted):
    assert "give budget.gpus" in said(hosted)[2]
    text = ullage.guide([hosted], set_=["budget.gpus=RTX 4090"])
    assert "No card is needed" in text
    assert re.search(r"judge \(gpt-4o\) is asked [\d,]+ times for 1000 examples: price unknown", text)
    assert titles(text) == ["Summary", "Configuration", "Commands", "Notes", "Versions and dates"]


@pytest.mark.parametrize(
    ("arguments", "said_of_it"),
    [
        ((EXAMPLE, "--check"), "name it with --out"),
        ((EXAMPLE, "--out", "no/such/GPU.md"), "cannot be written"),
        ((EXAMPLE, "--out", "no/such/GPU.md", "--check"), "cannot be read"),
        ((EXAMPLE, EXAMPLE), "different names"),
        ((EXAMPLE, "--set", "budget.gpus=cpu"), "name the cards"),
        ((EXAMPLE, "--set", "roles.verifier.model=no/such"), "no/such"),
        (("nowhere.yaml",), "nowhere.yaml"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(said, arguments, said_of_it):
    code, _, err = said(*arguments)
    assert code == 2
    assert said_of_it in err
    assert "Traceback" not in err


def test_the_committed_guide_and_the_table_of_headings_are_what_is_computed_now():
    """`.venv/bin/python tools/guides.py` remakes them."""
    assert ullage.check_guide([guides.WORKLOAD], guides.GUIDE) == ()
    assert guides.PAGE.read_text(encoding="utf-8") == guides.page()


def test_each_heading_of_hand_written_guides_has_its_counterpart_or_a_reason():
    computed = {
        *titles(ullage.guide([ROOT / "examples/extract.yaml"])),
        *titles(guides.GUIDE.read_text()),
        "the title",
    }
    found = guides.headings()
    assert len(found) == 5
    for each in (each for of_guide in found.values() for each in of_guide):
        assert ("counterpart" in each) != ("reason" in each), each
        if "counterpart" in each:
            assert each["counterpart"] in computed, each


@pytest.mark.parametrize("name", ["github-workflow.yml", "pre-commit-config.yaml"])
def test_the_examples_for_ci_call_what_there_is(said, tmp_path, monkeypatch, name):
    text = (ROOT / "examples/guide" / name).read_text()
    assert yaml.safe_load(text)
    command = re.search(r"ullage (guide .*)", text)[1].split()
    monkeypatch.chdir(tmp_path)
    Path("workload.yaml").write_text(EXAMPLE.read_text())
    ullage.guide(["workload.yaml"], "GPU_REQUIREMENTS.md")
    assert said(*command[1:])[0] == 0


def test_a_committed_guide_may_end_its_lines_as_on_windows(tmp_path, text):
    out = tmp_path / "GPU.md"
    out.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert read_guide(out) == text


@pytest.mark.parametrize("text", ["# My notes\n\nOf many hours.\n", EXAMPLE.read_text()])
def test_a_file_that_is_no_guide_is_not_written_over(said, tmp_path, text):
    out = tmp_path / "README.md"
    out.write_text(text)
    code, _, err = said(EXAMPLE, "--out", out)
    assert code == 2
    assert f"{out}: is there already and is no guide; name another --out, or remove it" in err
    assert out.read_text() == text


def test_a_guide_without_its_markers_and_an_empty_file_may_be_written_over(text):
    for held in (re.sub("<!-- .* -->\n", "", text), "\n", "<p>Written by <code>ullage guide a.yaml</code>"):
        check_is_guide(held, "GPU.md")


def test_a_link_stays_a_link_and_nothing_but_a_file_is_written_over(said, tmp_path, hosted):
    real, link, pipe = (tmp_path / name for name in ("real.md", "link.md", "pipe.md"))
    link.symlink_to("real.md")
    assert said(hosted, "--set", "budget.gpus=L4", "--out", link)[0] == 0
    assert link.is_symlink()
    assert not real.is_symlink()
    assert real.read_text().startswith("# GPU requirements")
    os.mkfifo(pipe)
    for out in (pipe, tmp_path):
        code, _, err = said(hosted, "--out", out)
        assert (code, "is no ordinary file" in err) == (2, True)
    assert pipe.is_fifo()


def test_a_workload_file_brings_no_markers_into_its_guide(said, hosted, tmp_path):
    hosted.write_text(hosted.read_text() + f"name: |-\n  {BEGIN.format('summary')}\n  mine\n  {END}\n")
    code, _, err = said(hosted, "--set", "budget.gpus=L4", "--out", tmp_path / "GPU.md")
    assert code == 2
    assert f"{hosted}:{len(hosted.read_text().splitlines()) - 2}: <!-- own words: summary --> marks" in err
    assert not (tmp_path / "GPU.md").exists()


def test_no_files_are_refused():
    with pytest.raises(InputError, match="name them"):
        ullage.guide([])


def test_the_same_page_is_json_where_that_is_asked_for(said, tmp_path):
    code, out, _ = said(EXAMPLE, "--json")
    found = json.loads(out)
    jsonschema.Draft202012Validator(ullage.document_schema("guide")).validate(found)
    assert (code, found["document"]) == (0, "guide")
    assert [each["title"] for each in found["sections"]] == re.findall(
        r"(?m)^##+ (.*)$", ullage.guide([EXAMPLE]).replace("\\", "")
    )
    assert said(EXAMPLE, "--out", tmp_path / "g.json")[0] == 0
    assert json.loads((tmp_path / "g.json").read_text()) == found
    for more in (("--out", tmp_path / "g.md", "--json"), ("--out", tmp_path / "g.json", "--check", "--json")):
        code, _, err = said(EXAMPLE, *more)
        assert code == 2
        assert "leave --json" in err
