"""Inputs that lie in a store: fetched once, read as files are, and refused where they were replaced."""

import json

import pytest

import ullage
from ullage.copies import fetch
from ullage.errors import InputError, SpecError
from ullage.files import COPIES
from ullage.records.folder import RunFolder
from ullage.store import Store

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


@pytest.fixture
def work(tmp_path):
    (tmp_path / "script.jsonl").write_bytes(lines(SCRIPT))
    (tmp_path / "records.jsonl").write_bytes(lines(records(10)))
    return tmp_path


def run(work, name, given):
    ullage.run(ullage.load(given), work / name, base=work, quiet=True)
    return {each: (work / name / each).read_bytes() for each in ROWS}


def test_results_of_an_input_in_a_store_are_those_of_the_file(work, s3):
    Store(f"{s3}/in").put(work / "records.jsonl", "records.jsonl")
    url = f"{s3}/in/records.jsonl"
    wanted = run(work, "file", workload("records.jsonl"))
    assert run(work, "whole", workload(url)) == wanted
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


def test_an_input_that_was_replaced_is_refused_when_the_run_goes_on(work, memory, monkeypatch):
    from ullage.workloads import partitioned

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
