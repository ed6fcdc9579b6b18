"""Libraries tried out in processes of their own: whatever one does is told, and nothing else breaks."""

import made_machines
import pytest
from made_machines import BROKEN, library

from ullage.facts.health.cards import Cards
from ullage.facts.health.library_findings import findings_of_libraries
from ullage.runtime.health import asking
from ullage.runtime.health.asking import try_libraries, versions


@pytest.fixture
def path(tmp_path, monkeypatch):
    """A folder before all others on the path; what is not put there is not looked at."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(asking, "PACKAGES", dict(asking.PACKAGES))
    for name in [*asking.PACKAGES]:
        if name != "torch":
            del asking.PACKAGES[name]
    return tmp_path


def put(path, name, code, version="1.0"):
    package = name.replace("_", "-")
    asking.PACKAGES[name] = package
    library(path, name, code, version, package)


def finding(tried, about):
    (found,) = [each for each in findings_of_libraries(tried, Cards()) if each.about == about]
    return found


def test_a_torchvision_of_another_torch_is_named_beside_the_torch_that_is_here(path):
    """With this machine's own torch, which refuses the registration as it does the real one's."""
    import torch

    put(path, "torchvision", BROKEN["torchvision"], "0.28.0")
    tried = try_libraries()
    assert tried["torchvision"].problem == "RuntimeError: operator torchvision::nms does not exist"
    assert tried["torch"].problem == ""
    assert tried["torch"].torch.cuda == (torch.version.cuda or "")
    found = finding(tried, "torchvision")
    assert found.state == "problem"
    assert f"0.28.0 is not built for torch {torch.__version__}" in found.said
    assert "operator torchvision::nms does not exist" in found.said
    assert "Could not import module CLIPImageProcessor" in found.said
    assert "pip uninstall torchvision" in found.todo


def test_a_flash_attention_and_a_bitsandbytes_of_another_torch_are_told_with_their_own_words(path):
    made_machines.torch(path, cards=1)
    put(path, "flash_attn", BROKEN["flash_attn"], "2.8.3")
    put(path, "bitsandbytes", BROKEN["bitsandbytes"], "0.50.2")
    tried = try_libraries()
    flash = finding(tried, "flash-attn")
    assert "undefined symbol: _ZN3c104cuda9SetDeviceEi" in flash.said
    assert "--no-build-isolation" in flash.todo
    bits = finding(tried, "bitsandbytes")
    assert bits.state == "problem"
    assert "RuntimeError: CUDA Setup failed despite GPU being available. Please run" in bits.said
    assert "python -m bitsandbytes" in bits.todo


@pytest.mark.long
@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import os; os._exit(3)", "ended with exit code 3"),
        ("import os; os.kill(os.getpid(), 11)", "ended by signal 11"),
        ("import time; time.sleep(600)", "did not end within 4 seconds"),
        ("raise SystemExit('no')", "ended with exit code 1"),
        ("raise ValueError('a\\nb') from OSError('c')", "ValueError: a b <- OSError: c"),
        ("def f(): f()\nf()", "RecursionError"),
    ],
)
def test_a_library_that_crashes_hangs_or_raises_whatever_is_told_and_the_others_are_tried(path, code, said):
    made_machines.torch(path)
    put(path, "flash_attn", code)
    tried = try_libraries(longest=4)
    assert said in tried["flash_attn"].problem
    assert tried["torch"].problem == ""


def test_what_a_library_prints_is_none_of_the_answer(path):
    made_machines.torch(path)
    put(path, "flash_attn", "print('{}')\nimport os; os.system('echo noise')\nflash_attn_func = 1\n")
    assert try_libraries()["flash_attn"].problem == ""


def test_a_hub_is_not_asked_by_what_is_tried(path):
    made_machines.torch(path)
    put(path, "flash_attn", "import os\nraise ValueError(os.environ['HF_HUB_OFFLINE'])")
    assert try_libraries()["flash_attn"].problem == "ValueError: 1"


def test_copies_to_each_card_are_timed_from_memory_that_is_pinned_and_not(path):
    made_machines.torch(path, cards=2)
    torch = try_libraries()["torch"].torch
    assert [card.index for card in torch.cards] == [0, 1]
    for card in torch.cards:
        assert 1e9 < card.copies.pageable < card.copies.pinned < 14e9
        assert card.capability == (8, 6)


def test_a_card_on_which_nothing_can_be_computed_is_told_in_cudas_words(path):
    problem = "CUDA error: no kernel image is available for execution on the device"
    made_machines.torch(path, cards=1, problem=problem)
    (card,) = try_libraries()["torch"].torch.cards
    assert card.problem == f"RuntimeError: {problem}"
    assert card.copies is None


def test_a_torch_whose_driver_is_too_old_says_why_it_sees_no_card(path):
    made_machines.torch(path)
    assert "The NVIDIA driver on your system is too old" in try_libraries()["torch"].torch.problem


def test_versions_alone_are_read_without_trying_anything(path):
    made_machines.torch(path)
    put(path, "flash_attn", "raise ValueError", "2.8.3")
    found = versions()["flash_attn"]
    assert (found.version, found.problem, found.seconds) == ("2.8.3", "", 0.0)


def test_bitsandbytes_that_is_here_quantizes_on_the_processor(monkeypatch):
    if not asking.installed("bitsandbytes"):
        pytest.skip("bitsandbytes is not installed")
    monkeypatch.setattr(asking, "PACKAGES", {"bitsandbytes": "bitsandbytes"})
    found = try_libraries(longest=600)["bitsandbytes"]
    assert (found.problem, found.works_on[0]) == ("", "cpu")
