"""Who may come in, what a browser may do with what it gets, and what is shipped for it."""

import hashlib
import json
import re
from pathlib import Path

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("jinja2")

from planner_pages import ROOT, page_of, serving

import ullage.ui
from ullage.errors import InputError
from ullage.ui.answers import Asked
from ullage.ui.server import Listening, listen
from ullage.ui.source import read_source
from ullage.ui.state import State
from ullage.ui.worker import OverdueError, Worker, Workers

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
    assert ours == {"page.css", "live.js", "scripts.json"}


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


def test_what_goes_wrong_in_a_worker_is_said_and_it_goes_on():
    workers = Workers(read_source(str(FILE)), 60)
    try:
        import asyncio

        with pytest.raises(ullage.UllageError, match="internal error"):
            asyncio.run(workers.answer(Asked("page", None)))
        assert asyncio.run(workers.answer(Asked("page", State()))).status == 200
    finally:
        workers.close()


def test_it_is_served_from_processes_of_its_own_until_it_is_told_to_end():
    import urllib.request

    with serving(FILE) as address:
        with urllib.request.urlopen(address) as answer:
            assert b"Verdict" in answer.read()
        asked = urllib.request.Request(address, headers={"Accept-Encoding": "gzip"})
        with urllib.request.urlopen(asked) as answer:
            assert answer.headers["content-encoding"] == "gzip"
