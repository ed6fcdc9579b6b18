"""This machine's NVIDIA cards as their driver tells of them: what they are, and what joins them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final

from ullage.facts.abilities import Capability
from ullage.facts.machine import visible_cards

MOST_LINKS: Final = 36
"""NVLinks of a card, at most (`NVML_NVLINK_MAX_LINKS` of nvml.h)."""
_READ, _NVLINK, _OK, _ON = 0, 2, 0, 1
"""`NVML_P2P_CAPS_INDEX_READ` and `..._NVLINK`, `NVML_P2P_STATUS_OK`, `NVML_FEATURE_ENABLED` of nvml.h; its
Python binding has the first as a tuple."""
_NO_DRIVER: Final = (9, 12)
"""`NVML_ERROR_DRIVER_NOT_LOADED` and `NVML_ERROR_LIBRARY_NOT_FOUND`."""
_CHANGED: Final = 18
"""`NVML_ERROR_LIB_RM_VERSION_MISMATCH`."""
WAYS: Final = {
    0: "one board",
    10: "one PCIe switch",
    20: "several PCIe switches",
    30: "one PCIe host bridge",
    40: "one NUMA node",
    50: "the link between processors",
}
"""What a transfer between two cards passes at most, by `nvmlGpuTopologyLevel_t`."""


@dataclass(frozen=True, slots=True)
class Pcie:
    """A card's link to the host: generation and lanes it runs at now, and at most; None is not told."""

    generation: int | None
    width: int | None
    most_generation: int | None
    most_width: int | None


@dataclass(frozen=True, slots=True)
class Card:
    """One card; `index` is NVML's. Bytes; `visible` says that programs here see it (CUDA_VISIBLE_DEVICES),
    `nvlinks` counts its active ones, `partitioned` that it is cut into parts (MIG)."""

    index: int
    name: str
    total: int
    used: int
    capability: Capability
    pcie: Pcie
    nvlinks: int
    visible: bool
    partitioned: bool


@dataclass(frozen=True, slots=True)
class Pair:
    """What joins two cards, by their indices: `way` is what transfers pass at most, `nvlink` that they have
    a link of their own, `peer` that one reads the other's memory; None is not told."""

    first: int
    second: int
    way: str
    nvlink: bool | None
    peer: bool | None


@dataclass(frozen=True, slots=True)
class Cards:
    """All cards here. `cuda` is the newest version of CUDA that the driver speaks, (0, 0) where it does not
    say. `problem` says why there is nothing to be told, "" where there is; `broken` that a driver is here and
    does not answer."""

    driver: str = ""
    cuda: Capability = (0, 0)
    cards: tuple[Card, ...] = ()
    pairs: tuple[Pair, ...] = ()
    problem: str = ""
    broken: bool = False


def read_cards() -> Cards:
    """What NVML tells. Raises nothing."""
    try:
        import pynvml as nvml
    except ImportError:
        return Cards(problem='nvidia-ml-py is not installed: pip install "ullage[run]"')
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        return _without(error)
    try:
        return _read(nvml)
    except nvml.NVMLError as error:
        return _without(error)
    finally:
        nvml.nvmlShutdown()


def _without(error: Exception) -> Cards:
    number = getattr(error, "value", None)
    if number in _NO_DRIVER:
        return Cards(problem="no NVIDIA driver")
    if number == _CHANGED:
        said = (
            "the driver was updated while it ran, and library and kernel module differ: restart the machine"
        )
        return Cards(problem=said, broken=True)
    return Cards(problem=str(error) or type(error).__name__, broken=True)


def _read(nvml: Any) -> Cards:
    count = nvml.nvmlDeviceGetCount()
    handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(count)]
    seen = visible_cards(count)
    cuda = _asked(nvml, "nvmlSystemGetCudaDriverVersion") or 0
    return Cards(
        str(_asked(nvml, "nvmlSystemGetDriverVersion") or ""),
        (cuda // 1000, cuda % 1000 // 10),
        tuple(_card(nvml, index, handle, index in seen) for index, handle in enumerate(handles)),
        tuple(_pair(nvml, *two) for two in combinations(enumerate(handles), 2)),
    )


def _asked(nvml: Any, function: str, *given: object) -> Any:
    """What a function of NVML says; None where the driver or the card does not know it."""
    try:
        return getattr(nvml, function)(*given)
    except (nvml.NVMLError, AttributeError):
        return None


def _card(nvml: Any, index: int, handle: object, visible: bool) -> Card:
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    major, minor = nvml.nvmlDeviceGetCudaComputeCapability(handle)
    pcie = (
        _asked(nvml, f"nvmlDeviceGet{which}PcieLink{what}", handle)
        for which in ("Curr", "Max")
        for what in ("Generation", "Width")
    )
    parts = _asked(nvml, "nvmlDeviceGetMigMode", handle)
    return Card(
        index,
        str(nvml.nvmlDeviceGetName(handle)),
        int(memory.total),
        int(memory.used),
        (major, minor),
        Pcie(*pcie),
        sum(_nvlinks(nvml, handle)),
        visible,
        bool(parts) and parts[0] == _ON,
    )


def _nvlinks(nvml: Any, handle: object) -> Iterator[bool]:
    """Whether each of a card's links is active, up to the first that it has not."""
    for link in range(MOST_LINKS):
        state = _asked(nvml, "nvmlDeviceGetNvLinkState", handle, link)
        if state is None:
            return
        yield state == _ON


def _pair(nvml: Any, first: tuple[int, object], second: tuple[int, object]) -> Pair:
    handles = first[1], second[1]
    level = _asked(nvml, "nvmlDeviceGetTopologyCommonAncestor", *handles)
    joined = _asked(nvml, "nvmlDeviceGetP2PStatus", *handles, _NVLINK)
    peer = _asked(nvml, "nvmlDeviceGetP2PStatus", *handles, _READ)
    return Pair(
        first[0],
        second[0],
        WAYS.get(level, "a way that is not told"),
        None if joined is None else joined == _OK,
        None if peer is None else peer == _OK,
    )
