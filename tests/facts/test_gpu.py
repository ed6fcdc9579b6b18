import os
import sys
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ullage.errors import InputError, UnknownNameError
from ullage.facts.gpu_catalog import find_gpu, gpu_names
from ullage.facts.gpu_set import parse_gpu_set
from ullage.units import GIB


@pytest.mark.parametrize(
    ("name", "id_"),
    [
        ("A100-80GB", "A100-SXM4-80GB"),
        ("a100", "A100-SXM4-80GB"),
        ("NVIDIA A100 40GB", "A100-SXM4-40GB"),
        ("H100-80GB", "H100-SXM5-80GB"),
        ("4090", "GeForce RTX 4090"),
        ("rtx-a6000", "RTX A6000"),
        ("Tesla T4", "T4"),
        ("AMD Instinct MI300X", "MI300X"),
    ],
)
def test_cards_are_found_by_the_names_people_use(name, id_):
    assert find_gpu(name).id == id_


@pytest.mark.parametrize("name", gpu_names())
def test_usable_memory_is_less_than_the_marketing_size(name):
    gpu = find_gpu(name)
    assert 0 < gpu.usable.low <= gpu.usable.expected <= gpu.usable.high
    assert find_gpu(name.lower()) is gpu or find_gpu(name.lower()) == gpu
    assert gpu.bandwidth is None or gpu.bandwidth > 0
    assert gpu.pcie > 0 if not gpu.abilities.unified else gpu.pcie is None
    assert gpu.operations is None or gpu.operations.per_second > 1e12


def test_an_80_gb_card_has_79_gib():
    assert 79 * GIB < find_gpu("A100-80GB").usable.low < 79.5 * GIB


def test_sets_may_be_mixed():
    assert parse_gpu_set("1xA100-80GB+2xL4").name == "1x A100-SXM4-80GB + 2x L4"
    assert parse_gpu_set("T4, L4").abilities == find_gpu("T4").abilities


def test_a_set_can_what_its_weakest_card_can():
    assert parse_gpu_set("A100").abilities.names == ("bf16", "fp16", "flash")
    assert parse_gpu_set("A100+T4").abilities.names == ("fp16",)
    assert parse_gpu_set("GTX 1080 Ti+A100").abilities.names == ("fp16",)
    assert parse_gpu_set("cpu").abilities.processor
    assert not parse_gpu_set("MI300X").abilities.processor


def test_what_no_source_states_of_a_card_is_left_open():
    unknown = {name for name in gpu_names() if find_gpu(name).operations is None}
    assert unknown >= {
        "P100-PCIE-16GB",
        "GeForce GTX 1080 Ti",
        "GeForce GTX 1650",
        "GeForce GTX 1660",
        "DGX Spark GB10",
        "L20",
        "Apple M2 Max 64GB",
    }
    assert all("operations per second" in find_gpu(name).unknown for name in unknown)
    assert find_gpu("RTX 4090 Laptop").operations.basis == "assumed"
    assert find_gpu("A100").operations.basis == find_gpu("T4").operations.basis == "derived"
    assert find_gpu("RX 7900 XTX").operations.basis == "assumed"


@pytest.mark.parametrize("name", gpu_names())
def test_a_card_has_a_cuda_number_if_it_is_nvidias(name):
    abilities = find_gpu(name).abilities
    amd = name.startswith(("MI", "RX", "Radeon"))
    apple = name.startswith("Apple")
    assert abilities.platform == ("rocm" if amd else "apple" if apple else "cuda")
    assert (abilities.capability is None) == (amd or apple)
    assert hash(abilities) == hash(find_gpu(name.lower()).abilities)


def test_no_torch_drives_cards_of_two_makers():
    with pytest.raises(InputError, match="plan them apart"):
        parse_gpu_set("A100+MI300X")


class Nvml:
    """NVML of a machine with one card."""

    nvmlMemory_v2 = 2

    def __init__(self, name, capability, running=()):
        self.name, self.capability, self.running = name, capability, running

    def nvmlInit(self):
        pass

    nvmlShutdown = nvmlInit

    def nvmlDeviceGetCount(self):
        return 1

    def nvmlDeviceGetHandleByIndex(self, index):
        return index

    def nvmlDeviceGetName(self, handle):
        return self.name

    def nvmlDeviceGetMemoryInfo(self, handle, version):
        used = sum(process.usedGpuMemory for process in self.running)
        return SimpleNamespace(total=81_559 * 2**20, reserved=500 * 2**20, used=used)

    def nvmlDeviceGetComputeRunningProcesses(self, handle):
        return self.running

    def nvmlDeviceGetCudaComputeCapability(self, handle):
        return self.capability


def local(monkeypatch, name, capability, running=()):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    nvml = Nvml(name, capability, running)
    nvml.NVMLError = OSError
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    return parse_gpu_set("local").gpus[0]


@pytest.mark.parametrize(
    ("name", "id_"),
    [
        ("NVIDIA H100 80GB HBM3", "H100-SXM5-80GB"),
        ("NVIDIA H100 PCIe", "H100-PCIE-80GB"),
        ("NVIDIA H100 NVL", "H100-NVL-94GB"),
    ],
)
def test_a_known_card_of_this_machine_has_its_own_memory_and_the_catalogs_speed(monkeypatch, name, id_):
    gpu = local(monkeypatch, name, (9, 0))
    assert gpu.id == id_
    assert (gpu.bandwidth, gpu.operations) == (find_gpu(id_).bandwidth, find_gpu(id_).operations)
    assert gpu.usable.low == gpu.usable.high == 81_059 * 2**20


def test_what_other_processes_hold_is_not_usable_and_what_this_one_holds_is(monkeypatch):
    mine = SimpleNamespace(pid=os.getpid(), usedGpuMemory=3 * 2**30)
    others = SimpleNamespace(pid=1, usedGpuMemory=5 * 2**30)
    alone = local(monkeypatch, "NVIDIA H100 80GB HBM3", (9, 0), (mine,))
    shared = local(monkeypatch, "NVIDIA H100 80GB HBM3", (9, 0), (mine, others))
    assert alone.usable.low - shared.usable.low == 5 * 2**30
    assert alone.usable.low == 81_059 * 2**20


@pytest.mark.parametrize(("name", "capability"), [("NVIDIA H100 PCIe", (10, 0)), ("NVIDIA X9000", (13, 0))])
def test_a_card_nobody_knows_borrows_no_other_cards_speed(monkeypatch, name, capability):
    gpu = local(monkeypatch, name, capability)
    assert gpu.id == name
    assert (gpu.bandwidth, gpu.operations, gpu.pcie) == (None, None, None)
    assert gpu.abilities.bf16


@pytest.mark.parametrize("text", ["", " ", "0xA100", "2x", "+", "999999xA100", "x", "-1xA100"])
def test_a_set_that_is_none_is_one_error(text):
    with pytest.raises(InputError):
        parse_gpu_set(text)


@given(st.text(max_size=20))
def test_any_text_is_a_set_or_one_error(text):
    try:
        assert parse_gpu_set(text).gpus
    except InputError as error:
        assert str(error)


def test_an_unknown_card_offers_the_nearest():
    with pytest.raises(UnknownNameError) as unknown:
        find_gpu("A100-80G8")
    assert unknown.value.nearest


@pytest.mark.parametrize(
    ("name", "tera"), [("H200", 67.0), ("A100-80GB", 19.5), ("RTX 4090", 82.6), ("T4", 8.1), ("L40S", 91.6)]
)
def test_operations_in_fp32_are_those_of_data_sheets(name, tera):
    assert find_gpu(name).full_operations == pytest.approx(tera * 1e12, rel=0.02)
