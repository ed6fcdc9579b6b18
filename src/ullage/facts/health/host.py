"""This machine's memory and disks, what a container may take of them, and what of the environment counts."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ullage.copies import OBJECTS
from ullage.files import data_home, hub_home, model_cache

UNLIMITED: Final = 2**60
"""Bytes from which a limit of the first control groups stands for none."""
KIB: Final = 1024
HUB: Final = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")


@dataclass(frozen=True, slots=True)
class Disk:
    """A folder, whether it is there, what lies in it, and what is free where it lies or would lie; bytes,
    None where nobody tells."""

    folder: str
    there: bool
    held: int | None
    free: int | None
    writable: bool


@dataclass(frozen=True, slots=True)
class Host:
    """Bytes, None where nobody tells. `limit` is what a container may take of the memory, None without one,
    and `taken` what of that is taken. `offline` says that no hub is asked, `token` that one is given;
    `processors` are those that this process may run on; `copies` are of objects in stores; `python` and
    `system` are versions."""

    python: str
    system: str
    memory: int | None
    available: int | None
    swap: int | None
    limit: int | None
    taken: int | None
    processors: int
    cache: Disk
    home: Disk
    copies: Disk
    offline: bool
    token: bool


def read_host(root: Path = Path("/")) -> Host:
    """What `root`'s /proc and /sys tell, and the folders of models, evidence and copies. Raises nothing."""
    told = _meminfo(root / "proc/meminfo")
    limit, taken = memory_limit(root)
    memory = told.get("MemTotal")
    return Host(
        platform.python_version(),
        platform.platform(),
        memory,
        told.get("MemAvailable"),
        told.get("SwapTotal"),
        limit if limit is not None and (memory is None or limit < memory) else None,
        taken,
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        _disk(model_cache()),
        _disk(data_home()),
        _disk(data_home() / OBJECTS),
        any(os.environ.get(name, "").upper() in ("1", "ON", "YES", "TRUE") for name in HUB),
        bool(os.environ.get("HF_TOKEN")) or (hub_home() / "token").is_file(),
    )


def _meminfo(path: Path) -> dict[str, int]:
    """Bytes by the kernel's names."""
    found = {}
    try:
        lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return {}
    for line in lines:
        name, _, rest = line.partition(":")
        words = rest.split()
        if words and words[0].isdecimal():
            found[name] = int(words[0]) * KIB
    return found


def memory_limit(root: Path = Path("/")) -> tuple[int | None, int | None]:
    """The least limit of this process's control groups, and what is taken of it; None where there is none.

    A limit of a group holds for all in it (docs.kernel.org, admin-guide/cgroup-v2 and cgroup-v1/memory).
    """
    found: list[tuple[int, int | None]] = []
    for folder, limit, usage in _groups(root):
        size = _number(folder / limit)
        if size is not None and size < UNLIMITED:
            found.append((size, _number(folder / usage)))
    return min(found, key=lambda each: each[0], default=(None, None))


def _groups(root: Path) -> Iterator[tuple[Path, str, str]]:
    """Every folder of control groups above this process, with the names of its limit and its usage."""
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        if not controllers:
            base, names = root / "sys/fs/cgroup", ("memory.max", "memory.current")
        elif "memory" in controllers.split(","):
            base = root / "sys/fs/cgroup/memory"
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes")
        else:
            continue
        # Inside a container its own group is often the root that it sees.
        inside = base / path.lstrip("/")
        for folder in (inside, *inside.parents):
            if folder.is_relative_to(base):
                yield folder, *names


def _number(path: Path) -> int | None:
    try:
        text = path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None


def _disk(folder: Path) -> Disk:
    import shutil

    there = folder.is_dir()
    nearest = next((each for each in (folder, *folder.parents) if each.is_dir()), None)
    try:
        free = None if nearest is None else shutil.disk_usage(nearest).free
    except OSError:
        free = None
    writable = nearest is not None and os.access(nearest, os.W_OK)
    return Disk(str(folder), there, _held(folder) if there else 0, free, writable)


def _held(folder: Path) -> int | None:
    """Bytes of files, each once: snapshots of the hub's cache are links to what lies beside them."""
    total = 0
    try:
        for path, _, names in os.walk(folder):
            for name in names:
                status = os.lstat(os.path.join(path, name))
                total += status.st_size if not os.path.islink(os.path.join(path, name)) else 0
    except OSError:
        return None
    return total
