"""Where partitions are carried: addresses, and what an actor takes of a node."""

import socket
import sys
import threading
import time
from types import SimpleNamespace

import pytest

import ullage
from ullage.errors import InputError
from ullage.scale import cluster
from ullage.scale.share import Share

WORK = {
    "kind": "pii",
    "roles": {"verifier": {"model": "development", "engine": "scripted"}},
    "budget": {"gpus": "cpu"},
    "pii": {"input": "records.jsonl"},
}
ADDRESSES = [
    ("ray://127.0.0.1:10001", "Ray's client keeps no actor for a job"),
    ("somewhere", "is neither local, ray nor HOST:PORT"),
    ("http://127.0.0.1:80", "is neither local, ray nor HOST:PORT"),
    ("127.0.0.1:", "is neither local, ray nor HOST:PORT"),
]


@pytest.mark.parametrize("address, said", ADDRESSES, ids=[address for address, _ in ADDRESSES])
def test_an_address_that_is_none_is_refused_in_a_line(tmp_path, address, said):
    with pytest.raises(InputError, match=said) as raised:
        ullage.run(ullage.load(WORK), tmp_path / "run", base=tmp_path, on=address)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "run").exists()


def test_a_node_has_room_for_as_many_actors_as_its_scarcest_resource():
    share = Share(cpus=2, gpus=1, memory=100)
    assert share.fits({"CPU": 9.0, "GPU": 8.0, "memory": 1000.0}) == 4
    assert share.fits({"CPU": 9.0, "GPU": 1.0, "memory": 1000.0}) == 1
    assert share.fits({"CPU": 9.0, "GPU": 8.0, "memory": 99.0}) == 0
    assert share.fits({"CPU": 9.0, "memory": 1000.0}) == 0
    assert Share(cpus=1, gpus=0, memory=0).fits({"CPU": 1.5}) == 1
    assert Share(cpus=1, gpus=0, memory=0).fits({"CPU": 0.5}) == 0


@pytest.mark.parametrize("sharing", range(2, 65))
def test_as_many_actors_as_share_a_card_fit_it_and_no_more(sharing):
    share = Share(cpus=1, gpus=1, memory=0, sharing=sharing)
    ten_thousandths = round(share.ray_gpus * 10_000)
    assert sharing * ten_thousandths <= 10_000 < (sharing + 1) * ten_thousandths
    assert share.fits({"CPU": 1000.0, "GPU": 3.0}) == 3 * sharing


def test_a_cluster_that_does_not_answer_is_one_line_at_once():
    pytest.importorskip("ray")
    from ullage.scale.cluster import _connect

    with pytest.raises(InputError, match="no Ray cluster can be used there") as raised:
        _connect("127.0.0.1:1")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1:1", "[::1]:1", "host:port", "ray://127.0.0.1:10001", "http://127.0.0.1:8265", "local"],
)
def test_an_address_of_the_environment_that_is_none_is_one_line_at_once(monkeypatch, address):
    pytest.importorskip("ray")
    from ullage.scale.cluster import _connect

    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(InputError) as raised:
        _connect("ray")
    assert str(raised.value).startswith(f"--on ray (RAY_ADDRESS is {address}): ")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("said", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"", None])
def test_a_port_where_something_else_listens_is_one_line_at_once(monkeypatch, said):
    pytest.importorskip("ray")
    monkeypatch.setattr(cluster, "ANSWER_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            there, _ = server.accept()
            there.recv(100)
            if said is None:
                time.sleep(0.5)
            else:
                there.sendall(said)
            there.close()

        answering = threading.Thread(target=answer)
        answering.start()
        with pytest.raises(InputError, match=r"no head of a Ray cluster|timed out") as raised:
            cluster._connect(f"127.0.0.1:{server.getsockname()[1]}")
        answering.join()
    assert "\n" not in str(raised.value)


def test_a_program_that_is_of_a_cluster_already_stays_so(monkeypatch):
    from ullage.scale.cluster import _connect

    context = SimpleNamespace(gcs_address="10.0.0.1:6379")
    here = SimpleNamespace(is_initialized=lambda: True, get_runtime_context=lambda: context)
    monkeypatch.setitem(sys.modules, "ray", here)
    assert _connect("ray") is False
    assert _connect("10.0.0.1:6379") is False
    with pytest.raises(InputError, match=r"connected to the Ray cluster at 10\.0\.0\.1:6379 already"):
        _connect("10.0.0.2:6379")
