"""`ullage pii` and its commands, from the command line to their tables and documents."""

import json
from pathlib import Path

import pytest

import ullage
from ullage.cli.main import main

SYSTEM = "Verify personal data. Type: {type}. Reply {verdicts}."
COMMON = ("--gpus", "cpu", "--prompt-tokens", 96, "--system", SYSTEM, "--quiet")
NAMED = ("--input", "v.jsonl", "--output", "o", "--model-path", "m")


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.chdir(tmp_path)
    ullage.sample("verify", "v.jsonl", count=60)

    def call(*arguments, code=0):
        with pytest.raises(SystemExit) as ended:
            main(["pii", *(str(argument) for argument in arguments)])
        output = capsys.readouterr()
        assert ended.value.code == code, output.err
        return output.out if code == 0 else output.err

    return call


def verify(run, output="o.jsonl", *more, **options):
    named = ("--model-path", "ullage:tiny", "--input", "v.jsonl", "--output", output)
    return run(
        *named, *COMMON, "--disable-quantization", "--batch-size", 32, "--new-tokens", 0, *more, **options
    )


def cells(text):
    """Rows of a table, by their first cell."""
    return {line.split()[0]: line.split()[1:] for line in text.splitlines() if line.strip()}


def test_a_verification_is_shown_by_type_with_scores_and_speed(run):
    shown = cells(verify(run))
    found = json.loads(Path("o.jsonl.run/summary.json").read_text())["all"]
    assert shown["type"] == ["verified", "rejected", "failed", "precision", "recall", "F1"]
    counts = [str(found[name]) for name in ("verified", "rejected", "failed")]
    scores = [f"{found[name]:.3f}" for name in ("precision", "recall", "f1")]
    assert shown["all"] == [*counts, *scores]
    assert shown["expected"][:2] == ["calibration", "error"]
    assert shown["60"][0] == "records,"


def test_standard_output_is_not_a_place_for_rows(run):
    named = ("--input", "v.jsonl", "--model-path", "ullage:tiny")
    assert "name one" in run(*named, "--output", "-", code=2)
    assert [one.name for one in Path().iterdir()] == ["v.jsonl"]


def test_without_labels_no_scores_are_shown_and_bad_lines_are_counted(run):
    rows = [json.loads(line) for line in Path("v.jsonl").read_text().splitlines()]
    for row in rows:
        row.pop("personal")
    Path("v.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + "no record\n")
    out = verify(run)
    assert "precision" not in out
    assert "lines that are no records: 1; see the rejects file" in out


def test_a_verification_as_a_document_and_taken_as_it_is_when_resumed(run):
    document = json.loads(verify(run, "o.jsonl", "--json"))
    assert (document["document"], document["version"], document["records"]) == ("pii", 1, 60)
    assert json.loads(verify(run, "o.jsonl", "--json", "--resume")) == document
    assert "nothing is overwritten" in verify(run, code=2)
    assert "other settings (pii.redact)" in verify(run, "o.jsonl", "--resume", "--redact", "mask", code=2)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--model-path", "m"), "give --input, --output"),
        ((*NAMED, "--batch-size", "ten"), "nor auto"),
        ((*NAMED, "--precision", "int8", "--disable-quantization"), "not both"),
        (
            (*NAMED, "--detect", "some"),
            "detect is 'some'",
        ),
        (("--threshold", 2), "--threshold"),
        (("compare",), "give finished runs, or"),
        (("compare", "--input", "v.jsonl"), "give --input, --out and --model-path"),
        (("compare", "nowhere"), "nowhere"),
        (("calibrate", "nowhere", "--out", "c.json"), "nowhere"),
        (("calibrate", "r", "--out", "c.json", "--cost", 1, "--recall", 1), "give one of"),
        (("verify",), "No such command"),
    ],
)
def test_what_cannot_be_understood_is_one_line_and_nothing_is_written(run, arguments, said):
    assert said in run(*arguments, code=2)
    assert {path.name for path in Path().iterdir()} == {"v.jsonl"}


def test_without_anything_its_help_is_shown(run):
    shown = run()
    assert shown.startswith("Usage: ")
    assert shown.splitlines()[0].endswith(" pii [OPTIONS] COMMAND [ARGS]...")
    assert {"calibrate", "compare"} <= set(shown.partition("Commands:")[2].split())


def test_labelled_candidates_give_a_temperature_and_a_threshold(run):
    pytest.importorskip("scipy")
    verify(run)
    shown = run("calibrate", "o.jsonl.run", "--out", "c.json", "--recall", 0.9, "--held-out", 0)
    written = json.loads(Path("c.json").read_text())
    assert f"temperature {written['temperature']:.3f}, threshold {written['threshold']:.3f}" in shown
    assert "from 60 labelled candidates" in shown
    assert "the same candidates, none held out" in shown
    same = ("--recall", 0.9, "--held-out", 0, "--json")
    assert json.loads(run("calibrate", "o.jsonl.run", "--out", "d.json", *same)) == written
    assert json.loads(run("calibrate", "o.jsonl.run", "--out", "e.json", "--json"))["threshold"] == 0.5
    again = json.loads(verify(run, "p.jsonl", "--calibration", "c.json", "--json"))
    assert again["all"]["recall"] >= 0.9
    assert (again["threshold"], again["temperature"]) == (written["threshold"], written["temperature"])


def test_a_calibration_is_measured_on_records_it_was_not_fitted_to_and_overwrites_nothing(run):
    pytest.importorskip("scipy")
    verify(run)
    shown = run("calibrate", "o.jsonl.run", "--out", "c.json", "--recall", 0.9)
    written = json.loads(Path("c.json").read_text())
    assert (written["candidates"], written["held_out"]) == (42, 18)
    for name in ("temperature", "error_after", "precision", "recall"):
        low, high = written[f"{name}_interval"]
        assert low - 1e-6 <= written[name] <= high or name == "error_after"
        assert f"{low:.3f} to {high:.3f}" in shown
    assert "18 candidates held out" in shown
    assert "60 labelled candidates are few: below 200" in shown
    for name in ("c.json", "v.jsonl"):
        before = Path(name).read_bytes()
        assert "nothing is overwritten" in run("calibrate", "o.jsonl.run", "--out", name, code=2)
        assert Path(name).read_bytes() == before
    few = run("calibrate", "o.jsonl.run", "--out", "f.json", "--held-out", 0.9, code=2)
    assert "--held-out 0 holds none out" in few
    assert not Path("f.json").exists()


def test_models_are_verified_and_compared_and_what_went_wrong_is_said_after_the_table(run, capsys):
    arguments = ("--input", "v.jsonl", "--out", "all", "--model-path", "ullage:tiny", *COMMON)
    each = ("--precision", "fp32", "--precision", "int8", "--precision", "gguf-q4_0")
    with pytest.raises(SystemExit) as ended:
        main(["pii", "compare", *map(str, (*arguments, *each))])
    shown = capsys.readouterr()
    assert ended.value.code == 2
    assert shown.err.startswith("ullage: error: ullage:tiny, gguf-q4_0:")
    rows = cells(shown.out)
    runs = [f"all/ullage-tiny-{name}.jsonl.run" for name in ("fp32", "int8")]
    assert [rows[folder][0] for folder in runs] == ["fp32", "int8"]
    document = json.loads(run("compare", *runs, "--json"))
    assert (document["document"], [row["run"] for row in document["runs"]]) == ("pii-comparison", runs)
    for row in document["runs"]:
        scores = [f"{row[name]:.3f}" for name in ("precision", "recall", "f1", "calibration_error")]
        assert rows[row["run"]][1:5] == scores
        assert row["f1_interval"][0] <= row["f1"] <= row["f1_interval"][1]
        assert row["peak_process_bytes"] > 0
    first, second = document["runs"]
    assert first["beside_first"] is None
    assert second["beside_first"]["candidates"] == 60
    assert f"{runs[1]}: beside {runs[0]}, " in shown.out
    assert f"p = {second['beside_first']['p_value']:.3g} (McNemar's exact test)" in " ".join(
        shown.out.split()
    )
    verify(run)
    Path("w.jsonl").write_text(Path("v.jsonl").read_text() * 2)
    assert "verified another file" in run("compare", runs[0], other(run), code=2)


def test_the_libraries_own_notices_are_shown_where_they_are_asked_for(run, caplog):
    int8 = ("--model-path", "ullage:tiny", "--input", "v.jsonl", *COMMON, "--precision", "int8")
    run(*int8, "--new-tokens", 0, "--output", "quiet")
    assert [one for one in caplog.records if one.name.startswith("bitsandbytes")] == []
    run(*int8, "--new-tokens", 0, "--output", "verbose", "--verbose")
    assert [one for one in caplog.records if one.name.startswith("bitsandbytes")]


@pytest.mark.parametrize("columns", ["80", "160"])
def test_a_comparison_breaks_no_word_on_a_narrow_terminal(run, monkeypatch, columns):
    long = "a-folder-of-a-person-who-likes-long-names/verified-with-ullage-tiny-in-32-bits"
    verify(run, long)
    verify(run, "o")
    monkeypatch.setenv("COLUMNS", columns)
    shown = run("compare", f"{long}.run", "o.run")
    words = [word.strip(":") for word in shown.split()]
    assert {"calibration", "error", "records/s", f"{long}.run", "o.run"} <= set(words)
    assert sum(" fp32 " in line for line in shown.splitlines()) == 2
    assert max(map(len, shown.splitlines())) <= max(int(columns), len(long) + 10)


def other(run):
    run("--model-path", "ullage:tiny", "--input", "w.jsonl", "--output", "w.out", *COMMON, "--batch-size", 32)
    return "w.out.run"
