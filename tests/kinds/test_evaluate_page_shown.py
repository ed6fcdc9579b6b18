"""The page of an evaluation in a browser: the ten worst answers in two clicks, on a telephone too."""

import html
import json
import re

import pytest
from browser import SIDEWAYS, TITLED, framed, needs_browser, seen

import ullage

WIDTHS = (400, 1280)
COUNT = 60
WORK = """
kind: evaluate
name: {name}
roles:
  generator: {{model: answers.jsonl, engine: scripted}}
  judge: {{model: judge.jsonl, engine: scripted}}
  judge_lax: {{model: lax.jsonl, engine: scripted}}
budget: {{gpus: cpu}}
evaluate: {{input: questions.jsonl, samples: 2, fields: {{context: context}}}}
"""
CLICKS = """<script>addEventListener("load", () => {
  const ids = () => [...document.querySelectorAll(".one")].filter(one => !one.hidden)
    .map(one => one.querySelector(".note").textContent)
  const press = name => document.querySelector(`[data-filter=${name}]`).click()
  const set = (name, value, event) => {
    document.querySelector(`[name=${name}]`).value = value
    document.querySelector(`[name=${name}]`).dispatchEvent(new Event(event))
  }
  const found = {}
  found.first = ids()
  press("wrong"); found.wrong = ids()
  document.querySelector("[name=more]").click(); found.more = ids().length
  press("disagree"); found.disagree = ids()
  press("unscored"); found.unscored = ids()
  press("failed"); found.failed = ids()
  press("all"); set("search", "town 17", "input"); found.search = ids()
  set("search", "", "input"); set("order", "place", "change"); found.place = ids()
  set("order", "doubt", "change"); found.doubt = ids()
  document.querySelector(".one:not([hidden])").open = true
  const labels = [...document.querySelectorAll("[data-view]")].filter(one => !one.hidden)
  found.labels = labels.map(one => one.querySelector("summary").textContent)
  const root = document.documentElement
  found.height = root.scrollHeight
  found.sideways = [root.scrollWidth, innerWidth]
  document.title = JSON.stringify(found)
})</script>"""


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Sixty questions: 0 to 19 are answered wrong, the later the surer; the strict judge says nothing of 30,
    and the lax one calls everything right."""
    folder = tmp_path_factory.mktemp("page")
    rows = [
        {
            "id": f"q{n}",
            "question": f"Where is town {n}?",
            "references": [f"Place{n}"],
            "context": f"Map {n}. " * 30,
        }
        for n in range(COUNT)
    ]
    write_lines(folder / "questions.jsonl", rows)
    answers = [
        {
            "contains": f"town {n}?",
            "text": f"Elsewhere{n}" if n < 20 else f"Place{n}",
            "logprobs": [-3.0 + 0.1 * n if n < 20 else -0.5],
        }
        for n in range(COUNT)
    ]
    write_lines(folder / "answers.jsonl", answers)
    judged = [{"contains": "Answer: Place30", "scores": {"yes": -6.0, "no": -6.5}}]
    judged += [
        {"contains": f"Reference: Place{n}\nAnswer: Place{n}", "scores": {"yes": -0.1, "no": -3.0}}
        for n in range(COUNT)
    ]
    write_lines(folder / "judge.jsonl", [*judged, {"scores": {"yes": -3.0, "no": -0.1}}])
    write_lines(folder / "lax.jsonl", [{"scores": {"yes": -0.1, "no": -3.0}}])
    (folder / "work.yaml").write_text(WORK.format(name="evaluated/" * 20))
    ullage.run(ullage.load(folder / "work.yaml"), folder / "run", base=folder)
    return folder / "run"


def test_the_headline_answers_first(folder):
    page = (folder / "report.html").read_text(encoding="utf-8")
    head = page[page.index("<h1>") : page.index('id="answers"')]
    assert (
        "66.1% of 59 answers are right (53.4% to 76.9%) in the eyes of judge, a judge that was found" in head
    )
    assert re.search(r"The best of \d+ measures of uncertainty is [\w -]+: AUROC 1\.000", head)
    assert "length (" in head
    assert "judge is reliable" in head
    assert '<p class="bad">judge_lax is unreliable' in head
    found = json.loads((folder / "scores.json").read_text())["headline"]
    assert (found["label"], found["scored"], found["auroc"]) == ("judge", 59, 1.0)


def test_an_answer_is_shown_with_all_that_is_known_of_it(folder):
    page = html.unescape((folder / "report.html").read_text(encoding="utf-8"))
    (one,) = [
        part
        for part in page.split('<details class="one"')
        if "Where is town 7?" in part.split("</summary>")[0]
    ]
    for told in (
        "q7",
        "Map 7.",
        "Place7",
        "Elsewhere7",
        "Reference: Place7",
        "both verdicts together 0.955",
        "2x",
    ):
        assert told in one, told


@needs_browser
def test_the_ten_worst_answers_are_two_clicks_away(folder, tmp_path):
    page = (folder / "report.html").read_text(encoding="utf-8")
    found = seen(page, tmp_path, CLICKS)
    worst = [f"q{n}" for n in range(19, 9, -1)]
    assert found["first"] == worst
    assert found["wrong"] == worst
    assert found["more"] == 20
    assert set(found["disagree"]) == set(worst)
    assert found["unscored"] == ["q30"]
    assert found["failed"] == []
    assert found["search"] == ["q17"]
    assert found["place"] == [f"q{n}" for n in range(10)]
    assert found["doubt"] == [f"q{n}" for n in range(10)]
    assert found["labels"] == ["Mistakes as judge sees them"]
    assert found["height"] < 4000


@needs_browser
@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_to_be_pushed_sideways(folder, tmp_path, width):
    page = (folder / "report.html").read_text(encoding="utf-8")
    inner, scrolled = seen(TITLED + framed(page, width, 900), tmp_path, SIDEWAYS)
    assert scrolled <= inner
