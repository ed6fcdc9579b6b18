"""The page of a verification in a browser: nothing to push sideways, nothing to complain of."""

import json

import pytest
from browser import TITLED, framed, needs_browser, seen

import ullage

WIDTHS = (400, 1280)
SCRIPT = [
    {"contains": "[[mute", "scores": {"yes": -99.0, "no": -99.0}},
    {"contains": "[[real", "scores": {"yes": -0.1, "no": -3.0}},
    {"contains": "", "scores": {"yes": -2.0, "no": -0.2}},
]
WORK = """
kind: pii
name: {name}
roles: {{verifier: {{model: script.jsonl, engine: scripted, batch: 2}}}}
budget: {{gpus: cpu}}
pii: {{input: records.jsonl, redact: tag}}
"""
LONG = "a_field_that_nobody_reads_and_whose_name_has_no_end_at_all"
MEASURED = """<script>addEventListener("load", () => {
  const seen = [...document.querySelectorAll("iframe")].map(one => {
    const root = one.contentDocument.documentElement
    const all = [...root.querySelectorAll(".wide, p, h1")]  // in it a table or a chart scrolls by itself
    const over = all.map(each => each.getBoundingClientRect().right)
    return [one.clientWidth, root.scrollWidth, Math.ceil(Math.max(...over))]
  })
  document.title = JSON.stringify(seen)
})</script>"""


def labelled(value, gold):
    return {"text": f"Call {value}", "candidates": [{"type": "phone", "value": value, "gold": gold}]}


CASES = {
    "everything": [
        *(labelled(f"{kind}-{n}", n % 3 != 0) for kind in ("real", "fake") for n in range(8)),
        labelled("mute-1", True),
        {"text": "Call", "candidates": [{"type": "no such type " * 9, "value": "Call"}, {"type": "phone"}]},
        {"text": "none", LONG: 1, "note": 2},
        {"note": "no text"},
    ],
    "all failed": [labelled("mute-1", True)],
    "no labels": [{"text": "Call real-1", "candidates": [{"type": "phone", "value": "real-1"}]}],
    "no candidates": [{"text": "none", "note": 1}],
}


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The page of each case."""
    found = {}
    for name, rows in CASES.items():
        folder = tmp_path_factory.mktemp("page")
        (folder / "script.jsonl").write_text("".join(json.dumps(one) + "\n" for one in SCRIPT))
        (folder / "records.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
        (folder / "work.yaml").write_text(WORK.format(name="verified/" * 20))
        ullage.run(ullage.load(folder / "work.yaml"), folder / "run", base=folder)
        found[name] = (folder / "run" / "report.html").read_text(encoding="utf-8")
    return found


def shown(folder, pages):
    """Of each page at each width: the width, how far it scrolls, and where the rightmost thing on it ends."""
    frames = [framed(page, width) for page in pages for width in WIDTHS]
    return seen(TITLED + "".join(frames), folder, MEASURED)


@needs_browser
def test_no_page_scrolls_sideways_at_the_width_of_a_telephone_or_a_desk(pages, tmp_path):
    wide = "<h1>" + "x" * 400 + "</h1>"
    *measured, narrow, _ = shown(tmp_path, [*pages.values(), wide])
    assert [width for width, _, _ in measured] == [*WIDTHS] * len(CASES)
    assert all(scrolled <= width and right <= width for width, scrolled, right in measured), measured
    assert narrow[1] > narrow[0], "what is too wide is seen"


def test_a_page_shows_what_there_is_even_of_nothing_decided(pages):
    for name, page in pages.items():
        assert 'd="M"' not in page, name
        assert ("Why candidates failed" in page) == (name in ("everything", "all failed"))
        assert ("Calibration" in page) == (name == "everything"), name
        assert ("Records without candidates" in page) == (name in ("everything", "no candidates"))
