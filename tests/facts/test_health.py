"""What is found about a machine: its cards by their driver, its memory and disks, its installed extras."""

import sys
import tomllib
from pathlib import Path

import made_machines
import pytest
from made_machines import A6000, PASCAL, Nvml

from ullage.facts.health.card_findings import findings_of_cards, has_kernels
from ullage.facts.health.cards import read_cards
from ullage.facts.health.extras import Extra, Package, findings_of_extras, read_extras
from ullage.facts.health.host import memory_limit, read_host
from ullage.facts.health.host_findings import findings_of_host
from ullage.facts.health.library_findings import findings_of_libraries
from ullage.facts.health.tried import Copies, Seen, Torch, Tried
from ullage.facts.machine import processor

ROOT = Path(__file__).parents[2]
GIB = 2**30


@pytest.fixture
def nvml(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def put(*cards, **said):
        monkeypatch.setitem(sys.modules, "pynvml", Nvml(*cards, **said))

    return put


def torch(kernels=("sm_80", "sm_86"), cards=(), cuda="12.8", problem=""):
    return Tried("torch", "2.11.0", 1.0, torch=Torch(cuda, "", tuple(kernels), tuple(cards), problem))


def states(findings):
    return [(each.about, each.state) for each in findings]


def said(findings, about, state):
    (found,) = [each for each in findings if (each.about, each.state) == (about, state)]
    return f"{found.said} -> {found.todo}"


def test_two_cards_joined_by_nvlink_are_told_with_their_links(nvml):
    nvml(A6000 | {"links": 4}, A6000 | {"links": 4})
    cards = read_cards()
    assert (cards.driver, cards.cuda, cards.problem) == ("570.86.15", (12, 8), "")
    assert [(card.name, card.nvlinks, card.capability) for card in cards.cards] == [
        ("NVIDIA RTX A6000", 4, (8, 6))
    ] * 2
    (pair,) = cards.pairs
    assert (pair.way, pair.nvlink, pair.peer) == ("one PCIe host bridge", True, True)
    findings = [*findings_of_cards(cards, torch())]
    assert all(each.state == "ok" for each in findings)
    assert "NVLink (else by one PCIe host bridge)" in said(findings, "gpu 0 and 1", "ok")
    assert any("4 NVLinks are active" in each.said for each in findings)
    assert any(
        "PCIe 1 x16 of PCIe 4 x16 (an idle card slows its link down)" in each.said for each in findings
    )


def test_cards_without_a_link_of_their_own_that_cannot_read_each_other_pass_through_the_host(nvml):
    nvml(A6000, A6000, peer=False, width=8)
    findings = [*findings_of_cards(read_cards(), torch())]
    assert "goes through the host" in said(findings, "gpu 0 and 1", "note")
    assert "fewer lanes than it could have" in said(findings, "gpu 0", "note")


def test_a_card_that_programs_do_not_see_says_so(nvml, monkeypatch):
    nvml(A6000, A6000)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    cards = read_cards()
    assert [card.visible for card in cards.cards] == [False, True]
    assert "is hidden from programs here" in said(findings_of_cards(cards, None), "gpu 0", "note")


@pytest.mark.parametrize(
    ("error", "broken", "what"),
    [
        ((12, "NVML Shared Library Not Found"), False, "no NVIDIA driver"),
        ((9, "Driver Not Loaded"), False, "no NVIDIA driver"),
        ((18, "RM has detected an NVML/RM version mismatch."), True, "restart the machine"),
        ((999, "Unknown Error"), True, "Unknown Error"),
    ],
)
def test_a_driver_that_is_not_here_is_no_problem_and_one_that_does_not_answer_is(nvml, error, broken, what):
    nvml(A6000, error=error)
    cards = read_cards()
    assert cards.broken is broken
    (found,) = findings_of_cards(cards, torch())
    assert found.state == ("problem" if broken else "note")
    assert what in found.said


def test_without_nvml_itself_there_is_a_line_that_says_what_brings_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert 'pip install "ullage[run]"' in read_cards().problem


@pytest.mark.parametrize(
    ("kernels", "capability", "runs"),
    [
        (["sm_80", "sm_86"], (8, 6), True),
        (["sm_80"], (8, 9), True),  # a cubin runs on later minor numbers of its own major one
        (["sm_86"], (8, 0), False),
        (["sm_75", "sm_80", "sm_90"], (6, 1), False),
        (["sm_75", "sm_80", "sm_90"], (12, 0), False),
        (["sm_75", "compute_90"], (12, 0), True),  # PTX is compiled for it when it is first used
        (["sm_90a"], (9, 0), True),
        (["sm_90a"], (10, 0), False),
        (["sm_100", "sm_120"], (12, 1), True),
        ([], (8, 0), False),
        (["gfx90a", "nonsense"], (9, 0), False),
    ],
)
def test_a_build_of_torch_has_kernels_for_a_card_or_none(kernels, capability, runs):
    assert has_kernels(tuple(kernels), capability) is runs


def test_a_card_that_torch_has_no_kernels_for_is_told_in_the_words_that_would_come(nvml):
    nvml(PASCAL)
    findings = [*findings_of_cards(read_cards(), torch(["sm_75", "sm_80"]))]
    told = said(findings, "gpu 0", "problem")
    assert "no kernels for compute capability 6.1, only sm_75 sm_80" in told
    assert "no kernel image is available for execution on the device" in told
    assert "older cards are in builds for older versions of CUDA" in told


@pytest.mark.parametrize(
    ("build", "driver", "what"),
    [
        (torch(cuda=""), 12080, "built for processors alone"),
        (torch(cuda="13.0"), 12080, "built for CUDA 13.0, and the driver speaks 12.8 at most"),
        (torch(problem="RuntimeError: No CUDA GPUs are available"), 13000, "sees no card: RuntimeError: No"),
    ],
)
def test_a_torch_that_does_not_go_with_the_driver_is_a_problem(nvml, build, driver, what):
    nvml(A6000, cuda=driver)
    assert what in said(findings_of_cards(read_cards(), build), "torch", "problem")


def test_a_driver_of_the_same_major_number_takes_what_a_later_minor_one_built(nvml):
    nvml(A6000, cuda=12020)
    assert "problem" not in {each.state for each in findings_of_cards(read_cards(), torch())}


def test_measured_copies_are_held_against_what_the_link_could_carry(nvml):
    nvml(A6000, A6000)
    fast = Seen(0, A6000["name"], (8, 6), "", Copies(25e9, 9e9))
    slow = Seen(1, A6000["name"], (8, 6), "", Copies(3e9, 2e9))
    findings = [*findings_of_cards(read_cards(), torch(cards=(fast, slow)))]
    assert "25.0 GB/s from pinned host memory, 9.0 GB/s from other (measured)" in said(
        findings, "cuda:0", "ok"
    )
    assert "its link could carry 32 GB/s" in said(findings, "cuda:1", "note")
    dead = Seen(0, "a", (8, 6), "AcceleratorError: CUDA error: no kernel image is available", None)
    assert "computes nothing" in said(
        findings_of_cards(read_cards(), torch(cards=(dead,))), "cuda:0", "problem"
    )


def test_flash_attention_on_cards_that_it_does_not_run_on_is_a_note(nvml):
    nvml(PASCAL)
    tried = {"torch": torch(), "flash_attn": Tried("flash_attn", "2.8.3", 1.0)}
    found = findings_of_libraries(tried, read_cards())
    assert "no card here of compute capability 8.0" in said(found, "flash-attn", "note")


def groups(root, lines, **files):
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(lines)
    (root / "proc/meminfo").write_text("MemTotal: 67108864 kB\nMemAvailable: 33554432 kB\nSwapTotal: 0 kB\n")
    for name, text in files.items():
        path = root / "sys/fs/cgroup" / name.replace("__", "/").replace("_at_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    return root


def test_the_least_limit_of_all_groups_above_a_process_holds(tmp_path):
    root = groups(
        tmp_path,
        "0::/kube/pod/app\n",
        kube__memory_at_max="17179869184",
        kube__memory_at_current="1000",
        kube__pod__memory_at_max="max",
        kube__pod__app__memory_at_max="34359738368",
    )
    assert memory_limit(root) == (16 * GIB, 1000)
    host = read_host(root)
    assert (host.memory, host.limit) == (64 * GIB, 16 * GIB)
    assert "may take 16.00 GiB of the memory" in said(findings_of_host(host), "container", "note")


def test_inside_a_container_the_root_is_its_own_group(tmp_path):
    root = groups(tmp_path, "0::/\n", memory_at_max="8589934592")
    assert memory_limit(root)[0] == 8 * GIB


def test_the_first_control_groups_say_no_limit_by_a_number_and_a_limit_by_another(tmp_path):
    lines = "9:name=systemd:/\n4:memory:/docker/ab\n1:cpu,cpuacct:/docker/ab\n"
    free = groups(tmp_path / "free", lines, memory__memory_at_limit_in_bytes="9223372036854771712")
    assert memory_limit(free) == (None, None)
    bound = groups(tmp_path / "bound", lines, memory__docker__ab__memory_at_limit_in_bytes="4294967296")
    assert memory_limit(bound)[0] == 4 * GIB


def test_a_limit_above_the_memory_is_none(tmp_path):
    root = groups(tmp_path, "0::/\n", memory_at_max=str(1024 * GIB))
    assert read_host(root).limit is None


def test_a_system_that_tells_nothing_is_told_of(tmp_path):
    host = read_host(tmp_path)
    assert (host.memory, host.limit) == (None, None)
    assert "does not tell" in said(findings_of_host(host), "memory", "note")


def test_a_plan_for_this_machines_processor_counts_with_its_containers_limit(monkeypatch):
    monkeypatch.setattr("ullage.facts.health.host.memory_limit", lambda: (GIB, 0))
    (cpu,) = processor().gpus
    assert (cpu.usable.low, cpu.usable_source) == (GIB, "its container's limit")
    monkeypatch.setattr("ullage.facts.health.host.memory_limit", lambda: (2**50, 0))
    assert processor().gpus[0].usable.low > GIB
    assert processor().gpus[0].usable_source == "this machine's RAM"


def test_the_models_that_lie_here_and_whether_a_hub_is_asked_are_told(monkeypatch, tmp_path):
    cache = tmp_path / "hub" / "models--a--b"
    (cache / "blobs").mkdir(parents=True)
    (cache / "blobs/one").write_bytes(bytes(3 * 2**20))
    (cache / "snapshots/c").mkdir(parents=True)
    (cache / "snapshots/c/model.safetensors").symlink_to("../../blobs/one")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    host = read_host()
    assert host.cache.held == 3 * 2**20
    findings = [*findings_of_host(host)]
    assert "HF_HUB_OFFLINE is set; a token is given" in said(findings, "hub", "note")
    assert "hf_secret" not in "".join(each.said + each.todo for each in findings)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    assert said(findings_of_host(read_host()), "hub", "ok")


def test_every_extra_of_the_project_is_read_with_its_packages_and_has_a_purpose():
    with (ROOT / "pyproject.toml").open("rb") as file:
        stated = tomllib.load(file)["project"]["optional-dependencies"]
    extras = {extra.name: extra for extra in read_extras()}
    assert set(extras) == set(stated)
    assert all(extra.purpose for extra in extras.values())
    for name, packages in stated.items():
        wanted = {each.partition(">=")[0].replace("_", "-"): each.partition(">=")[2] for each in packages}
        assert {each.name: each.least for each in extras[name].packages} == wanted


def test_what_is_missing_or_too_old_says_how_to_install_it():
    extras = (
        Extra("a", "this", (Package("one", "2.11.0+cpu", "2.11"), Package("two", None, "1"))),
        Extra("b", "that", (Package("one", "2.9.1", "2.11"),)),
        Extra("c", "more", (Package("one", "2.11rc1", "2.11"),)),
    )
    missing, old, right = findings_of_extras(extras)
    assert (missing.state, missing.todo) == ("note", 'pip install "ullage[a]"')
    assert "two not installed; there is one 2.11.0+cpu" in missing.said
    assert "one 2.9.1 is older than 2.11" in old.said
    assert old.todo.endswith("--upgrade")
    assert right.state == "ok"


def test_the_made_machine_is_as_the_binding_is():
    """The binding has every function that is asked of it, by the names used here."""
    pynvml = pytest.importorskip("pynvml")
    for name in vars(made_machines.Nvml):
        if name.startswith("nvml"):
            assert hasattr(pynvml, name), name
