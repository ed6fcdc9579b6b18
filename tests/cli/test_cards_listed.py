"""`ullage gpus` without a file: every card, by whose prices, and what needs a file."""

import json
from pathlib import Path

import jsonschema
import pytest

import ullage
from ullage.cli.main import main

EXAMPLES = Path(__file__).parents[2] / "examples"
HEAD = "date,provider,label,card,count,usd_per_hour\n"


@pytest.fixture
def run(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")

    def call(*arguments, code=0):
        with pytest.raises(SystemExit) as ended:
            main([*map(str, arguments)])
        output = capsys.readouterr()
        assert ended.value.code == code, output.err
        return output.out or output.err

    return call


@pytest.fixture
def own(tmp_path):
    def written(*rows):
        path = tmp_path / "own.csv"
        path.write_text(HEAD + "".join(f"{row}\n" for row in rows))
        return path

    return written


def listed(run, *options):
    return {each["name"]: each for each in json.loads(run("gpus", "--json", *options))["gpus"]}


def test_the_list_of_cards_has_the_prices_that_are_asked_for(run, own):
    plain = listed(run)
    prices = own("2026-11-01,Basement,spot,RTX 3090,,0.11", "2026-11-01,Attic,on-demand,A40,8,3.20")
    theirs = listed(run, "--prices", prices)
    assert {name for name, each in theirs.items() if each["usd_per_hour"]} == {"GeForce RTX 3090", "A40"}
    assert (theirs["A40"]["usd_per_hour"], theirs["A40"]["price_counts"]) == (0.4, [8])
    text = run("gpus", "--prices", prices)
    assert "0.40 (8x)" in text
    assert "(8x): in a machine of so many alone" in " ".join(text.split())
    assert str(prices) in "".join(text.split())
    one = listed(run, "--provider", "lambda")
    assert {each["price_provider"] for each in one.values()} == {"Lambda", None}
    assert one["H100-SXM5-80GB"]["usd_per_hour"] == 4.29
    spot = listed(run, "--label", "spot")
    assert spot["L40S"]["price_label"] == "spot" != plain["L40S"]["price_label"]
    assert spot["A40"]["price_label"] == "on-demand"
    text = " ".join(run("gpus", "--label", "spot").split())
    assert (
        "one card by its cheapest spot price, * by on-demand or marketplace ones where there is none" in text
    )
    assert dict(ullage.cards(label="spot")) == dict(ullage.cards(prices=ullage.api.lists(None, "spot")))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (("--label", "cheap"), "label 'cheap': prices are on-demand, marketplace, spot"),
        (("--provider", "Nobody"), "unknown provider 'Nobody'"),
        (("--prices", "nothing.yaml"), "nothing.yaml: cannot be read as a price list"),
    ],
)
def test_what_is_wrong_of_prices_is_the_same_line_with_a_file_and_without(run, wrong, said):
    told = run("gpus", *wrong, code=2)
    assert said in told
    assert len(told.splitlines()) == 1
    assert told == run("gpus", EXAMPLES / "pii.yaml", *wrong, code=2)


@pytest.mark.parametrize("option", [("--all",), ("--set", "examples=5")])
def test_what_bears_on_a_workload_is_refused_without_one(run, option):
    told = run("gpus", *option, code=2)
    assert f"{option[0]}: is of the sets that hold a workload; give its file too" in told
    assert len(told.splitlines()) == 1


def test_the_list_of_cards_and_an_estimate_of_one_say_the_same_price(run):
    cards = listed(run)
    jsonschema.validate(json.loads(run("gpus", "--json")), ullage.document_schema("gpus"))
    for name in ("V100-SXM2-16GB", "T4", "H100-SXM5-80GB", "A100-SXM4-40GB", "GeForce RTX 4090"):
        asked = "estimate", "ullage:tiny", "--gpus", name, "--no-advice", "--json"
        cost, card = json.loads(run(*asked))["cost"], cards[name]
        assert card["usd_per_hour"] == cost["usd_per_hour"]
        assert (card["price_label"], card["price_provider"]) == (cost["label"], cost["provider"])
