"""Copies, on this machine, of objects in a store: one for each content that an object has had.

$ULLAGE_HOME/objects/URL/TAG/NAME, with marks of the URL and of its ETag. Nothing there ever changes, so a run
reads what it began with however often the object is replaced; all of it may be deleted between runs.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from secrets import token_hex
from typing import Final

from ullage.errors import InputError
from ullage.files import COPIES, alone_in, data_home
from ullage.store import Stat, Store, mark_of

OBJECTS: Final = "objects"


def fetch(url: str) -> str:
    """Sees that a copy of the object, as it is now, is here and is what `placed` names; the object's ETag.

    Raises InputError, in one line, for an object that cannot be had.
    """
    store = Store(url)
    stat = store.stat()
    folder = home_of(url) / mark_of(stat.tag)
    path = folder / url.rpartition("/")[2]
    if not _there(path, stat.size):
        with alone_in(home_of(url)):
            if not _there(path, stat.size):
                _copy(store, stat, path)
    COPIES[url] = path
    return stat.tag


def _there(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def _copy(store: Store, stat: Stat, path: Path) -> None:
    temporary = path.parent.with_name(f"{path.parent.name}.{token_hex(6)}.tmp")
    try:
        temporary.mkdir(mode=0o700)
        check_room(store.url, stat.size, temporary)
        if store.get("", temporary / path.name) != stat:
            raise InputError(f"{store.url}: was replaced while it was read")
        path.parent.mkdir(mode=0o700, exist_ok=True)
        os.replace(temporary / path.name, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check_room(url: str, size: int, folder: Path) -> None:
    """Raises InputError where a disk has no room for so many bytes."""
    free = shutil.disk_usage(folder).free
    if free < size:
        raise InputError(
            f"{url}: its {size:,} bytes are more than the {free:,} that are free in {folder.parent}; what "
            f"lies in {data_home() / OBJECTS} are copies, which no run removes: delete them while none runs"
        )


def home_of(url: str) -> Path:
    """Where copies of an object, or of the objects under a URL, lie."""
    return data_home() / OBJECTS / mark_of(url)
