"""Models that lie in a store: planned from their headers, fetched whole to be loaded, never as pickles."""

import pytest

import ullage
from ullage.errors import FormatError, InputError
from ullage.facts.bundled import tiny_path
from ullage.facts.model import open_model
from ullage.facts.stored_model import fetch_model, see_model
from ullage.files import COPIES
from ullage.records.folder import RunFolder
from ullage.runtime.source import source_of
from ullage.store import Store
from ullage.workloads.inputs import check_fetched


def put_tiny(url):
    store = Store(url)
    for path in tiny_path().iterdir():
        if path.is_file():
            store.put(path, path.name)
    store.put_new(b"print()", "modeling_tiny.py")
    store.put_new(b"pickled", "pytorch_model.bin")
    return url


def test_a_plan_reads_headers_and_no_weights(s3, monkeypatch):
    url = put_tiny(f"{s3}/models/tiny")
    monkeypatch.setattr(Store, "get", lambda *_: pytest.fail("a plan fetches no whole file"))
    found, here = open_model(url), open_model(str(tiny_path()))
    assert found.checkpoint.bytes == here.checkpoint.bytes
    assert found.parameters == here.parameters
    assert found.name == "tiny"
    workload = {"kind": "extract", "roles": {"model": {"model": url}}, "extract": {"input": "none.jsonl"}}
    (stored,) = [each for each in ullage.plan(ullage.load(workload), "cpu").stored if each.fetched]
    assert stored.bytes.expected == here.checkpoint.bytes


def test_a_run_loads_what_the_folder_holds_and_an_actor_refuses_it_replaced(memory, tmp_path):
    url = put_tiny(f"{memory}/tiny")
    (tmp_path / "records.jsonl").write_text('{"text": "one two"}\n')
    given = {
        "kind": "extract",
        "roles": {"model": {"model": url}},
        "budget": {"gpus": "cpu"},
        "captures": [{"sites": ["blocks.0.hook_resid_post"]}],
        "extract": {"input": "records.jsonl"},
    }
    workload, out = ullage.load(given), tmp_path / "run"
    ullage.run(workload, out, base=tmp_path, quiet=True, download=True)
    fetched = {path.name: path.read_bytes() for path in COPIES[url].iterdir()}
    assert fetched.keys() >= {"config.json", "model.safetensors", "tokenizer.json"}
    assert not fetched.keys() & {"modeling_tiny.py", "pytorch_model.bin"}
    assert all((tiny_path() / name).read_bytes() == data for name, data in fetched.items())
    manifest = RunFolder(out).manifest()
    parts = {each["part"] for each in manifest.inputs if "etag" in each}
    assert parts == fetched.keys()
    check_fetched(workload, manifest.inputs)
    Store(url).remove("config.json")
    Store(url).put_new(fetched["config.json"] + b" ", "config.json")
    with pytest.raises(InputError, match=r"memory://somewhere/tiny: was replaced since this run began"):
        check_fetched(workload, manifest.inputs)


def test_a_model_is_fetched_where_that_was_asked_for_and_each_content_apart(memory):
    url = put_tiny(f"{memory}/tiny")
    with pytest.raises(InputError, match=r"is not here; add --download to fetch its [\d,]+ bytes"):
        source_of(url, None, download=False)
    before = source_of(url, None, download=True)
    assert source_of(url, None, download=False) == before
    Store(url).remove("README.md")
    assert source_of(url, None, download=False) == before, "nothing of it is read"
    Store(url).remove("config.json")
    Store(url).put_new((tiny_path() / "config.json").read_bytes() + b" ", "config.json")
    assert source_of(url, None, download=True) != before


def test_pickles_nothing_and_a_model_that_changes_under_way_are_one_line(memory, tmp_path, monkeypatch):
    store = Store(f"{memory}/pickled")
    store.put_new(b"{}", "config.json")
    store.put_new(b"pickled", "pytorch_model.bin")
    with pytest.raises(FormatError, match="no weights in safetensors"):
        fetch_model(store.url, True)
    with pytest.raises(InputError, match="no such model"):
        see_model(f"{memory}/none")
    url, get = put_tiny(f"{memory}/tiny"), Store.get

    def replaced(self, key, path):
        found = get(self, key, path)
        self.remove("config.json")
        self.put_new(b"{}", "config.json")
        return found

    monkeypatch.setattr(Store, "get", replaced)
    with pytest.raises(InputError, match="was replaced while it was read"):
        fetch_model(url, True)
    assert url not in COPIES
