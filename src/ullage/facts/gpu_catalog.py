"""The cards that are known: their rows as values, and parts of them (MIG)."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

from ullage.errors import AmbiguousNameError, InputError, UnknownNameError
from ullage.facts.abilities import AMD, APPLE, Abilities, nvidia
from ullage.facts.data_file import read_data
from ullage.facts.gpu import Gpu, Rate, bus_bandwidth
from ullage.facts.gpu_name import ids_of, index_of, mig_parts
from ullage.facts.usable_memory import Usable, measured, of_driver, of_stated_size, of_unified
from ullage.units import GIB, MIB, Interval

Row = dict[str, Any]


@cache
def _rows() -> dict[str, Row]:
    files = ("gpus.json", "more_gpus.json")
    return {row["id"]: row for name in files for row in read_data(name)["gpus"]}


def gpu_names() -> tuple[str, ...]:
    """Ids of every GPU in the catalog."""
    return tuple(_rows())


@cache
def _aliases() -> dict[str, tuple[str, ...]]:
    return {id_: tuple(row["aliases"]) for id_, row in _rows().items()}


@cache
def _index() -> dict[str, str]:
    return index_of({**_aliases(), **dict.fromkeys(boards(), ())})


@cache
def boards() -> dict[str, tuple[str, int]]:
    """Boards that are several GPUs: which, and how many."""
    made = [(row["id"], row["made_of"]) for row in _rows().values() if "made_of" in row]
    return {board: (id_, count) for id_, parts in made for board, count in parts.items()}


@cache
def find_gpus(name: str) -> tuple[Gpu, ...]:
    """The GPUs of a card as a user names it: one, or as many as its board has.

    Forgiving of case, blanks, maker, separators and `GB`; short names stand for the usual card (`A100` for
    the SXM 80 GB one). Raises UnknownNameError with the nearest names, AmbiguousNameError with the cards
    that may be meant.
    """
    parts = mig_parts(name)
    if parts is not None:
        return (_mig(find_gpu(parts[0]), parts[1]),)
    found = ids_of(name, _index())
    if len(found) > 1:
        raise AmbiguousNameError("GPU", name, found)
    if not found:
        known = [*gpu_names(), *boards(), *(each for names in _aliases().values() for each in names)]
        hint = "`ullage gpus` lists the cards it knows; describe another: (24GiB, 936GB/s, 71TFLOPS, sm86)"
        raise UnknownNameError("GPU", name, known, hint)
    id_, count = boards().get(found[0], (found[0], 1))
    return (_gpu(_rows()[id_]),) * count


def find_gpu(name: str) -> Gpu:
    """As `find_gpus`, of a board of several GPUs one."""
    return find_gpus(name)[0]


def candidates(name: str) -> tuple[Gpu, ...]:
    """Every card that `name` may mean, none where it means none."""
    return tuple(find_gpu(id_) for id_ in ids_of(name, _index()))


def _gpu(row: Row) -> Gpu:
    usable, bandwidth = _usable(row), row["memory_bandwidth_gbs"]
    nvlink = None if row.get("nvlink_bridge") else row["nvlink_gbs_total"]
    abilities = _abilities(row)
    return Gpu(
        row["id"],
        usable.bytes,
        usable.basis,
        None if bandwidth is None else bandwidth * 1e9,
        _operations(row, abilities),
        abilities,
        bus_bandwidth(row["pcie"] or ""),
        nvlink * 1e9 / 2 if nvlink else None,
        usable.source,
        clocks=_clocks(row),
    )


def _clocks(row: Row) -> float | None:
    """Where it counts multiprocessors as NVIDIA does."""
    count, clock = row.get("sm_count"), row.get("boost_mhz")
    return None if count is None or clock is None else count * clock * 1e6


def _abilities(row: Row) -> Abilities:
    if row["vendor"] == "Apple":
        return APPLE
    number = row["compute_capability"]
    if number is None:
        return AMD[row["architecture"]]
    major, minor = number.split(".")
    return nvidia((int(major), int(minor)))


def _operations(row: Row, abilities: Abilities) -> Rate | None:
    """Of the 16-bit dtype that runs; fp16's stands in where the source leaves bf16's out."""
    bf16, fp16 = row["bf16_tflops_dense"], row["fp16_tflops_dense"]
    if bf16:
        return Rate(bf16 * 1e12, row.get("tensor_basis", "derived"))
    if fp16 and abilities.bf16:
        return Rate(fp16 * 1e12, "assumed")
    return Rate(fp16 * 1e12, row.get("tensor_basis", "derived")) if fp16 else None


def _usable(row: Row) -> Usable:
    found = measured(row["id"])
    if found is not None:
        return found
    size = int((row["memory_gb"] or 0) * GIB)
    if row["vendor"] == "Apple":
        return of_unified(size)
    reported = row["memory_mib_reported"]
    return of_stated_size(size) if reported is None else of_driver(int(reported) * MIB)


@cache
def _profiles() -> dict[str, Row]:
    return {card: family for family in read_data("mig.json")["families"] for card in family["cards"]}


def _mig(card: Gpu, profile: str) -> Gpu:
    """A part of a card: its memory as the driver lists it, and its shares of bandwidth and operations."""
    family = _profiles().get(card.id)
    if family is None:
        raise InputError(f"no MIG profiles of {card.id} are known; those of {', '.join(_profiles())} are")
    if profile not in family["profiles"]:
        raise InputError(f"{card.id} has no MIG profile {profile}; it has {', '.join(family['profiles'])}")
    sm, slices, *listed = family["profiles"][profile]
    # No part has more than its card.
    low, high = (min(int(size * GIB), most) for size, most in zip(listed, card.usable[::2], strict=True))
    rate, bandwidth = card.operations, card.bandwidth
    return replace(
        card,
        id=f"{card.id} MIG {profile}",
        usable=Interval(low, (low + high) // 2, high),
        usable_basis="derived",
        usable_source="the driver's list of MIG profiles, which torch's total equals",
        bandwidth=None if bandwidth is None else bandwidth * slices / family["slices"],
        operations=None if rate is None else Rate(rate.per_second * sm / family["sm"], rate.basis),
        nvlink=None,
        clocks=None if card.clocks is None else card.clocks * sm / family["sm"],
    )
