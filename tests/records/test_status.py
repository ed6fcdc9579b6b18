"""How far a run is, by its folder alone."""

import io
import json
from dataclasses import asdict, replace

import jsonschema
import pytest

import ullage
from ullage.records import status
from ullage.records.ended import Ended
from ullage.records.parts import Part, Parts
from ullage.records.status import status_of
from ullage.reports.console import PlainConsole
from ullage.reports.pages.screen import show
from ullage.reports.status_page import MOST, status_document, status_page
from ullage.workloads import partitioned

WORK = {
    "kind": "pii",
    "roles": {"verifier": {"model": "script.jsonl", "engine": "scripted"}},
    "budget": {"gpus": "cpu"},
    "new_tokens": 8,
    "pii": {"input": "records.jsonl"},
    "partition": {"records": 2},
}


class Stopped(Exception):
    """Stands for whatever ends a process."""


@pytest.fixture
def cut_short(tmp_path, monkeypatch):
    """A run of five partitions that was stopped in the third."""
    (tmp_path / "script.jsonl").write_text('{"contains": "", "scores": {"yes": -0.1, "no": -3.0}}\n')
    line = '{"text": "Call 1234", "candidates": [{"type": "phone", "start": 5, "end": 9}]}\n'
    (tmp_path / "records.jsonl").write_text(line * 9)
    done = partitioned.do_partition

    def do(session, parts, part, *who):
        if part.number == 2:
            raise Stopped
        return done(session, parts, part, *who)

    monkeypatch.setattr(partitioned, "do_partition", do)
    with pytest.raises(Stopped):
        ullage.run(ullage.load(WORK), tmp_path / "run", base=tmp_path)
    monkeypatch.undo()
    return tmp_path / "run"


def shown(found):
    text = io.StringIO()
    show(status_page(found), PlainConsole(file=text, width=200))
    return text.getvalue()


def valid(found):
    document = json.loads(json.dumps(status_document(found)))
    jsonschema.validate(document, ullage.document_schema("status"))
    return document


def test_a_run_cut_short_and_taken_up(cut_short):
    found = ullage.status(cut_short)
    assert (found.state, found.done, found.total) == ("cut short", 4, 9)
    assert (found.partitions.count, found.partitions.kept, found.partitions.doing) == (5, 2, 0)
    assert [(each.name, each.partitions, each.records) for each in found.actors] == [("here", 2, 4)]
    assert (found.rate, found.left, found.wrong) == (None, None, ())
    assert "4 of 9 records (44.4 %)" in shown(found)
    valid(found)
    ullage.resume(cut_short)
    found = ullage.status(cut_short)
    assert (found.state, found.done, found.partitions.again) == ("ended", 9, 1)
    assert [(each.partitions, each.records) for each in found.actors] == [(5, 9)]
    assert "5 of 5 done, 1 begun again" in shown(found)
    valid(found)


def test_while_it_goes_on_rate_and_what_is_left_are_told(cut_short, monkeypatch):
    monkeypatch.setattr("ullage.records.folder.RunFolder.held", True)
    parts = Parts(cut_short)
    (first, *_, last) = parts.attempts()
    found = status_of(cut_short, last["time"] + 2)
    assert found.state == "running"
    assert found.actors[0].doing == 2
    assert found.rate == pytest.approx(4 / (last["time"] - first["time"]))
    assert found.left == pytest.approx(5 / found.rate)
    assert "1 in flight" in shown(found)


@pytest.mark.parametrize("off", [-3600.0, 0.0, 3600.0])
def test_clocks_of_other_machines_count_for_nothing(cut_short, monkeypatch, off):
    """An actor whose clock is an hour off has worked no hour more, or less."""
    parts = Parts(cut_short)
    first, second, last = (row["time"] for row in parts.attempts())
    took = parts.ended(1)
    monkeypatch.setattr(Parts, "ended", lambda self, number: replace(took, ended=took.ended + off))
    (here,) = status_of(cut_short).actors
    assert here.seconds == pytest.approx(max(last, second + took.seconds) - first)


def test_of_actors_that_share_a_card_each_pays_its_part(cut_short, monkeypatch):
    parts = Parts(cut_short)
    for name in ("one", "two"):
        parts.note("begun", 3, actor=name, node="n", sharing=2)
        parts.note("begun", 4, actor=name, node="n", sharing=2)
    monkeypatch.setattr(status, "_usd_per_hour", lambda plan: 3600.0)
    found = status_of(cut_short)
    here, *both = (each.seconds for each in found.actors)
    assert [each.sharing for each in found.actors] == [1, 2, 2]
    assert found.usd == pytest.approx(here + sum(both) / 2)
    assert "3 actors, 2 to a card, each card at $3,600.00 an hour" in shown(found)
    valid(found)


def test_what_was_changed_is_told_and_the_rest_shown(cut_short):
    attempts = cut_short / "partitions/attempts.jsonl"
    lines = attempts.read_bytes().splitlines(keepends=True)
    attempts.write_bytes(lines[0] + lines[1].replace(b"begun", b"bogus") + lines[2])
    (cut_short / "partitions/00000000/part.json").write_text("{")
    found = ullage.status(cut_short)
    assert (found.done, found.partitions.kept) == (4, 2)
    assert len(found.wrong) == 2
    assert all(each in shown(found) for each in ("attempts.jsonl:2: was changed", "part.json"))
    valid(found)
    (cut_short / "partitions/index.jsonl").write_bytes(b"x" * 128 * 6)
    found = ullage.status(cut_short)
    assert "index.jsonl:1: no partition" in found.wrong[0]
    (cut_short / "partitions/index.jsonl").write_bytes(b"x" * 100)
    assert "index.jsonl: was cut short" in ullage.status(cut_short).wrong[0]
    assert found.kind == "pii"


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(ullage.FormatError, match="is this the folder of a run"):
        ullage.status(tmp_path)


def test_many_actors_are_told_by_node(cut_short):
    parts = Parts(cut_short)
    for number in range(MOST + 1):
        parts.note("begun", number % 5, actor=f"a{number}", node=f"node-{number % 2}")
    text = shown(ullage.status(cut_short))
    assert "node-1" in text
    assert "a7" not in text


def test_of_many_partitions_only_the_last_of_an_actor_is_read(tmp_path, cut_short, monkeypatch):
    parts, count = Parts(cut_short), 600
    parts.cut(Part(number, 0, 1, number, number, 1, 1) for number in range(count))
    ended = asdict(parts.ended(0))
    for number in range(2, count):
        with parts.attempt(number) as folder:
            parts.note("begun", number, actor="other", node="n")
            parts.keep(folder, Ended(**{**ended, "number": number, "actor": "other"}))
    read = []
    monkeypatch.setattr(Parts, "ended", lambda self, number: read.append(number) or Ended(**ended))
    found = ullage.status(cut_short)
    assert found.done == count
    assert read == [1, count - 1]
