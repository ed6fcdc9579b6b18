"""What PYTORCH_ALLOC_CONF says: the allocator's settings, as torch 2.13 reads them.

Source: c10/core/AllocatorConfig.h and c10/cuda/CUDAAllocatorConfig.h of torch 2.13.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from ullage.errors import InputError, UnsupportedError, nearest
from ullage.memory.allocator.sizes import LARGE_SEGMENT, OWN_SEGMENT_FROM
from ullage.units import MIB

NAMES: Final = ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF")
"""The variables that torch reads, the first before the second."""
INTERVALS: Final = 16
"""Powers of two from 1 MiB to 64 GiB, each with a rounding of its own."""
LEAST_LARGE: Final = OWN_SEGMENT_FROM // MIB + 1
LEAST_ROUNDING: Final = LARGE_SEGMENT // MIB
ELSEWHERE: Final = frozenset(
    {
        "graph_capture_record_stream_reuse",
        "pinned_free_catch_all",
        "pinned_max_cached_size_mb",
        "pinned_max_round_threshold_mb",
        "pinned_num_register_threads",
        "pinned_reserve_segment_size_mb",
        "pinned_use_background_threads",
        "pinned_use_cuda_host_register",
        "release_lock_on_cudamalloc",
        "throw_on_cudamalloc_oom",
    }
)
"""Options that change nothing of what is reserved on a card."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How requests are rounded, blocks split and segments given back; torch's defaults.

    `max_split` is the size from which on blocks are not split (None: all are); `unsplit_rounding` what such a
    block may hold beyond its request; `divisions` into how many steps each power of two from 1 MiB on is cut
    for rounding (0: none); `fraction` of a card that may be used, and of that `collects_from` the share from
    which on old segments are given back (0: never).
    """

    expandable: bool = False
    max_split: int | None = None
    unsplit_rounding: int = LARGE_SEGMENT
    large_segment: int = LARGE_SEGMENT
    divisions: tuple[int, ...] = (0,) * INTERVALS
    collects_from: float = 0.0
    fraction: float = 1.0


def settings_of(environment: Mapping[str, str]) -> Settings:
    """Those a process with this environment runs with. Raises InputError."""
    for name in NAMES:
        if environment.get(name):
            return parse_settings(environment[name], name)
    return Settings()


def parse_settings(text: str, name: str = NAMES[0]) -> Settings:
    """The settings that `text` says, as in `expandable_segments:True,max_split_size_mb:128`.

    Raises InputError for an option that torch has not, or a value that it refuses.
    """
    found = Settings()
    for key, value in _pairs(text, name):
        if key in ELSEWHERE:
            continue
        if key not in _READ:
            like = ", ".join(nearest(key, _KNOWN) or _KNOWN)
            raise InputError(f"{name}: {key!r} is no option of torch's allocator; there are {like}")
        try:
            found = replace(found, **_READ[key](value))
        except ValueError as error:
            raise InputError(f"{name}: {key}: {value!r} {error}") from error
    if found.max_split is not None and found.max_split < found.large_segment:
        raise InputError(f"{name}: max_split_size_mb is less than a large segment has, which torch refuses")
    return found


def _pairs(text: str, name: str) -> Iterator[tuple[str, str]]:
    """Options with their values; commas within brackets are a value's own, and the last may have one too."""
    for part in re.split(r",(?![^\[]*\])", "".join(text.split()).removesuffix(",")):
        key, colon, value = part.partition(":")
        if not key or not colon or not value:
            raise InputError(
                f"{name}: {part!r} is not of the form option:value; options stand between commas"
            )
        yield key, value


def _expandable(value: str) -> dict[str, Any]:
    if value not in ("True", "False"):
        raise ValueError("is neither True nor False")
    return {"expandable": value == "True"}


def _mebibytes(value: str, least: int) -> int:
    if not value.isascii() or not value.isdigit() or int(value) < least:
        raise ValueError(f"is no whole number of MiB from {least} on")
    return int(value) * MIB


def _share(value: str, whole: bool) -> float:
    try:
        share = float(value)
    except ValueError:
        share = math.nan
    if not (0 < share < 1 or (whole and share == 1)):
        raise ValueError("is no share above 0 and " + ("at most 1" if whole else "below 1"))
    return share


def _divisions(value: str) -> dict[str, Any]:
    """`4`, or `[256:1,512:2,>:4]`: by the size in MiB up to which each counts."""
    if not value.startswith("["):
        return {"divisions": (_power_of_two(value),) * INTERVALS}
    found = [0] * INTERVALS
    behind = 0
    for number, part in enumerate(value.strip("[]").split(",")):
        until, _, steps = part.partition(":")
        cut = 0 if steps == "0" else _power_of_two(steps)
        if until == ">":
            found[behind:] = [cut] * (INTERVALS - behind)
            continue
        at = min(_power_of_two(until).bit_length() - 1, INTERVALS - 1)
        if number == 0:
            found[:at] = [cut] * at
        found[at], behind = cut, at + 1
    return {"divisions": tuple(found)}


def _power_of_two(value: str) -> int:
    if not value.isascii() or not value.isdigit() or int(value).bit_count() != 1:
        raise ValueError("has a number that is no power of two")
    return int(value)


def _backend(value: str) -> dict[str, Any]:
    if value == "cudaMallocAsync":
        raise UnsupportedError(
            "backend:cudaMallocAsync: is CUDA's own pool, whose segments are not known here; replayed "
            "is torch's allocator (backend:native)"
        )
    if value != "native":
        raise ValueError("is neither native nor cudaMallocAsync")
    return {}


_READ: Final[Mapping[str, Callable[[str], dict[str, Any]]]] = {
    "backend": _backend,
    "expandable_segments": _expandable,
    "garbage_collection_threshold": lambda value: {"collects_from": _share(value, False)},
    "large_segment_size_mb": lambda value: {"large_segment": _mebibytes(value, LEAST_LARGE)},
    "max_non_split_rounding_mb": lambda value: {"unsplit_rounding": _mebibytes(value, LEAST_ROUNDING)},
    "max_split_size_mb": lambda value: {"max_split": _mebibytes(value, 1)},
    "per_process_memory_fraction": lambda value: {"fraction": _share(value, True)},
    "roundup_power2_divisions": _divisions,
}
_KNOWN: Final = sorted({*_READ, *ELSEWHERE})
