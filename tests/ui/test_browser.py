"""The page in a real browser: by mouse, by keyboard, back and forward, without a word on the console, and as
axe-core finds it."""

import re
import shutil
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("jinja2")
sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright: make .venv/browser")

import axe  # noqa: E402
import every_part  # noqa: E402
from planner_pages import ROOT, made_run, serving  # noqa: E402

import ullage  # noqa: E402
from ullage.records.notes import Notes  # noqa: E402
from ullage.reports.figures import durations  # noqa: E402
from ullage.reports.pages.html import html  # noqa: E402

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no browser is installed")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    *(f"--disable-{what}" for what in ("quic", "background-networking", "component-update", "sync")),
    "--no-first-run",
]
FILE = ROOT / "examples/werewolf.yaml"
WIDTHS = (320, 768, 1280)
SCREENSHOTS = ROOT / ".screenshots"
"""Where pages in both themes are kept to be looked at; git leaves them out."""


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as play:
        found = play.chromium.launch(executable_path=BROWSER, args=FLAGS)
        yield found
        found.close()


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run that is finished, and one under way."""
    folder = tmp_path_factory.mktemp("runs")
    made_run(folder / "one")
    (folder / "one" / "report.html").write_text(html(every_part.PAGE), encoding="utf-8")
    held = made_run(folder / "two")
    (folder / "two" / "record.json").unlink()
    with held.lock():
        yield folder


@pytest.fixture(scope="module")
def address(runs):
    with serving(FILE, runs=runs) as found:
        yield found


@pytest.fixture
def shown(browser, address):
    """A page that fails its test where it writes to the console, or asks another machine for something."""
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(20_000)
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    page.said = said
    yield page
    context.close()
    assert [each for each in said if "422" not in each] == []
    assert [each for each in asked if not each.startswith((address, "data:"))] == []


def plan_of(*changes):
    return ullage.plan(ullage.load(FILE, changes), base=FILE.parent, advice=False)


def expect_plan(page, *changes):
    """Waits until the page shows the plan of these changes, and its address says them."""
    plan = plan_of(*changes)
    total = plan.bill.totals["gpu:0"][plan.devices[0].peak_phase].device.high
    seconds = durations(plan.total_seconds)
    page.wait_for_function(
        "([n, high, seconds]) => location.search.split('set=').length - 1 == n"
        " && document.querySelector('#verdict .verdict')"
        " && [...document.querySelectorAll('summary')].some(each => each.textContent.includes(high))"
        " && document.body.textContent.includes(seconds)",
        arg=[len(changes), f"{total / 2**30:.2f}", seconds],
    )
    assert {change for _, change in parse_qsl(urlsplit(page.url).query)} == set(changes)
    assert page.locator("#verdict .verdict").text_content() == plan.verdict


WALK = {
    "budget.gpus": "2x H100",
    "batch": "4",
    "prompt_tokens": "8192",
    "new_tokens": "300",
    "examples": "7",
    "schedule": "simultaneous",
    "roles.player.model": "Qwen/Qwen2.5-72B-Instruct",
    "roles.player.precision": "int8",
    "roles.player.residency": "persistent",
    "roles.player.batch": "2",
    "roles.player.prompt_tokens": "7999",
    "roles.player.new_tokens": "77",
    "captures.0.sites": '["blocks.*.hook_mlp_out"]',
    "captures.0.layers": "all",
    "captures.0.positions": "all",
    "captures.0.keep": "device",
}
"""Every control of the form in its order, and what is put into it."""


def by_mouse(page, field, value):
    if field.evaluate("each => each.tagName") == "SELECT":
        field.select_option(value)  # the list that opens is the desktop's, not the page's
    else:
        field.click()
        field.fill(value)


def by_keyboard(page, field, value):
    """From the control before it: the page that came for that one has left it where it was."""
    page.keyboard.press("Tab")
    assert field.evaluate("each => each === document.activeElement")
    if field.evaluate("each => each.tagName") != "SELECT":
        page.keyboard.press("Control+a")
    page.keyboard.type(value)


@pytest.mark.parametrize("put", [by_mouse, by_keyboard])
def test_every_control_changes_the_plan(shown, put):
    fields = shown.locator("#form [name^='f.']")
    assert [each.get_attribute("name") for each in fields.all()] == [f"f.{path}" for path in WALK]
    shown.locator("nav a").last.focus()
    said = []
    for at, (path, value) in enumerate(WALK.items()):
        said.append(f"{path}={value}")
        put(shown, fields.nth(at), value)
        expect_plan(shown, *said)
        assert fields.nth(at).input_value() == value


def follow(page, how, name):
    """A link, a button or what opens, by its text."""
    found = page.locator("a, button, summary", has_text=re.compile(f"^{name}$"))
    if how == "mouse":
        found.click()
        return
    found.focus()
    page.keyboard.press("Enter")


@pytest.mark.parametrize("how", ["mouse", "keyboard"])
def test_all_that_is_followed_leads_where_it_says(shown, address, how):
    shown.get_by_label("batch", exact=True).first.fill("3")
    follow(shown, how, "Plan")
    expect_plan(shown, "batch=3")
    follow(shown, how, "Keep this plan to compare with")
    shown.wait_for_url("**/?set=batch%3D3&than=batch%3D3")
    assert shown.locator("figure svg").count() == 2
    follow(shown, how, "The whole file")
    area = shown.get_by_label("Workload file, YAML or JSON")
    area.fill(area.input_value().replace("batch: 3", "batch: 5"))
    follow(shown, how, "Plan this text")
    shown.wait_for_url("**/?set=batch%3D5&than=batch%3D3")
    follow(shown, how, "Compare no more")
    expect_plan(shown, "batch=5")
    assert shown.locator("figure svg").count() == 1
    follow(shown, how, "All bars as a table")
    assert shown.locator("details[open] table").first.is_visible()
    follow(shown, how, "The file as it is")
    expect_plan(shown)
    for name, there in (("Runs", "runs"), ("one", "runs/one"), ("Its report", "runs/one/report")):
        follow(shown, how, name)
        shown.wait_for_url(address + there)
    shown.go_back()
    follow(shown, how, "Planner")
    expect_plan(shown)


def test_back_and_forward_restore_plan_and_fields(shown):
    field = shown.get_by_label("batch", exact=True).first
    field.fill("4")
    expect_plan(shown, "batch=4")
    field.fill("8")
    expect_plan(shown, "batch=8")
    shown.go_back()
    expect_plan(shown, "batch=4")
    assert shown.get_by_label("batch", exact=True).first.input_value() == "4"
    shown.go_back()
    expect_plan(shown)
    shown.go_forward()
    shown.go_forward()
    expect_plan(shown, "batch=8")
    assert shown.get_by_label("batch", exact=True).first.input_value() == "8"


def test_the_last_of_many_changes_wins(shown):
    field = shown.get_by_label("batch", exact=True).first
    for value in range(2, 30):
        field.fill(str(value))
        shown.wait_for_timeout(40 if value % 3 else 170)
    expect_plan(shown, "batch=29")
    shown.wait_for_load_state("networkidle")
    expect_plan(shown, "batch=29")


def test_advice_follows_by_itself_and_is_followed(shown):
    link = shown.locator("#advice ol a").first
    link.wait_for()
    link.click()
    shown.wait_for_url(re.compile(r"\?set="))
    assert shown.locator("#verdict .verdict").count() == 1


def test_a_mistake_is_told_beside_its_field_and_is_mended(shown):
    field = shown.get_by_label("batch", exact=True).first
    field.fill("-1")
    wrong = shown.locator("#field-batch-wrong")
    wrong.wait_for()
    assert "batch" in wrong.text_content()
    assert field.get_attribute("aria-describedby") == "field-batch-wrong"
    field.fill("2")
    expect_plan(shown, "batch=2")
    assert wrong.count() == 0


def test_line_items_stay_open_while_numbers_change(shown):
    summary = shown.locator("summary", has_text="GiB").first
    summary.focus()
    shown.keyboard.press("Enter")
    table = shown.locator("details", has=shown.locator("summary", has_text="GiB")).first.locator("table")
    assert table.is_visible()
    shown.get_by_label("batch", exact=True).first.fill("2")
    expect_plan(shown, "batch=2")
    assert table.is_visible()


def test_what_is_downloaded_is_the_text_of_the_page(shown, tmp_path):
    shown.get_by_label("batch", exact=True).first.fill("2")
    expect_plan(shown, "batch=2")
    with shown.expect_download() as begun:
        shown.get_by_text("Download this workload file").click()
    text = Path(begun.value.path()).read_text()
    shown.get_by_text("The whole file").click()
    assert shown.get_by_label("Workload file, YAML or JSON").input_value() == text


def test_without_script_a_form_and_links_do_the_same(browser, address):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address)
    page.get_by_label("batch", exact=True).first.fill("4")
    page.get_by_role("button", name="Plan", exact=True).click()
    assert page.url.endswith("?set=batch%3D4")
    page.get_by_text("Look for it").click()
    assert page.locator("#advice ol li").count() > 0
    context.close()


def serious_in(page):
    """What axe-core finds serious or worse, with all that opens open."""
    if not axe.PLACE.is_file():
        pytest.skip("no axe-core: make .venv/browser")
    for each in page.locator("details").all():
        each.evaluate("each => each.open = true")
    page.evaluate(axe.PLACE.read_text())
    violations = page.evaluate("axe.run().then(found => found.violations)")
    return [
        (each["id"], each["nodes"][0]["html"][:200])
        for each in violations
        if each["impact"] in ("serious", "critical")
    ]


PAGES = {
    "planner": "",
    "mistake": "?set=batch%3D-1",
    "beside": "?set=roles.player.precision%3Dint8&than=budget.gpus%3D4x+H100",
    "runs": "runs",
    "finished": "runs/one",
    "under-way": "runs/two",
    "report": "runs/one/report",
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("name", "query"), PAGES.items())
@pytest.mark.long
def test_axe_finds_nothing_serious(shown, address, scheme, name, query):
    shown.emulate_media(color_scheme=scheme)
    shown.goto(address + query)
    shown.wait_for_timeout(500)  # a run under way is asked about again and again: the network is never idle
    SCREENSHOTS.mkdir(exist_ok=True)
    shown.screenshot(path=SCREENSHOTS / f"{name}-{scheme}.png", full_page=True)
    shown.set_viewport_size({"width": min(WIDTHS), "height": 700})
    shown.screenshot(path=SCREENSHOTS / f"{name}-{scheme}-{min(WIDTHS)}.png", full_page=True)
    assert serious_in(shown) == []


def test_a_runs_own_page_is_looked_through_where_it_is_served(shown, address):
    shown.goto(f"{address}runs/one/report")
    line = shown.locator(".one:visible summary")
    assert line.count() == 10
    shown.get_by_role("button", name="Wrong").focus()
    shown.keyboard.press("Enter")
    assert line.count() == 6
    shown.get_by_label("In the eyes of").select_option("metric")
    assert line.count() == 4
    shown.get_by_label("search").fill("q9")
    assert line.all_text_contents() == ["q9 question 9"]
    secret = shown.locator("p.secret")
    shown.get_by_text("A game").click()
    assert not secret.is_visible()
    shown.get_by_label("show it").check()
    assert secret.is_visible()


HOSTILE = """<!doctype html><title>report</title><link rel="stylesheet" href="{0}a">
<link rel="prefetch" href="{0}b">
<script>document.title = "ran"</script><script src="{0}c"></script><svg onload="document.title = 'ran'"></svg>
<img src="{0}d" onerror="document.title = 'ran'"><iframe src="{0}e"></iframe><object data="{0}f"></object>
<form action="{0}g"><button>send</button></form><video src="{0}h"></video><base href="{0}">
<style>@import "{0}i"</style><meta http-equiv="Refresh" content="0; url={0}j">
"""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_hostile_report_runs_nothing_asks_nobody_and_leads_nowhere(browser, address, runs, encoding):
    made_run(runs / encoding)
    (runs / encoding / "report.html").write_text(HOSTILE.format("http://127.0.0.1:9/"), encoding=encoding)
    context = browser.new_context()
    page, asked = context.new_page(), []
    page.route("http://127.0.0.1:9/**", lambda route: asked.append(route.request.url) or route.abort())
    page.goto(f"{address}runs/{encoding}/report")
    page.get_by_text("send").click()
    page.wait_for_timeout(200)
    assert page.title() == "report"
    assert page.url == f"{address}runs/{encoding}/report"
    assert asked == []
    assert (
        page.evaluate("origin") == "null"
    )  # of no site: neither cookies nor pages of ours are within its reach
    context.close()


def test_axe_finds_a_field_without_a_label(shown):
    shown.evaluate("document.querySelector('label').remove()")
    assert [name for name, _ in serious_in(shown)] == ["label"]


def test_a_run_under_way_is_drawn_and_told_anew(shown, address, runs):
    shown.goto(f"{address}runs/two")
    shown.locator("#live canvas").wait_for()
    assert shown.locator("#live .u-legend").text_content().count("gpu:0") == 2
    row = {"seconds": 99.0, "phase": "model prefill", "device": "gpu:0", "live": 12_345_678_901}
    Notes(runs / "two" / "timeline.jsonl", print).add(row)
    shown.get_by_role("cell", name="11.4978").first.wait_for()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("query", ["", "runs", "runs/two", "runs/one/report"])
@pytest.mark.long
def test_no_page_scrolls_sideways(shown, address, width, query):
    shown.goto(address + query)
    shown.set_viewport_size({"width": width, "height": 700})
    for each in shown.locator("details").all():
        each.evaluate("each => each.open = true")
    sizes = shown.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert sizes[0] <= sizes[1]
