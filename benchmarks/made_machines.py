"""Machines that are not here: NVML of any cards, and libraries that work or break as real ones did."""

import textwrap
from pathlib import Path
from types import SimpleNamespace

GIB = 2**30


class NvmlError(Exception):
    """As pynvml's: `value` is NVML's number of it."""

    def __init__(self, value, text=""):
        super().__init__(text or f"NVML error {value}")
        self.value = value


class Nvml:
    """NVML of `cards` (each `name`, `capability`, `total`, and `links` to others, as many as are active), all
    on one host bridge; `error` is what it ends with when it is begun."""

    NVMLError = NvmlError
    nvmlMemory_v2 = 2

    def __init__(self, *cards, driver="570.86.15", cuda=12080, error=None, peer=True, width=16):
        self.cards, self.driver, self.cuda, self.error = cards, driver, cuda, error
        self.peer, self.width = peer, width

    def nvmlInit(self):
        if self.error is not None:
            raise NvmlError(*self.error)

    def nvmlShutdown(self):
        pass

    def nvmlSystemGetDriverVersion(self):
        return self.driver

    def nvmlSystemGetCudaDriverVersion(self):
        return self.cuda

    def nvmlDeviceGetCount(self):
        return len(self.cards)

    def nvmlDeviceGetHandleByIndex(self, index):
        return index

    def nvmlDeviceGetName(self, handle):
        return self.cards[handle]["name"]

    def nvmlDeviceGetMemoryInfo(self, handle, version=1):
        return SimpleNamespace(total=self.cards[handle]["total"], reserved=0, used=0)

    def nvmlDeviceGetComputeRunningProcesses(self, handle):
        return []

    def nvmlDeviceGetCudaComputeCapability(self, handle):
        return self.cards[handle]["capability"]

    def nvmlDeviceGetCurrPcieLinkGeneration(self, handle):
        return 1

    def nvmlDeviceGetMaxPcieLinkGeneration(self, handle):
        return 4

    def nvmlDeviceGetCurrPcieLinkWidth(self, handle):
        return self.width

    def nvmlDeviceGetMaxPcieLinkWidth(self, handle):
        return 16

    def nvmlDeviceGetMigMode(self, handle):
        raise NvmlError(3, "Not Supported")

    def nvmlDeviceGetNvLinkState(self, handle, link):
        if link >= self.cards[handle].get("links", 0):
            raise NvmlError(3, "Not Supported")
        return 1

    def nvmlDeviceGetTopologyCommonAncestor(self, first, second):
        return 30

    def nvmlDeviceGetP2PStatus(self, first, second, what):
        assert isinstance(what, int)
        linked = self.cards[first].get("links", 0) and self.cards[second].get("links", 0)
        return 0 if (linked if what == 2 else self.peer) else 5


A6000 = {"name": "NVIDIA RTX A6000", "capability": (8, 6), "total": 48 * GIB}
PASCAL = {"name": "NVIDIA GeForce GTX 1080 Ti", "capability": (6, 1), "total": 11 * GIB}

TORCH = """
    import time

    uint8 = bfloat16 = None
    class version:
        cuda, hip = {cuda!r}, None
    class Tensor:
        def __init__(self, seconds=0.0): self.seconds = seconds
        def __mul__(self, other):
            if {problem!r}: raise RuntimeError({problem!r})
            return self
        def sum(self): return self
        def item(self): return 16.0
        def reshape(self, *size): return self
        def copy_(self, other, non_blocking): time.sleep(other.seconds)
    def ones(*size, device): return Tensor()
    empty = tensor = linspace = lambda *given, **named: Tensor()
    def zeros(*size, dtype, pin_memory): return Tensor(0.02 if pin_memory else 0.08)
    class cuda:
        get_arch_list = staticmethod(lambda: {kernels!r})
        is_available = staticmethod(lambda: {cards!r} > 0)
        device_count = staticmethod(lambda: {cards!r})
        get_device_name = staticmethod(lambda index: "a card")
        get_device_capability = staticmethod(lambda index: {capability!r})
        synchronize = staticmethod(lambda index: None)
        @staticmethod
        def init():
            raise RuntimeError("The NVIDIA driver on your system is too old (found version 11040).")
"""
"""As much of torch as is asked of it, built for `cuda` with `kernels`, on `cards` of a `capability`."""
BROKEN = {
    "torchvision": """
        import torch
        torch.library.register_fake("torchvision::nms")(lambda boxes, scores, threshold: None)
    """,
    "flash_attn": """
        raise ImportError("flash_attn_2_cuda.cpython-311-x86_64-linux-gnu.so: undefined symbol: "
                          "_ZN3c104cuda9SetDeviceEi")
    """,
    "bitsandbytes": """
        class functional:
            @staticmethod
            def quantize_4bit(weight, quant_type):
                raise RuntimeError(
                    "CUDA Setup failed despite GPU being available.\\n  Please run the following command to "
                    "get more information:\\n  python -m bitsandbytes"
                )
    """,
}
"""What each library does where it is built for another torch or CUDA, as people reported it: torchvision's
own registration of an operator that its compiled part did not bring, a symbol that torch has no more, and a
library that is not there for this CUDA."""


def library(folder: Path, name: str, code: str, version: str = "1.0", package: str = "") -> Path:
    """A library in `folder`, which belongs on a path, with the metadata of an installed package."""
    own = folder / name
    own.mkdir(parents=True, exist_ok=True)
    (own / "__init__.py").write_text(textwrap.dedent(code))
    about = folder / f"{(package or name).replace('-', '_')}-{version}.dist-info"
    about.mkdir(exist_ok=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package or name}\nVersion: {version}\n")
    return folder


def torch(folder, cards=0, cuda="12.8", kernels=("sm_80", "sm_86", "sm_90"), capability=(8, 6), problem=""):
    """A torch in `folder` that computes nothing."""
    told = {"cards": cards, "cuda": cuda, "kernels": list(kernels), "capability": capability}
    build = f"2.11.0+cu{cuda.replace('.', '')}" if cuda else "2.11.0+cpu"
    return library(folder, "torch", TORCH.format(**told, problem=problem), build)
