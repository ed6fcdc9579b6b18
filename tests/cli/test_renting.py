"""`ullage gpus FILE`: what to rent for a workload, by whose prices, and what was left out."""

import io
import json
import re
from pathlib import Path

import jsonschema
import pytest

import ullage
from ullage.cli.main import main
from ullage.planning.renting import Renting
from ullage.reports.console import PlainConsole
from ullage.reports.pages.screen import show
from ullage.reports.renting_page import renting_page

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = ("assistant", "evaluate", "extract", "pii", "werewolf")


@pytest.fixture
def run(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")

    def call(*arguments, command="gpus", code=0):
        with pytest.raises(SystemExit) as ended:
            main([command, *map(str, arguments)])
        output = capsys.readouterr()
        assert ended.value.code == code, output.err
        return output.out or output.err

    return call


def document(run, *arguments, code=0):
    found = json.loads(run(*arguments, "--json", code=code))
    jsonschema.validate(found, ullage.document_schema("gpu-sets"))
    return found


@pytest.mark.parametrize("name", NAMES)
def test_ten_sets_with_everything_that_matters_in_eighty_columns(run, name):
    file = EXAMPLES / f"{name}.yaml"
    text, found = run(file), document(run, file)
    lines = text.splitlines()
    assert 1 <= len(found["sets"]) <= 10
    assert all(len(line) <= 80 for line in lines[2:]), text
    assert "…" not in text
    squeezed = " ".join(text.split())
    for each in found["sets"]:
        at = max(at for at, line in enumerate(lines) if f"{line} ".startswith(f"{each['gpus']} "))
        line = lines[at + (lines[at] == each["gpus"])]
        assert f" {each['verdict']} " in line
        assert each["label"] == "on-demand"
        assert f"{each['provider']}, {each['as_of']}" in squeezed
        assert f"{each['usd_per_hour']:,.2f}" in text
        assert f"{each['ullage'] / 2**30:.1f}" in text
    assert f"{found['more']} more sets hold it" in squeezed
    if found["recommended"] is None:
        assert "no total" in squeezed
        return
    assert squeezed.startswith(f"rent {found['recommended']} from ")
    first, then = squeezed.split("runner-up: ")
    assert f"all {found['examples']:,} examples" in first
    assert then.startswith(f"{found['runner_up']} from ")
    totals = [each["usd"]["expected"] for each in found["sets"]]
    assert totals == sorted(totals)
    assert len(re.findall(r"\([\d.,]+-[\d.,]+\)", text)) >= 2 * len(totals)


def test_in_a_narrower_terminal_names_stand_above_their_figures(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "64")
    file = EXAMPLES / "werewolf.yaml"
    lines = run(file).splitlines()
    for each in document(run, file)["sets"]:
        figures = lines[lines.index(each["gpus"]) + 1]
        assert f"  {each['verdict']} " in figures
        assert f" {each['usd_per_hour']:,.2f} " in figures
        assert len(figures) <= 64


@pytest.mark.parametrize("name", ["pii", "evaluate"])
def test_it_agrees_with_the_plan_of_each_set(run, name):
    file = EXAMPLES / f"{name}.yaml"
    for each in document(run, file)["sets"]:
        plan = ullage.plan(ullage.load(file), each["gpus"], base=EXAMPLES, advice=False)
        assert each["verdict"] == plan.verdict
        assert each["usd"] == pytest.approx(plan.cost.usd._asdict())
        assert each["seconds"] == pytest.approx(plan.total_seconds._asdict())
        assert (each["provider"], each["as_of"], each["label"]) == (
            plan.cost.provider, plan.cost.as_of, plan.cost.label,
        )  # fmt: skip
        assert each["ullage"] == min(device.ullage for device in plan.devices if device.name[:4] == "gpu:")
        assert each["usd"]["expected"] == pytest.approx(
            each["usd_per_hour"] * each["seconds"]["expected"] / 3600
        )


def test_a_million_records_have_hours_and_a_price(run):
    """Records that are ten times as many take ten times as long, but for what is paid once."""
    file = EXAMPLES / "pii.yaml"
    some, many = (document(run, file, "--set", f"examples={count}") for count in (100_000, 1_000_000))
    first, same = some["sets"][0], next(s for s in many["sets"] if s["gpus"] == some["sets"][0]["gpus"])
    assert same["usd"]["expected"] == pytest.approx(10 * first["usd"]["expected"], rel=0.01)
    assert "for all 1,000,000 examples" in " ".join(run(file, "--set", "examples=1000000").split())
    market = document(run, file, "--set", "examples=1000000", "--label", "marketplace", "--all")
    (small,) = (each for each in market["sets"] if each["gpus"] == "1x GeForce RTX 3060 12GB")
    assert small["usd"]["low"] < small["usd"]["expected"] < small["usd"]["high"]


def test_the_docs_show_the_tools_own_page(run):
    text = run(EXAMPLES / "pii.yaml", "--set", "examples=1000000")
    shown = [f"    {line.rstrip()}" for line in text.splitlines()]
    assert "\n".join(shown) in (EXAMPLES.parent / "docs/prices.md").read_text()


def test_all_shows_the_rest_and_the_default_what_fewer_cards_do_not_beat(run):
    file = EXAMPLES / "pii.yaml"
    some, every = document(run, file), document(run, file, "--all")
    assert every["more"] == every["beaten"] == 0
    assert len(every["sets"]) == len(some["sets"]) + some["more"]
    by_name = {each["gpus"]: each for each in every["sets"]}
    for each in some["sets"]:
        count, _, card = each["gpus"].partition("x ")
        for fewer in range(1, int(count)):
            other = by_name.get(f"{fewer}x {card}")
            if other is None or (other["verdict"] != "fits" and each["verdict"] == "fits"):
                continue
            dearer = other["usd"]["expected"] > each["usd"]["expected"]
            assert dearer or other["seconds"]["expected"] > each["seconds"]["expected"]


def test_what_was_left_out_is_counted(run):
    found = document(run, EXAMPLES / "werewolf.yaml", "--all")
    left = found["left_out"]
    sets = len(ullage.api.renting.lists(None).sets())
    assert len(found["sets"]) + left["without_kernels"] + left["too_small"] + left["refused"] == sets
    assert left["unpriced"] > 100
    assert left["refused"] >= 1
    said = " ".join(run(EXAMPLES / "werewolf.yaml").split())
    for words in ("known cards without an on-demand price", "too small", "that the workload cannot use ("):
        assert words in said


def test_ones_own_list_and_one_provider(run, tmp_path):
    own = tmp_path / "own.csv"
    own.write_text(
        "date,provider,label,card,usd_per_hour\n"
        "2026-11-01,Basement,marketplace,RTX 3090,0.10\n2026-11-01,Attic,marketplace,A40,0.20\n"
    )
    file = EXAMPLES / "pii.yaml"
    found = document(run, file, "--prices", own)
    assert {each["provider"] for each in found["sets"]} == {"Basement", "Attic"}
    assert (found["label"], found["file"]) == ("marketplace", str(own))
    assert str(own) in "".join(run(file, "--prices", own).split())
    one = document(run, file, "--prices", own, "--provider", "attic")
    assert {each["provider"] for each in one["sets"]} == {"Attic"}
    lambda_ = document(run, file, "--provider", "Lambda")
    assert {each["provider"] for each in lambda_["sets"]} == {"Lambda"}
    plan = ullage.plan(ullage.load(file), "2x A40", base=EXAMPLES, prices=ullage.read_prices(own))
    assert (plan.cost.usd_per_hour, plan.cost.provider) == (0.4, "Attic")


def test_a_plan_and_an_estimate_take_the_same_prices(run, tmp_path):
    own = tmp_path / "own.csv"
    own.write_text(
        "date,provider,label,card,usd_per_hour\n"
        "2026-11-01,Basement,marketplace,RTX 3090,0.10\n2026-11-02,Attic,spot,RTX 3090,0.01\n"
        "2026-11-02,Attic,spot,A40,0.03\n"
    )
    for command, what in (("plan", EXAMPLES / "pii.yaml"), ("estimate", "ullage:tiny")):
        asked = what, "--gpus", "RTX 3090", "--prices", own
        for options, price, provider in (
            ((), 0.01, "Attic"),
            (("--label", "marketplace"), 0.10, "Basement"),
            (("--provider", "basement"), 0.10, "Basement"),
        ):
            found = json.loads(run(*asked, *options, "--json", command=command))
            assert (found["cost"]["usd_per_hour"], found["cost"]["provider"]) == (price, provider)
            priced = {each["gpus"] for each in found["advice"] if each["usd_per_hour"] is not None}
            assert all("RTX 3090" in gpus or "A40" in gpus for gpus in priced)
        told = run(*asked, "--label", "cheap", command=command, code=2)
        assert "prices are on-demand, marketplace, spot" in told


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--label", "cheap"), "label 'cheap': prices are on-demand, marketplace, spot"),
        (("--provider", "Lambada"), "unknown provider 'Lambada'; nearest: Lambda"),
        (("--prices", "nothing.yaml"), "nothing.yaml: cannot be read as a price list"),
    ],
)
def test_bad_input_is_one_line(run, arguments, said):
    told = run(EXAMPLES / "pii.yaml", *arguments, code=2)
    assert said in told
    assert "Traceback" not in told
    assert len(told.strip().splitlines()) == 1


def test_a_list_with_mistakes_is_a_line_for_each(run, tmp_path):
    own = tmp_path / "own.yaml"
    own.write_text(
        "- {provider: One, label: spot, card: L4, usd_per_hour: 1}\n"
        "- {date: 2026-11-01, provider: One, label: spot, card: L5, usd_per_hour: 1}\n"
    )
    lines = run(EXAMPLES / "pii.yaml", "--prices", own, code=2).strip().splitlines()
    assert len(lines) == 2
    assert "row 1: date is missing" in lines[0]
    assert "row 2: card: unknown GPU 'L5'" in lines[1]


def test_a_workload_no_set_holds_says_so(run):
    said = run(EXAMPLES / "werewolf.yaml", "--provider", "AWS", "--set", "batch=4096", code=3)
    assert said.startswith("no set of cards with an on-demand price of AWS holds this workload")


def test_the_library_says_the_same(run):
    found = ullage.rentals(ullage.load(EXAMPLES / "pii.yaml"), base=EXAMPLES)
    assert isinstance(found, Renting)
    assert json.loads(json.dumps(found.to_json())) == document(run, EXAMPLES / "pii.yaml")
    assert repr(found).startswith("<Renting: 1x ")
    assert found._repr_html_().count("<tr>") == 1 + len(found.rentals)


def test_the_number_of_a_list_stands_where_a_table_is_one_column_too_wide(tmp_path):
    own = tmp_path / "own.csv"
    own.write_text(
        "date,provider,label,card,count,usd_per_hour\n2026-11-01,Basement,on-demand,RTX 4090,,0.30\n"
    )
    roles = {"generator": {"model": "meta-llama/Llama-3.1-8B-Instruct"}}
    file = {"kind": "evaluate", "roles": roles, "prompt_tokens": 512, "new_tokens": 64, "examples": 100}
    found = ullage.rentals(ullage.load(file), prices=own, most=None)
    for width in range(72, 90):
        page = io.StringIO()
        show(renting_page(found), PlainConsole(file=page, width=width, color_system=None))
        rows = [line.split() for line in page.getvalue().splitlines() if " fits " in line]
        assert len(rows) == len(found.rentals)
        assert {row[-1] for row in rows} == {"[1]"}, width


def test_host_memory_is_said_where_a_workload_takes_it(run):
    placed = ("--set", "roles.player.placement=cpu")
    text, found = run(EXAMPLES / "werewolf.yaml", *placed), document(run, EXAMPLES / "werewolf.yaml", *placed)
    least = min(each["host"]["high"] for each in found["sets"])
    assert least > 131 * 2**30, "all of its weights"
    assert f"host memory beside the program: {least / 2**30:.2f}" in text
    assert "host memory" not in run(EXAMPLES / "werewolf.yaml")


def test_a_card_in_place_of_a_file_is_told_as_such(run):
    assert "names cards, not a workload file" in run("RTX 4090", code=2)
    assert "No such file" in run("nofile.yaml", code=2)
