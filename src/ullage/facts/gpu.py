"""GPUs: what a runtime can use of their memory, and how fast they are."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Literal, NamedTuple

from ullage.errors import UnknownNameError
from ullage.facts.abilities import AMD, Abilities, least, nvidia
from ullage.facts.data_file import read_data
from ullage.units import GIB, MIB, Interval

DRIVER_RESERVE: Final = (0.2, 0.55, 1.0)
"""GiB that nvidia-smi's total exceeds torch's by: 0.37 (RTX 3060) to 0.86 (A100 80GB) where both are
known (data/usable.json); the interval leaves room on both sides."""
UNREPORTED: Final = (0.90, 0.95, 0.99)
"""Usable share of the marketing size in GB (10^9) x 2^30/10^9 where nothing was measured."""
_LANE_GB: Final = {"3.0": 0.985, "4.0": 1.969, "5.0": 3.938, "6.0": 7.563}
"""PCI Express bandwidth of one lane and direction, GB/s, after line coding (PCI-SIG)."""
_DEFAULTS: Final = {
    "a100": "A100-SXM4-80GB",
    "a100-80": "A100-SXM4-80GB",
    "a100-40": "A100-SXM4-40GB",
    "h100": "H100-SXM5-80GB",
    "v100": "V100-SXM2-16GB",
    "v100-32": "V100-SXM2-32GB",
    "a10": "A10",
    "6000ada": "RTX 6000 Ada",
    "6000-ada-generation": "RTX 6000 Ada",
    "h100-pcie": "H100-PCIE-80GB",
    "h100-nvl": "H100-NVL-94GB",
    "b300-sxm6-ac": "B300-SXM",
    "pro-6000-blackwell-server-edition": "RTX PRO 6000 Blackwell Server",
    "pro-6000-blackwell-workstation-edition": "RTX PRO 6000 Blackwell",
    "gb10": "DGX Spark GB10",
}
"""What a short name means where several cards share it, and names that drivers report."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Dense 16-bit operations per second at the peak, and how that is known: `derived` from a data sheet,
    `assumed` where it states another dtype's alone."""

    per_second: float
    basis: Literal["derived", "assumed"]


@dataclass(frozen=True, slots=True)
class Gpu:
    """One card. `usable` is what torch reports as its total memory, in bytes; its low value is what
    a verdict counts on. Bandwidths are bytes per second, one direction; what is not known of its speed is
    None."""

    id: str
    usable: Interval
    usable_basis: str
    bandwidth: float | None
    operations: Rate | None
    abilities: Abilities
    pcie: float | None
    nvlink: float | None = None

    def __hash__(self) -> int:
        return hash(self.id)


class GpuSet(NamedTuple):
    """Cards of one machine, in order; `gpu:0` is the first."""

    gpus: tuple[Gpu, ...]

    @property
    def name(self) -> str:
        """For example `2x A100-SXM4-80GB + 1x L4`."""
        counts: dict[str, int] = {}
        for gpu in self.gpus:
            counts[gpu.id] = counts.get(gpu.id, 0) + 1
        return " + ".join(f"{count}x {id_}" for id_, count in counts.items())

    @property
    def abilities(self) -> Abilities:
        """What the weakest of them can do. Raises InputError for cards of several makers."""
        return least(gpu.abilities for gpu in self.gpus)

    @property
    def device_names(self) -> tuple[str, ...]:
        """`gpu:0`, `gpu:1`, ...; the one device of a run without GPUs is `cpu`."""
        if self.abilities.processor:
            return ("cpu",)
        return tuple(f"gpu:{index}" for index in range(len(self.gpus)))


@cache
def _rows() -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in read_data("gpus.json")["gpus"]}


@cache
def _usable_table() -> dict[str, list[float]]:
    table: dict[str, list[float]] = read_data("usable.json")["usable"]
    return table


def gpu_names() -> tuple[str, ...]:
    """Ids of every GPU in the catalog."""
    return tuple(_rows())


def _key(name: str) -> str:
    """Letters and digits that tell cards apart: no makers, no `GB`, no separators."""
    text = name.casefold()
    for word in ("nvidia", "geforce", "rtx", "gtx", "tesla", "amd", "instinct", "quadro", "radeon"):
        text = text.replace(word, " ")
    text = re.sub(r"(\d+)\s*g(i)?b?\b", r"-\1", text)
    return re.sub(r"[\s_/-]+", "-", text).strip("-")


@cache
def _index() -> dict[str, str]:
    index: dict[str, str] = {}
    for id_, row in _rows().items():
        for name in (id_, *row["aliases"]):
            key = _key(name)
            index.setdefault(key, id_)
            index.setdefault(key.replace("-", ""), id_)
    return index | _DEFAULTS


@cache
def find_gpu(name: str) -> Gpu:
    """The GPU meant by `name`: forgiving of case, maker, separators and `GB`.

    Short names stand for the usual card (`A100` for the SXM 80 GB one, `H100` for the SXM one).
    Raises UnknownNameError with the nearest names.
    """
    key = _key(name)
    id_ = _index().get(key) or _index().get(key.replace("-", ""))
    if id_ is None:
        known = [*gpu_names(), *(a for row in _rows().values() for a in row["aliases"])]
        raise UnknownNameError("GPU", name, known, "`ullage gpus` lists the cards it knows")
    return _gpu(_rows()[id_])


def _gpu(row: dict[str, Any]) -> Gpu:
    usable, basis = _usable(row)
    nvlink = row["nvlink_gbs_total"]
    abilities = _abilities(row)
    return Gpu(
        row["id"],
        usable,
        basis,
        row["memory_bandwidth_gbs"] * 1e9,
        _operations(row, abilities),
        abilities,
        _bus(row["pcie"]),
        nvlink * 1e9 / 2 if nvlink else None,
    )


def _abilities(row: dict[str, Any]) -> Abilities:
    number = row["compute_capability"]
    if number is None:
        return AMD[row["architecture"]]
    major, minor = number.split(".")
    return nvidia((int(major), int(minor)))


def _operations(row: dict[str, Any], abilities: Abilities) -> Rate | None:
    """Of the 16-bit dtype that runs; fp16's stands in where the source leaves bf16's out."""
    bf16, fp16 = row["bf16_tflops_dense"], row["fp16_tflops_dense"]
    if bf16:
        return Rate(bf16 * 1e12, "derived")
    return Rate(fp16 * 1e12, "assumed" if abilities.bf16 else "derived") if fp16 else None


def _bus(text: str | None) -> float | None:
    match = re.fullmatch(r"PCIe (\d\.\d) x(\d+)", text or "")
    return None if match is None else _LANE_GB[match[1]] * int(match[2]) * 1e9


def _usable(row: dict[str, Any]) -> tuple[Interval, str]:
    measured = _usable_table().get(row["id"])
    if measured is not None:
        low, high = (int(value * GIB) for value in measured)
        return Interval(low, (low + high) // 2, high), "measured"
    reported = row["memory_mib_reported"]
    if reported is not None:
        small, typical, large = (int(value * GIB) for value in DRIVER_RESERVE)
        total = int(reported) * MIB
        return Interval(total - large, total - typical, total - small), "derived"
    low, expected, high = (int(row["memory_gb"] * GIB * share) for share in UNREPORTED)
    return Interval(low, expected, high), "assumed"
