"""Who may come in, what a browser may do with what it gets, and what is shipped for it."""

import asyncio
import hashlib
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("jinja2")

from planner_pages import ROOT, page_of, serving

import ullage.ui
from ullage.errors import InputError
from ullage.ui.answers import Answered, Asked
from ullage.ui.app import make_app
from ullage.ui.runs import Runs
from ullage.ui.server import Listening, listen
from ullage.ui.source import read_source
from ullage.ui.state import State
from ullage.ui.worker import START, OverdueError, Worker, Workers

FILE = ROOT / "examples/pii.yaml"
TOKEN = "0123456789abcdef0123"
STATIC = Path(ullage.ui.__file__).with_name("static")
ADDRESSES = [
    "/",
    "/advice",
    "/change?f.batch=2",
    "/workload.yaml",
    "/plan.json",
    "/static/htmx.min.js",
    "/none",
    "/?x=1",
]


async def stays():
    """Whether who asked has gone: no."""
    return False


@pytest.mark.parametrize("address", ADDRESSES)
def test_every_answer_forbids_scripts_and_styles_within_it(address):
    found = page_of(FILE).get(address)
    policy = found.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "*" not in policy
    assert found.headers["x-content-type-options"] == "nosniff"
    if "html" in found.headers.get("content-type", ""):
        assert not re.search(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=|javascript:", found.text)
        assert not re.search(r'(?:src|href|action)="(?:https?:)?//', found.text)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:8322"}, 200),
        ({"Host": "evil.example"}, 400),
        ({"Host": "evil.example:8322"}, 400),
        ({"Origin": "http://127.0.0.1:8322"}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://127.0.0.1:9"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://[evil"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, 403),
        ({"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"}, 403),
        ({"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}, 200),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 200),
    ],
)
def test_no_page_of_another_site_drives_it(headers, status):
    assert page_of(FILE).get("/", headers=headers).status_code == status


def test_a_form_of_another_site_is_not_taken():
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert page_of(FILE).post("/text", data={"text": "kind: pii"}, headers=headers).status_code == 403


def test_a_token_comes_once_by_the_address_and_then_in_a_cookie():
    page = page_of(FILE, token=TOKEN)
    assert page.get("/").status_code == 401
    assert page.get("/enter?token=another").status_code == 401
    assert page.get("/", headers={"Cookie": "ullage_token=another"}).status_code == 401
    entered = page.get(f"/enter?token={TOKEN}")
    assert (entered.status_code, entered.headers["location"]) == (303, "/")
    assert {"HttpOnly", "SameSite=Strict"} <= set(entered.headers["set-cookie"].split("; "))
    assert page.get("/").status_code == 200
    assert (
        page_of(FILE, token=TOKEN).get("/", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
    )


@pytest.mark.parametrize("other", ['prefs={"a":1}', "a[b]@=1; x:y=2", '"=; , a'])
def test_cookies_of_other_servers_of_this_machine_hide_no_token(other):
    headers = {"Cookie": f"{other}; ullage_token={TOKEN}"}
    assert page_of(FILE, token=TOKEN).get("/static/page.css", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "address", ["/", "/health", "/runs", "/runs/one/report", "/plan.json", "/static/x.js"]
)
def test_without_the_token_nothing_is_shown_but_how_to_bring_it(address):
    page = page_of(FILE, token=TOKEN)
    found = page.get(address, headers={"Accept": "application/json"})
    assert found.status_code == 401
    assert "open /enter?token=TOKEN once" in found.json()["error"]["message"]
    shown = page.get(address, headers={"Accept": "text/html,*/*;q=0.8"})
    assert (shown.status_code, shown.text.count("<h1>401</h1>")) == (401, 1)
    assert "open /enter?token=TOKEN once" in shown.text
    assert page.get(re.search(r'stylesheet" href="([^"]+)', shown.text)[1]).status_code == 200


@pytest.mark.parametrize(
    ("ask", "status"),
    [
        (lambda page, headers: page.get("/none", headers=headers), 404),
        (lambda page, headers: page.get("/?x=1", headers=headers), 422),
        (lambda page, headers: page.get("/plan.json?set=batch%3D-1", headers=headers), 422),
        (lambda page, headers: page.get("/workload.yaml?set=batch%3D-1", headers=headers), 422),
        (lambda page, headers: page.get("/", headers={"Host": "evil.example", **headers}), 400),
        (lambda page, headers: page.get("/", headers={"Origin": "null", **headers}), 403),
        (lambda page, headers: page.post("/text", content=b"x" * (2**20 + 1), headers=headers), 413),
    ],
)
def test_a_refusal_is_a_page_and_json_for_who_asks_for_that(ask, status):
    page = page_of(FILE)
    shown = ask(page, {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert (shown.status_code, shown.headers["content-type"]) == (status, "text/html; charset=utf-8")
    assert (shown.text.count("<h1>"), shown.text.count("<nav")) == (1, 1)
    told = ask(page, {"Accept": "application/json"})
    assert told.status_code == status
    assert told.json()["error"]["message"]


def test_who_comes_by_a_foreign_name_gets_what_its_refusal_is_drawn_with_and_nothing_else():
    page, foreign = page_of(FILE, token=TOKEN), {"Host": "evil.example", "Accept": "text/html"}
    shown = page.get("/", headers=foreign)
    assert (shown.status_code, FILE.name in shown.text) == (400, False)
    styles = re.findall(r'stylesheet" href="([^"]+)', shown.text)
    assert [page.get(each, headers=foreign).status_code for each in styles] == [200, 200]
    for path in ("/plan.json", "/static/live.js", "/runs"):
        assert page.get(path, headers=foreign).status_code == 400


def test_what_goes_wrong_with_a_part_has_no_heading_of_a_page():
    found = page_of(FILE).get("/advice?x=1", headers={"HX-Request": "true"})
    assert (found.status_code, "<h1" in found.text) == (422, False)
    assert "unknown parameter" in found.text


@pytest.mark.parametrize(
    ("listening", "said"),
    [
        (Listening("0.0.0.0"), "token"),
        (Listening(token="short"), "16"),
        (Listening(token="x" * 20 + "; Path"), "letters"),
        (Listening(port=70_000), "--port"),
        (Listening("192.0.2.1", token=TOKEN), "cannot be listened at"),
        (Listening(runs=Path("nowhere")), "--runs"),
    ],
)
def test_settings_that_cannot_be_are_one_line(listening, said):
    with pytest.raises(InputError, match=said) as error:
        listen(str(FILE), listening)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "kind: [", "- a", "x" * 1_000_001])
def test_a_file_that_is_no_workload_is_refused_at_the_start(text, tmp_path):
    file = tmp_path / "w.yaml"
    file.write_text(text)
    with pytest.raises(InputError, match=r"w\.yaml"):
        read_source(str(file))


def test_what_is_shipped_is_what_the_manifest_says():
    named = set()
    for script in json.loads((STATIC / "scripts.json").read_text()):
        assert script["integrity"].startswith("sha512-")
        names = [file["name"] for file in script["files"]]
        assert any(name.endswith(".LICENSE") for name in names)
        for file in script["files"]:
            assert hashlib.sha256((STATIC / file["name"]).read_bytes()).hexdigest() == file["sha256"]
        named |= set(names)
    ours = {path.name for path in STATIC.iterdir()} - named
    assert ours == {"planner.css", "live.js", "scripts.json"}


def test_a_worker_that_takes_too_long_is_ended_and_another_answers():
    worker = Worker(read_source(str(FILE)), seconds=60)
    try:
        first = worker.ask(Asked("document", State()))
        worker._seconds = 0.0
        with pytest.raises(OverdueError):
            worker.ask(Asked("document", State(("batch=2",))))
        worker._seconds = 60
        assert worker.ask(Asked("document", State())) == first
        worker._process.kill()
        worker._process.wait()
        assert worker.ask(Asked("document", State())) == first
        assert worker.ask(Asked("document", State()), lambda: False) is None
    finally:
        worker.close()


def test_who_has_gone_before_advice_was_looked_for_gets_none():
    workers = Workers(read_source(str(FILE)), 60)
    searching = workers._searches.worker
    searching.ask = lambda asked, wanted: None if not wanted() else pytest.fail("was looked for")
    sent = []

    held = [{"type": "http.request", "body": b""}, {"type": "http.disconnect"}]

    async def receive():
        return held.pop(0)

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/advice", "query_string": b"", "headers": []}
    asyncio.run(make_app(workers, Runs(None))({**scope, "raw_path": b"/advice"}, receive, send))
    assert sent[0]["status"] == 204


def test_a_search_that_nobody_waits_for_ends_and_its_process_answers_others():
    worker = Worker(read_source(str(FILE)), 60)
    asked, left = Asked("advice", State()), threading.Event()
    try:
        first = worker.ask(Asked("document", State()))
        process = worker._process
        with ThreadPoolExecutor(1) as pool:
            found = pool.submit(worker.ask, asked, lambda: not left.is_set())
            while worker._asked is None:
                time.sleep(0.01)
            left.set()
            while not found.done():
                worker.abandon(asked)
                time.sleep(0.01)
            assert found.result() is None
            worker.abandon(asked)
        assert worker.ask(Asked("document", State())) == first
        assert worker._process is process
    finally:
        worker.close()


class Slow:
    """A worker that answers `last`, and nothing else until it is abandoned."""

    def __init__(self, last=None):
        self.last, self.begun, self.left = last, [], threading.Event()

    def ask(self, asked, wanted):
        if not wanted():
            return None
        self.begun.append(asked)
        if asked is self.last:
            return Answered(200, "last", asked.state)
        assert self.left.wait(20)
        self.left.clear()
        return None

    def abandon(self, asked):
        if asked is self.begun[-1]:
            self.left.set()


def test_the_last_of_many_plans_waits_for_none_that_nobody_waits_for():
    asked = [Asked("part", State((f"batch={at}",))) for at in range(1, 31)]
    workers = Workers(read_source(str(FILE)), 60)
    slow = workers._plans.worker = Slow(asked[-1])

    async def all_of_them():
        async def gone(at):
            return at < 29 and bool(slow.begun)

        return await asyncio.gather(*(workers.answer(one, partial(gone, at)) for at, one in enumerate(asked)))

    found = asyncio.run(asyncio.wait_for(all_of_them(), 10))
    assert [each.status for each in found] == [204] * 29 + [200]
    assert slow.begun[0] is asked[0]
    assert len(slow.begun) < 4


def test_however_many_plans_are_waited_for_other_work_has_its_threads():
    workers = Workers(read_source(str(FILE)), 60)
    slow, left = Slow(), threading.Event()
    workers._plans.worker = slow

    async def gone():
        return left.is_set()

    async def crowd():
        waiting = [asyncio.ensure_future(workers.answer(Asked("page", State()), gone)) for _ in range(64)]
        await asyncio.sleep(0.01)
        with pytest.raises(ullage.UllageError, match="waited for already"):
            await workers.answer(Asked("page", State()), gone)
        assert await asyncio.wait_for(asyncio.to_thread(lambda: "other work"), 5) == "other work"
        left.set()
        return await asyncio.gather(*waiting)

    assert {each.status for each in asyncio.run(crowd())} == {204}


def test_a_process_that_plans_ends_with_who_listens_though_it_is_busy():
    ours, theirs = socket.socketpair()
    with theirs, Connection(ours.detach()) as end:
        command = [sys.executable, "-c", START, str(theirs.fileno())]
        process = subprocess.Popen(command, pass_fds=[theirs.fileno()])
        theirs.close()
        end.send(read_source(str(ROOT / "examples/assistant.yaml")))
        assert end.recv()
        end.send(Asked("advice", State(("batch=7",))))
        time.sleep(0.05)
    assert process.wait(10) == 1  # 0 is the end of one that came to an end of its work


def test_who_is_abandoned_for_anothers_sake_asks_again():
    worker, told = Worker(read_source(str(FILE)), 60), Answered(200, "found", State())
    coming = [None, None, told]
    worker._answer = lambda asked: coming.pop(0)
    assert worker.ask(Asked("advice", State())) is told


def test_a_worker_that_is_stopped_answers_whoever_waits():
    worker = Worker(read_source(str(FILE)), 60)
    worker.begin()
    worker.stop()
    with pytest.raises(OverdueError):
        worker.ask(Asked("page", State()))
    worker.close()


def test_what_goes_wrong_is_a_part_where_a_part_is_asked_for():
    found = page_of(FILE).get("/change?x=1", headers={"HX-Request": "true"})
    assert (found.status_code, "<html" in found.text) == (422, False)
    assert "unknown parameter" in found.text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_well_and_its_processes_with_it(number):
    command = [sys.executable, "-m", "ullage", "ui", str(FILE), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        address = process.stderr.readline().split()[-1]
        with urllib.request.urlopen(address) as answer:
            assert answer.status == 200
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        process.send_signal(number)
        assert process.wait(20) == 0
        assert process.stderr.read() == ""
    assert len(children) == 2
    assert not [each for each in children if Path(f"/proc/{each}").exists()]


def test_what_goes_wrong_in_a_worker_is_said_and_it_goes_on():
    workers = Workers(read_source(str(FILE)), 60)
    try:
        with pytest.raises(ullage.UllageError, match="internal error"):
            asyncio.run(workers.answer(Asked("page", None), stays))
        assert asyncio.run(workers.answer(Asked("page", State()), stays)).status == 200
    finally:
        workers.close()


def test_it_is_served_from_processes_of_its_own_until_it_is_told_to_end():
    with serving(FILE) as address:
        with urllib.request.urlopen(address) as answer:
            assert b"Verdict" in answer.read()
        asked = urllib.request.Request(address, headers={"Accept-Encoding": "gzip"})
        with urllib.request.urlopen(asked) as answer:
            assert answer.headers["content-encoding"] == "gzip"
