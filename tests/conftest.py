"""What every test stands on: an empty home for Ullage and the hub, one thread, laws without chance."""

import contextlib
import gc
import os
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

OUTSIDE = (
    "XDG_DATA_HOME",
    "HF_HUB_CACHE",
    "HF_DATASETS_CACHE",
    "HF_TOKEN",
    "OPENAI_API_KEY",
    "ULLAGE_HASH_KEY",
    "ULLAGE_DEBUG",
)
"""What a developer's shell may hold, and no test may depend on."""

for _name in OUTSIDE:
    os.environ.pop(_name, None)
# Before the first import of huggingface_hub, which reads it once; commands that tests start inherit it.
_BASE = tempfile.TemporaryDirectory(prefix="ullage-tests-")
os.environ["HF_HOME"] = str(Path(_BASE.name) / "hub")
os.environ["ULLAGE_HOME"] = str(Path(_BASE.name) / "home")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Test processes run side by side: threads of small matrix products would only wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")

settings.register_profile("same", derandomize=True, deadline=None, database=None)
settings.register_profile(
    "attack", deadline=None, max_examples=2000, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("same")


def pytest_addoption(parser):
    parser.addoption(
        "--long", action="store_true", help="all cases of tests marked long, which take most time"
    )


def pytest_collection_modifyitems(config, items):
    """Of a test marked `long` its first case alone, and none of one without cases: `make attack` has all of
    them. One that is asked for by its name is done whole."""
    if config.getoption("--long") or any("::" in each for each in config.args):
        return
    kept, left, begun = [], [], set()
    for item in items:
        name = item.nodeid.partition("[")[0]
        long = item.get_closest_marker("long") is not None
        later = long and (name in begun or not hasattr(item, "callspec"))
        (left if later else kept).append(item)
        begun.add(name)
    items[:] = kept
    config.hook.pytest_deselected(items=left)


@pytest.fixture(autouse=True, scope="module")
def frozen():
    """A run gives memory back by full collections, which need not look through all tests and libraries: what
    is there before a file's tests is left out of them."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="module")
def home_of_the_module(tmp_path_factory):
    """What a file's fixtures run leaves no evidence for another file's plans."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ULLAGE_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(autouse=True)
def own_home(home_of_the_module, tmp_path_factory, monkeypatch):
    """Runs of one test leave no evidence for another's plans."""
    monkeypatch.setenv("ULLAGE_HOME", str(tmp_path_factory.mktemp("home")))


@pytest.fixture
def bounded():
    """`with bounded(most)`: work of at most so many calls, Python's and C's; one more fails on the spot.

    What grows with the input is told by its count, whatever the machine is doing beside it.
    """

    @contextlib.contextmanager
    def within(most):
        calls = 0

        def count(frame, event, argument):
            nonlocal calls
            calls += event in ("call", "c_call")
            if calls > most:
                sys.setprofile(None)
                raise AssertionError(f"more than {most} calls")

        sys.setprofile(count)
        try:
            yield
        finally:
            sys.setprofile(None)

    return within


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory):
    """A small Llama with its tokenizer, as a hub snapshot holds them."""
    import small_models

    return small_models.save(tmp_path_factory.mktemp("models") / "llama", "llama", hidden=64, layers=4)


@pytest.fixture(scope="session")
def artist_folder(tmp_path_factory):
    """A small Flux pipeline, as a hub snapshot holds one."""
    pytest.importorskip("diffusers")
    from ullage.engines.small import make_small

    return make_small("artist", tmp_path_factory.mktemp("models") / "artist")


@pytest.fixture(scope="session")
def perception_folder(tmp_path_factory):
    """A small LLaVA-NeXT, as a hub snapshot holds one."""
    from ullage.engines.small import make_small

    return make_small("perception", tmp_path_factory.mktemp("models") / "perception")


@pytest.fixture(scope="session")
def forks():
    """Runs commands of Ullage that may be killed, each in a process of its own that need not import torch."""
    from forks import Forks

    forks = Forks()
    yield forks
    forks.close()
