"""The page of runs: finished, under way, cut short, of another version, and none at all."""

import base64
import hashlib
import json
import os
import re
import shutil
import time
from html import escape

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("jinja2")

from planner_pages import ROOT, made_run, page_of

from ullage.records.ended import Ended
from ullage.records.folder import RunFolder
from ullage.records.notes import Notes
from ullage.records.parts import Part, Parts
from ullage.reports.pages.html import script

FILE = ROOT / "examples/pii.yaml"
BAD = "<script>alert(1)</script>"


@pytest.fixture
def runs(tmp_path):
    folder = tmp_path / "runs"
    folder.mkdir()
    made_run(folder / "one")
    return folder


def page(folder):
    return page_of(FILE, runs=folder)


def test_a_finished_run_is_listed_and_its_page_shows_its_memory_and_report(runs):
    (runs / "one" / "report.html").write_text(f"<h1>report</h1>{BAD}")
    listed = page(runs).get("/runs").text
    assert ">one</a>" in listed
    assert ">finished</td>" in listed
    assert ">10 records</td>" in listed
    shown = page(runs).get("/runs/one").text
    assert "<svg" in shown
    assert "10 of 10 records (100.0 %)" in shown
    assert "<script" not in shown
    report = page(runs).get("/runs/one/report")
    assert report.text == f"<h1>report</h1>{BAD}"
    digest = base64.b64encode(hashlib.sha256(script().encode()).digest()).decode()
    policy = report.headers["content-security-policy"]
    assert policy.startswith("sandbox allow-scripts;")
    assert re.findall("script-src ([^;]*)", policy) == [f"'sha256-{digest}'"]
    assert "default-src 'none'" in policy


def test_a_run_under_way_has_its_timeline_and_planned_line(runs):
    (runs / "one" / "record.json").unlink()
    notes = Notes(runs / "one" / "timeline.jsonl", print)
    for at, done in ((13, 1000), (23, 1750)):
        notes.add({"seconds": at, "phase": "p", "device": "d", "doing": BAD, "done": done, "total": 2500})
    with RunFolder(runs / "one").lock():
        now = page(runs).get("/runs/one/now").text
        assert "1,750 of 2,500 records (70.0 %)" in now
        assert f"75 a second, by what was done of late of {escape(BAD)}; 10.0 s left" in now
        shown = page(runs).get("/runs/one").text
        assert "live.js" in shown
        assert 'hx-trigger="every 2s"' in shown
        assert 'hx-trigger="every 2s"' in page(runs).get("/runs/one/now").text
        told = page(runs).get("/runs/one/timeline").json()
    assert told["state"] == "running"
    names = [line["name"] for line in told["lines"]]
    assert names == ["gpu:0", "gpu:0, planned at most"]
    assert all(len(line["values"]) == len(told["seconds"]) for line in told["lines"])
    assert "cut short" in page(runs).get("/runs/one").text


def test_a_run_of_partitions_has_its_progress_and_who_does_them(runs):
    parts, now = Parts(runs / "one"), time.time()
    (runs / "one" / "record.json").unlink()
    parts.cut(Part(number, number, number + 1, number, number, 1, 5) for number in range(4))
    for number in range(2):
        with parts.attempt(number) as folder:
            parts.note("begun", number, actor="first", node="left")
            parts.keep(folder, Ended(number, "", 5, 50, 0, 1.0, now, "first", "left", {}, [], {}, 0))
    shown = page(runs).get("/runs/one").text
    assert "10 of 20 records (50.0 %)" in shown
    assert "2 of 4 done" in shown
    assert re.search(r'<th scope="row">first</th><td>left</td>', shown)
    parts.settle("s3://none/there")  # where no page looks
    shown = page(runs).get("/runs/one").text
    assert "cut short" in shown
    assert "lies in a store" in shown


def damage(folder, how):
    manifest, record = folder / "manifest.json", folder / "record.json"
    if how == "no manifest":
        manifest.unlink()
    elif how == "manifest cut short":
        manifest.write_bytes(manifest.read_bytes()[:100])
    elif how == "newer":
        manifest.write_text(json.dumps({"document": "run", "version": 9}))
    elif how == "record cut short":
        record.write_bytes(record.read_bytes()[:50])
    elif how == "timeline of noise":
        (folder / "timeline.jsonl").write_bytes(b"\xff\xfe{}\n[1]\n")
    elif how == "pipes":
        for path in (manifest, record, folder / ".lock"):
            path.unlink(missing_ok=True)
            os.mkfifo(path)
    elif how == "journal of noise":
        (folder / "journal.jsonl").write_bytes(b"[1]\n{}\n")
    else:
        shutil.rmtree(folder)
        folder.mkdir()


@pytest.mark.parametrize(
    "how",
    [
        "no manifest",
        "manifest cut short",
        "newer",
        "record cut short",
        "timeline of noise",
        "journal of noise",
        "pipes",
        "empty",
    ],
)
def test_a_run_that_is_damaged_is_listed_with_what_can_be_read(runs, how):
    made_run(runs / "two")
    damage(runs / "one", how)
    listed = page(runs).get("/runs")
    assert listed.status_code == 200
    assert ">one</a>" in listed.text
    assert ">two</a>" in listed.text
    for part in ("", "/now", "/timeline"):
        assert page(runs).get(f"/runs/one{part}").status_code == 200
    if how not in ("empty", "timeline of noise"):
        assert "one" in listed.text.partition('class="bad"')[2]


@pytest.mark.parametrize(
    "id", ["..", "%2e%2e", "one%2f..%2fone", "link", "none", "one/../one", "%00", ".", "file"]
)
def test_a_run_is_known_by_its_name_alone(runs, tmp_path, id):
    made_run(tmp_path / "outside")
    (tmp_path / "outside" / "report.html").write_text("outside")
    (runs / "link").symlink_to(tmp_path / "outside")
    (runs / "file").write_text("x")
    (runs / "one" / "report.html").symlink_to(tmp_path / "outside" / "report.html")
    for part in ("", "/report", "/timeline"):
        found = page(runs).get(f"/runs/{id}{part}")
        assert found.status_code in (200, 404, 307)
        assert "outside" not in found.text
    assert page(runs).get("/runs/one/report").status_code == 404


def test_markup_in_a_run_stays_text(runs):
    made_run(runs / "<b>bold", title=BAD)
    for address in ("/runs", "/runs/%3Cb%3Ebold"):
        found = page(runs).get(address)
        assert found.status_code == 200
        assert BAD not in found.text
        assert "<b>bold" not in found.text


def test_a_name_that_is_no_text_is_listed_and_found(runs):
    os.mkdir(os.fsencode(runs) + b"/\xff")
    assert "\\xff</a>" in page(runs).get("/runs").text
    assert page(runs).get("/runs/%5Cxff").status_code == 200


def test_without_a_folder_it_says_how_to_give_one():
    assert "--runs FOLDER" in page_of(FILE).get("/runs").text
    assert page_of(FILE).get("/runs/one").status_code == 404
