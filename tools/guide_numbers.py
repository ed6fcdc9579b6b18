"""Every number with a unit in the guides that examples/claims audits: a claim, or none and why.

    .venv/bin/python tools/guide_numbers.py FOLDER

FOLDER holds the guides, which are not part of this repository: lyra.md for examples/claims/lyra.yaml. Writes
examples/claims/numbers.jsonl, and names, with exit code 1, each number that is neither and each heading that
examples/guide/headings.yaml has not.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import yaml

from ullage.errors import InputError
from ullage.spec.amount import Amount, parse_amount
from ullage.spec.claim import Claim
from ullage.spec.claim_file import read_claims

ROOT: Final = Path(__file__).parents[1]
CLAIMS: Final = ROOT / "examples/claims"
HEADINGS: Final = ROOT / "examples/guide/headings.yaml"
NUMBERS: Final = CLAIMS / "numbers.jsonl"
AROUND: Final = 40
"""Characters of a line kept on either side of a number."""
_ENDS: Final = r"\d[\d,]*(?:\.\d+)?(?:\s?[-\u2013]\s?\$?\d[\d,]*(?:\.\d+)?)?"
_NUMBER: Final = re.compile(
    rf"(?P<usd>\$)(?P<price>{_ENDS})|(?<![\w.])(?P<number>{_ENDS})\s?\+?\s?"
    r"(?P<unit>GB/s|[KMGT]i?B\b|%|bytes?\b|ms\b|s\b|min(?:utes)?\b|h(?:ours?)?\b|x(?=\s(?:rule|memory|faster|for|less|\))|\)))"
)
_COLUMN: Final = re.compile(r"\(([KMGT]B)\)")
CARDS: Final = r"A100|H100|A6000|A10G?\b|L4\b|RTX|GTX|GPU|VRAM|p4d|Option|Configuration|Hardware|total\)"
REASONS: Final = (
    ("rates", r"^GB/s$", "", "how fast cards are joined, no memory"),
    ("prices", r"^\$$", "", "a price of its day: `ullage gpus` has those of now"),
    ("times", r"^(ms|s|min|minutes|h|hours?)$", "", "a time, no memory"),
    ("bytes", r"^bytes?$", "", "the width of a number, not of a model"),
    ("rules", r"^x$", "rule", "a rule of thumb; the peaks it is used for are claims"),
    ("speed", r"^x$", "", "a speed, no memory"),
    ("quality", r"^%$", r"[Aa]ccuracy|quality|loss", "a quality, no memory"),
    (
        "settings",
        r"^%$",
        r"[Ww]arn|utilization|headroom|compute|usage",
        "a setting, or advice how to set one",
    ),
    ("baseline", r"^%$", r"Baseline", "what others are compared with"),
    ("hosted", r"B$", r"GPT-4", "a hosted model: no card of one's own is needed, and none is planned"),
    ("nothing", r"B$", r"\| \+0 MB", "batch 1 beside itself: nothing, by what it means"),
    ("limits", r"B$", r"max_memory", "a limit that is set, not what is taken"),
    ("host", r"B$", r"(?<!V)RAM\b", "advice what host memory to buy; no workload is named"),
    ("disk", r"B$", r"[Ss]torage|NVMe|SSD", "advice what disk to buy; which models lie there is not said"),
    (
        "call",
        r"B$",
        r"can_allocate|required_memory|1024\*\*3|/ 1e9|GPU \d memory",
        "of a program or what it prints",
    ),
    ("left", r"B$", r"Available for specialist|free\*\*", "a card's size less a claim that stands beside it"),
    (
        "sum",
        r"B$",
        r"Voice split|FP16 precision \(49-52",
        "terms of a sum or a range of claims that stand by themselves",
    ),
    ("cards", r"B$", CARDS, "the size of a card, or of several; what is said to fit on it is a claim"),
)
"""A name, the unit, the words of the line, and why a number is no claim; the first that is met counts."""


def main(folder: Path) -> int:
    paths = sorted(CLAIMS.glob("*.yaml"))
    held = [each for path in paths for each in numbers(folder, path)]
    NUMBERS.write_text(
        "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in held), encoding="utf-8"
    )
    left = [each for each in held if not (each["claims"] or each["reason"])]
    for each in left:
        print(f"{each['guide']}:{each['line']}: {each['number']} {each['unit']}: {each['context']}")
    missing = [f"{path.stem}: {each}" for path in paths for each in unlisted(folder, path)]
    for said in missing:
        print(f"{said}: not where it stands in {HEADINGS.name}")
    print(f"{len(held)} numbers, {sum(bool(each['claims']) for each in held)} in claims, {len(left)} neither")
    return 1 if left or missing else 0


def unlisted(folder: Path, path: Path) -> list[str]:
    """Headings of a guide that are not in the table of headings; all of them where their order is another."""
    text = re.sub(r"^```.*?^```", "", (folder / f"{path.stem}.md").read_text("utf-8"), flags=re.M | re.S)
    found = re.findall(r"^#{1,6}\s+(.*?)\s*$", text, re.M)
    known = [each["heading"] for each in yaml.safe_load(HEADINGS.read_text("utf-8"))[path.stem]]
    return [each for each in found if each not in known] or (found if found != known else [])


def numbers(folder: Path, path: Path) -> Iterator[dict[str, object]]:
    """The numbers of one guide, in the order of its lines."""
    claims = [(each.line, each.claim) for each in read_claims(path).entries if each.claim is not None]
    section = ""
    columns: list[str] = []
    for at, line in enumerate((folder / f"{path.stem}.md").read_text(encoding="utf-8").splitlines(), 1):
        if heading := re.fullmatch(r"#{2,6}\s+(.*)", line):
            section = heading[1]
        columns = [] if "|" not in line else columns or line.split("|")
        for number, unit, context in found_in(line, columns):
            amount = as_amount(number, unit)
            own = sorted({each for each, claim in claims if says(claim, at, amount)})
            yield {
                "guide": path.stem,
                "line": at,
                "section": section,
                "number": number,
                "unit": unit,
                "context": context,
                "claims": len(own),
                "reason": "" if own else reason(unit, line, number),
            }


def found_in(line: str, columns: list[str]) -> Iterator[tuple[str, str, str]]:
    """Number, unit and the words around each number of a line; in a table the unit may be its column's."""
    for each in _NUMBER.finditer(line):
        around = line[max(each.start() - AROUND, 0) : each.end() + AROUND].strip()
        yield (each["price"] or each["number"], each["usd"] or each["unit"], around)
    for cell, column in zip(line.split("|"), columns, strict=False):
        bare = re.fullmatch(rf"\W*({_ENDS})\W*", cell)
        if bare and (unit := _COLUMN.search(column)):
            yield bare[1], unit[1], line.strip()[: 2 * AROUND]


def as_amount(number: str, unit: str) -> Amount | None:
    """None where it is of no unit that claims have."""
    try:
        return parse_amount(f"{number.replace(',', '')} {unit}")
    except InputError:
        return None


def says(claim: Claim, line: int, amount: Amount | None) -> bool:
    """Whether a claim of this line is about this very number."""
    if amount is None or line not in claim.lines:
        return False
    own = claim.amount()
    return own.measure == amount.measure and (own.low, own.high) == (amount.low, amount.high)


def reason(unit: str, line: str, number: str) -> str:
    """Why a number is no claim; nothing where no rule says it."""
    for _, of_unit, words, said in REASONS:
        if re.search(of_unit, unit) and re.search(words, line):
            return said
    return ""


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
