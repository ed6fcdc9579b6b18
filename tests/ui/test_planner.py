"""The planner page: what it says is what the command line says, whatever stands in its address."""

import json
import random
import re
from dataclasses import replace
from html import unescape
from urllib.parse import parse_qsl, urlencode

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("jinja2")

from planner_pages import EXAMPLES, ROOT, Here, page_of
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

import ullage
from ullage.cli.main import main as ullage_main
from ullage.planning.advice.entry import Nearest, Search
from ullage.reports.figures import dollars, durations, whole
from ullage.spec.document import read_document
from ullage.spec.written import document_text
from ullage.ui import pages
from ullage.ui.app import make_app
from ullage.ui.changed import changes_between
from ullage.ui.runs import Runs
from ullage.ui.source import read_source
from ullage.ui.state import State, read_state

CHANGES = {
    "batch": ("1", "2", "8", "32"),
    "prompt_tokens": ("16", "700", "2048"),
    "new_tokens": ("1", "64", "300"),
    "examples": ("1", "1000"),
    "schedule": ("auto", "sequential", "swapped", "simultaneous"),
    "budget.gpus": ("A100-80GB", "2xH100", "RTX 4090", "4x RTX A6000", "cpu"),
}
OF_ROLES = {
    "precision": ("auto", "bf16", "int8", "nf4", "fp32"),
    "residency": ("auto", "swapped", "persistent"),
    "batch": ("1", "16"),
    "model": ("Qwen/Qwen2.5-7B-Instruct", "meta-llama/Llama-3.2-1B-Instruct"),
}


@pytest.fixture
def page():
    """The page of the werewolf example."""
    return page_of(ROOT / "examples/werewolf.yaml")


def query(*changes, **more):
    return urlencode([*(("set", each) for each in changes), *more.items()])


def random_state(number):
    """A file and some changes to it, the same for the same number; by formulas, for a trace takes minutes."""
    chance = random.Random(number)
    file = EXAMPLES[number % len(EXAMPLES)]
    roles = read_document(file.read_text(), "f").data["roles"]
    known = dict(CHANGES)
    for role in roles:
        known |= {f"roles.{role}.{field}": values for field, values in OF_ROLES.items()}
    paths = chance.sample(sorted(known), chance.randint(0, 4))
    changes = [f"{path}={chance.choice(known[path])}" for path in paths]
    return file, [*changes, "memory.fidelity=formula"]


def command_line(capsys, *words):
    """Exit code, output, errors."""
    with pytest.raises(SystemExit) as ended:
        ullage_main(list(words))
    return ended.value.code, *capsys.readouterr()


@pytest.mark.parametrize("number", range(100))
@pytest.mark.long
def test_page_and_command_line_say_the_same_of_a_random_state(number, capsys, tmp_path):
    file, changes = random_state(number)
    page = page_of(file)
    sets = [word for each in changes for word in ("--set", each)]
    code, out, err = command_line(capsys, "plan", str(file), "--no-advice", "--json", *sets)
    shown = page.get(f"/?{query(*changes)}")
    told = page.get(f"/plan.json?{query(*changes)}")
    if code == 2:
        assert (shown.status_code, told.status_code) == (422, 422)
        lines = [line.removeprefix("ullage: error: ") for line in err.splitlines()]
        assert told.json()["error"]["message"].splitlines() == lines
        text = unescape(shown.text)
        assert all(line in text for line in lines)
        return
    assert json.loads(out) == told.json()
    plan = ullage.plan(ullage.load(file, changes), base=file.parent, advice=False)
    text = unescape(shown.text)
    assert f">{plan.verdict}</span>" in text
    assert durations(plan.total_seconds) in text
    assert plan.cost is None or dollars(plan.total_usd) in text
    for device in plan.devices:
        if device.peak_phase:
            assert whole(plan.bill.totals[device.name][device.peak_phase].device) in text
    held = page.get(f"/workload.yaml?{query(*changes)}").content
    again = ullage.plan(ullage.load(read_document(held.decode(), "f").data), base=file.parent, advice=False)
    assert again.to_json() == told.json()


def test_a_file_that_was_not_changed_is_downloaded_as_it_is(page):
    assert page.get("/workload.yaml").content == (ROOT / "examples/werewolf.yaml").read_bytes()


def test_what_is_downloaded_is_planned_by_the_command_line_as_the_page_planned_it(page, capsys, tmp_path):
    changes = ("roles.player.precision=int8", "captures.0.layers=[3, 5]", "name='a: b # c'")
    held = page.get(f"/workload.yaml?{query(*changes)}")
    assert "attachment" in held.headers["content-disposition"]
    file = tmp_path / "workload.yaml"
    file.write_bytes(held.content)
    _, out, _ = command_line(capsys, "plan", str(file), "--json")
    found, told = json.loads(out), page.get(f"/plan.json?{query(*changes)}&advice=1").json()
    found.pop("base"), told.pop("base")
    assert found.pop("search")["kept"] == told.pop("search")["kept"]
    assert found.pop("advice")[:1] == told.pop("advice")[:1]
    assert {**found, "sha256": ""} == {**told, "sha256": ""}


TEXTS = [
    "1e5",
    "1:30",
    "on",
    "null",
    "~",
    "- a",
    "a: b",
    "# c",
    "é \u2028",
    "x\ny",
    "",
    " a ",
    "08",
    "{l}",
    "*",
]


@pytest.mark.parametrize("text", TEXTS)
def test_a_written_file_says_what_it_was_made_of(text):
    data = {"kind": text, "roles": {"a": [text, 1, 1.5, True, None, {"b": text}]}, "name": text * 40}
    assert read_document(document_text(data), "f").data == data


@pytest.mark.parametrize("number", range(0, 100, 7))
def test_changes_between_two_texts_make_the_one_of_the_other(number):
    file, changes = random_state(number)
    page = page_of(file)
    held = page.get(f"/workload.yaml?{query(*changes)}")
    if held.status_code != 200:
        return
    moved = page.post("/text", data={"text": held.text})
    assert moved.status_code == 303
    state = read_state(parse_qsl(moved.headers["location"].partition("?")[2]))
    again = page.get(f"/workload.yaml?{state.query}")
    assert read_document(again.text, "f").data == read_document(held.text, "f").data


def test_what_a_text_leaves_out_is_as_if_it_had_never_stood():
    old = {"kind": "extract", "batch": 4, "captures": [1], "roles": {"a": {"model": "x", "batch": 2}}}
    new = {"kind": "extract", "roles": {"a": {"model": "x"}}}
    assert changes_between(old, new) == ('roles.a={"model": "x"}', "batch=1", "captures=[]")


def test_a_form_that_changes_nothing_says_nothing(page):
    fields = dict(re.findall(r'name="(f\.[^"]+)" type="text"[^>]* value="([^"]*)"', page.get("/").text))
    fields = {name: unescape(value) for name, value in fields.items()}
    assert len(fields) > 8
    moved = page.get("/change", params=fields)
    assert (moved.status_code, moved.headers["location"]) == (303, "/")
    part = page.get("/change", params={**fields, "f.batch": "4"}, headers={"HX-Request": "true"})
    assert part.headers["hx-push-url"] == "/?set=batch%3D4"
    assert "<html" not in part.text
    assert "Verdict" in part.text


def test_a_form_keeps_what_no_control_shows_and_the_plan_beside(page):
    sent = {"f.batch": "2", "set": "memory.streaming_chunk_size=128", "than": "batch=3"}
    found = read_state(parse_qsl(page.get("/change", params=sent).headers["location"][2:]))
    assert found == State(("memory.streaming_chunk_size=128", "batch=2"), ("batch=3",))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ("batch=-1", "batch"),
        ("prompt_tokens=many", "prompt_tokens"),
        ("schedule=never", "schedule"),
        ("budget.gpus=9xNothing", "budget.gpus"),
        ("budget.gpus=", "budget.gpus"),
        ("roles.player.model=no-such-model", "roles.player.model"),
        ("roles.player.precision=int3", "roles.player.precision"),
        ("captures.0.positions=never", "captures.0.positions"),
        ("captures.0.sites=[nowhere]", "captures.0.sites"),
    ],
)
def test_a_mistake_stands_beside_its_field(page, change, field):
    found = page.get(f"/?{query(change)}")
    assert found.status_code == 422
    name = "field-" + "".join(one if one.isalnum() else "-" for one in field)
    assert f'id="{name}-wrong"' in found.text
    assert re.search(rf'id="{name}"[^>]*aria-invalid="true" aria-describedby="{name}-wrong"', found.text)
    assert found.text.count("<label") > 10


def test_states_that_are_kept_first_are_given_a_role_by_the_form():
    """Of several roles a capture names one; of one it need not, and the form does not ask."""
    page = page_of(ROOT / "examples/evaluate.yaml")
    state = [("set", 'captures=[{sites: ["blocks.*.hook_resid_post"]}]')]
    found = page.get(f"/?{urlencode(state)}")
    assert found.status_code == 422
    assert re.search(r'<select id="field-captures-0-role"[^>]* aria-invalid="true"', found.text)
    found = page.get(f"/change?{urlencode([*state, ('f.captures.0.role', 'generator')])}")
    assert found.status_code == 303  # to the address of what can be planned
    assert "captures.0.role" not in page_of(ROOT / "examples/werewolf.yaml").get("/").text


@pytest.mark.parametrize(
    "address",
    [
        "/?x=1",
        "/?set=batch",
        "/?set=roles.x.batch%3D1",
        "/?set=..%3D1",
        "/?set=%FF%00%3D2",
        "/?set=batch%3D%5B",
        f"/?set={'a.' * 9000}b%3D1",
        "/?than=batch%3D-1",
    ],
)
def test_an_address_that_was_edited_is_answered_with_what_is_wrong(page, address):
    found = page.get(address)
    assert found.status_code == (200 if "than" in address else 422)
    assert ('class="bad"' if "than" in address else 'class="wrong"') in found.text
    assert "Traceback" not in found.text


def test_a_text_that_is_no_workload_stays_to_be_mended(page):
    found = page.post("/text", data={"text": "kind: [\n<b>&"})
    assert found.status_code == 422
    assert "&lt;b&gt;&amp;</textarea>" in found.text
    assert 'aria-describedby="text-wrong"' in found.text
    found = page.post("/text", data={"text": "kind: extract\nbatch: -1\n"})
    assert (found.status_code, "batch: " in found.text) == (422, True)


def test_more_than_a_megabyte_is_not_read(page):
    assert page.post("/text", data={"text": "x" * 2**20}).status_code == 413


@pytest.mark.parametrize(
    "name", ["model", "config.json", "../model", "{folder}", "{folder}/config.json", "~/x"]
)
def test_no_path_of_a_request_is_opened(name, model_folder, tmp_path):
    file = tmp_path / "w.yaml"
    (tmp_path / "model").symlink_to(model_folder)
    file.write_text("kind: extract\nbudget: {gpus: cpu}\nroles: {m: {model: 'ullage:tiny'}}\n")
    asked = name.format(folder=model_folder)
    for change in (
        f"roles.m.model={asked}",
        f"roles.m={asked}",
        f"roles.n={{model: {asked}}}",
        f"probes.p={asked}",
    ):
        found = page_of(file).get(f"/?{query(change)}")
        assert found.status_code == 422
        assert re.search("unknown model|takes one role", unescape(found.text))
        assert "Qwen2" not in found.text.partition("<datalist")[0]


def test_the_model_that_the_file_names_may_be_a_path(model_folder, tmp_path):
    file = tmp_path / "w.yaml"
    file.write_text(f"kind: extract\nbudget: {{gpus: cpu}}\nroles: {{m: {{model: '{model_folder}'}}}}\n")
    assert page_of(file).get("/?set=batch%3D2").status_code == 200


def test_without_a_file_there_is_a_small_workload():
    found = page_of(None).get("/")
    assert found.status_code == 200
    assert "new.yaml" in found.text


def test_markup_in_a_file_or_an_address_stays_text(tmp_path):
    file = tmp_path / "w.yaml"
    bad = "<script>alert(1)</script>"
    roles = {"r<b>": {"model": "ullage:tiny"}}
    file.write_text(json.dumps({"kind": "extract", "name": bad, "budget": {"gpus": "cpu"}, "roles": roles}))
    for address in ("/", f"/?{query('batch=<script>alert(2)</script>')}", f"/?{query(than='name=<script>')}"):
        text = page_of(file).get(address).text
        assert "<script>alert" not in text
        assert "<b>" not in text.partition("<main")[2].partition("<legend>")[2].partition("</legend>")[0]
    assert "&lt;script&gt;alert(1)" in text


def test_advice_is_a_part_and_each_entry_is_an_address_of_its_own(page):
    found = page.get("/advice")
    assert found.status_code == 200
    assert "<html" not in found.text
    link = unescape(re.search(r'href="(/\?[^"]+)"', found.text)[1])
    assert page.get(link).status_code == 200
    assert "hx-trigger" not in page.get("/?advice=1").text.partition('id="advice"')[2]


def test_two_plans_stand_side_by_side_with_their_difference(page):
    found = page.get(f"/?{query('roles.player.precision=int8', than='')}").text
    assert found.count("<svg") == 2
    assert re.search(
        r'<th scope="row">gpu:0 peak</th>(<td class="n">[\d.]+</td>){2}<td class="n">-[\d.]+</td>', found
    )
    same = page.get("/?than=").text
    assert "the same" in same
    swapped = re.search(r'href="([^"]+)">The kept plan, with this one beside it', found)
    assert unescape(swapped[1]) == f"/?{query(than='roles.player.precision=int8')}"
    assert page.get(unescape(swapped[1])).text.count("<svg") == 2


def test_every_number_has_its_line_items_with_basis_and_note(page):
    plan = ullage.plan(ROOT / "examples/werewolf.yaml", advice=False)
    text = unescape(page.get("/").text)
    for item in plan.bill.items:
        if item.device == "gpu:0":
            assert item.note in text
            assert f"<td>{item.basis}</td>" in text


def test_where_a_page_is_mounted_is_in_every_address():
    app = Starlette(routes=[Mount("/ui", make_app(Here(read_source(None)), Runs(None)))])
    text = TestClient(app).get("/ui/").text
    assert not re.findall(r'(?:href|src|action|hx-get)="/(?!ui/)[^"]*"', text)
    assert TestClient(app).get("/ui/static/page.css").status_code == 200


def test_what_somebody_who_rents_asks_first_stands_first(page):
    plan = ullage.plan(ROOT / "examples/werewolf.yaml", advice=False)
    text = unescape(page.get("/").text)
    fullest = max(plan.devices[:4], key=lambda device: device.peak.device.high)
    assert f"{fullest.ullage / 2**30:.2f} GiB stay free" in text
    assert f"{dollars(plan.total_usd)} for all 100 examples" in text
    order = ["stay free", "<svg", 'id="advice"', "Memory by device and phase</h3>", "Decisions"]
    assert sorted(order, key=text.index) == order
    tight = unescape(page.get("/?set=budget.gpus%3DRTX+4090").text)
    assert re.search(r"\d+\.\d\d GiB too much", tight)


def test_where_nothing_fits_the_nearest_is_told_and_can_be_planned():
    plan = ullage.plan(ROOT / "examples/assistant.yaml", advice=False)
    nearest = Nearest((("schedule", "swapped"),), "4x H100", 3 * 2**30)
    found = replace(plan, search=Search("cost", (), 1234, 0, nearest))
    text = unescape(pages.advice(found, State(("batch=2",)), "/ui"))
    assert "None of 1,234 settings that were tried fits" in text
    assert "3.00 GiB too much" in text
    assert f'href="/ui/?{query("batch=2", "budget.gpus=4x H100", "schedule=swapped")}"' in text
    assert "settings that were tried fits." in pages.advice(
        replace(plan, search=Search("cost", (), 9, 0)), State(), ""
    )
    assert "No settings were tried" in pages.advice(None, State(), "")


def test_two_charts_side_by_side_have_one_scale(page):
    text = page.get(f"/?{query(than='budget.gpus=4x H100')}").text
    kept, this = re.findall(r"<svg.*?</svg>", text)
    at = [
        {float(x) for x in re.findall(r'x1="([\d.]+)%"[^>]*stroke-width="2"', each)} for each in (kept, this)
    ]
    assert at[0] == {99.5}
    assert at[1].pop() == pytest.approx(99.5 * 47.4 / 79.1, rel=0.01)
    assert "+0.00" not in text
