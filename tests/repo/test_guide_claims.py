"""The claims of five guides: none left out, and the page of what became of them."""

import json
from pathlib import Path

import claims
import guide_numbers
import pytest

from ullage.spec.claim_file import read_claims

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "examples/claims").glob("*.yaml"))
NUMBERS = [json.loads(line) for line in (ROOT / "examples/claims/numbers.jsonl").read_text().splitlines()]
WITHOUT_NUMBER = "(calculation row)"
"""What a guide derives in a formula, of parameters times bytes, and gives no unit."""


def test_there_are_five_guides_and_every_entry_is_a_claim():
    assert len(FILES) == 5
    assert [each.mistakes for path in FILES for each in read_claims(path).entries if each.mistakes] == []


def test_each_number_with_a_unit_is_a_claim_or_says_why_it_is_none():
    assert {each["guide"] for each in NUMBERS} == {path.stem for path in FILES}
    for number in NUMBERS:
        assert (number["claims"] > 0) != bool(number["reason"]), number
    held = {path.stem: [each.claim for each in read_claims(path).entries] for path in FILES}
    for number in NUMBERS:
        amount = guide_numbers.as_amount(number["number"], number["unit"])
        found = [each for each in held[number["guide"]] if guide_numbers.says(each, number["line"], amount)]
        assert len(found) == number["claims"], number


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_claim_about_a_size_stands_in_its_guide_at_each_of_its_lines(path):
    here = [each for each in NUMBERS if each["guide"] == path.stem]
    for entry in read_claims(path).entries:
        claim = entry.claim
        assert claim.lines
        if claim.amount().fits or WITHOUT_NUMBER in claim.says:
            continue
        for line in claim.lines:
            amounts = [
                guide_numbers.as_amount(each["number"], each["unit"]) for each in here if each["line"] == line
            ]
            assert any(guide_numbers.says(claim, line, each) for each in amounts), (
                path.stem,
                line,
                claim.says,
            )


def test_the_tool_finds_numbers_in_words_and_under_headings_with_a_unit():
    found = guide_numbers.found_in("- ~30-50GB of 96 GB, 5% in 2-3 s for $1.50-2.00, 70B params", [])
    assert [(number, unit) for number, unit, _ in found] == [
        ("30-50", "GB"),
        ("96", "GB"),
        ("5", "%"),
        ("2-3", "s"),
        ("1.50-2.00", "$"),
    ]
    columns = ["", " size ", " FP16 (GB) ", ""]
    assert [each[:2] for each in guide_numbers.found_in("| **7B** | 14 |", columns)] == [("14", "GB")]


def test_the_page_of_claims_is_what_is_computed_now():
    """`.venv/bin/python tools/claims.py` remakes it."""
    assert claims.PAGE.read_text(encoding="utf-8") == claims.page()


def test_what_is_called_the_size_of_cards_is_one():
    """Of one, or of as many as guides name: no other number hides behind that reason."""
    sizes = {count * size for size in (4, 6, 8, 10, 12, 16, 24, 40, 48, 80) for count in (1, 2, 3, 4, 8)}
    for number in (each for each in NUMBERS if each["reason"].startswith("the size of a card")):
        assert number["unit"] == "GB", number
        assert {float(end) for end in number["number"].split("-")} <= sizes, number
