"""Runs in partitions: how an input is cut, and that what is put together is what one run would have left."""

import errno
import json
import os
import shutil
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise

import pytest
import small_models
from hypothesis import given, settings
from hypothesis import strategies as st

import ullage
from ullage.capture.tokens import read_records
from ullage.errors import FormatError, InputError, SpecError, UllageError
from ullage.kinds.extract import partitioned as extracting
from ullage.kinds.pii import run as verifying
from ullage.records.ended import Ended
from ullage.records.failing import OUTCOME
from ullage.records.folder import RunFolder
from ullage.records.journal import Journal, read_journal
from ullage.records.parts import Part, Parts
from ullage.records.replica import replicas_in
from ullage.spec.partition import Partition
from ullage.workloads import merging, partitioned
from ullage.workloads.cutting import cut

PII = {
    "kind": "pii",
    "roles": {"verifier": {"model": "script.jsonl", "engine": "scripted", "batch": 2}},
    "budget": {"gpus": "cpu"},
    "new_tokens": 8,
    "pii": {"input": "records.jsonl"},
}
SCRIPT = [
    {"contains": "[[mute", "scores": {"yes": float("-inf"), "no": float("-inf")}},
    {"contains": "[[real", "scores": {"yes": -0.1, "no": -3.0}},
    {"contains": "", "scores": {"yes": -3.0, "no": -0.1}},
]
ROWS = ("verified.jsonl", "failed.jsonl", "rejects.jsonl")


class Stopped(Exception):
    """Stands for whatever ends a process."""


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def record(number):
    word = ("real", "fake", "mute")[number % 3]
    return {
        "id": f"r{number}",
        "text": f"Call {word}-{number}",
        "candidates": [{"type": "phone", "start": 5, "end": 10 + len(str(number))}],
    }


@pytest.fixture
def work(tmp_path):
    write_lines(tmp_path / "script.jsonl", SCRIPT)
    write_lines(tmp_path / "records.jsonl", map(record, range(16)))
    with (tmp_path / "records.jsonl").open("a") as file:
        file.write("\nno record\n\n")
        file.writelines(json.dumps(record(number)) + "\n" for number in range(16, 24))
    return tmp_path


def run(folder, name, given=PII, *overrides):
    ullage.run(ullage.load(given, overrides), folder / name, base=folder)
    return folder / name


def rows(folder):
    return {name: (folder / name).read_bytes() for name in ROWS}


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from([b"", b" ", b"x", b"yyyy", b"z" * 40, b"\xef\xbb\xbf"]), max_size=40),
    st.integers(1, 7),
    st.integers(1, 90),
    st.booleans(),
)
def test_partitions_are_the_input_line_for_line(tmp_path_factory, lines, records, size, ended):
    path = tmp_path_factory.getbasetemp() / "lines"
    data = b"\n".join(lines) + (b"\n" if ended else b"")
    path.write_bytes(data)
    seen = []
    partition = Partition(records=records, bytes=str(size))
    there = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    wanted = [number for number, line in enumerate(there, 1) if line.strip()]
    if not wanted:
        with pytest.raises(InputError, match="holds no records"):
            list(cut(path, partition, lambda number, line: seen.append(number) or 1))
        return
    parts = list(cut(path, partition, lambda number, line: seen.append(number) or 1))
    assert seen == wanted
    assert [part.number for part in parts] == list(range(len(parts)))
    assert (parts[0].begin, parts[0].line, parts[0].item, parts[-1].end) == (0, 0, 0, len(data))
    for before, part in pairwise(parts):
        assert (part.begin, part.line) == (before.end, before.line + before.lines)
        assert part.item == before.item + before.records
    for part in parts:
        text = data[part.begin : part.end]
        assert part.lines == text.count(b"\n") + (not text.endswith(b"\n"))
        assert 1 <= part.records <= records
        assert part.records == 1 or len(text.rstrip(b"\n ")) <= size


def test_an_index_says_what_was_cut(tmp_path):
    write_lines(tmp_path / "input", range(1000))
    parts, held = list(cut(tmp_path / "input", Partition(records=7), lambda *_: 1)), Parts(tmp_path)
    assert held.count is None
    held.cut(iter(parts))
    assert held.count == len(parts) == 143
    assert [held.part(number) for number in range(143)] == parts
    held.reject(15, "kills")
    assert held.part(2).rejected == {15: "kills"}
    assert not held.part(1).rejected


@pytest.mark.parametrize("records, size", [(7, "1MiB"), (1000, "400")])
def test_a_verification_in_partitions_is_the_same(work, records, size):
    whole = run(work, "whole")
    apart = run(work, "apart", {**PII, "partition": {"records": records, "bytes": size}})
    assert rows(apart) == rows(whole)
    ours, theirs = (RunFolder(folder).record() for folder in (apart, whole))
    assert (ours.examples, ours.tokens) == (theirs.examples, theirs.tokens)
    assert ours.outcome[OUTCOME] == theirs.outcome[OUTCOME]
    assert ullage.check_run(apart).holds
    assert not (apart / "partitions").exists()


def test_an_extraction_in_one_partition_is_the_same_to_the_byte(tmp_path, tiny):
    whole, apart = run(tmp_path, "whole", tiny), run(tmp_path, "apart", {**tiny, "partition": {}})
    names = sorted(path.name for path in (whole / "states").iterdir())
    assert names == sorted(path.name for path in (apart / "states").iterdir())
    for name in ("journal.jsonl", *(f"states/{name}" for name in names)):
        assert (whole / name).read_bytes() == (apart / name).read_bytes()


def test_each_partition_of_an_extraction_is_a_run_of_its_records(tmp_path, tiny):
    apart = run(tmp_path, "apart", {**tiny, "partition": {"records": 9}})
    found = ullage.open_states(apart)
    lines = (tmp_path / "texts.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "texts.jsonl").write_text("".join(lines[9:18]))
    second = run(tmp_path, "second", tiny)
    assert (apart / "states/00001.safetensors").read_bytes() == (
        second / "states/00000.safetensors"
    ).read_bytes()
    entries = list(read_journal(apart / "journal.jsonl"))
    places = [sorted(one["index"] for one in entry["examples"]) for entry in entries]
    assert [place for some in places for place in some] == list(range(20))
    units = [unit for entry in entries for unit in entry["units"]]
    assert len(set(units)) == len(units)
    assert RunFolder(apart).record().examples == 20
    assert found.roles
    assert ullage.check_run(apart).holds


def test_lines_of_spaces_that_only_utf8_has_take_no_place(tmp_path):
    """They are skipped where texts are read, so what follows them has the place that it has without a cut."""
    path = tmp_path / "texts.txt"
    path.write_bytes("\ufeff\u00a0\none\n\u2003\ntwo\n\x1c\n\x85\n\xff\nthree\n".encode())
    with extracting.looked_over(None) as look:
        parts = list(cut(path, Partition(records=1), look))
    read = 0
    for part in parts:
        assert part.item == read
        read += sum(1 for _ in read_records(path, "text", part=part))
    assert read == 4


@pytest.fixture
def tiny(tmp_path, model_folder):
    small_models.write_texts(tmp_path / "texts.jsonl", 20)
    return {
        "kind": "extract",
        "roles": {"model": {"model": str(model_folder)}},
        "captures": [{"sites": ["blocks.1.hook_resid_post"], "positions": "last", "keep": "disk"}],
        "budget": {"gpus": "cpu"},
        "prompt_tokens": 64,
        "batch": 2,
        "extract": {"input": "texts.jsonl"},
    }


def stop_after(monkeypatch, place, name, count):
    """The function `name` ends the run when it is called for the time after `count`."""
    whole, left = getattr(place, name), [count]

    def stopping(*given, **named):
        left[0] -= 1
        if left[0] < 0:
            raise Stopped
        return whole(*given, **named)

    monkeypatch.setattr(place, name, stopping)


PARTED = {**PII, "partition": {"records": 7}}


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_run_that_ends_between_partitions_keeps_them(work, monkeypatch, count):
    whole = rows(run(work, "whole"))
    with monkeypatch.context() as patched:
        stop_after(patched, partitioned, "do_partition", count)
        with pytest.raises(Stopped):
            run(work, "run", PARTED)
    if not count:
        assert not (work / "run").exists()
        return
    held = Parts(work / "run")
    assert (held.kept, held.count) == (count, 4)
    assert list(held.left()) == list(range(count, 4))
    ullage.resume(work / "run")
    assert rows(work / "run") == whole


def test_a_partition_that_was_in_flight_is_done_again(work, monkeypatch):
    with monkeypatch.context() as patched:
        stop_after(patched, verifying._Verification, "_verify", 2)
        with pytest.raises(Stopped):
            run(work, "run", {**PII, "partition": {"records": 7}, "batch": 1})
    (work / "run/partitions/doing/00000003.dead").mkdir(parents=True)  # what a killed process leaves
    ullage.resume(work / "run")
    assert rows(work / "run") == rows(run(work, "whole"))
    assert RunFolder(work / "run").record().outcome["partitions"]["again"] == 1


@pytest.mark.parametrize("count", [0, 1, 4])
def test_a_merge_that_was_cut_short_goes_on(work, monkeypatch, count):
    whole = run(work, "whole", PARTED)
    with monkeypatch.context() as patched:
        stop_after(patched, Journal, "append", 4 + 4 + count)  # each partition: its window, its end
        with pytest.raises(Stopped):
            run(work, "run", PARTED)
    assert len(read_journal(work / "run/journal.jsonl")) == count
    with (work / "run/verified.jsonl").open("ab") as file:
        file.write(b"half a li")
    if count:
        ullage.resume(work / "run")
        assert rows(work / "run") == rows(whole)


def test_a_merge_of_states_goes_on_too(tmp_path, tiny, monkeypatch):
    parted = {**tiny, "partition": {"records": 6}}
    whole = run(tmp_path, "whole", parted)
    with monkeypatch.context() as patched:
        stop_after(patched, merging, "_linked", 2)
        with pytest.raises(Stopped):
            run(tmp_path, "run", parted)
    ullage.resume(tmp_path / "run")
    names = [f"states/{path.name}" for path in (whole / "states").iterdir()]
    assert len(names) == 4 + 2
    for name in ("journal.jsonl", *names):
        assert (tmp_path / "run" / name).read_bytes() == (whole / name).read_bytes()


@pytest.mark.parametrize("name", ["verified.jsonl", "journal.jsonl", "part.json"])
def test_a_partition_that_was_changed_is_refused(work, monkeypatch, name):
    with monkeypatch.context() as patched:
        stop_after(patched, partitioned, "do_partition", 3)
        with pytest.raises(Stopped):
            run(work, "run", PARTED)
    path = work / "run/partitions/00000001" / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(FormatError, match="changed"):
        ullage.resume(work / "run")


def test_whoever_does_a_partition_second_keeps_nothing(tmp_path):
    parts = Parts(tmp_path)
    parts.path.mkdir()
    for actor in ("first", "second"):
        with parts.attempt(3) as folder:
            (folder / "journal.jsonl").write_bytes(b"")
            parts.keep(folder, replace(ended(3), actor=actor))
    assert parts.ended(3).actor == "first"
    parts.clear()
    assert os.listdir(parts.path) == ["00000003"]


def ended(number):
    digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    return Ended(number, digest, 1, 1, 0, 0.1, 0.0, "actor", "node", {}, (), {}, 0)


def test_whoever_is_still_at_work_when_a_run_is_taken_up_keeps_all_or_nothing(tmp_path):
    parts = Parts(tmp_path)
    parts.path.mkdir()
    with parts.attempt(3) as folder, (folder / "journal.jsonl").open("w") as file:
        parts.clear()
        file.write("what he had open")
        with pytest.raises(FileNotFoundError):
            parts.keep(folder, ended(3))
    assert os.listdir(parts.path) == []


def test_a_partition_that_cannot_be_kept_is_no_partition_that_is_done(tmp_path, monkeypatch):
    parts = Parts(tmp_path)
    parts.path.mkdir()

    def full(self, to):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self))

    monkeypatch.setattr(type(tmp_path), "rename", full)
    with pytest.raises(OSError, match="No space left"), parts.attempt(3) as folder:
        parts.keep(folder, ended(3))
    assert not parts.has(3)


def test_a_run_that_has_ended_gets_no_folder_back(tmp_path):
    parts = Parts(tmp_path)
    parts.path.mkdir()
    parts.drop()
    with pytest.raises(FileNotFoundError), parts.attempt(3):
        pass
    assert os.listdir(tmp_path) == []


def test_where_partitions_cannot_be_carried_is_said_before_the_input_is_cut(work, monkeypatch):
    class Nowhere(partitioned.Here):
        @contextmanager
        def ready(self, session, parts):
            raise InputError("no node is fit")
            yield

    from ullage.runtime.opening import Options
    from ullage.workloads.execution import Begun, execute

    monkeypatch.setattr(partitioned, "cut", lambda *_: pytest.fail("it was cut"))
    plan = ullage.plan(ullage.load(PARTED), base=work)
    with pytest.raises(InputError, match="no node is fit"):
        execute(plan, work / "run", Options(quiet=True), Begun(carrier=Nowhere()))
    assert not (work / "run").exists()


def test_a_rejected_record_stands_among_the_rejects(work):
    plain = rows(run(work, "whole"))
    stopped = ullage.load(PARTED)

    class Rejecting(partitioned.Here):
        def carry(self, session, parts):
            parts.reject(3, "ended three processes")
            super().carry(session, parts)

    from ullage.runtime.opening import Options
    from ullage.workloads.execution import Begun, execute

    execute(ullage.plan(stopped, base=work), work / "run", Options(quiet=True), Begun(carrier=Rejecting()))
    found = rows(work / "run")
    first = json.loads(found["rejects.jsonl"].splitlines()[0])
    assert first == {"line": 3, "reason": "ended three processes"}
    assert found["verified.jsonl"].count(b"\n") == plain["verified.jsonl"].count(b"\n") - 1


def test_a_run_that_is_interrupted_on_a_cluster_says_how_it_goes_on_there(work, capsys):
    class Interrupted(partitioned.Here):
        address = "head:6379"

        def carry(self, session, parts):
            partitioned.do_partition(session, parts, parts.part(0), "a", "b")
            raise KeyboardInterrupt

    from ullage.runtime.opening import Options
    from ullage.workloads.execution import Begun, execute

    begun = Begun(carrier=Interrupted())
    with pytest.raises(KeyboardInterrupt):
        execute(ullage.plan(ullage.load(PARTED), base=work), work / "run", Options(quiet=True), begun)
    assert f"`ullage run --resume {work / 'run'} --on head:6379` goes on" in capsys.readouterr().err


def test_a_store_of_one_process_is_refused_for_a_cluster(work):
    from ullage.runtime.opening import Options
    from ullage.workloads.execution import Begun, execute

    made = ullage.plan(ullage.load(PARTED, ["partition.store=memory://parts"]), base=work)
    with pytest.raises(InputError, match="memory:// is of one process"):
        execute(made, work / "run", Options(quiet=True), Begun(carrier=partitioned.Here()))
    assert not (work / "run").exists()


WRONG = [
    ({"partition": {"bytes": "many"}}, "partition.bytes: 'many' is no size"),
    ({"partition": {"records": 0}}, "partition.records"),
    ({"kind": "werewolf", "pii": None, "partition": {}}, "kind werewolf hangs together"),
    ({"pii": {"input": "records.jsonl", "offsets": "auto"}, "partition": {}}, "offsets: auto is settled"),
    ({"pii": {"input": "table.csv"}, "partition": {}}, "only plain JSON lines are cut"),
    ({"pii": {"input": "twice.jsonl"}, "partition": {}}, "twice.jsonl:3: its id is that of an earlier"),
    ({"pii": {"input": "none.jsonl"}, "partition": {}}, "none of its 1 lines or records is understood"),
]


@pytest.mark.parametrize("changed, said", WRONG, ids=range(len(WRONG)))
def test_what_cannot_be_cut_is_refused_before_anything_is_done(work, changed, said):
    (work / "table.csv").write_text("id,text\n1,hello\n")
    write_lines(work / "twice.jsonl", [record(1), record(2), record(1)])
    write_lines(work / "none.jsonl", [{"words": 5}])
    given = {name: value for name, value in {**PII, **changed}.items() if value is not None}
    if given["kind"] == "werewolf":
        given |= {"roles": {"player": {"model": "ullage:tiny"}}, "new_tokens": 40, "prompt_tokens": 500}
    with pytest.raises(UllageError) as raised:
        run(work, "run", given)
    assert said in str(raised.value)
    assert isinstance(raised.value, InputError | SpecError)
    assert not (work / "run").exists()
    shutil.rmtree(work / "run", ignore_errors=True)


def test_what_each_that_did_partitions_took_is_in_the_record_and_verified(
    tmp_path, tiny, monkeypatch, capsys
):
    def carry(_, session, parts):
        for number in parts.left():
            partitioned.do_partition(session, parts, parts.part(number), "ab"[number % 2], "a node")

    monkeypatch.setattr(partitioned.Here, "carry", carry)
    folder = run(tmp_path, "run", {**tiny, "partition": {"records": 7}})
    found = ullage.verify(folder)
    assert [(each.actor, each.partitions) for each in found.replicas] == [("a", 2), ("b", 1)]
    replicas = replicas_in(RunFolder(folder).record().outcome)
    assert [each.records for each in replicas.values()] == [13, 7]
    for each in found.replicas:
        assert {"live", "process"} <= {one.what for one in each.comparisons}
    assert found.to_json()["replicas"][1]["comparisons"]
    assert "MiB by replica" in f"{found}"


def test_an_index_has_room_for_the_largest_inputs(tmp_path):
    size = 10**18  # bytes of an input, and of one line
    last = Part(10**8 - 1, size - 1, size, 10**15, 10**15, 10**9, 10**9)
    held = Parts(tmp_path)
    held.cut(iter([last]))
    assert held.part(0) == last
