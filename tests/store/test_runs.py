"""Runs whose input, or whose partitions, lie in a store: their results are those of files."""

import json
import threading
import time
from types import SimpleNamespace

import pytest

import ullage
from ullage.copies import fetch, home_of
from ullage.errors import FormatError, InputError, SpecError
from ullage.files import COPIES
from ullage.records.depot import Depot
from ullage.records.folder import RunFolder
from ullage.records.parts import Parts
from ullage.store import Store
from ullage.workloads import partitioned

ROWS = ("verified.jsonl", "failed.jsonl", "rejects.jsonl")
SCRIPT = [
    {"contains": "[[real", "scores": {"yes": -0.1, "no": -3.0}},
    {"contains": "", "scores": {"yes": -3.0, "no": -0.1}},
]


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def records(count):
    for number in range(count):
        text = f"Call {('real', 'fake')[number % 2]}-{number}"
        yield {
            "id": f"r{number}",
            "text": text,
            "candidates": [{"type": "phone", "start": 5, "end": len(text)}],
        }


def workload(name, **partition):
    return {
        "kind": "pii",
        "roles": {"verifier": {"model": "script.jsonl", "engine": "scripted", "batch": 2}},
        "budget": {"gpus": "cpu"},
        "new_tokens": 8,
        "pii": {"input": name},
        **({"partition": partition} if partition else {}),
    }


def given_files(folder):
    (folder / "script.jsonl").write_bytes(lines(SCRIPT))
    (folder / "records.jsonl").write_bytes(lines(records(10)))
    return folder


@pytest.fixture
def work(tmp_path):
    return given_files(tmp_path)


@pytest.fixture(scope="module")
def wanted(tmp_path_factory):
    """The rows of a run without a store, and without partitions."""
    return run(given_files(tmp_path_factory.mktemp("wanted")), "run", workload("records.jsonl"))


def run(work, name, given):
    ullage.run(ullage.load(given), work / name, base=work, quiet=True)
    return {each: (work / name / each).read_bytes() for each in ROWS}


def test_results_of_an_input_in_a_store_are_those_of_the_file(work, s3, wanted):
    Store(f"{s3}/in").put(work / "records.jsonl", "records.jsonl")
    url = f"{s3}/in/records.jsonl"
    assert run(work, "parts", workload(url, records=3)) == wanted
    (file,) = [each for each in RunFolder(work / "parts").manifest().inputs if "file" in each]
    assert file["file"] == url


def test_an_object_is_fetched_once_and_each_content_apart(memory, monkeypatch):
    store, url = Store(memory), f"{memory}/key"
    store.put_new(b"before", "key")
    tag, path = fetch(url), COPIES[url]
    with monkeypatch.context() as patch:
        patch.setattr(Store, "get", lambda *given: pytest.fail("it is here"))
        assert fetch(url) == tag
    store.remove("key")
    store.put_new(b"behind", "key")
    assert fetch(url) != tag
    assert path.read_bytes() == b"before"
    assert COPIES[url].read_bytes() == b"behind"


def test_of_many_who_want_an_object_one_copies_it_and_what_a_killed_one_left_goes(memory, monkeypatch):
    url = f"{memory}/key"
    Store(memory).put_new(b"text", "key")
    half = home_of(url) / "mark.token.tmp"
    half.mkdir(parents=True)
    (half / "key").write_bytes(b"te")
    real, copied = Store.get, []

    def slow(*given):
        copied.append(given)
        time.sleep(0.05)
        return real(*given)

    monkeypatch.setattr(Store, "get", slow)
    threads = [threading.Thread(target=fetch, args=(url,)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(copied) == 1
    assert COPIES[url].read_bytes() == b"text"
    assert not half.exists()


def test_where_there_is_no_room_copies_that_may_go_are_named(memory, monkeypatch):
    Store(memory).put_new(b"text", "key")
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=3))
    with pytest.raises(InputError, match=r"key: its 4 bytes are more than the 3 .*objects are copies"):
        fetch(f"{memory}/key")


def test_an_input_that_was_replaced_is_refused_when_the_run_goes_on(work, memory, monkeypatch):
    store = Store(memory)
    store.put(work / "records.jsonl", "records.jsonl")
    given = workload(f"{memory}/records.jsonl", records=3)
    with monkeypatch.context() as patch:
        patch.setattr(partitioned, "merge", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run(work, "run", given)
    store.remove("records.jsonl")
    with pytest.raises(InputError, match=r"memory://somewhere/records.jsonl: no such object"):
        ullage.resume(work / "run", quiet=True)
    store.put_new(lines(records(11)), "records.jsonl")
    with pytest.raises(InputError, match=r"records.jsonl has changed since this run began"):
        ullage.resume(work / "run", quiet=True)
    store.remove("records.jsonl")
    store.put(work / "records.jsonl", "records.jsonl")
    ullage.resume(work / "run", quiet=True)
    assert (work / "run" / "verified.jsonl").read_bytes().count(b"\n") == 10


def test_what_is_not_there_is_said_before_anything_is_done(work, memory):
    with pytest.raises(InputError, match="no such object") as refused:
        run(work, "run", workload(f"{memory}/none.jsonl"))
    assert "\n" not in str(refused.value)
    assert not (work / "run").exists()


@pytest.mark.parametrize("url", ["s3://key:secret@bucket/name", "s3://bucket/name?X-Amz-Signature=secret"])
@pytest.mark.parametrize("key", ["pii.input", "partition.store", "roles.verifier.model"])
def test_credentials_in_a_file_are_refused_and_not_repeated(url, key):
    given = json.dumps(workload("INPUT", records=3, store="STORE"))
    place = {"pii.input": "INPUT", "partition.store": "STORE", "roles.verifier.model": "script.jsonl"}[key]
    others = {"INPUT": "records.jsonl", "STORE": "memory://parts"}
    for name, value in {**others, place: url}.items():
        given = given.replace(name, value)
    with pytest.raises(SpecError, match=key) as refused:
        ullage.load(json.loads(given))
    assert "secret" not in str(refused.value)


class Stopped(Exception):
    """Stands for whatever ends a process."""


def stop_in(monkeypatch, place, name, at=1):
    """The process ends when it comes to this for the `at`-th time."""
    asked, real = [], getattr(place, name)

    def stopping(*given, **named):
        asked.append(given)
        if len(asked) == at:
            raise Stopped
        return real(*given, **named)

    monkeypatch.setattr(place, name, stopping)


def cut_short(work, given, monkeypatch, place, name, at):
    with monkeypatch.context() as patch:
        stop_in(patch, place, name, at)
        with pytest.raises(Stopped):
            run(work, "run", given)
    return Parts(work / "run")


def resumed(work):
    ullage.resume(work / "run", quiet=True)
    return {each: (work / "run" / each).read_bytes() for each in ROWS}


def test_results_of_partitions_in_a_store_are_those_of_a_run_without_and_nothing_is_left(work, home, wanted):
    assert run(work, "run", workload("records.jsonl", records=3, store=home)) == wanted
    assert Store(home).keys() == []
    assert not (work / "run" / "partitions").exists()


@pytest.mark.parametrize(
    "place, name, at, kept",
    [
        (Store, "put", 3, 0),  # the run's manifest is the first, a file of a partition the second
        (Store, "put_new", 3, 1),  # between upload and manifest; the first asks whether one may write
        (partitioned, "merge", 1, 4),
        (Depot, "bring", 3, 4),
    ],
)
def test_a_run_that_is_cut_short_goes_on_with_what_manifests_name(
    work, memory, monkeypatch, wanted, place, name, at, kept
):
    given = workload("records.jsonl", records=3, store=memory)
    parts = cut_short(work, given, monkeypatch, place, name, at)
    assert (parts.count, len(set(parts.kept_numbers()))) == (4, kept)
    assert list(parts.left()) == list(range(kept, 4))
    begun = []
    with monkeypatch.context() as patch:
        done = partitioned.do_partition
        patch.setattr(
            partitioned, "do_partition", lambda *given: begun.append(given[2].number) or done(*given)
        )
        found = resumed(work)
    assert begun == list(range(kept, 4))
    assert found == wanted
    assert Store(memory).keys() == []


def test_of_two_who_do_one_partition_the_first_is_kept(home, tmp_path):
    depot = Depot(f"{home}/run")
    for text in ("first", "second"):
        (tmp_path / text / "states").mkdir(parents=True)
        (tmp_path / text / "journal.jsonl").write_text(text)
        (tmp_path / text / "states" / "0").write_text(text)
        depot.keep(7, tmp_path / text)
    assert depot.numbers(0) == {7}
    assert depot.has(7)
    assert not depot.has(8)
    depot.bring(7, tmp_path / "00000007")
    assert (tmp_path / "00000007" / "journal.jsonl").read_text() == "first"
    assert (tmp_path / "00000007" / "states" / "0").read_text() == "first"
    assert len(Store(home).keys()) == 3
    depot.drop(cut_short=True)
    assert Store(home).keys() == []


def test_whoever_a_killed_driver_left_alive_may_still_end_his_partition(memory, tmp_path, monkeypatch):
    """Between his files and his manifest another driver takes the run up: what he leaves is whole."""
    parts, real = Parts(tmp_path), Store.put_new
    parts.settle(f"{memory}/run")
    (tmp_path / "attempt").mkdir()
    (tmp_path / "attempt" / "journal.jsonl").write_text("text")
    monkeypatch.setattr(Store, "put_new", lambda *given: Parts(tmp_path).clear() or real(*given))
    parts.depot.keep(7, tmp_path / "attempt")
    parts.depot.bring(7, tmp_path / "00000007")
    assert (tmp_path / "00000007" / "journal.jsonl").read_text() == "text"


@pytest.mark.parametrize(
    "harm, said",
    [
        (lambda store, key: store.remove(key), "is missing, and a manifest names it"),
        (lambda store, key: (store.remove(key), store.put_new(b"x", key)), "is not what its manifest says"),
    ],
)
def test_a_manifest_that_names_what_is_not_so_is_one_line_that_says_what_to_do(
    work, memory, monkeypatch, wanted, harm, said
):
    given = workload("records.jsonl", records=3, store=memory)
    cut_short(work, given, monkeypatch, Parts, "collect", 1)
    (url,) = {f"{memory}/{name}" for name in Store(memory).names("")}
    store = Store(url)
    names = store.keys()
    harm(store, next(key for key in names if "00000001" in key and key.endswith("verified.jsonl")))
    with pytest.raises(FormatError, match=said) as refused:
        resumed(work)
    assert "\n" not in str(refused.value)
    manifest = "done/00000/00000001.json"
    assert f"remove {url}/{manifest}" in str(refused.value)
    assert not (work / "run" / "record.json").exists()
    store.remove(manifest)
    assert resumed(work) == wanted


def test_a_manifest_that_was_changed_is_not_believed(memory, tmp_path):
    depot, store = Depot(f"{memory}/run"), Store(f"{memory}/run")
    (tmp_path / "attempt").mkdir()
    (tmp_path / "attempt" / "journal.jsonl").write_text("text")
    depot.keep(0, tmp_path / "attempt")
    manifest = "done/00000/00000000.json"
    text = store.read(manifest)
    for changed, said in ((text[:-20], "was changed"), (text.replace(b"journal", b"../../j"), "was changed")):
        store.remove(manifest)
        store.put_new(changed, manifest)
        with pytest.raises(FormatError, match=said):
            depot.bring(0, tmp_path / "0")
        assert not (tmp_path / "0").exists()


def test_a_listing_that_is_stale_costs_work_and_no_results(work, memory, monkeypatch, wanted):
    given = workload("records.jsonl", records=3, store=memory)
    cut_short(work, given, monkeypatch, Parts, "collect", 1)
    monkeypatch.setattr(Depot, "numbers", lambda self, block: {0})
    assert resumed(work) == wanted


def test_a_store_that_takes_nothing_is_said_before_a_run_is_begun(work, s3, monkeypatch):
    given = workload("records.jsonl", records=3, store="s3://elsewhere/runs")
    with pytest.raises(InputError, match="no such bucket"):
        run(work, "run", given)
    assert not (work / "run").exists()


def test_actors_need_neither_the_folder_of_the_run_nor_its_input(
    work, s3, wanted, tmp_path_factory, monkeypatch
):
    from ullage.runtime.opening import Options
    from ullage.scale import worker as working
    from ullage.scale.worker import Worker

    class Apart(partitioned.Here):
        """Two actors in turns; they see the model alone of what lies in `work`."""

        def carry(self, session, parts):
            monkeypatch.setenv("ULLAGE_HOME", str(tmp_path_factory.mktemp("node")))
            COPIES.clear()
            base = tmp_path_factory.mktemp("base")
            (base / "script.jsonl").write_bytes(lines(SCRIPT))
            workers = [
                Worker("/nowhere", str(base), name, Options(quiet=True), parts.depot.url) for name in "ab"
            ]
            assert [worker.open() for worker in workers] == ["", ""]
            before = parts.progress
            assert parts.progress == before
            with workers[0]._parts.attempt(0) as folder:
                (folder / "journal.jsonl").write_text("half of it")
                ends = time.monotonic() + 10
                while parts.progress == before and time.monotonic() < ends:
                    time.sleep(0.01)
            assert parts.progress != before
            for number in parts.left():
                assert workers[number % 2].do(parts.part(number), "node")[1] == ""
            assert workers[0].do(parts.part(3), "node")[1] == "", "done before: nothing comes of it"
            assert list(parts.left()) == []
            for worker in workers:
                worker.close()
            replaced = Store(f"{s3}/in")
            replaced.remove("records.jsonl")
            replaced.put_new(lines(records(9)), "records.jsonl")
            late = Worker("/nowhere", str(base), "c", Options(quiet=True), parts.depot.url)
            assert "was replaced since this run began" in late.open()
            late.close()

    from ullage.workloads import execution

    Store(f"{s3}/in").put(work / "records.jsonl", "records.jsonl")
    monkeypatch.setattr(execution, "Here", Apart)
    monkeypatch.setattr(working, "WORDS", 60)
    given = workload(f"{s3}/in/records.jsonl", records=3, store=f"{s3}/runs", patience=1)
    assert run(work, "run", given) == wanted
    assert Store(f"{s3}/runs").keys() == []
    accounts = RunFolder(work / "run").record().outcome["partitions"]
    assert {name: told["partitions"] for name, told in accounts["actors"].items()} == {"a": 2, "b": 2}


def test_how_far_a_run_is_is_told_of_partitions_in_a_store_too(work, memory, monkeypatch):
    from ullage.records.status import status_of

    given = workload("records.jsonl", records=3, store=memory)
    cut_short(work, given, monkeypatch, Store, "put_new", 4)
    found = status_of(work / "run")
    assert (found.partitions.kept, found.done, found.wrong) == (2, 6, ())
    assert found.actors[0].partitions == 2
    monkeypatch.setattr(Depot, "numbers", lambda *_: (_ for _ in ()).throw(InputError("no store")))
    assert status_of(work / "run").wrong == ("no store",)
