"""The page of an assistant: what came of every request, in a browser, on a telephone too."""

import html
import json

import pytest
from browser import SIDEWAYS, TITLED, framed, needs_browser, seen
from PIL import Image

import ullage

EVIL = "<script>document.title='caught'</script><img src=x onerror=\"console.error('caught')\">"
COUNT = 24
WORK = """
kind: assistant
name: "assist <b>{name}</b>"
roles:
  router: {{model: router.jsonl, engine: scripted}}
  voice: {{model: voice.jsonl, engine: scripted}}
  near: {{model: near.jsonl, engine: scripted}}
  far: {{model: far.jsonl, engine: scripted}}
  gone: {{model: gone.jsonl, engine: scripted}}
  artist: {{model: {artist}, engine: diffusers, image_size: 32x32, steps: 2}}
budget: {{gpus: cpu}}
batch: 4
assistant:
  input: requests.jsonl
  tools: [calculator]
  callers: [near]
  routing: {{least_confidence: 0.6, labels: {{near: near, far: far, gone: gone, artist: artist}}}}
"""
CLICKS = """<script>addEventListener("load", () => {
  const title = document.title
  const ids = () => [...document.querySelectorAll(".one")].filter(one => !one.hidden)
    .map(one => one.querySelector(".note").textContent)
  const press = name => { document.querySelector(`[data-filter=${name}]`).click(); return ids() }
  const set = (name, value, event) => {
    document.querySelector(`[name=${name}]`).value = value
    document.querySelector(`[name=${name}]`).dispatchEvent(new Event(event))
    return ids()
  }
  const found = {title, scripts: document.querySelectorAll(".entries script, .entries [onerror]").length}
  found.first = ids()
  const filters = ["failed", "fell", "replaced", "switched", "pictures", "problem"]
  for (const name of filters) found[name] = press(name)
  press("all"); document.querySelector("[name=more]").click(); found.more = ids().length
  found.far = set("view", "far", "change"); set("view", "all", "change")
  found.search = set("search", "number 7", "input"); set("search", "", "input")
  found.place = set("order", "place", "change")
  found.images = [...document.querySelectorAll(".entries img")]
    .map(one => [one.naturalWidth, one.naturalHeight])
  document.title = JSON.stringify(found)
})</script>"""


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory, artist_folder):
    """Twenty plain requests, one of each thing that can go wrong, one with a picture, and one painted."""
    folder = tmp_path_factory.mktemp("page")
    Image.new("RGB", (1000, 500), (200, 30, 30)).save(folder / "boat.png")
    rows = [{"id": f"r{n}", "user": f"u{n % 3}", "text": f"Near number {n}?"} for n in range(COUNT - 4)]
    rows += [
        {"id": "evil", "user": EVIL, "conversation": EVIL, "text": f"distant {EVIL}"},
        {"id": "lost", "text": "vanished, who has no script"},
        {"id": "seen", "text": "distant boat", "image": "boat.png"},
        {"id": "sum", "text": "Close: add"},
        {"id": "drawn", "text": "draw a red boat"},
    ]
    write_lines(folder / "requests.jsonl", rows)
    scores = {"near": -9.0, "far": -9.0, "gone": -9.0, "artist": -9.0}
    named = {"far": "distant", "gone": "vanished", "artist": "draw"}
    words = [{"contains": word, "scores": scores | {name: -0.1}} for name, word in named.items()]
    unsure = {"contains": "number 3?", "scores": scores | {"near": -1.0, "far": -1.1}}
    write_lines(folder / "router.jsonl", [unsure, *words, {"scores": scores | {"near": -0.1}}])
    call = '<tool_call>{"name": "calculator", "arguments": {"expression": "1/0"}}</tool_call>'
    write_lines(
        folder / "near.jsonl",
        [
            {"contains": "tool_response", "text": "no sum"},
            {"contains": "Close: add", "text": call},
            {"text": "It is near."},
        ],
    )
    write_lines(folder / "far.jsonl", [{"text": f"Far is {EVIL}"}])
    (folder / "gone.jsonl").write_text("no script")
    write_lines(
        folder / "voice.jsonl", [{"contains": "near", "text": "I am near."}, {"text": f"I say {EVIL}"}]
    )
    (folder / "work.yaml").write_text(WORK.format(name="x/" * 60, artist=artist_folder))
    ullage.run(ullage.load(folder / "work.yaml"), folder / "run", base=folder)
    return folder / "run"


def page_of(folder):
    return (folder / "report.html").read_text(encoding="utf-8")


def one_of(page, text):
    (one,) = [
        part
        for part in html.unescape(page).split('<details class="one"')
        if text in part.split("</summary>")[0]
    ]
    return one


def test_the_headline_answers_first_and_the_run_says_it_at_its_end(folder):
    head = html.unescape(page_of(folder).split('id="requests"')[0])
    record = ullage.verify(folder)  # the run is whole
    assert record is not None
    told = json.loads((folder / "record.json").read_text())["outcome"]["remarks"]
    assert all(line in head for line in told)
    for what in (
        "25 of 25 requests were answered.",
        "2 fell back: 'near' has 0.525, less than 0.6; nobody here looks at the picture that came with it.",
        "1 were answered by another specialist: gone by near.",
        "a specialist was brought, which took",
        "A request took",
        "route",
        "voice",
    ):
        assert what in head, what
    found = json.loads((folder / "results.json").read_text())
    assert found["requests"] == found["answered"] == 25
    assert found["replaced"] == {"gone by near": 1}
    assert (found["calls"], found["calls_failed"], found["pictures"]) == (1, 1, 1)
    assert set(found["stages"]) == {"route", "remember", "switch", "specialist", "voice", "whole"}
    for each in (*found["stages"].values(), *found["switches"].values()):
        assert 0 <= each["median"] <= each["p95"]


def test_a_request_is_shown_with_all_that_is_known_of_it(folder):
    page = page_of(folder)
    assert "<script>document" not in page
    assert 'onerror="' not in page
    for text, told in (
        ("Close: add", ("calculator(", "1/0", "failed", "no sum", "I say")),
        ("vanished, who has no script", ("gone cannot be asked, so near is", "It is near.", "I am near.")),
        ("distant boat", ("picture given", "1,000 x 500 pixels", "nobody here looks at the picture")),
        ("draw a red boat", ("picture painted", "32 x 32 pixels, 2 steps, seed")),
        ("number 3?", ("fell back", "0.525", "0.475", "user u0")),
    ):
        one = one_of(page, text)
        for each in told:
            assert each in one, (text, each)
    png = json.loads((folder / "pictures.jsonl").read_text().splitlines()[0])["png"]
    assert f"data:image/png;base64,{png}" in page


@needs_browser
def test_requests_are_found_by_what_became_of_them(folder, tmp_path):
    found = seen(page_of(folder), tmp_path, CLICKS)
    assert found["title"].startswith("assist <b>x/")
    assert found["scripts"] == 0
    assert set(found["first"][:3]) == {"r3", "seen", "lost"}
    assert found["failed"] == []
    assert set(found["fell"]) == {"r3", "seen"}
    assert found["replaced"] == ["lost"]
    assert found["switched"]
    assert set(found["pictures"]) == {"seen", "drawn"}
    assert set(found["problem"]) == {"r3", "seen", "lost"}
    assert found["more"] == 25
    assert found["far"] == ["evil"]
    assert set(found["search"]) == {"r7"}
    assert found["place"][:2] == ["r0", "r1"]
    assert sorted(found["images"]) == [[32, 32], [640, 320]]


@needs_browser
@pytest.mark.parametrize("width", [400, 1280])
def test_nothing_is_to_be_pushed_sideways(folder, tmp_path, width):
    opened = page_of(folder).replace("<details", "<details open")
    inner, scrolled = seen(TITLED + framed(opened, width, 900), tmp_path, SIDEWAYS)
    assert scrolled <= inner
