"""What is found out about nodes before a run on them, and what is told of it."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest

import ullage
from ullage.errors import InputError
from ullage.records.parts import Parts
from ullage.scale import looking
from ullage.scale.looking import Asked, ends_of, look, source_of, version_of
from ullage.scale.nodes import Node, asked_of, check_nodes, told

NODE = "a1" * 14


@pytest.fixture
def asked(tmp_path):
    folder, file = tmp_path / "nodes", tmp_path / "records.jsonl"
    folder.mkdir()
    (folder / "token").write_text("token")
    file.write_bytes(b"x" * (3 * looking.END_BYTES))
    return Asked(
        {"ullage": version_of("ullage"), "torch": version_of("torch")},
        source_of("ullage"),
        {"json": "json"},
        {str(file): ends_of(str(file))},
        str(folder),
        "token",
    )


def test_a_node_that_has_all_leaves_its_name_and_finds_nothing_wrong(asked, tmp_path):
    assert look(asked, NODE) == []
    assert (tmp_path / "nodes" / f"token.{NODE}").read_text() == NODE


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"versions": {"ullage": "9.9"}}, r"^ullage is \S+ there and 9.9 here; install the same$"),
        (
            {"versions": {"ullage": version_of("ullage"), "no-such": "1"}},
            "^no-such 1 is not installed there$",
        ),
        ({"source": "0"}, "^ullage .* there is other code than here"),
        ({"modules": {"vllmm": "ullage[vllm]"}}, r'pip install "ullage\[vllm\]"'),
        ({"folder": "/nowhere"}, "^does not see the run's folder /nowhere; have it on a disk"),
        ({"token": "another"}, "^does not see the run's folder"),
        ({"files": {"/nowhere/at/all": "1:0"}}, "^does not see /nowhere/at/all: No such file"),
        ({"files": {__file__: "1:0"}}, "^/.*test_nodes.py is another file there than here"),
    ],
)
def test_what_is_wrong_there_is_one_line(asked, change, said):
    (line,) = look(dataclasses.replace(asked, **change), NODE)
    assert re.search(said, line), line


def test_a_folder_that_a_node_cannot_write_in_is_told(asked):
    (line,) = look(asked, "no/such")
    assert line.startswith("cannot write in the run's folder")


@pytest.mark.parametrize("place", [0, 3 * looking.END_BYTES - 1])
def test_either_end_of_a_file_and_its_size_tell_it_from_another(tmp_path, place):
    file = tmp_path / "file"
    whole = bytearray(3 * looking.END_BYTES)
    file.write_bytes(whole)
    before = ends_of(str(file))
    whole[place] = 1
    file.write_bytes(whole)
    assert ends_of(str(file)) != before
    file.write_bytes(bytes(len(whole) + 1))
    assert ends_of(str(file)) != before


def test_a_build_of_the_same_release_is_the_same(monkeypatch):
    monkeypatch.setattr(looking.metadata, "version", lambda name: "2.13.0+cpu")
    assert version_of("torch") == "2.13.0"


def test_what_is_sent_to_nodes_needs_the_standard_library_alone():
    """It is run there where Ullage may be missing: nothing that its module imports is of a package."""
    code = (
        "import sys, importlib.util as u; before = set(sys.modules)\n"
        f"s = u.spec_from_file_location('looking', {looking.__file__!r}); m = u.module_from_spec(s)\n"
        "sys.modules['looking'] = m; s.loader.exec_module(m)\n"
        "new = {n.split('.')[0] for n in set(sys.modules) - before} - {'looking'}\n"
        "print(sorted(n for n in new if n not in sys.stdlib_module_names))"
    )
    found = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_the_same_of_many_nodes_is_one_line():
    nodes = [Node(f"{at:08x}ff", f"host-{at}", {}) for at in range(5)]
    lines = list(told([*((node, "is too old") for node in nodes), (nodes[0], "is full")]))
    assert lines == [
        "nodes host-0 (00000000), host-1 (00000001), host-2 (00000002) and 2 more: is too old",
        "node host-0 (00000000): is full",
    ]


@pytest.mark.parametrize("there", [("a", "b"), ("a",)])
def test_a_node_that_is_lost_while_it_is_asked_is_no_obstacle(monkeypatch, asked, there):
    def get(task):
        if task == "b":
            raise RuntimeError("its node has died")
        return []

    sent = SimpleNamespace(
        options=lambda scheduling_strategy, **_: SimpleNamespace(remote=scheduling_strategy)
    )
    pickling = SimpleNamespace(
        register_pickle_by_value=lambda module: None, unregister_pickle_by_value=lambda module: None
    )
    fake = SimpleNamespace(
        cloudpickle=pickling,
        remote=lambda function: sent,
        wait=lambda tasks, **_: (tasks, []),
        get=get,
        nodes=lambda: [{"NodeID": each, "Alive": each in there} for each in "ab"],
    )
    placed = SimpleNamespace(NodeAffinitySchedulingStrategy=lambda node, soft: lambda *given: node)
    monkeypatch.setitem(sys.modules, "ray", fake)
    monkeypatch.setitem(sys.modules, "ray.util", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "ray.util.scheduling_strategies", placed)
    nodes, apart = [Node("a", "one", {}), Node("b", "two", {})], dataclasses.replace(asked, folder="")
    if "b" not in there:
        check_nodes(nodes, apart, "ray")
        return
    with pytest.raises(InputError, match=r"node two \(b\): could not be asked: its node has died"):
        check_nodes(nodes, apart, "ray")


def test_a_cluster_of_another_ray_is_one_line_that_says_both(monkeypatch):
    ray = pytest.importorskip("ray")
    from ray._private.utils import check_version_info

    from ullage.scale.cluster import _connect

    def refuse(**_):
        check_version_info({"ray_version": "2.1.0", "python_version": "3.9.1"}, "node 10.0.0.1")

    monkeypatch.setattr(ray, "init", refuse)
    with pytest.raises(InputError, match=r"it runs Ray 2\.1\.0 on Python 3\.9\.1, and this is Ray") as raised:
        _connect("ray")
    assert "\n" not in str(raised.value)


def test_what_speaks_to_the_stores_of_a_run_is_asked_of_every_node(tmp_path):
    """Not of the driver alone: a node without it would say so when its actor opens, once the input is cut."""
    given = {
        "kind": "pii",
        "roles": {"verifier": {"model": "script.jsonl", "engine": "scripted"}},
        "pii": {"input": "records.jsonl"},
        "partition": {"store": "s3://bucket/runs"},
    }
    for name in ("script.jsonl", "records.jsonl"):
        (tmp_path / name).write_text("{}")
    session = SimpleNamespace(
        workload=ullage.load(given), plan=SimpleNamespace(roles={}, base=tmp_path), download=False
    )
    assert asked_of(session, Parts(tmp_path / "run")).modules == {"s3fs": "ullage[storage]"}
