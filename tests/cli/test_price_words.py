"""What a screen says beside a price: whose, by which label, why it is no lower one, how old it is."""

import json
import re

import jsonschema
import pytest

import ullage
from ullage.cli.main import main
from ullage.facts.gpu_set import parse_gpu_set

LLAMA = "meta-llama/Llama-3.1-8B-Instruct"
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
def workload(tmp_path):
    path = tmp_path / "chat.yaml"
    path.write_text(f"kind: evaluate\nroles: {{generator: {{model: {LLAMA}}}}}\n")
    return path


@pytest.fixture
def own(tmp_path):
    def written(*rows):
        path = tmp_path / "own.csv"
        path.write_text(HEAD + "".join(f"{row}\n" for row in rows))
        return path

    return written


def fact(text, word):
    """What a first screen says beside a word; nothing where it has none."""
    found = re.search(rf"^{word:9}(.*(?:\n {{9}}.*)*)", text, re.MULTILINE)
    return "" if found is None else " ".join(found[1].split())


def test_a_label_without_a_price_of_the_cards_is_said_with_the_one_that_stands_for_it(run, workload):
    for command in (("estimate", LLAMA), ("plan", workload, "--gpus", "A100-80GB")):
        asked = *command, "--label", "spot"
        text, found = run(*asked), json.loads(run(*asked, "--json"))
        assert fact(text, "price") == "no spot price for these cards: all here is by on-demand prices"
        assert len(text.splitlines()) <= 25
        cost = found["cost"]
        assert (cost["label"], cost["instead_of"], cost["other_counts"]) == ("on-demand", "spot", [])
        said = "no spot price is known for 1x A100-SXM4-80GB: cost, and advice on any cards, are by on-demand"
        assert any(note.startswith(said) for note in found["notes"])
        plain = json.loads(run(*command, "--json"))
        assert found["advice"] == plain["advice"]
        assert plain["cost"]["instead_of"] == ""
        assert fact(run(*command), "price") == ""


@pytest.mark.parametrize(("card", "label"), [("T4", None), ("A40", "spot"), ("L40S", "spot")])
def test_advice_compares_prices_of_one_label(run, card, label):
    """That of the plan's own price: an entry costs what a plan of its cards by that label says."""
    options = () if label is None else ("--label", label)
    asked = "estimate", LLAMA, "--precision", "nf4", "--gpus", card, *options, "--json"
    found = json.loads(run(*asked))
    lists = ullage.api.lists(None, found["cost"]["label"])
    priced = 0
    for entry in found["advice"]:
        price = lists.of(parse_gpu_set(entry["gpus"]))
        assert entry["usd_per_hour"] == (None if price is None else pytest.approx(price.usd_per_hour))
        priced += price is not None
    assert priced


def test_advice_by_another_label_is_typed_with_it(run):
    """What the screen shows, pasted behind the same command, costs what it says."""
    asked = "estimate", LLAMA, "--gpus", "A40", "--label", "spot"
    best = json.loads(run(*asked, "--json"))["advice"][0]
    typed = ("--gpus", best["gpus"], *(f"--set={each['path']}={each['value']}" for each in best["changes"]))
    text = " ".join(run(*asked).replace("\\\n", " ").split())
    assert f"--gpus '{best['gpus']}' --label on-demand --set " in text
    again = json.loads(run(*asked, *typed, "--label", "on-demand", "--no-advice", "--json"))
    cost = again["cost"]["usd_per_1000_examples"]["expected"]
    assert cost == pytest.approx(best["usd_per_1000_examples"])


def test_a_label_that_has_other_numbers_of_the_card_alone_says_which(run):
    text = run("estimate", LLAMA, "--precision", "nf4", "--gpus", "V100")
    assert fact(text, "price") == "on-demand for 8 together alone: all here is by marketplace prices"
    assert "marketplace" in fact(text, "cost")
    eight = run("estimate", LLAMA, "--precision", "nf4", "--gpus", "8xV100", "--no-advice")
    assert "Lambda, on-demand" in fact(eight, "cost")
    assert fact(eight, "price") == ""


def test_more_cards_than_cheaper_lists_have_is_said_beside_the_price(run, own):
    for count in (9, 16):
        asked = "estimate", LLAMA, "--gpus", f"{count}xH100", "--no-advice"
        assert fact(run(*asked), "cost").endswith("; less a card in machines of 1, 2, 4 or 8")
        assert json.loads(run(*asked, "--json"))["cost"]["other_counts"] == [1, 2, 4, 8]
    for count in (1, 2, 4, 8):
        cost = fact(run("estimate", LLAMA, "--gpus", f"{count}xH100", "--no-advice"), "cost")
        assert "less a card" not in cost
    prices = own("2026-11-01,Attic,on-demand,L4,8,2.40", "2026-11-01,Cellar,on-demand,L4,,0.50")
    asked = "estimate", LLAMA, "--prices", prices, "--no-advice", "--gpus"
    assert fact(run(*asked, "2xL4"), "cost").endswith("less a card in machines of 8")
    assert "less a card" not in fact(run(*asked, "8xL4"), "cost")


def test_what_to_rent_marks_a_set_whose_card_costs_less_in_another_number(run, own, workload):
    prices = own("2026-11-01,Attic,on-demand,L4,8,2.40", "2026-11-01,Cellar,on-demand,L4,,0.50")
    text = run("gpus", workload, "--prices", prices)
    assert "(less a card in machines of 8)" in " ".join(text.split())
    assert "0.50+" in text
    assert "+ cheaper by the card, but not in a machine of so many" in text
    found = json.loads(run("gpus", workload, "--prices", prices, "--json", "--all"))
    jsonschema.validate(found, ullage.document_schema("gpu-sets"))
    counts = {each["gpus"]: each["other_counts"] for each in found["sets"]}
    assert (counts["1x L4"], counts["8x L4"]) == ([8], [])


def test_an_old_price_is_told_as_such_where_it_is_recommended(run, own, workload):
    """By the newest of the lists, and not by the clock."""
    rows = ("2024-07-13,Attic,on-demand,RTX 4090,,0.20", "2024-11-01,Attic,on-demand,L40S,,0.90")
    newest = "2025-11-01,Attic,on-demand,T4,,0.15"
    for more, times in (((), 0), ((newest,), 1)):
        prices = own(*rows, *more)
        first, _, second = " ".join(run("gpus", workload, "--prices", prices).split()).partition("runner-up")
        assert first.startswith("rent 1x GeForce RTX 4090 from Attic, 2024-07-13")
        assert first.count("(a price 16 months older than the newest)") == times
        assert "older than" not in second, "a year is not yet old"
    found = json.loads(run("gpus", workload, "--prices", prices, "--json"))
    behind = {each["gpus"]: each["days_behind"] for each in found["sets"]}
    assert (behind["1x GeForce RTX 4090"], behind["1x L40S"]) == (476, 365)


def test_costs_of_a_sweep_by_another_label_are_marked(run, workload):
    text = run("plan", workload, "--set", "examples=10", "--sweep", "budget.gpus=A40,T4")
    assert "* by marketplace prices, for want of one by the label compared" in " ".join(text.split())
    assert text.count("*") == 2
    assert "*" not in run("plan", workload, "--sweep", "budget.gpus=A40,L4")
