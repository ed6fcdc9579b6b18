"""A store that answers as S3 does: moto's server, in a thread of the tests' process."""

import os

import pytest

from ullage import store
from ullage.files import COPIES

for _name in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[_name]


@pytest.fixture(scope="session")
def server():
    server = pytest.importorskip("moto.server", reason="moto is not installed: make .venv/dev")
    pytest.importorskip("s3fs", reason="s3fs is not installed: pip install 'ullage[storage]'")
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    """Nothing is waited for, no credentials are found, and no copy is left by another test."""
    monkeypatch.setattr(store, "WAITS", [0.0, 0.0])
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    COPIES.clear()
    yield
    COPIES.clear()


@pytest.fixture
def s3(server, monkeypatch):
    """The URL of an empty bucket."""
    import fsspec

    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    files = fsspec.filesystem("s3", skip_instance_cache=True)
    if files.exists("bucket"):
        files.rm("bucket", recursive=True)
    files.mkdir("bucket")
    return "s3://bucket"


@pytest.fixture(params=["s3", "file", "memory"])
def home(request, tmp_path):
    """A URL under which nothing is, in each kind of store."""
    if request.param == "s3":
        yield f"{request.getfixturevalue('s3')}/somewhere"
    elif request.param == "file":
        yield f"file://{tmp_path}/somewhere"
    else:
        yield request.getfixturevalue("memory")


@pytest.fixture
def memory():
    """The same, in the memory of this process."""
    import fsspec

    yield "memory://somewhere"
    files = fsspec.filesystem("memory")
    files.store.clear()
    files.pseudo_dirs[:] = [""]
