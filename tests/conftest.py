import os

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Test processes run side by side: threads of small matrix products would only wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True)
def own_evidence(tmp_path_factory, monkeypatch):
    """Runs of one test leave no evidence for another's plans."""
    monkeypatch.setenv("ULLAGE_HOME", str(tmp_path_factory.mktemp("home")))


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory):
    """A small Llama with its tokenizer, as a hub snapshot holds them."""
    import small_models

    return small_models.save(tmp_path_factory.mktemp("models") / "llama", "llama", hidden=64, layers=4)
