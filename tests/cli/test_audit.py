"""`ullage audit`: claims of documents, through the command line and from Python."""

import json
import os
from pathlib import Path

import jsonschema
import pytest
import yaml

import ullage
from ullage.cli.main import main

ROOT = Path(__file__).parents[2]
MODEL = "mistralai/Mistral-7B-v0.1"
WEIGHTS = 2 * 7_241_732_096


@pytest.fixture
def said(capsys):
    """What the command prints and exits with."""

    def said(*arguments):
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["audit", *map(str, arguments)])
        out, err = capsys.readouterr()
        return ended.value.code, out, err

    return said


@pytest.fixture
def claims(tmp_path):
    """A file of claims, from its entries."""

    def claims(*entries, **others):
        path = tmp_path / "claims.yaml"
        path.write_text(
            yaml.safe_dump({"document": "guide.md", "claims": list(entries), **others}, sort_keys=False)
        )
        return path

    return claims


def weights(claimed, **others):
    return {"claimed": claimed, "metric": "weights", "model": MODEL, "precision": "fp16", **others}


def test_right_rounded_and_wrong_each_with_what_is_computed(said, claims):
    path = claims(weights(f"{WEIGHTS} B"), weights("14 GB"), weights("7 GB", lines=[12]))
    code, out, _ = said(path, "--json")
    document = json.loads(out)
    jsonschema.validate(document, ullage.document_schema("audit"))
    assert code == 3
    assert [each["ruling"] for each in document["claims"]] == ["right", "rounded", "wrong"]
    assert {each["computed"]["expected"] for each in document["claims"]} == {WEIGHTS}
    assert document["claims"][2]["off"] == pytest.approx(7e9 / WEIGHTS - 1)
    assert document["claims"][2]["lines"] == [12]


def test_the_page_names_the_wrong_ones_and_with_all_the_others_too(said, claims):
    path = claims(weights("7 GB", says="the 7B takes 7 GB"), weights("14 GB", says="or fourteen"))
    _, out, _ = said(path)
    assert "2 claims: 1 wrong, 1 rounded" in out
    assert "14.5 GB" in out
    assert "fourteen" not in out
    assert "fourteen" in said(path, "--all")[1]


def test_nothing_wrong_is_exit_code_0(said, claims):
    assert said(claims(weights("14.5 GB")))[0] == 0


def test_a_claim_without_unit_or_model_is_told_with_its_line_and_the_others_audited(said, claims):
    path = claims(
        weights(16),
        weights("14.5 GB", model="no/such-model"),
        weights("14.5 GB", modl="x"),
        weights("14.5 GB"),
    )
    code, out, _ = said(path, "--json", "--offline")
    first, second, third, fourth = json.loads(out)["claims"]
    lines = path.read_text().splitlines()
    assert lines[first["line"] - 1].lstrip("- ").startswith("claimed: 16")
    assert "has no unit" in first["said"]
    assert f"{path}:{first['line']}:" in first["said"]
    assert second["ruling"] == "not decidable"
    assert "no/such-model" in second["said"]
    assert "modl" in third["said"]
    assert "nearest: model" in third["said"]
    assert fourth["ruling"] == "rounded"
    assert code == 1


def test_what_a_claim_itself_says_is_missing_is_no_failure(said, claims):
    code, out, _ = said(claims({"claimed": "5-10 %", "missing": "what it is compared with"}))
    assert code == 0
    assert "what it is compared with" in out


@pytest.mark.parametrize(
    ("entry", "said_of_it"),
    [
        ({"claimed": "1 GB"}, "name a model or a workload"),
        (weights(True), "claimed"),
        (weights(f"{'9' * 300} GB"), "is no amount"),
        (weights("1 GB", metric="+"), "is not computed"),
        ({"claimed": "1 GB", "workload": "w"}, "none of the workloads"),
        (weights("50 %"), "a share of what"),
        (weights("3 h"), "is bytes"),
        (weights("1 GB", metric="weigths"), "is not computed"),
        (weights("1 GB", on="gpu:5"), "no gpu:5"),
        (weights("1 GB", set=["nonsense"]), "nonsense"),
        (weights("1 GB", batch=0), "batch"),
        ("words", "is no claim"),
        ({"claimed": "1 GB", "model": MODEL, "gpus": "no such card"}, "no such card"),
    ],
)
def test_what_cannot_be_decided_says_why(said, claims, entry, said_of_it):
    code, out, err = said(claims(entry, weights("14.5 GB")), "--json")
    first, second = json.loads(out)["claims"]
    assert code == 1
    assert first["ruling"] == "not decidable"
    assert said_of_it in first["said"]
    assert second["ruling"] == "rounded"
    assert err == ""


@pytest.mark.parametrize(
    ("text", "said_of_it"),
    [
        ("", "empty"),
        ("claims: 3", "must be a list"),
        ("document: x", "must be a list"),
        ("claims: []\nclaim: 1", "unknown key"),
        ("claims: []\nworkloads: {a: 3}", "laid out as a file is"),
        ("claims: []\ndefaults: {colour: red}", "no default"),
        ("{", "broken YAML"),
    ],
)
def test_what_is_no_file_of_claims_is_exit_code_2_and_names_the_line(said, tmp_path, text, said_of_it):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    code, _, err = said(path)
    assert code == 2
    assert f"{path}:" in err
    assert said_of_it in err


def test_of_workloads_differences_shares_and_what_fits(claims):
    game = yaml.safe_load((ROOT / "examples/werewolf.yaml").read_text())
    int8 = {"workload": "game", "set": ["roles.player.precision=int8"]}
    found = ullage.audit(
        claims(
            {"claimed": "140 GB", "metric": "weights", "workload": "game"},
            {
                **int8,
                "claimed": "49 %",
                "metric": "weights",
                "compared_with": ["roles.player.precision=bf16"],
            },
            {"claimed": "fits", "workload": "game", "gpus": "4x RTX A6000"},
            {"claimed": "fits", "workload": "game", "gpus": "RTX 4090"},
            {"claimed": "does not fit", "workload": "game", "gpus": "RTX 4090"},
            {"claimed": "0.3 MiB", "metric": "kv_cache_per_token", "workload": "game"},
            workloads={"game": game},
        )
    )
    assert [each.ruling for each in found.findings] == [
        "rounded",
        "rounded",
        "right",
        "wrong",
        "right",
        "rounded",
    ]
    assert found.findings[3].ullage < 0
    assert found.findings[5].computed.expected == 2 * 2 * 8 * 128 * 80


def test_bytes_per_token_are_of_one_sequence_of_one_role(claims):
    """Whoever's the batch and the length are, and however long a judge's prompt is by itself."""
    small, large = "Qwen/Qwen2.5-7B-Instruct", "mistralai/Mistral-7B-Instruct-v0.3"
    roles = {"generator": {"model": small, "batch": 8, "prompt_tokens": 500}, "judge": {"model": large}}
    both = {"kind": "evaluate", "budget": {"gpus": "H100"}, "prompt_tokens": 300, "roles": roles}
    said = {"metric": "kv_cache_per_token", "workload": "both"}
    found = ullage.audit(
        claims(
            {**said, "claimed": "56 KiB", "role": "generator"},
            {**said, "claimed": "128 KiB", "role": "judge"},
            {**said, "claimed": "256 KiB", "role": "judge", "copies": 2},
            {**said, "claimed": "56 KiB"},
            {**said, "claimed": "56 KiB", "role": "voice"},
            workloads={"both": both},
        )
    ).findings
    assert [each.ruling for each in found] == ["right"] * 3 + ["not decidable"] * 2
    assert found[3].said == "role: name the one whose cache it is: generator, judge"
    assert "has no role voice" in found[4].said


def test_a_draft_is_read_back_and_none_of_it_is_judged(said, tmp_path):
    guide = tmp_path / "guide.md"
    guide.write_text(
        "# Guide\n## Weights\n| Model | Params | FP16 (GB) | 4-bit VRAM |\n|---|---|---|---|\n"
        "| **Mistral 7B v0.1** | 7B | 14 | ~3.5-4 GB |\n\n```\n| no | table | 3 GB |\n```\n"
    )
    code, out, _ = said(guide, "--draft")
    assert code == 0
    path = tmp_path / "draft.yaml"
    path.write_text(out)
    code, out, _ = said(path, "--json")
    one, other = json.loads(out)["claims"]
    assert code == 0
    assert (one["ruling"], other["ruling"]) == ("unconfirmed", "unconfirmed")
    assert (one["claimed"], other["claimed"]) == ([14e9, 14e9], [3.5e9, 4e9])
    assert one["model"] == MODEL
    assert (one["metric"], one["lines"], one["section"]) == ("weights", [5], "Weights")
    # Once it is confirmed it is judged.
    path.write_text(path.read_text().replace("  unconfirmed: true\n", ""))
    assert said(path)[0] == 3


def test_a_draft_takes_sizes_as_people_write_them(tmp_path):
    guide = tmp_path / "guide.md"
    guide.write_text(
        "# Guide\n## Memory of Llama-3.1-8B-Instruct\n| precision | weights (MB) | KV cache | VRAM |\n"
        "|---|---|---|---|\n| fp16 | 16,061 | ~1.0 GB | 17GB\u201319GB |\n"
        "| int8 | 3,5 | `2 GB` | \u2248 9 GB |\n"
        "| weird \\| `Qwen2.5-7B-Instruct` (nf4) | 4,100-5,200.5 | | 1 GB to 900 MB |\n"
    )
    found = yaml.safe_load(ullage.draft_claims(guide))["claims"]
    keys = ("claimed", "model", "precision", "metric")
    llama, qwen = "meta-llama/Llama-3.1-8B-Instruct", "Qwen/Qwen2.5-7B-Instruct"
    assert [tuple(each.get(key) for key in keys) for each in found] == [
        ("16061 MB", llama, "fp16", "weights"),
        ("1.0 GB", llama, "fp16", "kv_cache"),
        ("17-19 GB", llama, "fp16", None),
        ("3.5 MB", llama, "int8", "weights"),
        ("2 GB", llama, "int8", "kv_cache"),
        ("9 GB", llama, "int8", None),
        ("4100-5200.5 MB", qwen, "nf4", "weights"),
        ("1 GB", qwen, "nf4", None),
    ]


def test_a_draft_finds_units_that_stand_beside_a_table_or_hold_for_a_document(tmp_path):
    guide = tmp_path / "guide.md"
    guide.write_text(
        "# Guide\nSizes are GiB (2^30 bytes).\n## Weights\n| role | precision | weights | count | verdict |\n"
        "|---|---|---:|---|---|\n| judge | nf4 (as planned) | 39.78 (39.00-40.10) | 4 | fits |\n"
        "## Cards in MB\n| phase | gpu:0 A100 | GB free | time |\n|---|---|---|---|\n"
        "| load\u00b9 | 34,000<sup>2</sup> | 1.5[^3] | 3 h |\n"
        "## Cost\n| cards | price | 80 GB |\n|---|---|---|\n| 8 | 2.99 | 3 |\n"
    )
    found = yaml.safe_load(ullage.draft_claims(guide))["claims"]
    assert [(each["claimed"], each.get("precision"), each["says"]) for each in found] == [
        ("39.78 GiB", "nf4", "judge, nf4 (as planned), weights: 39.78 (39.00-40.10)"),
        ("34000 MB", None, "load, gpu:0 A100: 34,000"),
        ("1.5 GB", None, "load, GB free: 1.5[^3]"),
    ]


def test_a_draft_names_whatever_may_be_a_size_and_becomes_no_claim(said, tmp_path):
    guide = tmp_path / "guide.md"
    text = (
        "| model on 24 GB | FP16 (GB) | KV cache |\n|---|---|---|\n| a | 14,5 | 900 GB/s |\n"
        "| b | 1 234 | 1,024 MB |\n| c | 14 at first | 3 GB (2 GB) | 1 GB |\n| d | 12,34,567 | 0,125 GB |\n"
        "\n| no rule | 3 GB |\n\n```\n| code | 3 GB |\n```\n<table>\n<tr><td>5 GB\n"
    )
    guide.write_text(text)
    draft = ullage.draft_claims(guide)
    assert [each["claimed"] for each in yaml.safe_load(draft)["claims"]] == [
        "14.5 GB",
        "1024 MB",
        "3 GB",
        "1 GB",
        "0.125 GB",
    ]
    lines = [line.removeprefix("#   line ") for line in draft.splitlines() if line.startswith("#   line ")]
    assert [each.partition(":")[0] for each in lines] == ["1", "3", "4", "5", "5", "6", "8", "11", "13"]
    assert "may be a size (9)" in draft
    assert "a table in HTML, which has no end" in lines[-1]
    guide.write_text("| model | speed |\n|---|---|\n| a | 900 GB/s |\n")
    code, _, err = said(guide, "--draft")
    assert code == 2
    assert "by hand. Not read: line 3: 900 GB/s" in err


def test_a_draft_reads_tables_in_html_with_cells_over_several_columns(tmp_path):
    guide = tmp_path / "guide.md"
    guide.write_text(
        "## Weights\n<table><caption>in GB</caption>\n"
        "<tr><th rowspan=2>Model</th><th colspan=2>Weights</th></tr>\n<tr><th>FP16</th><th>INT8</th></tr>\n"
        "<tr><td rowspan=2>Mistral-7B-v0.1<td>14,5<td>7.3&nbsp;<b>GB</b><sup>2</sup>\n"
        "<tr><td colspan=2>16 GB</td></tr></table>\n"
        "<table><tr><td><table><tr><td>4 GB</table></table>\n"
    )
    draft = ullage.draft_claims(guide)
    keys = ("claimed", "lines", "model", "precision")
    assert [tuple(each.get(key) for key in keys) for each in yaml.safe_load(draft)["claims"]] == [
        ("14.5 GB", [5], MODEL, "fp16"),
        ("7.3 GB", [5], MODEL, "int8"),
        ("16 GB", [6], MODEL, "fp16"),
        ("16 GB", [6], MODEL, "int8"),
    ]
    assert "line 7: a table in HTML with another within it" in draft


def test_a_draft_reads_the_guide_that_is_written_here():
    guide = Path(__file__).parents[2] / "examples/guide/GPU_REQUIREMENTS.md"
    found = yaml.safe_load(ullage.draft_claims(guide))["claims"]
    said = {each["says"]: (each["claimed"], each.get("metric")) for each in found}
    assert said["player, bf16 (as planned), weights: 131.42"] == ("131.42 GiB", "weights")
    assert said["weights of player, GiB: 33.47"] == ("33.47 GiB", "weights")
    assert said["peak, gpu:1 RTX A6000: 37.35"] == ("37.35 GiB", None)
    assert any(each["claimed"].startswith("146.92") for each in found)


def test_a_document_itself_is_told_how_its_claims_are_drafted(said, tmp_path):
    code, _, err = said(tmp_path / "guide.md")
    assert code == 2
    assert "guide.md --draft > claims.yaml" in err


def test_a_document_without_tables_is_told_so(said, tmp_path):
    (tmp_path / "guide.md").write_text("It takes 16 GB.\n")
    code, _, err = said(tmp_path / "guide.md", "--draft")
    assert code == 2
    assert "no table of it has a size" in err


def test_one_file_of_html_has_every_claim_and_escapes_what_they_say(said, claims, tmp_path):
    out = tmp_path / "audit.html"
    said(
        claims(weights("7 GB", says="<script>alert(1)</script>"), weights("14 GB", says="fourteen")),
        "--html",
        out,
    )
    page = out.read_text()
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "fourteen" in page
    assert f"{WEIGHTS:,}" in page


def test_what_is_wrong_with_a_workload_is_told_of_each_claim_about_it(said, claims):
    path = claims(
        {"claimed": "1 GB", "workload": "game"}, weights("14.5 GB"), workloads={"game": {"kind": "chess"}}
    )
    code, out, _ = said(path, "--json")
    first, second = json.loads(out)["claims"]
    assert code == 1
    assert "workload game: kind: 'chess' is not a kind of workload" in first["said"]
    assert "; workload game: roles: is missing" in first["said"]
    assert second["ruling"] == "rounded"


def test_a_page_takes_the_place_of_no_other_file(said, claims, tmp_path):
    file, out = claims(weights("14.5 GB")), tmp_path / "notes.html"
    for before, code in ((b"", 0), (b"<title>my notes \xff</title>", 2)):
        out.write_bytes(before)
        for _ in range(2):  # a page of an audit is written anew
            found, _, err = said(file, "--html", out)
            assert found == code, err
    assert "notes.html: is there already and is no page of an audit; name another, or remove it" in err
    assert out.read_bytes() == before


def test_a_page_that_cannot_be_written_is_told_so(said, claims, tmp_path):
    code, _, err = said(claims(weights("14.5 GB")), "--html", tmp_path / "no" / "audit.html")
    assert code == 2
    assert "audit.html: cannot be written" in err


def test_a_pipe_does_not_become_a_page(said, claims, tmp_path):
    """Nor does a device: as root a file would take the place of /dev/null."""
    os.mkfifo(tmp_path / "pipe")
    code, _, err = said(claims(weights("14.5 GB")), "--html", tmp_path / "pipe")
    assert code == 2
    assert "pipe: cannot be written: is no ordinary file" in err
    assert (tmp_path / "pipe").is_fifo()


def test_an_audit_has_a_page_a_table_and_a_document(claims):
    found = ullage.audit(claims(weights("7 GB")))
    assert repr(found) == "<Audit of guide.md: 1 wrong>"
    assert "1 claims: 1 wrong" in str(found)
    assert "<table" in found._repr_html_()
    assert found.to_json()["counts"]["wrong"] == 1
