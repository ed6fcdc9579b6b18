"""What of the host is as it should be: memory, swap, a container's limit, disks, the environment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ullage.facts.health.finding import Finding, note, ok
from ullage.facts.health.host import Disk, Host
from ullage.units import GIB, gib

ROOM: Final = 10 * GIB
"""Bytes of the disk that models are fetched to under which there is room for small ones alone."""


def findings_of_host(host: Host) -> Iterator[Finding]:
    """Memory, swap, the container's limit, the disks, and whether a hub may be asked."""
    yield ok("python", f"{host.python} on {host.system}")
    if host.memory is None:
        yield note("memory", "this system does not tell how much it has")
    else:
        left = "" if host.available is None else f", {gib(host.available)} of it available"
        yield ok("memory", f"{gib(host.memory)}{left}; {host.processors} processors")
    if host.swap is not None:
        said = gib(host.swap) if host.swap else "none: what goes beyond memory is ended by the system"
        yield ok("swap", said)
    if host.limit is not None:
        taken = "" if host.taken is None else f", of which {gib(host.taken)} is taken"
        yield note(
            "container",
            f"this process may take {gib(host.limit)} of the memory{taken}; beyond it the system ends it",
            "plans for this machine's processor count with it; files state what offload takes: "
            "budget.host_memory",
        )
    yield _cache(host.cache)
    yield _home(host.home)
    if host.copies.held:
        yield note(
            "copies",
            f"{host.copies.folder}: {gib(host.copies.held)}, of objects in stores, which no run removes",
            "delete it while nothing runs: what is still needed is fetched again",
        )
    token = "; a token is given" if host.token else ""
    if host.offline:
        yield note("hub", f"is not asked: HF_HUB_OFFLINE is set{token}", "unset it to fetch models")
    else:
        yield ok("hub", f"may be asked where --download says so{token}")


def _cache(disk: Disk) -> Finding:
    about = "model cache"
    held = "is not there yet" if not disk.there else "" if disk.held is None else f"holds {gib(disk.held)}"
    free = "" if disk.free is None else f"{gib(disk.free)} free"
    said = f"{disk.folder}: {', '.join(part for part in (held, free) if part)}"
    if not disk.writable:
        return note(about, f"{said}; it cannot be written, so that nothing can be fetched", "set HF_HOME")
    if disk.free is not None and disk.free < ROOM:
        return note(about, f"{said}, which is little for models", "free some, or set HF_HOME to another disk")
    return ok(about, said)


def _home(disk: Disk) -> Finding:
    about = "data home"
    if not disk.writable:
        said = f"{disk.folder}: cannot be written, so that runs leave no evidence for plans"
        return note(about, said, "set ULLAGE_HOME to a folder of yours")
    return ok(about, f"{disk.folder}{'' if disk.there else ': is not there yet'}")
